"""What is printed and kept of a run."""

from __future__ import annotations

import json
import os
import statistics
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.figures import digits, ratio, spread, table
from benchmarks.local.cases import Unit, title
from benchmarks.local.contestants import BASE
from benchmarks.local.run import unfit
from benchmarks.machine import describe_machine, file_system

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.local.cases import Case
    from benchmarks.local.contestants import Contestant
    from benchmarks.local.measure import Measurement, Place
    from benchmarks.local.run import Findings, Plan

FULL = 0.9
"""What takes more than this of a core, or of all, has no more to give."""
NOISY = 0.15
"""So much of one processor taken by others is worth a word."""
MEDIANS = """Medians of {} rounds in turn, the spread in brackets; a ratio is the median of each round's.
CPU is the server's, with all its processes: seconds for a GiB, or for 10,000 requests
or uploads, and in brackets how many cores it kept busy."""
LOOK = """ONE ROUND: a first look, which shows no spread.
CPU is the server's, with all its processes: seconds for a GiB, or for 10,000 requests
or uploads, and in brackets how many cores it kept busy."""
HEADER = ("Case", "Server", "Rate", "of tusd-py", "CPU", "Peak memory", "")


def report(plan: Plan, findings: Findings, plot: str) -> str:
    """The report in Markdown; `plot` is the name of the picture beside it."""
    lines = [
        f"# Uploads to the local disk, {datetime.now(UTC):%Y-%m-%d}",
        "",
        *_introduction(plan, findings),
    ]
    lines += [
        "",
        f"![Rates of all servers in all cases]({plot})",
        "",
        *table(HEADER, _rows(plan, findings)),
    ]
    lines += ["", "## What was measured", "", *_versions(plan, findings), *_remarks(plan, findings)]
    return "\n".join(lines) + "\n"


def raw(findings: Findings) -> str:
    """All measurements in JSON, one on a line."""
    rows = ",\n".join(json.dumps(each.as_row(), separators=(",", ":")) for each in findings.measurements)
    return f"[\n{rows}\n]\n"


def remarks(found: Sequence[Measurement], base: Sequence[Measurement], cores: int) -> str:
    """What has to be known of a row before it is believed, on a machine with so many cores."""
    said = []
    if len(found) > 1 and len(base) > 1 and found[0].server != BASE:
        rates, others = (spread(each.rate for each in rows) for rows in (found, base))
        if rates.overlaps(others):
            said.append("no difference: the spreads overlap")
    if (client := statistics.median(each.client for each in found)) > FULL:
        said.append(f"the load generator is the limit ({client:.0%} of its core)")
    elif statistics.median(each.cores + each.client + each.others for each in found) > FULL * cores:
        said.append("no core was idle")
    if (others_took := statistics.median(each.others for each in found)) > NOISY:
        said.append(f"others took {others_took:.0%} of a core")
    return "; ".join(said)


def _introduction(plan: Plan, findings: Findings) -> list[str]:
    rounds = max((each.round for each in findings.measurements), default=0) + 1
    lines = [
        f"{describe_machine()}.",
        *_places(plan.places),
        LOOK if rounds == 1 else MEDIANS.format(rounds),
    ]
    others = [each.others for each in findings.measurements]
    if others:
        took = statistics.median(others)
        lines.append(f"Meanwhile all else on the machine took {took:.0%} of a core (median).")
    return lines


def _places(places: Sequence[Place]) -> list[str]:
    return [f"{place.key}: {file_system(place.folder)}." for place in places]


def _rows(plan: Plan, findings: Findings) -> Iterator[tuple[str, ...]]:
    for case in plan.cases:
        for place in plan.places:
            sized = findings.sizes.get((case.key, place.key), case)
            name = f"{title(sized)}, {place.key}"
            for contestant in plan.contestants:
                if contestant.takes(case, place.key):
                    for row in _row(sized, place, contestant, findings):
                        yield (name, *row)
                        name = ""  # once is enough


def _row(case: Case, place: Place, contestant: Contestant, findings: Findings) -> Iterator[tuple[str, ...]]:
    found = findings.of(case.key, place.key, contestant.key)
    failed = findings.failures.get((case.key, place.key, contestant.key), [])
    said = [f"failed {'once' if len(failed) == 1 else 'again and again'}: {failed[-1]}"] if failed else []
    if not found:
        if failed:
            yield (contestant.title, "-", "-", "-", "-", said[0].replace("|", "/"))
        return
    base = findings.of(case.key, place.key, BASE)
    compared = ratio({each.round: each.rate for each in found}, {each.round: each.rate for each in base})
    cpu = digits(statistics.median(each.cpu for each in found))
    cores = statistics.median(each.cores for each in found)
    yield (
        contestant.title,
        f"{spread(each.rate for each in found)} {case.unit}",
        f"{compared:.2f}" if compared else "-",
        f"{cpu} s{'/GiB' if case.unit is Unit.MIB else ''} ({cores:.1f})",
        f"{max(each.memory for each in found) / 2**20:.0f} MiB",
        "; ".join([*filter(None, [remarks(found, base, os.cpu_count() or 1)]), *said]).replace("|", "/"),
    )


def _versions(plan: Plan, findings: Findings) -> list[str]:
    had = [
        f"- {each.title}: {findings.versions[each.key]}"
        for each in plan.contestants
        if each.key in findings.versions
    ]
    return had + [
        f"- {each.title}: not installed: {findings.missing[each.key]}"
        for each in plan.contestants
        if each.key in findings.missing
    ]


def _remarks(plan: Plan, findings: Findings) -> list[str]:
    titles = {each.key: each.title for each in plan.contestants}
    reasons: dict[str, list[str]] = {}
    for (case, _place, server), reason in findings.left_out.items():
        names = reasons.setdefault(f"{case}: {reason}", [])
        if titles[server] not in names:
            names.append(titles[server])
    left_out = [f"- Left out of {reason}: {', '.join(names)}" for reason, names in reasons.items()]
    return left_out + [f"- {each}" for each in unfit(plan, findings)]
