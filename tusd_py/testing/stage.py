"""The stage for locker checks: newcomers and holders of one lock, and how long they may take."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tusd_py.core.errors import UploadLockedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.core.ports import Lock, Locker

PROMPTLY = 1.0
"""Seconds within which a hand-over must be over; it takes milliseconds, the rest is for slow machines."""

PATIENT = 30.0
"""A timeout in seconds that no check waits for."""

SILENCE = 0.2
"""Seconds after which these checks call a holder silent."""


class Visitor:
    """One request: a task that enters a lock, notes what happens, and stays until it is told to go."""

    def __init__(self, name: str, order: list[str], *, polite: bool) -> None:
        self.entered = asyncio.Event()
        self.asked = asyncio.Event()
        self.asked_in: int | None = None
        self.lock: Lock | None = None
        self._leave = asyncio.Event()
        self._name = name
        self._order = order
        self._polite = polite

    def on_takeover(self) -> None:
        self.asked_in = threading.get_ident()
        self.asked.set()
        if self._polite:
            self._leave.set()

    def visit(self, locker: Locker, timeout: float, silence: float | None) -> None:
        self.task = asyncio.create_task(self._visit(locker, timeout, silence))

    async def _visit(self, locker: Locker, timeout: float, silence: float | None) -> None:
        hold = locker.hold("one", timeout=timeout, on_takeover=self.on_takeover, silence=silence)
        async with hold as self.lock:
            self._order.append(self._name)
            self.entered.set()
            await self._leave.wait()

    async def leave(self) -> None:
        """Go, and be gone when this returns."""
        self._leave.set()
        await self.task


@runtime_checkable
class SettlingLocker(Protocol):
    """A locker that knows when newcomers are in the queue: one whose holds are carried out elsewhere."""

    async def settle(self) -> None:
        """Return when everybody who has come is in the queue, inside, or refused."""
        ...


class Scene:
    """The lock `one` and those who want it. `order` has the names in the order of entry."""

    def __init__(self, locker: Locker) -> None:
        self.order: list[str] = []
        self._locker = locker
        self._visitors: list[Visitor] = []

    async def arrive(
        self, name: str, *, timeout: float = PATIENT, silence: float | None = None, polite: bool = False
    ) -> Visitor:
        """A newcomer, in the queue or inside when this returns. A polite one leaves when asked."""
        visitor = Visitor(name, self.order, polite=polite)
        self._visitors.append(visitor)
        visitor.visit(self._locker, timeout, silence)
        await settle()
        if isinstance(self._locker, SettlingLocker):
            await self._locker.settle()
        return visitor

    async def enter(self, name: str, *, polite: bool = False) -> Visitor:
        """A newcomer to a free lock: inside when this returns."""
        visitor = await self.arrive(name, polite=polite)
        await promptly(visitor.entered, f"{name} enters a free lock")
        return visitor

    async def end(self) -> None:
        """Everybody out, whatever state they are in."""
        for visitor in self._visitors:
            visitor.task.cancel()
        await asyncio.gather(*(visitor.task for visitor in self._visitors), return_exceptions=True)


async def settle() -> None:
    """Time to reach the queue, for a newcomer; the port has no event that tells when it has."""
    await asyncio.sleep(0.02)


async def promptly(event: asyncio.Event, what: str) -> None:
    """Wait for `event`; AssertionError with `what` when it does not come promptly."""
    try:
        async with asyncio.timeout(PROMPTLY):
            await event.wait()
    except TimeoutError:
        raise AssertionError(f"not within {PROMPTLY} s: {what}") from None


async def refused(visitor: Visitor) -> None:
    """The visitor must promptly be told UploadLockedError for its upload."""
    await asyncio.wait([visitor.task], timeout=PROMPTLY)
    assert visitor.task.done(), "UploadLockedError did not come promptly"
    error = visitor.task.exception()
    assert isinstance(error, UploadLockedError), f"{error!r} in place of UploadLockedError"
    assert error.upload_id == "one"
    assert not visitor.entered.is_set()


@asynccontextmanager
async def scene(locker: Locker) -> AsyncIterator[Scene]:
    """A Scene that is cleared at the end, also of a check that failed."""
    on_stage = Scene(locker)
    try:
        yield on_stage
    finally:
        await on_stage.end()
