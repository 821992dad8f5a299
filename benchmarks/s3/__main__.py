"""Measures uploads into S3: this server, boto3 alone, @tus/server. See benchmarks/README.md.

python -m benchmarks.s3 [--rounds 3] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import spread, table
from benchmarks.machine import cpu_seconds, describe_machine, peak_memory
from benchmarks.s3.contestants import CONTESTANTS
from tests.support.s3_proxy import S3FaultProxy
from tests.support.seaweed import SeaweedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.s3.contestants import Contestant, Running

MIB = 2**20
RESULTS = Path(__file__).parents[1] / "results" / "s3.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many files of so many bytes at once."""

    name: str
    count: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run: MiB per second, CPU seconds of the contestant per GiB."""

    rate: float
    cpu: float


def cases(scale: float) -> tuple[Case, ...]:
    """What is measured; `scale` makes the files smaller or larger."""
    return (
        Case(name="1 file of 512 MiB", count=1, size=int(512 * MIB * scale)),
        Case(name="16 files of 64 MiB at once", count=16, size=int(64 * MIB * scale)),
        Case(name="16 files of 1 MiB at once", count=16, size=int(MIB * scale)),
    )


def measure(running: Running, case: Case, file: Path) -> Result:
    """Upload once, with the clock running."""
    busy, started = cpu_seconds(running.pid), time.perf_counter()
    running.send(file, case.count)
    seconds = time.perf_counter() - started
    mib = case.count * case.size / MIB
    return Result(rate=mib / seconds, cpu=(cpu_seconds(running.pid) - busy) / mib * 1024)


def run(rounds: int, scale: float) -> str:
    """All contestants, all cases, in turn; the report."""
    results: dict[tuple[str, str], list[Result]] = defaultdict(list)
    peaks: dict[str, int] = {}
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="tusd-py-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "weed").mkdir()
        seaweed = stack.enter_context(SeaweedProcess(folder / "weed"))
        files = {
            case.name: _make_file(folder / f"{index}", case) for index, case in enumerate(cases(scale))
        }
        calls = _count_calls(seaweed, folder, scale)
        for case in cases(scale):
            for number in range(rounds):
                for name, contestant in _rotated(number):
                    (folder / f"{case.name}-{number}-{name}".replace("/", "-")).mkdir()
                    place = folder / f"{case.name}-{number}-{name}".replace("/", "-")
                    with contestant(seaweed, seaweed.endpoint, place) as running:
                        running.send(_make_file(folder / "warm", Case(name="", count=1, size=MIB)), 2)
                        result = measure(running, case, files[case.name])
                        peaks[name] = max(peaks.get(name, 0), peak_memory(running.pid))
                    _empty(seaweed)
                    results[case.name, name].append(result)
                    print(
                        f"{case.name}, {name}: {result.rate:.0f} MiB/s, {result.cpu:.2f} s/GiB", flush=True
                    )
    return _report(results, peaks, calls, rounds, scale)


def _rotated(number: int) -> Iterator[tuple[str, Contestant]]:
    names = list(CONTESTANTS)
    for index in range(len(names)):
        name = names[(index + number) % len(names)]
        yield name, CONTESTANTS[name]


def _make_file(path: Path, case: Case) -> Path:
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for start in range(0, case.size, MIB):
            file.write(block[: min(MIB, case.size - start)])
    return path


def _empty(seaweed: SeaweedProcess) -> None:
    for prefix in ("tusd-py/", "boto3/", ""):
        for key in seaweed.objects(prefix):
            seaweed.client().delete_object(Bucket=seaweed.bucket, Key=key)


def _count_calls(seaweed: SeaweedProcess, folder: Path, scale: float) -> dict[str, int]:
    """Calls to S3 for one file of 64 MiB, counted in between, without a clock."""
    case = Case(name="", count=1, size=int(64 * MIB * scale))
    file = _make_file(folder / "counted", case)
    counted = {}
    for name, contestant in CONTESTANTS.items():
        place = folder / f"count-{name}".replace("/", "-")
        place.mkdir()
        with (
            S3FaultProxy("127.0.0.1", seaweed.port) as proxy,
            contestant(seaweed, proxy.origin, place) as running,
        ):
            time.sleep(1)  # what it asks of S3 when it starts is not counted
            proxy.forget_calls()
            running.send(file, 1)
            counted[name] = proxy.calls.total()
        _empty(seaweed)
    return counted


def _report(
    results: dict[tuple[str, str], list[Result]],
    peaks: dict[str, int],
    calls: dict[str, int],
    rounds: int,
    scale: float,
) -> str:
    lines = [
        f"# Uploads into S3, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"{describe_machine()}.",
        "SeaweedFS 4.48 on the same machine takes most of it, for everybody alike: compare within a case.",
        f"Medians of {rounds} rounds in turn, the spread in brackets; files scaled by {scale:g}.",
        "",
        *table(("Case", "", "MiB/s", "of boto3", "CPU s/GiB"), _rows(results, scale)),
        "",
        *table(
            ("", "Peak memory, MiB", "Calls to S3 for 64 MiB"),
            [(name, f"{peaks[name] / MIB:.0f}", str(calls[name])) for name in CONTESTANTS],
        ),
    ]
    return "\n".join(lines) + "\n"


def _rows(results: dict[tuple[str, str], list[Result]], scale: float) -> Iterator[tuple[str, ...]]:
    for case in cases(scale):
        base = spread(result.rate for result in results[case.name, "boto3.upload_file"])
        for name in CONTESTANTS:
            found = results[case.name, name]
            rate = spread(result.rate for result in found)
            cpu = statistics.median(result.cpu for result in found)
            yield (case.name, name, str(rate), f"{rate.median / base.median:.2f}", f"{cpu:.2f}")


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description="Measure uploads into S3.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="make the files smaller or larger")
    options = parser.parse_args()
    report = run(options.rounds, options.scale)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(report, encoding="utf-8")
    print(f"\n{report}\nKept in {RESULTS}")


if __name__ == "__main__":
    main()
