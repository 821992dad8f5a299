"""Who is measured when, in which cases, and in which size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.local.cases import CASES, GIB, MIB, fit, shorten, title
from benchmarks.local.contestants import ALL, CONTESTANTS, PLACES, choose, choose_cases, turns
from benchmarks.local.measure import Place
from benchmarks.local.programs import Missing, our_server
from benchmarks.local.run import Findings, Plan, provide, steps

if TYPE_CHECKING:
    from pathlib import Path

BY_KEY = {case.key: case for case in CASES}
OURS = choose("tusd-py")


def test_servers_are_chosen_by_name_in_the_order_of_the_table() -> None:
    """Blanks do not matter."""
    assert [each.key for each in choose("tusd, csink")] == ["csink", "tusd"]
    assert choose(None) == CONTESTANTS


@pytest.mark.parametrize("names", ["tusd,nobody", "", " , "])
def test_a_name_that_nobody_has_is_refused(names: str) -> None:
    """Also none at all; the message lists those there are."""
    with pytest.raises(ValueError, match=r"not one of .*tuspyserver"):
        choose(names)


def test_cases_are_chosen_by_name() -> None:
    """As servers are."""
    assert [case.key for case in choose_cases("head,one")] == ["one", "head"]
    assert choose_cases(None) == CASES


def test_every_case_of_a_contestant_exists() -> None:
    """And every place."""
    assert all(contestant.cases <= ALL for contestant in CONTESTANTS)
    assert all(set(contestant.places) <= set(PLACES) for contestant in CONTESTANTS)


def test_everybody_has_every_turn_alike() -> None:
    """Over enough rounds nobody always comes before or after the same one."""
    rounds = [turns(CONTESTANTS, number) for number in range(2 * len(CONTESTANTS))]

    firsts = Counter(order[0].key for order in rounds)
    assert set(firsts.values()) == {2}
    assert all(
        sorted(each.key for each in order) == sorted(each.key for each in CONTESTANTS) for order in rounds
    )


def test_a_round_ends_before_the_next_begins(tmp_path: Path) -> None:
    """A B, B A: every figure has its counterpart close to it in time."""
    both = choose("tusd-py,csink")
    plan = Plan(contestants=both, cases=CASES[:1], places=(Place(key="tmpfs", folder=tmp_path),), rounds=2)
    ready = {each.key: our_server() for each in both}

    order = [(number, contestant.key) for number, _, _, contestant in steps(plan, ready)]

    assert order == [(0, "tusd-py"), (0, "csink"), (1, "csink"), (1, "tusd-py")]


def test_what_cannot_be_had_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    """With the reason, for the table."""

    def refuse() -> object:
        raise Missing("there is no such thing here")

    without = replace(OURS[0], key="other", title="other", provide=refuse)  # type: ignore[arg-type]
    place = Place(key="disk", folder=tmp_path)
    plan, findings = Plan(contestants=(without, *OURS), cases=CASES, places=(place,), rounds=1), Findings()

    ready = provide(plan, findings, lambda _: None)

    assert list(ready) == ["tusd-py"]
    assert findings.missing == {"other": "there is no such thing here"}


def test_a_version_without_a_flag_is_missing_for_who_needs_it() -> None:
    """The row is left out, and says why."""
    with pytest.raises(Missing, match="this version has no --made-up"):
        our_server("--made-up", "2")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_a_case_is_made_to_fit_with_room_to_spare(case_room: int, case: object) -> None:
    """Files of MiB shrink, timed cases end sooner; the smallest is tried wherever it is."""
    found = fit(BY_KEY[case.key], case_room)  # type: ignore[attr-defined]

    assert found.room <= case_room * 3 // 4


@pytest.fixture(params=[64 * MIB, 4 * GIB], ids=["a container's /dev/shm", "a small disk"])
def case_room(request: pytest.FixtureRequest) -> int:
    """Bytes there are."""
    room: int = request.param
    return room


def test_a_title_says_the_size_that_was_measured() -> None:
    """Not the one that was meant."""
    assert title(BY_KEY["one"]) == "1 file of 1 GiB"
    assert title(shorten(BY_KEY["one"])) == "1 file of 256 MiB"
    assert title(fit(BY_KEY["sixteen"], 100 * MIB)) == "16 files of 4 MiB at once"
