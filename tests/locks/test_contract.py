"""Every locker of ours keeps every promise of the Locker port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.locks.away import AwayLocker, children
from tusd_py.locks.file import FileLocker
from tusd_py.locks.memory import MemoryLocker
from tusd_py.testing import LOCKER_CHECKS, run_locker_check

if TYPE_CHECKING:
    from pathlib import Path

    from tusd_py.testing.locker_checks import LockerCheck


@pytest.mark.parametrize("check", LOCKER_CHECKS, ids=lambda check: check.__name__)
async def test_memory_locker_keeps_its_promise(check: LockerCheck) -> None:
    """One rule of tusd_py.testing on the locker: the assertions are in the check."""
    await run_locker_check(check, MemoryLocker)


@pytest.mark.parametrize("check", LOCKER_CHECKS, ids=lambda check: check.__name__)
async def test_file_locker_keeps_its_promise_within_a_process(check: LockerCheck, tmp_path: Path) -> None:
    """One rule of tusd_py.testing on the locker: the assertions are in the check."""
    locker = FileLocker(str(tmp_path))
    try:
        await run_locker_check(check, lambda: locker)
    finally:
        await locker.close()


@pytest.mark.parametrize("check", LOCKER_CHECKS, ids=lambda check: check.__name__)
async def test_file_lockers_keep_their_promise_across_processes(check: LockerCheck, tmp_path: Path) -> None:
    """The same rules, with the holder and each of the first newcomers in a process of its own."""
    async with children(tmp_path, 3) as processes:
        locker = AwayLocker(processes)
        await run_locker_check(check, lambda: locker)

        assert await locker.count() == 0
