"""A locker whose holds are those of FileLockers in other processes: each hold in the next one of them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count, cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tusd_py.core.errors import UploadLockedError

_numbers = count(1)


class Child:
    """One such process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.get_running_loop().create_future()
        self.holds: dict[int, AwayHold] = {}
        self.answers = True
        self._answers: dict[int, asyncio.Future[str]] = {}
        self.is_touched = False
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, folder: Path) -> Child:
        """Ready to hold when this returns."""
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "tests.locks.child", str(folder)]
        child = cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
        await child.ready
        return child

    def say(self, number: int, command: str, wish: dict[str, Any] | None = None) -> None:
        """Have it do something; nothing if it is dead."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([number, command, wish]).encode() + b"\n")

    async def count(self) -> int:
        """How many uploads it holds, after everything that it was told before; 0 if it does not answer."""
        if not self.answers:
            return 0
        number = next(_numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self.say(number, "count")
        return int(await answer)

    def stop(self) -> None:
        """Let it not do anything, as long as nobody has it go on."""
        self.answers = False
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Go on."""
        self.process.send_signal(signal.SIGCONT)
        self.answers = True

    async def end(self) -> None:
        """Kill it, whatever it is at."""
        self.answers = False
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            number, event = json.loads(line)
            if number == 0:
                self.ready.set_result(None)
            elif number in self._answers:
                self._answers.pop(number).set_result(event)
            else:
                self.holds[number].hear(event)
        for hold in list(self.holds.values()):
            hold.hear("left")


class AwayHold:
    """A hold of `child`, one of the `children`."""

    def __init__(
        self,
        child: Child,
        children: list[Child],
        wish: dict[str, Any],
        on_takeover: Callable[[], None] | None,
    ) -> None:
        self.child = child
        self._children = children
        self._number = next(_numbers)
        self._wish = wish
        self._on_takeover = on_takeover
        self._outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        for other in self._children:
            if other.is_touched:  # a touch before this is to be one before this over there, too
                other.is_touched = False
                await other.count()
        self.child.holds[self._number] = self
        self.child.say(self._number, "enter", self._wish)
        try:
            outcome = await self._outcome
        except asyncio.CancelledError:
            await self._go("cancel")
            raise
        if outcome == "refused":
            raise UploadLockedError(self._wish["upload_id"])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._go("leave")

    async def _go(self, command: str) -> None:
        self.child.say(self._number, command)
        await self._left.wait()
        del self.child.holds[self._number]

    def touch(self) -> None:
        self.child.say(self._number, "touch")
        self.child.is_touched = True

    def hear(self, event: str) -> None:
        if event == "asked":
            if self._on_takeover is not None:
                self._on_takeover()
        elif event == "left":
            self._left.set()
        if event != "asked" and not self._outcome.done():
            self._outcome.set_result(event)


class AwayLocker:
    """See tusd_py.core.ports.Locker."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children
        self._turns = cycle(children)

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AwayHold:
        """See tusd_py.core.ports.Locker.hold."""
        wish = {"upload_id": upload_id, "timeout": timeout, "silence": silence}
        return AwayHold(next(self._turns), self._children, wish, on_takeover)

    async def settle(self) -> None:
        """Everybody who came is in line, or inside, when this returns.

        What a process does because of a line it is told is done one turn later, what another one does
        because of that is done in the turn after it.
        """
        for _ in range(3):
            for child in self._children:
                await child.count()

    async def count(self) -> int:
        """How many uploads all of them hold."""
        return sum([await child.count() for child in self._children])


@asynccontextmanager
async def children(folder: Path, number: int) -> AsyncIterator[list[Child]]:
    """So many processes on the same folder; killed at the end."""
    started = await asyncio.gather(*(Child.start(folder) for _ in range(number)))
    try:
        yield started
    finally:
        for child in started:
            await child.end()
