"""Runs tusload, which makes the load, and reads what it says (native/tusload.c)."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.local.cases import KIB, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmarks.local.cases import Case

PATTERN_SIZE = 4 * 2**20
LONGEST_SECONDS = 120
"""A load that takes longer is given up."""
_KINDS = ("post", "patch", "head", "put")


class LoadError(Exception):
    """The load could not be put on the server; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What was sent in `seconds`; `cpu` is what the sending itself took, in seconds.

    `counts` says how many of each kind of request were answered, `slowest` the 99th percentile of how long
    they took, in milliseconds.
    """

    seconds: float
    bytes: int
    uploads: int
    errors: int
    cpu: float
    counts: Mapping[str, int]
    slowest: Mapping[str, float]

    def amount(self, unit: Unit) -> float:
        """How much was done, in what the unit counts."""
        match unit:
            case Unit.MIB:
                return self.bytes / 2**20
            case Unit.PATCHES:
                return self.counts.get("patch", 0)
            case Unit.HEADS:
                return self.counts.get("head", 0)
            case Unit.UPLOADS:
                return self.uploads


def parse(output: str) -> Load:
    """What tusload says on its last line; LoadError when it is no report."""
    try:
        found = json.loads(output.strip().rpartition("\n")[2])
        kinds = {kind: found[kind] for kind in _KINDS if kind in found}
        return Load(
            seconds=found["seconds"],
            bytes=found["bytes"],
            uploads=found["uploads"],
            errors=found["errors"],
            cpu=found["cpu"],
            counts={kind: each["n"] for kind, each in kinds.items()},
            slowest={kind: each["p99_ms"] for kind, each in kinds.items()},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(f"no report of the load: {output[-200:]!r}") from error


def checksum_field(pattern: bytes, size: int) -> str:
    """The Upload-Checksum of a file of so many bytes, sent in one PATCH."""
    digest = hashlib.sha256()
    for start in range(0, size, len(pattern)):
        digest.update(pattern[: min(len(pattern), size - start)])
    return f"Upload-Checksum: sha256 {base64.b64encode(digest.digest()).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """The program, built."""

    program: Path
    pattern: bytes

    def run(self, case: Case, port: int, path: str, *, puts: bool, finished: Path) -> Load:
        """Put the case's load on a server, or LoadError. Paths of finished uploads go into a file."""
        mode = "put" if puts else "head" if case.unit is Unit.HEADS else "upload"
        fields = ["-H", checksum_field(self.pattern, case.size)] if case.checksum else []
        options = {"-c": case.connections, "-n": case.uploads, "-s": case.size, "-k": case.chunk}
        return self._run(mode, port, path, {**options, "-t": case.seconds, "-L": finished}, *fields)

    def warm_up(self, port: int, path: str, *, puts: bool) -> None:
        """A few requests, so that no first time is measured."""
        if not puts:
            self._run("head", port, path, {"-c": 4, "-n": 100, "-s": 64 * KIB, "-k": KIB})
        options = {"-c": 4, "-n": 12, "-s": 1024 * KIB, "-k": 64 * KIB}
        self._run("put" if puts else "upload", port, path, options)

    @contextmanager
    def slow(self, count: int, port: int, path: str) -> Iterator[None]:
        """So many uploads, each 64 KiB at once and then 10 KiB a second; LoadError if one is answered."""
        # Their length is more than they come to in the longest time.
        options = {"-c": count, "-s": "2M", "-k": "64K", "-r": "1K", "-w": LONGEST_SECONDS}
        process = subprocess.Popen(
            self._command("slow", port, path, options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "open\n":
                raise LoadError(f"the slow uploads did not begin: {_first_line(process.communicate()[1])}")
            yield
            said = process.communicate()[1]  # the end of its input ends it
            if process.returncode:
                raise LoadError(f"slow uploads failed: {_first_line(said)}")
        finally:
            process.kill()
            process.communicate()

    def _run(self, mode: str, port: int, path: str, options: Mapping[str, object], *more: str) -> Load:
        command = self._command(mode, port, path, {**options, "-w": LONGEST_SECONDS}, *more)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoadError(_first_line(done.stderr) or f"exit status {done.returncode}")
        return parse(done.stdout)

    def _command(
        self, mode: str, port: int, path: str, options: Mapping[str, object], *more: str
    ) -> list[str]:
        given = [str(each) for pair in options.items() for each in pair]
        return [str(self.program), "-p", str(port), "-u", path, *given, *more, mode]


def _first_line(said: str) -> str:
    return said.strip().partition("\n")[0][:200]


def load_generator(program: Path) -> Generator:
    """The built program, ready to be used."""
    made = subprocess.run(
        [program, "-s", str(PATTERN_SIZE), "pattern"], capture_output=True, check=True, timeout=60
    )
    return Generator(program=program, pattern=made.stdout)
