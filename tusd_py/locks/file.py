"""Locks between the processes of one host: the holder is told who wants the upload, nothing is polled."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tusd_py.locks.between import Caller, FileClaim, Here
from tusd_py.locks.lock_files import LockFiles
from tusd_py.locks.wire import Addresses

if TYPE_CHECKING:
    from collections.abc import Callable

_IN_USE: set[tuple[int, int, int]] = set()
"""Process, device and inode of each folder with a FileLocker: a second one would take its locks away."""

_BREATH = 1.0
"""Seconds for which nobody is heard where there are no more descriptors."""


class FileLocker:
    """See tusd_py.core.ports.Locker. `len()` is the number of uploads that this process holds. For Linux.

    At most one process has an upload: by a lock of the kernel's, which ends with the process. Those who
    want it wait in one line, wherever they are. It lies in the process that has the upload, and goes with
    it from process to process. They enter in the order in which they came to the line, with these
    exceptions:

    - Where the upload goes from one process to another, it is free for a moment. Who comes just then
      enters, and whose turn it was is the next.
    - Where a process is killed that had the upload, those who waited for it line up anew, at once and
      in no order.

    Nobody is left out: one who is overtaken keeps its place ahead of all who came later. A process that is
    stopped, or hangs, keeps what it has; others wait for it until their timeouts are over.

    To be made in the event loop in which it is used, one for a process and folder.
    """

    def __init__(self, folder: str) -> None:
        """`folder` exists, and is the processes' own. OSError if it cannot be used."""
        self._folder = _register(folder)
        try:
            self._here = Here(asyncio.get_running_loop(), LockFiles(folder), Addresses(folder))
            self._listener = self._here.addresses.listen()
        except BaseException:
            _IN_USE.discard(self._folder)
            raise
        self._here.loop.add_reader(self._listener, self._accept)

    def __len__(self) -> int:
        return len(self._here.holders)

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> FileClaim:
        """See tusd_py.core.ports.Locker.hold. StoreError if the kernel gives no locks."""
        return FileClaim(self._here, upload_id, timeout, on_takeover, silence)

    async def close(self) -> None:
        """Let go of the folder. Nobody may hold an upload, or wait for one, any more."""
        self._here.loop.remove_reader(self._listener)
        self._listener.close()
        for caller in list(self._here.callers):
            caller.leave()
        self._here.addresses.close()
        self._here.files.close()
        _IN_USE.discard(self._folder)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                self._here.loop.remove_reader(self._listener)
                self._here.loop.call_later(_BREATH, self._listen)
                return
            connection.setblocking(False)
            Caller(self._here, connection).listen()

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._here.loop.add_reader(self._listener, self._accept)


def _register(folder: str) -> tuple[int, int, int]:
    found = Path(folder).stat()
    identity = (os.getpid(), found.st_dev, found.st_ino)
    if identity in _IN_USE:
        raise RuntimeError(f"this process has a FileLocker for {folder} already")
    _IN_USE.add(identity)
    return identity
