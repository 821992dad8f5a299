"""The process behind a `SlowDisk`: passes a folder through, and lets every operation wait.

Run by tests/support/slow_disk.py: python -m tests.support.slow_fuse SOURCE MOUNT_POINT CONTROL
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
import time
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, cast

import mfusepy

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

DELAYS: Final = struct.Struct("=dd")
"""The beginning of the control file: seconds for each write, and for any other operation."""

WAITED: Final = struct.Struct("=Q")
"""What follows: how many operations have waited so far. Each side writes its own part alone."""

_STATUS = ("mode", "ino", "dev", "nlink", "uid", "gid", "size", "blocks", "blksize")
_TIMES = ("atime", "mtime", "ctime")
_SPACE = ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail", "namemax")


def _waiting(
    operation: Callable[Concatenate[PassThrough, P], T],
) -> Callable[Concatenate[PassThrough, P], T]:
    is_write = operation.__name__ == "write"

    @wraps(operation)
    def wait_and_do(disk: PassThrough, *args: P.args, **kwargs: P.kwargs) -> T:
        disk.wait(is_write=is_write)
        return operation(disk, *args, **kwargs)

    return cast("Callable[Concatenate[PassThrough, P], T]", wait_and_do)


class PassThrough(mfusepy.Operations):  # type: ignore[misc]
    """The folder `source`, as slowly as `control` says at the time of each operation."""

    use_ns = True

    def __init__(self, source: str, control: mmap.mmap) -> None:
        self._source = source
        self._control = control
        self._lock = threading.Lock()
        self._waited = 0

    def wait(self, *, is_write: bool) -> None:
        """As long as such an operation takes now."""
        of_write, of_others = DELAYS.unpack_from(self._control)
        if seconds := of_write if is_write else of_others:
            with self._lock:
                self._waited += 1
                WAITED.pack_into(self._control, DELAYS.size, self._waited)
            time.sleep(seconds)

    def _real(self, path: str) -> str:
        return self._source + path

    @_waiting
    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = os.lstat(self._real(path)) if fh is None else os.fstat(fh)
        status = {f"st_{name}": getattr(found, f"st_{name}") for name in _STATUS}
        return status | {f"st_{name}": getattr(found, f"st_{name}_ns") for name in _TIMES}

    @_waiting
    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._real(path))
        return {f"f_{name}": getattr(found, f"f_{name}") for name in _SPACE}

    @_waiting
    def readdir(self, path: str, _fh: int) -> list[tuple[str, dict[str, int], int]]:
        with os.scandir(self._real(path)) as entries:
            # One without a number would not be seen: readdir(3) takes it for a gap.
            return [(each.name, {"st_ino": each.inode()}, 0) for each in entries]

    @_waiting
    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._real(path), mode)

    @_waiting
    def rmdir(self, path: str) -> None:
        os.rmdir(self._real(path))

    @_waiting
    def unlink(self, path: str) -> None:
        os.unlink(self._real(path))

    @_waiting
    def rename(self, old: str, new: str) -> None:
        os.rename(self._real(old), self._real(new))

    @_waiting
    def link(self, target: str, source: str) -> None:
        os.link(self._real(source), self._real(target))

    @_waiting
    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._real(path), mode)

    @_waiting
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        os.utime(self._real(path), ns=times or (time.time_ns(),) * 2)

    @_waiting
    def create(self, path: str, mode: int) -> int:
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    @_waiting
    def open(self, path: str, flags: int) -> int:
        return os.open(self._real(path), flags & ~(os.O_CREAT | os.O_EXCL | os.O_APPEND))

    @_waiting
    def read(self, _path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @_waiting
    def write(self, _path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    @_waiting
    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(self._real(path) if fh is None else fh, length)

    @_waiting
    def flush(self, _path: str, _fh: int) -> None:
        pass

    @_waiting
    def fsync(self, _path: str, _datasync: int, fh: int) -> None:
        os.fsync(fh)

    @_waiting
    def fsyncdir(self, _path: str, _datasync: int, _fh: int) -> None:
        pass

    def release(self, _path: str, fh: int) -> None:  # nobody waits for it
        os.close(fh)


def main(source: str, mount_point: str, control: str) -> None:
    """Serve until it is unmounted."""
    with open(control, "r+b") as file:
        shared = mmap.mmap(file.fileno(), 0)
    options: dict[str, Any] = {"use_ino": True, "hard_remove": True, "fsname": "slow"}
    mfusepy.FUSE(PassThrough(source, shared), mount_point, foreground=True, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
