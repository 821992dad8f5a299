"""For tests, also of other projects: contract suites for stores and lockers, and fakes that pass them."""

from tusd_py.testing.contracts import (
    LOCKER_CHECKS,
    STORE_CHECKS,
    check_locker,
    check_store,
    run_locker_check,
    run_store_check,
)
from tusd_py.testing.fakes import After, FaultyStore, ManualClock, RecordingSink, ScriptedBody

__all__ = [
    "LOCKER_CHECKS",
    "STORE_CHECKS",
    "After",
    "FaultyStore",
    "ManualClock",
    "RecordingSink",
    "ScriptedBody",
    "check_locker",
    "check_store",
    "run_locker_check",
    "run_store_check",
]
