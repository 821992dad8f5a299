"""Locks between processes: the same promises, and what happens when a process dies."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.locks.processes import Process, ProcessLocker
from tusd_py.core.errors import UploadLockedError
from tusd_py.locks.file import FileLocker
from tusd_py.testing import LOCKER_CHECKS, locker_checks, run_locker_check, stage
from tusd_py.testing.stage import PATIENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tusd_py.testing.locker_checks import LockerCheck


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[Process]]:
    """Four processes with a locker on one folder."""
    started = [await Process.start(str(tmp_path)) for _ in range(4)]
    yield started
    for process in started:
        await process.end()


@pytest.fixture
async def locker(tmp_path: Path) -> AsyncIterator[FileLocker]:
    """A locker of this process on the same folder."""
    made = await asyncio.to_thread(FileLocker, str(tmp_path))
    yield made
    await made.close()


@pytest.mark.parametrize("check", LOCKER_CHECKS, ids=lambda check: check.__name__)
async def test_within_one_process_it_keeps_every_promise(check: LockerCheck, locker: FileLocker) -> None:
    """One rule of tusd_py.testing on the locker: the assertions are in the check."""
    await run_locker_check(check, lambda: locker)


@pytest.mark.parametrize("check", LOCKER_CHECKS, ids=lambda check: check.__name__)
async def test_between_processes_it_keeps_every_promise(
    check: LockerCheck, processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each who wants the lock is in another process than the one before."""

    async def settle() -> None:
        """Time to reach the line, through two processes."""
        await asyncio.sleep(0.15)

    monkeypatch.setattr(stage, "settle", settle)
    monkeypatch.setattr(locker_checks, "settle", settle)
    monkeypatch.setattr(stage, "PROMPTLY", 5.0)

    await run_locker_check(check, lambda: ProcessLocker(processes))


class Visit:
    """One hold of `one`, in a process of its own."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._heard = process.heard[0] = asyncio.Queue()
        process.tell(0, "enter", upload_id="one", timeout=PATIENT, silence=None)

    async def hears(self, what: str) -> None:
        """The next thing that it hears is that."""
        async with asyncio.timeout(10):
            assert await self._heard.get() == what

    def leave(self) -> None:
        """Go."""
        self.process.tell(0, "leave")


async def test_a_killed_holder_has_no_lock(processes: list[Process]) -> None:
    """Those who wait enter at once, one after the other, though their timeouts are long."""
    holder = Visit(processes[0])
    await holder.hears("entered")
    waiting = []
    for process in processes[1:]:
        waiting.append(Visit(process))
        await holder.hears("asked")

    processes[0].signal(signal.SIGKILL)

    for _ in range(3):
        entering = [asyncio.create_task(visit.hears("entered")) for visit in waiting]
        await asyncio.wait(entering, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.1)
        inside = [visit for visit, task in zip(waiting, entering, strict=True) if task.done()]
        for task in entering:
            task.cancel()
        await asyncio.gather(*entering, return_exceptions=True)
        assert len(inside) == 1
        waiting.remove(inside[0])
        inside[0].leave()


async def test_a_killed_waiter_is_not_waited_for(processes: list[Process]) -> None:
    """Its place in the line goes with it."""
    holder = Visit(processes[0])
    await holder.hears("entered")
    for process in processes[1:3]:
        waiting = Visit(process)
        await holder.hears("asked")

    processes[1].signal(signal.SIGKILL)
    holder.leave()

    await waiting.hears("entered")


async def test_a_stopped_holder_is_waited_for_no_longer_than_the_timeout(
    processes: list[Process], locker: FileLocker
) -> None:
    """A process that hangs answers nobody: its newcomers are refused in time, and it still has its lock."""
    holder = Visit(processes[0])
    await holder.hears("entered")
    processes[0].signal(signal.SIGSTOP)

    with pytest.raises(UploadLockedError):
        async with locker.hold("one", timeout=0.2):
            pass

    processes[0].signal(signal.SIGCONT)
    later = Visit(processes[1])
    await holder.hears("asked")
    holder.leave()
    await later.hears("entered")


HAMMER = """
import asyncio, os, random, sys
from tusd_py.locks.file import FileLocker

async def visit(locker, chance, folder):
    name = chance.choice("abc")
    async with locker.hold(name, timeout=60):
        mark = f"{folder}/{name}.inside"
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        await asyncio.sleep(chance.random() / 500)
        os.unlink(mark)

async def main(folder, seed):
    locker, chance = FileLocker(folder), random.Random(seed)
    for _ in range(10):
        await asyncio.gather(*(visit(locker, chance, folder) for _ in range(5)))

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


async def test_whoever_hammers_one_at_a_time_is_inside(tmp_path: Path) -> None:
    """Six processes, three uploads: each finds nobody's mark, and all get in."""
    command = [sys.executable, "-c", HAMMER, str(tmp_path)]

    running = [await asyncio.create_subprocess_exec(*command, str(seed)) for seed in range(6)]
    codes = [await process.wait() for process in running]

    assert codes == [0] * 6
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".inside")]


def test_killed_in_the_midst_of_it_nobody_keeps_a_lock(tmp_path: Path) -> None:
    """Whenever a process dies, the others go on."""
    command = [sys.executable, "-c", HAMMER, str(tmp_path)]
    chance = random.Random(7)
    for seed in range(4):
        victims = [subprocess.Popen([*command, str(seed + n)], stderr=subprocess.DEVNULL) for n in range(3)]
        time.sleep(0.5 + chance.random() / 2)
        for victim in victims:
            victim.kill()
            victim.wait()
        for mark in tmp_path.glob("*.inside"):
            mark.unlink()

    assert subprocess.run([*command, "9"], check=False).returncode == 0


async def test_a_long_path_does_not_matter(tmp_path: Path) -> None:
    """The address of a socket has 108 bytes at most; the folder's path may have more."""
    locker = await asyncio.to_thread(FileLocker, str(tmp_path / ("long" * 30)))

    async with locker.hold("one", timeout=1):
        pass

    await locker.close()
