"""One server, one case, one place: a fresh process, the load, what it took, whether the files are right."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.local.cases import Unit, fit
from benchmarks.local.content import wrong_files
from benchmarks.local.load import LoadError
from benchmarks.local.serving import ServerError, serving
from benchmarks.machine import available_memory, busy_seconds, cpu_seconds, file_system, peak_memory

if TYPE_CHECKING:
    from benchmarks.local.cases import Case
    from benchmarks.local.contestants import Contestant
    from benchmarks.local.load import Generator, Load
    from benchmarks.local.programs import Program
    from benchmarks.local.serving import Running


class NotForIt(Exception):  # noqa: N818 - it is an answer, not a failure
    """The server cannot do what the case asks for; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder to measure in: `tmpfs`, or `disk`."""

    key: str
    folder: Path

    @property
    def room(self) -> int:
        """Bytes that fit; on tmpfs they take memory."""
        free = shutil.disk_usage(self.folder).free
        return min(free, available_memory() // 2) if file_system(self.folder) == "tmpfs" else free

    def fit(self, case: Case) -> Case:
        """The case in a size that fits."""
        return fit(case, self.room)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one run came to.

    `rate` is in the case's unit; `cpu` are seconds of the server for a GiB, or for 10,000 of what is
    counted; `memory` is its peak in bytes. `cores` says how many cores it kept busy, `client` how much of
    one the load generator did, `others` everybody else; `slowest` is the 99th percentile of what is
    counted, in milliseconds.
    """

    case: str
    place: str
    server: str
    round: int
    rate: float
    cpu: float
    memory: int
    cores: float
    client: float
    others: float
    slowest: float

    def as_row(self) -> dict[str, str | float]:
        """For JSON, with no more digits than mean something."""
        return {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }


FAILURES = (ServerError, LoadError, OSError)
"""What ends the measurement of one server, but not the run."""


def measure(
    generator: Generator,
    *,
    contestant: Contestant,
    program: Program,
    case: Case,
    place: Place,
    number: int,
    at_the_end: ExitStack,
) -> Measurement:
    """Measure once. NotForIt, or one of FAILURES; nothing is left in the place then either.

    What should not go before all is measured goes `at_the_end`.
    """
    if place.key == "disk":
        os.sync()  # what the one before left to be written is not this one's burden
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="tusd-py-bench-", dir=place.folder))
        # ext4 looks at every inode that became free in the last minutes before it makes a file.
        stays = place.key == "disk" and case.unit is Unit.UPLOADS
        (at_the_end if stays else stack).callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "stored").mkdir()
        with serving(program, folder / "stored") as server:
            generator.warm_up(server.port, contestant.path, puts=contestant.puts)
            if case.checksum and not server.verifies_checksums(contestant.path):
                raise NotForIt("verifies no checksums")
            listed = folder / "finished"
            found = _watch(generator, contestant, case, server, listed)
            server.check()
        _check(folder / "stored", listed, case, generator)
    return replace(found, case=case.key, place=place.key, server=contestant.key, round=number)


def _watch(
    generator: Generator, contestant: Contestant, case: Case, server: Running, listed: Path
) -> Measurement:
    with ExitStack() as stack:
        if case.slow:
            stack.enter_context(generator.slow(case.slow, server.port, contestant.path))
        cpu, busy = cpu_seconds(server.pid), busy_seconds()
        load = generator.run(case, server.port, contestant.path, puts=contestant.puts, finished=listed)
        cpu, busy = cpu_seconds(server.pid) - cpu, busy_seconds() - busy
        memory = peak_memory(server.pid)
    return _result(load, case, cpu, busy, memory)


def _result(load: Load, case: Case, cpu: float, busy: float, memory: int) -> Measurement:
    amount = load.amount(case.unit)
    if not amount:
        raise LoadError("nothing was done in the time")
    kinds = {Unit.HEADS: "head", Unit.PATCHES: "patch"}
    counted = kinds.get(case.unit, "put" if "put" in load.counts else "patch")
    return Measurement(
        case="",
        place="",
        server="",
        round=0,
        rate=amount / load.seconds,
        cpu=cpu / amount * (1024 if case.unit is Unit.MIB else 10_000),
        memory=memory,
        cores=cpu / load.seconds,
        client=load.cpu / load.seconds,
        others=max(0.0, busy - cpu - load.cpu) / load.seconds,
        slowest=load.slowest.get(counted, 0.0),
    )


def _check(stored: Path, listed: Path, case: Case, generator: Generator) -> None:
    if case.unit is Unit.HEADS:
        return  # nothing is finished: each answer's offset was compared by the generator
    uploads = listed.read_text(encoding="utf-8").splitlines()
    if wrong := wrong_files(stored, uploads, case.size, generator.pattern):
        raise ServerError(f"{len(wrong)} of {len(uploads)} files are not what was sent")
