"""Locks between processes, when one of them is killed, stopped, or out of descriptors."""

from __future__ import annotations

import asyncio
import os
import random
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from tests.locks.away import AwayLocker, children
from tusd_py.core.errors import UploadLockedError
from tusd_py.locks import between, wire
from tusd_py.locks.file import FileLocker
from tusd_py.testing.stage import Scene, promptly, refused, scene, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.locks.away import Child
    from tusd_py.testing.stage import Visitor


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[Child]]:
    """Four processes with a locker on one folder."""
    async with children(tmp_path, 4) as started:
        yield started


@pytest.fixture
async def stage(processes: list[Child]) -> AsyncIterator[Scene]:
    """The first who comes is in the first process, the second in the second, and so on."""
    async with scene(AwayLocker(processes)) as on_stage:
        yield on_stage


@pytest.fixture
async def locker(tmp_path: Path) -> AsyncIterator[FileLocker]:
    """A locker of this process, on the same folder."""
    made = FileLocker(str(tmp_path))
    yield made
    await made.close()


async def enters(visitor: Visitor) -> None:
    """Wait for it, for as long as it takes."""
    async with asyncio.timeout(20):
        await visitor.entered.wait()


async def test_when_a_holder_is_killed_all_who_wait_enter_one_after_the_other(
    processes: list[Child], stage: Scene
) -> None:
    """Nobody's timeout is waited for."""
    await stage.enter("holder")
    waiting = [await stage.arrive(name, polite=True) for name in "abc"]

    await processes[0].end()

    for visitor in waiting:
        await promptly(visitor.entered, "who waited for a killed one enters")
    assert sorted(stage.order) == ["a", "b", "c", "holder"]


async def test_killed_in_the_middle_of_a_hand_over_a_process_takes_nothing_along(
    processes: list[Child], stage: Scene
) -> None:
    """It has been sent the upload, with all who come after it, and has not heard of it."""
    holder = await stage.enter("holder")
    await stage.arrive("next")
    waiting = [await stage.arrive(name, polite=True) for name in "ab"]
    processes[1].stop()
    await holder.leave()

    await processes[1].end()

    for visitor in waiting:
        await promptly(visitor.entered, "who came after the killed one enters")


async def test_a_stopped_process_that_would_be_next_does_not_hold_up_the_others(
    processes: list[Child], stage: Scene
) -> None:
    """They notice that nobody has the upload. When it goes on, it waits for them."""
    holder = await stage.enter("holder")
    stopped = await stage.arrive("stopped")
    after = await stage.arrive("after")
    processes[1].stop()
    await holder.leave()

    await enters(after)
    processes[1].go_on()
    await promptly(after.asked, "on_takeover, by the one that goes on")
    assert not stopped.entered.is_set()
    await after.leave()
    await promptly(stopped.entered, "the one that goes on")


async def test_a_killed_waiter_is_not_waited_for(processes: list[Child], stage: Scene) -> None:
    """Its place in the line goes with it, and nobody is asked on its behalf."""
    holder = await stage.enter("holder")
    await stage.arrive("killed")
    after = await stage.arrive("after")

    await processes[1].end()
    await holder.leave()

    await promptly(after.entered, "the one after it enters")
    await settle()
    assert not after.asked.is_set()


async def test_a_stopped_holder_is_waited_for_until_the_timeout(
    processes: list[Child], stage: Scene
) -> None:
    """UploadLockedError in time, though nobody answers. The upload stays the holder's."""
    holder = await stage.enter("holder")
    processes[0].stop()

    await refused(await stage.arrive("impatient", timeout=0.1))
    processes[0].go_on()
    after = await stage.arrive("after")
    await promptly(holder.asked, "on_takeover of the holder")
    assert not after.entered.is_set()
    await holder.leave()
    await promptly(after.entered, "the newcomer")


async def test_a_probe_does_not_wait_for_a_stopped_holder(processes: list[Child], stage: Scene) -> None:
    """Nobody can say whether it is silent: it gets UploadLockedError, long before its timeout."""
    await stage.enter("holder")
    processes[0].stop()

    probe = await stage.arrive("probe", silence=0.2)

    with pytest.raises(UploadLockedError):
        await asyncio.wait_for(probe.task, 20)
    processes[0].go_on()


