"""Every locker of ours keeps every promise of the Locker port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tusd_py.locks.memory import MemoryLocker
from tusd_py.testing import LOCKER_CHECKS, run_locker_check

if TYPE_CHECKING:
    from tusd_py.testing.locker_checks import LockerCheck


@pytest.mark.parametrize("check", LOCKER_CHECKS, ids=lambda check: check.__name__)
async def test_memory_locker_keeps_its_promise(check: LockerCheck) -> None:
    """One rule of tusd_py.testing on the locker: the assertions are in the check."""
    await run_locker_check(check, MemoryLocker)
