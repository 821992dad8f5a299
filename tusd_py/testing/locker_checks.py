"""Locker checks: one holder, a polite hand-over, and nothing left behind by those who gave up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sized

from tusd_py.core.errors import UploadLockedError
from tusd_py.core.ports import Locker
from tusd_py.testing.kit import refuses
from tusd_py.testing.stage import PATIENT, PROMPTLY, SILENCE, promptly, refused, scene, settle

MakeLocker = Callable[[], Locker]
"""Gives a fresh Locker that nobody holds anything of."""

LockerCheck = Callable[[Locker], Awaitable[None]]


async def at_most_one_holder(locker: Locker) -> None:
    """However many want the same upload, one at a time is inside, and all get in."""
    inside, most, visits = 0, 0, 0

    async def visit() -> None:
        nonlocal inside, most, visits
        async with locker.hold("one", timeout=PATIENT):
            inside += 1
            most, visits = max(most, inside), visits + 1
            await asyncio.sleep(0.002)
            inside -= 1

    await asyncio.gather(*(visit() for _ in range(8)))

    assert (most, visits) == (1, 8)


async def different_uploads_do_not_block(locker: Locker) -> None:
    """Holding one upload hinders nobody at another, and does not get its holder asked."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")

        async with locker.hold("two", timeout=PROMPTLY), locker.hold("three", timeout=PROMPTLY):
            assert not holder.asked.is_set()


async def a_newcomer_asks_the_holder(locker: Locker) -> None:
    """An arrival calls the holder's on_takeover, in the event loop's thread, and waits until it left."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        newcomer = await stage.arrive("newcomer")

        await promptly(holder.asked, "on_takeover of the holder")
        assert holder.asked_in == threading.get_ident()
        assert not newcomer.entered.is_set()
        await holder.leave()
        await promptly(newcomer.entered, "the newcomer enters when the holder has left")


async def a_holder_without_callback_is_waited_for(locker: Locker) -> None:
    """on_takeover is optional: who has none is simply waited for."""
    async with scene(locker) as stage:
        async with locker.hold("one", timeout=PROMPTLY):
            newcomer = await stage.arrive("newcomer")
            assert not newcomer.entered.is_set()

        await promptly(newcomer.entered, "the newcomer enters when the holder has left")


async def newcomers_enter_in_order(locker: Locker) -> None:
    """First come, first served."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        waiting = [await stage.arrive(name, polite=True) for name in "abcd"]

        await holder.leave()
        await promptly(waiting[-1].entered, "the last newcomer enters")

        assert stage.order == ["holder", "a", "b", "c", "d"]


async def a_waiter_asks_every_new_holder(locker: Locker) -> None:
    """Who waits behind a newcomer asks that one too, as soon as it holds the lock."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        second = await stage.arrive("second")
        third = await stage.arrive("third")
        assert not second.asked.is_set()

        await holder.leave()

        await promptly(second.entered, "the second enters")
        await promptly(second.asked, "on_takeover of the second, by the third")
        assert not third.entered.is_set()


async def only_the_present_holder_is_asked(locker: Locker) -> None:
    """Who has left is never called again."""
    async with scene(locker) as stage:
        gone = await stage.enter("gone")
        await gone.leave()
        holder = await stage.enter("holder")

        await stage.arrive("newcomer")

        await promptly(holder.asked, "on_takeover of the holder")
        assert not gone.asked.is_set()


async def a_waiter_gives_up_after_its_timeout(locker: Locker) -> None:
    """UploadLockedError after `timeout` seconds, not before."""
    now = asyncio.get_running_loop().time
    async with scene(locker) as stage:
        await stage.enter("holder")
        arrival = now()

        with refuses(UploadLockedError, "waiting for a holder that stays"):
            async with locker.hold("one", timeout=0.1):
                pass

        waited = now() - arrival
        assert 0.09 <= waited < 0.1 + PROMPTLY, f"gave up after {waited:.3f} s in place of 0.1"


async def a_timed_out_waiter_leaves_no_trace(locker: Locker) -> None:
    """The holder keeps the lock, the next in the queue enters, and nobody asks it for one who is gone."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        impatient = await stage.arrive("impatient", timeout=0.05)
        next_one = await stage.arrive("next")

        await refused(impatient)
        assert not next_one.entered.is_set()
        await holder.leave()
        await promptly(next_one.entered, "the next enters")
        await settle()
        assert not next_one.asked.is_set()


