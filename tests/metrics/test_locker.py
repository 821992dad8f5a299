"""Locks that are waited for, refused, or only looked at."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from tusd_py.core.errors import UploadLockedError
from tusd_py.core.measurements import LockRefused, LockTaken, Measurement
from tusd_py.locks.memory import MemoryLocker
from tusd_py.metrics.locker import MeasuredLocker
from tusd_py.testing import LOCKER_CHECKS, run_locker_check

if TYPE_CHECKING:
    from tusd_py.testing.locker_checks import LockerCheck


@pytest.fixture
def told() -> list[Measurement]:
    """What the meter has heard."""
    return []


@pytest.fixture
def locker(told: list[Measurement]) -> MeasuredLocker:
    """A measured locker in memory."""

    def meter(measurement: Measurement) -> None:
        told.append(measurement)

    return MeasuredLocker(MemoryLocker(), meter)


@pytest.mark.parametrize("check", LOCKER_CHECKS, ids=lambda check: check.__name__)
async def test_a_measured_locker_keeps_the_promises_of_a_locker(check: LockerCheck) -> None:
    """Watching changes nothing: every rule of tusd_py.testing holds."""
    await run_locker_check(check, lambda: MeasuredLocker(MemoryLocker(), lambda measurement: None))


async def test_who_waits_for_a_lock_is_told_how_long(
    locker: MeasuredLocker, told: list[Measurement]
) -> None:
    """The second one waits for the first to let go, and each entry is told once."""
    asked = asyncio.Event()

    async def hold_until_asked() -> None:
        async with locker.hold("a", timeout=5, on_takeover=asked.set):
            await asked.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(hold_until_asked())
        await asyncio.sleep(0)
        async with locker.hold("a", timeout=5):
            pass

    first, second = told
    assert isinstance(first, LockTaken)
    assert isinstance(second, LockTaken)
    assert 0 <= first.seconds <= second.seconds


async def test_who_is_refused_a_lock_is_told(locker: MeasuredLocker, told: list[Measurement]) -> None:
    """A holder that does not let go costs the newcomer a 423."""
    async with locker.hold("a", timeout=5):
        told.clear()
        with pytest.raises(UploadLockedError):
            async with locker.hold("a", timeout=0):
                pass

    assert told == [LockRefused()]


@pytest.mark.parametrize("silence", [60.0, math.inf])
async def test_who_can_do_without_the_lock_is_not_refused(
    locker: MeasuredLocker, told: list[Measurement], silence: float
) -> None:
    """A HEAD reads on without it, the collector comes again."""
    async with locker.hold("a", timeout=5):
        told.clear()
        with pytest.raises(UploadLockedError):
            async with locker.hold("a", timeout=5, silence=silence):
                pass

    assert told == []


async def test_a_collector_does_not_count(locker: MeasuredLocker, told: list[Measurement]) -> None:
    """It enters thousands of free locks in a sweep, and none of them says anything of requests."""
    async with locker.hold("a", timeout=0, silence=math.inf):
        pass

    assert told == []
