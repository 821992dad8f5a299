"""Forcing a large file to the device takes little in the end when the device has been at it all along."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

EVERY: Final = 8 << 20
"""Bytes from one start of writing back to the next."""

_SYNC_FILE_RANGE_WRITE: Final = 2


class WriteBack:
    """Has the kernel begin to write a file's new bytes to the device, in a thread, `EVERY` so many.

    This forces nothing and promises nothing (sync_file_range(2) warns of that): it is for the fdatasync
    that comes later. `descriptor` has to stay open until `settle`. Nothing happens where the system has no
    sync_file_range(2).
    """

    def __init__(self, descriptor: int, position: int, pool: Executor) -> None:
        self._descriptor = descriptor
        self._begun = position
        self._pool = pool
        self._running: Future[object] | None = None

    def reached(self, position: int) -> None:
        """The bytes up to `position` are written. Returns at once."""
        if position - self._begun < EVERY or (self._running is not None and not self._running.done()):
            return
        start, self._begun = self._begun, position
        self._running = self._pool.submit(start_writing, self._descriptor, start, position - start)

    def settle(self) -> None:
        """Wait for the thread. Blocks."""
        if self._running is not None:
            self._running.exception()


def start_writing(descriptor: int, start: int, count: int) -> None:
    """Begin to write `count` bytes of the page cache to the device. Errors are fdatasync's to tell."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, start, count, _SYNC_FILE_RANGE_WRITE)


_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
