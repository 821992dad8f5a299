"""A lane: in the order of the time, so many at once, and no more memory than it may take."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tusd_py.engine.lane import Lane
from tusd_py.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Road:
    """A lane and what it delivers: each delivery waits until it is let through."""

    def __init__(self, *, width: int = 1, capacity: int = 100) -> None:
        self.clock = ManualClock()
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.through = asyncio.Semaphore(0)
        self.again_at: dict[str, datetime] = {}
        self.wishes = asyncio.Semaphore(0)
        self.lane = Lane(
            self.deliver,
            width=width,
            clock=self.clock,
            wants_more=self.wishes.release,
            capacity=capacity,
        )

    async def deliver(self, upload_id: str) -> datetime | None:
        self.begun.put_nowait(upload_id)
        await self.through.acquire()
        return self.again_at.pop(upload_id, None)

    def at(self, seconds: float) -> datetime:
        return ManualClock()() + timedelta(seconds=seconds)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lane.run())
            yield
            self.lane.stop()


async def test_what_is_due_first_goes_first() -> None:
    """In whatever order it was heard of."""
    road = Road()
    road.clock.advance(100)
    for seconds in (3, 1, 2):
        road.lane.expect(f"at {seconds}", road.at(seconds))

    async with road.open():
        order = []
        for _ in range(3):
            order.append(await road.begun.get())
            road.through.release()

    assert order == ["at 1", "at 2", "at 3"]


async def test_what_is_planned_or_under_way_is_not_planned_again() -> None:
    """Every sweep tells of it again."""
    road = Road(width=5)

    async with road.open():
        for _ in range(3):
            road.lane.expect("one", road.at(0))
        await road.begun.get()
        road.lane.expect("one", road.at(0))
        road.lane.expect("two", road.at(0))
        second = await road.begun.get()
        road.through.release()
        road.through.release()

    assert second == "two"
    assert road.begun.empty()


async def test_what_failed_comes_again_when_it_is_due() -> None:
    """The time that the delivery gave is the time."""
    road = Road()
    road.again_at["one"] = road.at(10)
    road.lane.expect("one", road.at(0))

    async with road.open():
        await road.begun.get()
        road.through.release()
        road.lane.expect("two", road.at(9))
        road.clock.advance(9.5)
        road.lane.expect("three", road.at(11))
        second = await road.begun.get()
        road.through.release()
        road.clock.advance(0.5)
        road.lane.expect("three", road.at(11))
        third = await road.begun.get()
        road.through.release()

    assert (second, third) == ("two", "one")


async def test_of_too_many_those_due_last_are_forgotten_and_asked_for() -> None:
    """The memory is bounded. When there is room again, whoever reads the records is asked to look."""
    road = Road(capacity=3)
    for seconds in range(10):
        road.lane.expect(f"at {seconds}", road.at(seconds))
    road.clock.advance(100)
    road.lane.expect("at 0.5", road.at(0.5))

    async with road.open():
        order = []
        for _ in range(3):
            order.append(await road.begun.get())
            road.through.release()
        await road.wishes.acquire()
        road.lane.expect("at 2", road.at(2))
        order.append(await road.begun.get())
        road.through.release()

    assert order == ["at 0", "at 0.5", "at 1", "at 2"]


async def test_what_was_forgotten_before_its_time_is_not_asked_for() -> None:
    """The next sweep comes soon enough: asking for it would mean to sweep without end."""
    road = Road(capacity=1)
    road.lane.expect("one", road.at(0))
    road.lane.expect("two", road.at(10**6))

    async with road.open():
        await road.begun.get()
        road.through.release()
        road.lane.expect("three", road.at(0))
        await road.begun.get()
        road.through.release()

    assert road.wishes.locked()


async def test_a_stop_begins_nothing_and_waits_for_what_was_begun() -> None:
    """What is planned stays on record, for the next process."""
    road = Road(width=1)
    road.lane.expect("one", road.at(0))
    road.lane.expect("two", road.at(0))
    running = asyncio.create_task(road.lane.run())
    await road.begun.get()

    road.lane.stop()
    done, _ = await asyncio.wait([running], timeout=0)
    road.through.release()
    await running

    assert not done
    assert road.begun.empty()


async def test_time_that_passes_is_noticed_without_news() -> None:
    """On a real clock: what is due in a moment begins by itself."""
    road = Road()
    loop = asyncio.get_running_loop()
    began, origin = loop.time(), road.clock()
    lane = Lane(
        road.deliver,
        width=1,
        clock=lambda: origin + timedelta(seconds=loop.time() - began),
        wants_more=lambda: None,
    )
    lane.expect("one", origin + timedelta(milliseconds=20))
    running = asyncio.create_task(lane.run())

    first = await road.begun.get()
    waited = loop.time() - began
    road.through.release()
    lane.stop()
    await running

    assert first == "one"
    assert waited > 0.019
