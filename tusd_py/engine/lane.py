"""What one receiver still has to be given: in the order of the time, so many at once."""

from __future__ import annotations

import asyncio
from bisect import insort
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from tusd_py.core.ports import Clock

CAPACITY = 10_000
"""How many uploads a lane remembers; of more it forgets those that are due last. The records know them."""

LONGEST_WAIT = 60.0
"""Seconds after which a lane looks at the clock again, which somebody may have set."""


class Lane:
    """Calls `deliver` with the ids of uploads, each when it is due, at most `width` at a time.

    `deliver` gives back when to try again, None for never, and does not raise. `wants_more` is called
    when everything due is under way and something due was forgotten before, for want of room.
    """

    def __init__(
        self,
        deliver: Callable[[str], Awaitable[datetime | None]],
        *,
        width: int,
        clock: Clock,
        wants_more: Callable[[], None],
        capacity: int = CAPACITY,
    ) -> None:
        self._deliver = deliver
        self._width = width
        self._clock = clock
        self._wants_more = wants_more
        self._capacity = capacity
        self._due: list[tuple[datetime, str]] = []
        self._known: set[str] = set()
        self._running = 0
        self._has_forgotten = False
        self._is_stopping = False
        self._news = asyncio.Event()

    def __len__(self) -> int:
        """Uploads under way or planned."""
        return len(self._known)

    def expect(self, upload_id: str, due_at: datetime) -> None:
        """Deliver it then, unless that is under way or planned already."""
        self._news.set()
        if upload_id in self._known:
            return
        self._known.add(upload_id)
        insort(self._due, (due_at, upload_id))
        if len(self._due) > self._capacity:
            latest, forgotten = self._due.pop()
            self._known.discard(forgotten)
            self._has_forgotten |= latest <= self._clock()

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopping = True
        self._news.set()

    async def run(self) -> None:
        """Deliver until `stop`, and then until what was begun has ended."""
        async with asyncio.TaskGroup() as attempts:
            while not self._is_stopping:
                self._news.clear()
                self._begin_due(attempts)
                await self._wait()

    def _begin_due(self, attempts: asyncio.TaskGroup) -> None:
        while self._has_room and self._due and self._due[0][0] <= self._clock():
            _, upload_id = self._due.pop(0)
            self._running += 1
            attempts.create_task(self._attempt(upload_id), name=f"delivery of {upload_id}")
        if self._has_room and self._has_forgotten:
            self._has_forgotten = False
            self._wants_more()

    @property
    def _has_room(self) -> bool:
        return self._running < self._width

    async def _wait(self) -> None:
        """Until something changes or the next one is due."""
        seconds = None
        if self._due and self._has_room:
            seconds = min((self._due[0][0] - self._clock()).total_seconds(), LONGEST_WAIT)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def _attempt(self, upload_id: str) -> None:
        try:
            again_at = await self._deliver(upload_id)
        finally:
            self._running -= 1
            self._known.discard(upload_id)
            self._news.set()
        if again_at is not None:
            self.expect(upload_id, again_at)
