"""A process that holds uploads by a FileLocker for another one, which tells it what to do, line by line.

`python -m tests.locks.child FOLDER`; commands on stdin and events on stdout are JSON. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from tusd_py.core.errors import UploadLockedError
from tusd_py.core.ports import Lock
from tusd_py.locks.file import FileLocker


def tell(number: int, event: str) -> None:
    """One line to who started this process."""
    os.write(1, json.dumps([number, event]).encode() + b"\n")


class Visit:
    """One hold."""

    def __init__(self, locker: FileLocker, number: int, wish: dict[str, Any]) -> None:
        self.lock: Lock | None = None
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(locker, number, wish))

    async def _visit(self, locker: FileLocker, number: int, wish: dict[str, Any]) -> None:
        try:
            hold = locker.hold(**wish, on_takeover=lambda: tell(number, "asked"))
            async with hold as self.lock:
                tell(number, "entered")
                await self.leave.wait()
        except UploadLockedError:
            tell(number, "refused")
        finally:
            tell(number, "left")


async def work(folder: str) -> None:
    """Do what stdin says."""
    locker = FileLocker(folder)
    visits: dict[int, Visit] = {}
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    tell(0, "ready")
    async for line in commands:
        number, command, wish = json.loads(line)
        match command:
            case "enter":
                visits[number] = Visit(locker, number, wish)
            case "leave":
                visits[number].leave.set()
            case "cancel":
                visits[number].task.cancel()
            case "touch":
                lock = visits[number].lock
                assert lock is not None
                lock.touch()
            case "count":
                tell(number, str(len(locker)))
    await locker.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