async def a_cancelled_waiter_leaves_no_trace(locker: Locker) -> None:
    """A waiter cancelled in the queue is as if it had never come."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        cancelled = await stage.arrive("cancelled")
        next_one = await stage.arrive("next")

        cancelled.task.cancel()
        await asyncio.wait([cancelled.task])
        assert cancelled.task.cancelled()
        assert not next_one.entered.is_set()
        await holder.leave()
        await promptly(next_one.entered, "the next enters")
        await settle()
        assert not next_one.asked.is_set()


async def a_waiter_cancelled_at_the_hand_over_passes_it_on(locker: Locker) -> None:
    """Cancelled in the very moment in which the lock becomes its own, a waiter does not take it along."""
    async with scene(locker) as stage:
        async with locker.hold("one", timeout=PROMPTLY):
            cancelled = await stage.arrive("cancelled")
            next_one = await stage.arrive("next")
        cancelled.task.cancel()

        await promptly(next_one.entered, "the next enters")


async def a_failing_holder_releases(locker: Locker) -> None:
    """An exception in the block goes through unchanged, and the lock is free."""
    raised = ValueError("in the block")
    caught: BaseException | None = None

    try:
        async with locker.hold("one", timeout=PROMPTLY):
            raise raised
    except ValueError as error:
        caught = error

    assert caught is raised
    async with scene(locker) as stage:
        await stage.enter("next")


async def a_cancelled_holder_releases(locker: Locker) -> None:
    """A holder whose task is cancelled leaves the lock to the next."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        next_one = await stage.arrive("next")

        holder.task.cancel()

        await promptly(next_one.entered, "the next enters")


async def a_probe_enters_a_free_lock(locker: Locker) -> None:
    """`silence` matters only where there is a holder; inside, a probe is a holder like any other."""
    async with scene(locker) as stage:
        probe = await stage.arrive("probe", silence=SILENCE)
        await promptly(probe.entered, "a probe enters a free lock")

        await stage.arrive("newcomer")

        await promptly(probe.asked, "on_takeover of the probe")


async def a_probe_does_not_disturb_an_active_holder(locker: Locker) -> None:
    """With `silence`, UploadLockedError comes at once for a busy upload, and nobody is asked."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")

        probe = await stage.arrive("probe", silence=PATIENT)

        await refused(probe)
        await settle()
        assert not holder.asked.is_set()


async def a_probe_takes_over_from_a_silent_holder(locker: Locker) -> None:
    """A holder that made no progress for `silence` seconds is asked like by anybody."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        await asyncio.sleep(1.5 * SILENCE)

        probe = await stage.arrive("probe", silence=SILENCE)

        await promptly(holder.asked, "on_takeover of the silent holder")
        assert not probe.entered.is_set()
        await holder.leave()
        await promptly(probe.entered, "the probe enters")


async def touch_renews_activity(locker: Locker) -> None:
    """After `touch` a holder is active again, for as long as `silence` says and no longer."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        assert holder.lock is not None
        await asyncio.sleep(1.5 * SILENCE)
        holder.lock.touch()

        early = await stage.arrive("early", silence=SILENCE)
        await refused(early)
        assert not holder.asked.is_set()
        await asyncio.sleep(1.5 * SILENCE)
        await stage.arrive("late", silence=SILENCE)

        await promptly(holder.asked, "on_takeover of the holder that fell silent again")


async def a_probe_gives_way_to_a_new_active_holder(locker: Locker) -> None:
    """A probe in the queue gets UploadLockedError when one before it enters, and does not ask that one."""
    async with scene(locker) as stage:
        silent = await stage.enter("silent")
        await asyncio.sleep(1.5 * SILENCE)
        before = await stage.arrive("before")
        probe = await stage.arrive("probe", silence=SILENCE)

        await silent.leave()

        await promptly(before.entered, "the one before the probe enters")
        await refused(probe)
        assert not before.asked.is_set()


async def nothing_is_left_behind(locker: Locker) -> None:
    """Used, timed out, cancelled: afterwards a locker that can be counted is empty again."""
    async with scene(locker) as stage:
        holder = await stage.enter("holder")
        impatient = await stage.arrive("impatient", timeout=0.05)
        cancelled = await stage.arrive("cancelled")
        await refused(impatient)
        cancelled.task.cancel()
        await asyncio.wait([cancelled.task])
        count = len(locker) if isinstance(locker, Sized) else 1
        await holder.leave()

    assert count == 1
    assert not isinstance(locker, Sized) or len(locker) == 0
    async with scene(locker) as stage:
        await stage.enter("next")


LOCKER_CHECKS: tuple[LockerCheck, ...] = (
    at_most_one_holder,
    different_uploads_do_not_block,
    a_newcomer_asks_the_holder,
    a_holder_without_callback_is_waited_for,
    newcomers_enter_in_order,
    a_waiter_asks_every_new_holder,
    only_the_present_holder_is_asked,
    a_waiter_gives_up_after_its_timeout,
    a_timed_out_waiter_leaves_no_trace,
    a_cancelled_waiter_leaves_no_trace,
    a_waiter_cancelled_at_the_hand_over_passes_it_on,
    a_failing_holder_releases,
    a_cancelled_holder_releases,
    a_probe_enters_a_free_lock,
    a_probe_does_not_disturb_an_active_holder,
    a_probe_takes_over_from_a_silent_holder,
    touch_renews_activity,
    a_probe_gives_way_to_a_new_active_holder,
    nothing_is_left_behind,
)
