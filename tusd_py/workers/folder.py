"""A folder that the workers of one server share, and nobody else."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tusd_py.core.errors import TusdError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "tusd-py-"
_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made there, for its owner alone
_YOUNG = 60.0
"""Seconds in which the maker of a folder has certainly locked it."""


class FolderError(TusdError):
    """There is no place for the folder; the message says where it was tried."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in memory, or where temporary files are. `descriptor` is a lock on it.

    Whoever cleans up leaves a locked folder alone: systemd-tmpfiles does, and so do other servers. The
    lock is held until the last process that inherited the descriptor has ended, however it ends.
    """

    path: str
    descriptor: int

    @classmethod
    def make(cls) -> Self:
        """A new one. Removes what killed servers left of theirs. Raises FolderError."""
        reasons: list[str] = []
        for base in _places():
            try:
                path = tempfile.mkdtemp(prefix=_PREFIX, dir=base)
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                reasons.append(f"{base}: {error.strerror or error}")
            else:
                _remove_abandoned(base)
                return cls(path, descriptor)
        raise FolderError(f"no folder for the locks of the workers; {'; '.join(reasons)}")

    def remove(self) -> None:
        """Nobody needs it any more."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.descriptor)


def _places() -> Iterator[str]:
    """Where to try: what systemd made for us (RuntimeDirectory=), memory, the place for temporary files."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        yield given
    yield _MEMORY
    yield tempfile.gettempdir()


def _remove_abandoned(base: str) -> None:
    """Remove folders of servers that are no more: ours, not new, and nobody has a lock on them."""
    for path in Path(base).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = path.lstat()
            is_old = time.time() - found.st_mtime > _YOUNG
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and is_old:
                _remove_if_free(path)


def _remove_if_free(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    finally:
        os.close(descriptor)
