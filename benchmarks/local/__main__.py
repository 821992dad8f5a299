"""Measures uploads to the local disk: this server, others, a minimal one in C. See benchmarks/README.md.

python -m benchmarks.local [--quick] [--only CASES] [--servers NAMES] [--rounds N] [--place tmpfs|disk]
"""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.local import programs
from benchmarks.local.cases import CASES
from benchmarks.local.chart import chart
from benchmarks.local.contestants import CONTESTANTS, PLACES, choose, choose_cases
from benchmarks.local.load import load_generator
from benchmarks.local.measure import Place
from benchmarks.local.report import raw, report
from benchmarks.local.run import Findings, Plan, fill, provide, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.local.load import Generator

RESULTS = Path(__file__).parents[1] / "results"
LOOKS = programs.CACHE / "results"
"""Where what is not a whole run goes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep; the exit status."""
    options = _options(argv)
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it, too, ends what was started
    try:
        generator = load_generator(programs.tusload())
    except programs.Missing as reason:
        console.print(f"The load generator cannot be built: {reason}", markup=False)
        return 1
    plan = _plan(options)
    findings, finished = Findings(), False
    try:
        _measure(console, plan, findings, generator)
        finished = True
    except KeyboardInterrupt:
        console.print("Interrupted: this is what there is so far.")
    return _tell(console, plan, findings, options, finished=finished)


def _measure(console: Console, plan: Plan, findings: Findings, generator: Generator) -> None:
    say = partial(console.print, markup=False, highlight=False)
    with console.status("Finding or building what is compared: minutes, the first time"):
        ready = provide(plan, findings, say)
    count = len(list(steps(plan, ready)))
    with _progress(console) as progress:
        for _ in progress.track(fill(findings, plan, ready, generator, say), total=count):
            pass


def _tell(
    console: Console, plan: Plan, findings: Findings, options: argparse.Namespace, *, finished: bool
) -> int:
    if not findings.measurements:
        console.print("Nothing was measured.")
        return 1
    folder = options.out or (RESULTS if finished and _is_whole(options) else LOOKS)
    folder.mkdir(parents=True, exist_ok=True)
    text = report(plan, findings, "local.svg")
    (folder / "local.md").write_text(text, encoding="utf-8")
    (folder / "local.svg").write_text(chart(plan, findings), encoding="utf-8")
    (folder / "local.json").write_text(raw(findings), encoding="utf-8")
    console.print(Markdown(text))
    console.print(f"Kept in {folder}: local.md, local.svg, local.json", markup=False, soft_wrap=True)
    return 0 if finished else 130


def _is_whole(options: argparse.Namespace) -> bool:
    return not (options.quick or options.only or options.servers or options.place)


def _plan(options: argparse.Namespace) -> Plan:
    folders = {"tmpfs": options.tmpfs, "disk": options.disk}
    options.disk.mkdir(parents=True, exist_ok=True)
    return Plan(
        contestants=options.contestants,
        cases=options.cases,
        places=tuple(Place(key=key, folder=folders[key]) for key in PLACES if options.place in (None, key)),
        rounds=options.rounds or (1 if options.quick else 5),
        quick=options.quick,
    )


def _progress(console: Console) -> Progress:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    names = ", ".join(each.key for each in CONTESTANTS)
    parser = argparse.ArgumentParser(prog="make bench", description="Measure uploads to the local disk.")
    parser.add_argument(
        "--quick", action="store_true", help="one round, small files: a first look in minutes"
    )
    parser.add_argument("--only", metavar="CASES", help=f"of {', '.join(case.key for case in CASES)}")
    parser.add_argument("--servers", metavar="NAMES", help=f"of {names}")
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of 5")
    parser.add_argument("--place", choices=PLACES, help="instead of both")
    parser.add_argument(
        "--tmpfs", type=Path, default=Path("/dev/shm"), metavar="FOLDER", help="a folder on tmpfs"
    )
    parser.add_argument(
        "--disk", type=Path, default=programs.CACHE / "disk", metavar="FOLDER", help="a folder on the disk"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the results go")
    options = parser.parse_args(argv)
    try:
        options.contestants, options.cases = choose(options.servers), choose_cases(options.only)
    except ValueError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    sys.exit(main())
