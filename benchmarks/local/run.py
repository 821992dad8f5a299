"""All rounds: who is measured when, and what has been found so far."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.figures import digits
from benchmarks.local.cases import shorten, title
from benchmarks.local.contestants import turns
from benchmarks.local.measure import FAILURES, Measurement, NotForIt, measure
from benchmarks.local.programs import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.local.cases import Case
    from benchmarks.local.contestants import Contestant
    from benchmarks.local.load import Generator
    from benchmarks.local.measure import Place
    from benchmarks.local.programs import Program

TRIES = 2
"""A server that fails so often in one case is not measured there again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to measure."""

    contestants: tuple[Contestant, ...]
    cases: tuple[Case, ...]
    places: tuple[Place, ...]
    rounds: int
    quick: bool = False

    def sized(self, case: Case, place: Place) -> Case:
        """A case in the size that is measured here."""
        return place.fit(shorten(case) if self.quick else case)


@dataclass(slots=True, kw_only=True)
class Findings:
    """What has been found: measurements, and why there are none. Filled while a run goes on."""

    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    sizes: dict[tuple[str, str], Case] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    left_out: dict[tuple[str, str, str], str] = field(default_factory=dict)
    failures: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    def of(self, case: str, place: str, server: str) -> list[Measurement]:
        """All rounds of one cell of the table."""
        return [
            each
            for each in self.measurements
            if (each.case, each.place, each.server) == (case, place, server)
        ]

    def is_hopeless(self, cell: tuple[str, str, str]) -> bool:
        """Nothing can come of trying again."""
        return cell in self.left_out or len(self.failures.get(cell, [])) >= TRIES


def provide(plan: Plan, findings: Findings, say: Callable[[str], None]) -> dict[str, Program]:
    """Find or build everybody's program; who cannot be had is noted."""
    programs: dict[str, Program] = {}
    for contestant in plan.contestants:
        if not any(contestant.takes(case, place.key) for case in plan.cases for place in plan.places):
            continue
        try:
            programs[contestant.key] = contestant.provide()
        except Missing as reason:
            findings.missing[contestant.key] = str(reason)
            say(f"{contestant.title}: not installed: {reason}")
        else:
            findings.versions[contestant.key] = programs[contestant.key].version
            say(f"{contestant.title}: {programs[contestant.key].version}")
    return programs


def steps(plan: Plan, programs: dict[str, Program]) -> Iterator[tuple[int, Place, Case, Contestant]]:
    """A B C ..., then again: rounds outside, so that what changes in an hour changes for everybody."""
    for number in range(plan.rounds):
        for place in plan.places:
            for case in plan.cases:
                for contestant in turns(plan.contestants, number):
                    if contestant.key in programs and contestant.takes(case, place.key):
                        yield number, place, case, contestant


def fill(
    findings: Findings,
    plan: Plan,
    programs: dict[str, Program],
    generator: Generator,
    say: Callable[[str], None],
) -> Iterator[None]:
    """Measure step by step."""
    findings.sizes |= {
        (case.key, place.key): plan.sized(case, place) for place in plan.places for case in plan.cases
    }
    with ExitStack() as at_the_end:
        for number, place, case, contestant in steps(plan, programs):
            cell = (case.key, place.key, contestant.key)
            if not findings.is_hopeless(cell):
                sized = findings.sizes[case.key, place.key]
                step = partial(
                    measure,
                    generator,
                    contestant=contestant,
                    program=programs[contestant.key],
                    case=sized,
                    place=place,
                    number=number,
                    at_the_end=at_the_end,
                )
                said = _try(findings, cell, step)
                say(f"{number + 1}/{plan.rounds} {place.key}, {title(sized)}, {contestant.title}: {said}")
            yield


def _try(findings: Findings, cell: tuple[str, str, str], step: Callable[[], Measurement]) -> str:
    try:
        found = step()
    except NotForIt as reason:
        findings.left_out[cell] = str(reason)
        return f"left out: {reason}"
    except FAILURES as error:
        findings.failures.setdefault(cell, []).append(str(error))
        return f"failed: {error}"
    findings.measurements.append(found)
    return f"{digits(found.rate)}, {found.memory / 2**20:.0f} MiB"


def unfit(plan: Plan, findings: Findings) -> list[str]:
    """Which cases are smaller than they were to be, for want of room."""
    wanted = {case.key: shorten(case) if plan.quick else case for case in plan.cases}
    smaller: Sequence[tuple[str, Case]] = [
        (place, case) for (key, place), case in findings.sizes.items() if case != wanted[key]
    ]
    return [
        f"{title(case)} on {place}: made smaller, because there is little room" for place, case in smaller
    ]
