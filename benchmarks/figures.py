"""What is made of the figures of several rounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of some figures, and the smallest and the largest of them."""

    median: float
    low: float
    high: float

    def overlaps(self, other: Spread) -> bool:
        """Whether the two may be the same: some figure of one lies within the other's spread."""
        return self.low <= other.high and other.low <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            return digits(self.median)
        return f"{digits(self.median)} [{digits(self.low)}..{digits(self.high)}]"


def spread(values: Iterable[float]) -> Spread:
    """Of at least one figure."""
    found = list(values)
    return Spread(median=statistics.median(found), low=min(found), high=max(found))


def ratio(of: Mapping[int, float], to: Mapping[int, float]) -> float | None:
    """The median of the ratios within each round; None when no round has both.

    What slows a whole round down, as another program on the machine does, is in both of its figures.
    """
    common = [number for number in of if to.get(number)]
    return statistics.median(of[number] / to[number] for number in common) if common else None


def digits(value: float) -> str:
    """Three of them, but no fewer than there are before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    return [_row(header), "|" + "---|" * len(header), *(_row(row) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
