"""The suites find what they are there to find, and tell it by name."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.testing.broken import (
    AppendMode,
    Believing,
    Eager,
    Forgetful,
    Greedy,
    Hoarding,
    Lazy,
    Leaderless,
    Mute,
    Open,
    Replacing,
    Rude,
    Showy,
    Undelivering,
    Unordered,
)
from tusd_py.locks.memory import MemoryLocker
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import (
    LOCKER_CHECKS,
    STORE_CHECKS,
    FaultyStore,
    check_locker,
    check_store,
    run_locker_check,
    run_store_check,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.core.ports import Store
    from tusd_py.testing.kit import OpenAgain, OpenStore
    from tusd_py.testing.locker_checks import MakeLocker

STORE_BY_NAME = {check.__name__: check for check in STORE_CHECKS}
LOCKER_BY_NAME = {check.__name__: check for check in LOCKER_CHECKS}


def over(kind: type[MemoryStore]) -> OpenStore:
    """Fresh storage of this kind for each check."""

    @asynccontextmanager
    async def open_store() -> AsyncIterator[OpenAgain]:
        store = kind()
        yield lambda: store

    return open_store


async def test_a_sound_store_passes_the_whole_suite() -> None:
    """check_store is silent about a store that keeps every rule, and gives each check fresh storage."""
    opened: list[Store] = []

    @asynccontextmanager
    async def open_store() -> AsyncIterator[OpenAgain]:
        opened.append(FaultyStore(MemoryStore()))
        yield lambda: opened[-1]

    await check_store(open_store)

    assert len(opened) == len(STORE_CHECKS)


async def test_a_sound_locker_passes_the_whole_suite() -> None:
    """check_locker is silent about a locker that keeps every rule, and gives each check a fresh one."""
    made: list[MemoryLocker] = []

    def make_locker() -> MemoryLocker:
        made.append(MemoryLocker())
        return made[-1]

    await check_locker(make_locker)

    assert len(made) == len(LOCKER_CHECKS)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (AppendMode, "surplus_is_cut_before_writing"),
        (AppendMode, "surplus_is_cut_even_without_a_write"),
        (AppendMode, "an_append_never_leaves_a_hole"),
        (Undelivering, "save_keeps_what_is_to_be_delivered"),
        (Replacing, "complete_never_replaces_a_file"),
        (Replacing, "of_two_at_once_one_gets_the_name"),
        (Believing, "the_offset_is_measured_not_believed"),
        (Believing, "the_offset_never_goes_back"),
        (Forgetful, "a_complete_upload_stays_loadable"),
        (Forgetful, "a_crash_after_publishing_is_made_good"),
        (Eager, "an_atomic_append_counts_from_its_commit"),
        (Eager, "an_atomic_append_left_without_commit_is_discarded"),
        (Eager, "an_exception_discards_an_atomic_append"),
        (Eager, "cancelling_discards_an_atomic_append"),
        (Eager, "direct_pieces_of_an_atomic_append_count_from_its_commit"),
        (Lazy, "what_was_written_directly_is_not_kept"),
        (Lazy, "direct_pieces_and_written_ones_follow_one_another"),
        (Unordered, "the_join_keeps_the_order"),
        (Unordered, "a_part_may_be_repeated"),
        (Greedy, "the_parts_stay_as_they_are"),
        (Greedy, "several_finals_share_a_part"),
        (Showy, "a_partial_is_never_published"),
        (Hoarding, "discard_removes_the_bytes"),
        (Hoarding, "a_crash_before_the_discard_is_made_good"),
        (Leaderless, "one_at_a_time_leads"),
        (Leaderless, "the_lead_is_free_after_an_exception"),
    ],
)
async def test_a_broken_store_is_caught_by_the_rule_it_breaks(kind: type[MemoryStore], rule: str) -> None:
    """The check of the broken rule fails and names itself."""
    with pytest.raises(AssertionError, match=f"^{rule}: "):
        await run_store_check(STORE_BY_NAME[rule], over(kind))


@pytest.mark.parametrize(
    ("make_locker", "rule"),
    [
        (Open, "at_most_one_holder"),
        (Open, "a_newcomer_asks_the_holder"),
        (Open, "a_waiter_gives_up_after_its_timeout"),
        (Mute, "a_newcomer_asks_the_holder"),
        (Mute, "a_waiter_asks_every_new_holder"),
        (Rude, "a_probe_does_not_disturb_an_active_holder"),
        (Rude, "a_probe_gives_way_to_a_new_active_holder"),
    ],
)
async def test_a_broken_locker_is_caught_by_the_rule_it_breaks(make_locker: MakeLocker, rule: str) -> None:
    """The check of the broken rule fails and names itself."""
    with pytest.raises(AssertionError, match=f"^{rule}: "):
        await run_locker_check(LOCKER_BY_NAME[rule], make_locker)


async def test_the_whole_suite_tells_every_broken_rule() -> None:
    """One error names all broken rules with what they say, not only the first, and no kept one."""
    with pytest.raises(AssertionError) as caught:
        await check_store(over(AppendMode))

    broken = {line.partition(":")[0] for line in str(caught.value).splitlines()} & set(STORE_BY_NAME)
    assert broken == {
        "surplus_is_cut_before_writing",
        "surplus_is_cut_even_without_a_write",
        "an_append_never_leaves_a_hole",
        "an_atomic_append_cuts_the_surplus_too",
    }
    assert "nothing of the old tail is left behind it" in str(caught.value)


async def test_an_unexpected_exception_counts_as_a_broken_rule() -> None:
    """A store that raises what the port does not know fails the check, with the exception as cause."""
    fault = OSError("the disk is on fire")

    @asynccontextmanager
    async def open_store() -> AsyncIterator[OpenAgain]:
        yield lambda: FaultyStore(MemoryStore(), load=[fault])

    with pytest.raises(AssertionError, match="the disk is on fire") as caught:
        await run_store_check(STORE_BY_NAME["complete_may_be_repeated"], open_store)

    assert caught.value.__cause__ is fault


async def test_every_store_a_check_opened_is_closed() -> None:
    """A check that restarts several times leaves no store open, also when it fails."""
    opened: list[FaultyStore] = []

    @asynccontextmanager
    async def open_store() -> AsyncIterator[OpenAgain]:
        def open_again() -> FaultyStore:
            opened.append(FaultyStore(MemoryStore()))  # forgets everything: the check fails
            return opened[-1]

        yield open_again

    with pytest.raises(AssertionError):
        await run_store_check(STORE_BY_NAME["create_then_load_gives_the_same_upload"], open_store)

    assert len(opened) == 2
    assert [store.calls.count("close") for store in opened] == [1, 1]


@pytest.mark.parametrize("checks", [STORE_CHECKS, LOCKER_CHECKS], ids=["store", "locker"])
def test_every_check_has_a_name_and_states_its_rule(checks: tuple[object, ...]) -> None:
    """The name is the id in a test report, the docstring's first line is the rule that it tells."""
    names = [getattr(check, "__name__", "") for check in checks]

    assert len(set(names)) == len(checks)
    assert all(check.__doc__ for check in checks)
