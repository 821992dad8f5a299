"""Which process of this host has an upload: one byte of a file, locked with fcntl(2)."""

from __future__ import annotations

import fcntl
import os
import struct
from hashlib import blake2b

from tusd_py.core.errors import StoreError

_SHARDS = 64
"""The kernel looks through all locks of a file for each call: there are several files."""

_FLOCK = struct.Struct("hhqqi0q")
"""struct flock of 64-bit Linux: type, whence, start, length, process."""


def position_of(upload_id: str) -> int:
    """The byte that stands for an upload, of 2**62; two that share one are never held at the same time."""
    digest = blake2b(upload_id.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


class LockFiles:
    """The files of `folder`. They are empty and stay so, and no lock outlives the process that has it.

    A process that closes any descriptor of such a file loses all locks it has there, so nobody else may
    open them in a process that has a LockFiles.
    """

    def __init__(self, folder: str) -> None:
        self._files = [
            os.open(f"{folder}/{number:02}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for number in range(_SHARDS)
        ]

    def take(self, position: int) -> bool:
        """Whether this process has the byte now; False while another one has it. StoreError."""
        try:
            fcntl.lockf(self._files[position % _SHARDS], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise StoreError(f"no lock in the workers' folder: {error.strerror}") from error
        return True

    def free(self, position: int) -> None:
        """Let other processes have the byte."""
        fcntl.lockf(self._files[position % _SHARDS], fcntl.LOCK_UN, 1, position)

    def holder(self, position: int) -> int | None:
        """The other process that has the byte; None if there is none."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, position, 1, 0)
        try:
            told = fcntl.fcntl(self._files[position % _SHARDS], fcntl.F_GETLK, asked)
        except OSError as error:
            raise StoreError(f"no lock in the workers' folder: {error.strerror}") from error
        kind, _, _, _, process = _FLOCK.unpack(told)
        return None if kind == fcntl.F_UNLCK else process

    def close(self) -> None:
        """Let go of every byte."""
        for file in self._files:
            os.close(file)
        self._files = []
