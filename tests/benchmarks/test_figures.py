"""What is made of several rounds: medians, spreads, ratios, tables."""

from __future__ import annotations

import pytest

from benchmarks.figures import digits, ratio, spread, table


def test_a_spread_is_the_median_between_the_smallest_and_the_largest() -> None:
    """In whatever order the rounds came."""
    found = spread([7.0, 1.0, 3.0])

    assert (found.low, found.median, found.high) == (1.0, 3.0, 7.0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [([1, 2, 3], [3, 4], True), ([1, 2], [3, 4], False), ([5], [1, 9], True), ([8, 9], [1, 2], False)],
)
def test_spreads_overlap_when_either_may_be_the_faster(
    one: list[float], other: list[float], same: bool
) -> None:
    """It does not matter who is asked."""
    assert spread(one).overlaps(spread(other)) is same
    assert spread(other).overlaps(spread(one)) is same


def test_a_ratio_is_taken_within_rounds() -> None:
    """A round that was slow for everybody does not change it; one that only one of them has is not used."""
    assert ratio({0: 200, 1: 20, 2: 999}, {0: 100, 1: 10}) == 2.0


def test_there_is_no_ratio_without_a_common_round() -> None:
    """Nor to nothing."""
    assert ratio({0: 5.0}, {1: 5.0}) is None
    assert ratio({0: 5.0}, {0: 0.0}) is None


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (100.0, "100"), (56.78, "56.8"), (1.234, "1.23"), (0.4, "0.40")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    """More would only be noise."""
    assert digits(value) == text


def test_a_spread_says_its_brackets_only_when_there_is_one() -> None:
    """One round has none."""
    assert str(spread([250.0])) == "250"
    assert str(spread([250.0, 240.0, 260.0])) == "250 [240..260]"


def test_a_table_is_markdown() -> None:
    """Header, rule, rows."""
    assert table(("a", "b"), [("1", "2")]) == ["| a | b |", "|---|---|", "| 1 | 2 |"]
