"""A locker whose holds are carried out by other processes, each by the next one.

`python -m tests.locks.processes FOLDER` is such a process: it is told what to do on its standard input.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tusd_py.core.errors import UploadLockedError
from tusd_py.locks.file import FileLocker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Process:
    """One process with a FileLocker."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self.heard: dict[int, asyncio.Queue[str]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, folder: str) -> Process:
        """A process that is ready."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.locks.processes",
            folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
        return cls(child)

    def tell(self, number: int, what: str, **details: Any) -> None:
        """Have it do something about the hold of that number."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps([number, what, details]).encode() + b"\n")

    async def _listen(self) -> None:
        assert self._child.stdout is not None
        while line := await self._child.stdout.readline():
            number, what = json.loads(line)
            self.heard[number].put_nowait(what)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    async def end(self) -> None:
        """Kill it."""
        if self._child.returncode is None:
            self._child.kill()
        await self._child.wait()
        await self._listening


class _Touch:
    def __init__(self, touch: Callable[[], None]) -> None:
        self.touch = touch


class ProcessLocker:
    """The Locker port over `processes`."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = itertools.cycle(processes)
        self._numbers = itertools.count()
        self._holds = 0

    def __len__(self) -> int:
        return self._holds

    @asynccontextmanager
    async def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[_Touch]:
        """See tusd_py.core.ports.Locker.hold."""
        process, number = next(self._processes), next(self._numbers)
        heard = process.heard[number] = asyncio.Queue()
        process.tell(number, "enter", upload_id=upload_id, timeout=timeout, silence=silence)
        self._holds += 1
        try:
            while (answer := await heard.get()) == "asked":  # somebody was waiting before it entered
                _ask(on_takeover)
            if answer == "refused":
                raise UploadLockedError(upload_id)
            assert answer == "entered"
            asking = asyncio.create_task(_relay(heard, on_takeover))
            try:
                yield _Touch(lambda: process.tell(number, "touch"))
            finally:
                asking.cancel()
        finally:
            self._holds -= 1
            process.tell(number, "leave")
            while await heard.get() != "left":
                pass


async def _relay(heard: asyncio.Queue[str], on_takeover: Callable[[], None] | None) -> None:
    while await heard.get() == "asked":
        _ask(on_takeover)


def _ask(on_takeover: Callable[[], None] | None) -> None:
    if on_takeover is not None:
        on_takeover()


# -- the other side -------------------------------------------------------------------------------


class Visits:
    """The holds of this process."""

    def __init__(self, folder: str) -> None:
        self._locker = FileLocker(folder)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._locks: dict[int, Any] = {}

    def do(self, number: int, what: str, details: dict[str, Any]) -> None:
        """What was told."""
        if what == "enter":
            self._tasks[number] = asyncio.create_task(self._visit(number, **details))
        elif what == "leave":
            self._tasks[number].cancel()
        else:
            self._locks[number].touch()

    async def _visit(self, number: int, upload_id: str, timeout: float, silence: float | None) -> None:
        hold = self._locker.hold(
            upload_id, timeout=timeout, on_takeover=lambda: say(number, "asked"), silence=silence
        )
        try:
            async with hold as self._locks[number]:
                say(number, "entered")
                await asyncio.Event().wait()
        except UploadLockedError:
            say(number, "refused")
            await asyncio.Event().wait()
        finally:
            say(number, "left")


def say(number: int, what: str) -> None:
    """Tell those who gave orders."""
    os.write(1, json.dumps([number, what]).encode() + b"\n")


async def serve(folder: str) -> None:
    """Do as told until nobody tells any more."""
    visits = Visits(folder)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    os.write(1, b"ready\n")
    while line := await reader.readline():
        visits.do(*json.loads(line))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
