"""The promises of the ports as suites that run on anyone's store or locker, with nothing but asyncio.

Whole: `await check_store(open_store)`, `await check_locker(MyLocker)`. Rule by rule, as in pytest:
parametrise over `STORE_CHECKS` or `LOCKER_CHECKS` (each has a telling `__name__`) and await
`run_store_check(check, open_store)` or `run_locker_check(check, MyLocker)`.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tusd_py.testing.locker_checks import LOCKER_CHECKS
from tusd_py.testing.store_atomic import ATOMIC_CHECKS
from tusd_py.testing.store_bytes import BYTE_CHECKS
from tusd_py.testing.store_completion import COMPLETION_CHECKS
from tusd_py.testing.store_direct import DIRECT_CHECKS
from tusd_py.testing.store_housekeeping import HOUSEKEEPING_CHECKS
from tusd_py.testing.store_joins import JOIN_CHECKS
from tusd_py.testing.store_records import RECORD_CHECKS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from tusd_py.core.ports import Store
    from tusd_py.testing.kit import OpenStore, StoreCheck
    from tusd_py.testing.locker_checks import LockerCheck, MakeLocker

__all__ = [
    "LOCKER_CHECKS",
    "STORE_CHECKS",
    "check_locker",
    "check_store",
    "run_locker_check",
    "run_store_check",
]

STORE_CHECKS: tuple[StoreCheck, ...] = (
    *RECORD_CHECKS,
    *BYTE_CHECKS,
    *ATOMIC_CHECKS,
    *DIRECT_CHECKS,
    *COMPLETION_CHECKS,
    *JOIN_CHECKS,
    *HOUSEKEEPING_CHECKS,
)

CHECK_LIMIT = 30.0
"""Seconds that one check may take before it counts as failed."""


async def check_store(open_store: OpenStore) -> None:
    """Run every store check, each on fresh storage.

    `open_store()` is an async context manager around new, empty storage; it gives a function that
    returns a Store over that storage. A check calls it again where a process would have restarted;
    all stores it got are closed at the end. Raises one AssertionError that names every broken rule.
    """
    await _run_all(run_store_check(check, open_store) for check in STORE_CHECKS)


async def check_locker(make_locker: MakeLocker) -> None:
    """Run every locker check, each on a fresh locker. Raises one AssertionError with every broken rule."""
    await _run_all(run_locker_check(check, make_locker) for check in LOCKER_CHECKS)


async def run_store_check(check: StoreCheck, open_store: OpenStore) -> None:
    """Run one of `STORE_CHECKS`; AssertionError with its name, its rule and what happened."""
    opened: list[Store] = []
    async with open_store() as open_again:

        def open_and_note() -> Store:
            opened.append(open_again())
            return opened[-1]

        try:
            with _named(check):
                async with asyncio.timeout(CHECK_LIMIT):
                    await check(open_and_note)
        finally:
            for store in opened:
                await store.close()


async def run_locker_check(check: LockerCheck, make_locker: MakeLocker) -> None:
    """Run one of `LOCKER_CHECKS`; AssertionError with its name, its rule and what happened."""
    with _named(check):
        async with asyncio.timeout(CHECK_LIMIT):
            await check(make_locker())


async def _run_all(runs: Iterable[Awaitable[None]]) -> None:
    if not __debug__:
        raise RuntimeError("the checks are assert statements: run them without -O")
    broken: list[AssertionError] = []
    for run in runs:
        try:
            await run
        except AssertionError as error:
            broken.append(error)
    if broken:
        details = ExceptionGroup("the broken rules in detail", broken)
        raise AssertionError("\n".join(str(error) for error in broken)) from details


@contextmanager
def _named(check: Callable[..., Awaitable[None]]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        rule = (inspect.getdoc(check) or "").partition("\n")[0]
        raise AssertionError(f"{check.__name__}: {rule} [{_told(error)}]") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
