"""The plot: for every case and place a bar for every server, in SVG that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from benchmarks.figures import digits, spread
from benchmarks.local.cases import title
from benchmarks.local.contestants import BASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Spread
    from benchmarks.local.cases import Case
    from benchmarks.local.measure import Place
    from benchmarks.local.run import Findings, Plan

WIDTH, GAP, TOP = 480, 30, 56
NAMES, FIGURES = 160, 62
"""Room left of the bars for names, and right of them for figures."""
BAR, PITCH, HEADING = 13, 18, 34
OURS, LIMIT, OTHERS = "#1f6feb", "#9aa0a6", "#d9822b"
WHAT = "Longer is faster; a line spans the slowest and the fastest round"
STYLE = "text{font:12px sans-serif;fill:#1f2328}.b{font-weight:600}.s{fill:#59636e}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One server in one panel."""

    name: str
    colour: str
    rate: Spread


def chart(plan: Plan, findings: Findings) -> str:
    """The whole picture: a row of panels for each case, a column for each place."""
    parts, top = [_legend(plan.places)], TOP
    for case in plan.cases:
        panels = [(place, _bars(plan, findings, case, place)) for place in plan.places]
        tallest = max((len(bars) for _, bars in panels), default=0)
        if not tallest:
            continue
        for column, (place, bars) in enumerate(panels):
            sized = findings.sizes.get((case.key, place.key), case)
            heading = f"{title(sized)}, {place.key} ({sized.unit})"
            parts.append(_panel(GAP + column * (WIDTH + GAP), top, heading, bars))
        top += HEADING + tallest * PITCH
    width = GAP + len(plan.places) * (WIDTH + GAP)
    size = f'width="{width}" height="{top + GAP}" viewBox="0 0 {width} {top + GAP}"'
    name = "<title>Rates: longer is faster</title>"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{name}'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([opening, f"<style>{STYLE}</style>", paper, *parts, "</svg>"]) + "\n"


def _legend(places: Sequence[Place]) -> str:
    parts = [f'<text x="{GAP}" y="24" class="b">{WHAT}</text>']
    for index, (colour, name) in enumerate(
        [(OURS, "tusd-py"), (LIMIT, "the limit, in C"), (OTHERS, "others")]
    ):
        left = GAP + index * 130
        parts.append(f'<rect x="{left}" y="34" width="{BAR}" height="{BAR}" fill="{colour}"/>')
        parts.append(f'<text x="{left + 19}" y="45" class="s">{name}</text>')
    return "\n".join(parts)


def _bars(plan: Plan, findings: Findings, case: Case, place: Place) -> list[Bar]:
    bars = []
    for contestant in plan.contestants:
        if found := findings.of(case.key, place.key, contestant.key):
            key = contestant.key
            colour = OURS if key.startswith(BASE) else LIMIT if key == "csink" else OTHERS
            rate = spread(each.rate for each in found)
            bars.append(Bar(name=contestant.title, colour=colour, rate=rate))
    return bars


def _panel(left: int, top: int, heading: str, bars: Sequence[Bar]) -> str:
    parts = [f'<text x="{left}" y="{top + 18}" class="b">{escape(heading)}</text>']
    longest = max((bar.rate.high for bar in bars), default=1)
    scale = (WIDTH - NAMES - FIGURES) / longest
    for index, bar in enumerate(bars):
        parts.append(_bar(left, top + HEADING - 8 + index * PITCH, bar, scale))
    return "\n".join(parts)


def _bar(left: int, top: int, bar: Bar, scale: float) -> str:
    start, middle = left + NAMES, top + BAR / 2
    median, low, high = (start + each * scale for each in (bar.rate.median, bar.rate.low, bar.rate.high))
    text = top + BAR - 2
    parts = [
        f'<text x="{start - 6}" y="{text}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect x="{start}" y="{top}" width="{median - start:.1f}" height="{BAR}" fill="{bar.colour}"/>',
        f'<text x="{max(median, high) + 5:.1f}" y="{text}" class="s">{digits(bar.rate.median)}</text>',
    ]
    if high > low:
        parts.append(f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#1f2328" stroke-width="1.5"/>')
    return "\n".join(parts)