@pytest.mark.parametrize("most", [2, wire.MOST_FOLLOWERS])
async def test_who_cannot_go_along_finds_the_way(
    locker: FileLocker, stage: Scene, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Of many who wait, some are not sent on with the upload, or there are no descriptors: all get in."""
    monkeypatch.setattr(wire, "MOST_FOLLOWERS", most)
    if most > 2:
        monkeypatch.setattr(wire, "pair", no_descriptors)
    async with scene(locker) as here:
        holder = await here.enter("holder")
        others = [await stage.arrive("away", polite=True)]
        others += [await here.arrive(name, polite=True) for name in "abc"]
        others += [await stage.arrive(name, polite=True) for name in "defg"]

        await holder.leave()

        for visitor in others:
            await promptly(visitor.entered, "each of them enters")


def no_descriptors() -> tuple[object, object]:
    """As socketpair(2) does when there are none left."""
    raise OSError(24, "Too many open files")


async def test_nothing_stays_open(processes: list[Child], stage: Scene) -> None:
    """After all have been in, each process has the descriptors that it had before."""
    before = [descriptors(child) for child in processes]
    holder = await stage.enter("holder")
    waiting = [await stage.arrive(name, polite=True) for name in "abcdefg"]
    impatient = await stage.arrive("impatient", timeout=0.01)
    await refused(impatient)

    await holder.leave()
    for visitor in waiting:
        await promptly(visitor.entered, "each of them enters")
    await waiting[-1].leave()

    for child in processes:
        await child.count()
    assert [descriptors(child) for child in processes] == before


def descriptors(child: Child) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{child.process.pid}/fd"))


async def test_two_uploads_that_share_a_byte_exclude_each_other(
    locker: FileLocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within each other they are refused in time, one after the other they are not."""
    monkeypatch.setattr(between, "position_of", lambda upload_id: 7)

    async with locker.hold("a", timeout=1):
        with pytest.raises(UploadLockedError) as refusal:
            async with locker.hold("b", timeout=0.05):
                pass
    async with locker.hold("b", timeout=1):
        pass

    assert refusal.value.upload_id == "b"


async def test_a_process_has_one_locker_for_a_folder(locker: FileLocker, tmp_path: Path) -> None:
    """A second one would take the locks of the first away when it is closed."""
    with pytest.raises(RuntimeError, match="already"):
        FileLocker(str(tmp_path))


async def test_the_socket_of_a_dead_process_with_the_same_number_is_replaced(tmp_path: Path) -> None:
    """It is the owner's alone, and goes with the locker."""
    left = tmp_path / f"{os.getpid()}.sock"
    left.touch()

    locker = FileLocker(str(tmp_path))

    mode = left.stat().st_mode
    await locker.close()
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert not left.exists()


async def test_the_path_of_the_folder_may_be_long(tmp_path: Path) -> None:
    """The address of a Unix socket has 108 bytes at most."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with children(folder, 2) as processes, scene(AwayLocker(processes)) as stage:
        holder = await stage.enter("holder")
        await stage.arrive("newcomer")

        await promptly(holder.asked, "on_takeover of the holder")


async def hammer(folder: Path, seed: int) -> asyncio.subprocess.Process:
    """Start one of those who enter again and again."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.locks.hammer", str(folder), str(seed)
    )


async def test_of_many_who_hammer_one_at_a_time_is_inside(tmp_path: Path) -> None:
    """Five processes, three uploads; some of the waiting give up, others are killed: all others get in."""
    chance = random.Random(7)
    lasting = [await hammer(tmp_path, seed) for seed in range(3)]
    for seed in range(3, 9):
        victim = await hammer(tmp_path, seed)
        await asyncio.sleep(chance.uniform(0.2, 0.6))  # not for anything: wherever it may be
        if victim.returncode is None:
            victim.kill()
        await victim.wait()

    assert [await process.wait() for process in lasting] == [0, 0, 0]
