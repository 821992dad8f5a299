"""What is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

KIB, MIB, GIB = 2**10, 2**20, 2**30
SMALLEST = MIB
"""Files are made no smaller than this where room is short."""


class Unit(StrEnum):
    """What a rate counts."""

    MIB = "MiB/s"
    PATCHES = "PATCH/s"
    HEADS = "HEAD/s"
    UPLOADS = "uploads/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of load: `connections` send `uploads` files of `size` bytes in PATCHes of `chunk`.

    No file, and no HEAD, is begun after `seconds`. A `chunk` of 0 is the whole file. `slow` connections
    send beside it what is never finished.
    """

    key: str
    title: str
    unit: Unit
    connections: int
    uploads: int
    size: int
    chunk: int = 0
    seconds: float = 1e6
    checksum: bool = False
    slow: int = 0

    @property
    def is_timed(self) -> bool:
        """It ends when its time is over, not when all is sent."""
        return self.seconds < 1e6

    @property
    def room(self) -> int:
        """Bytes that it needs at most, with the records of small files and what slow ones bring."""
        if self.unit is Unit.HEADS:
            return self.connections * self.size
        return self.uploads * max(self.size, 16 * KIB) + self.slow * 128 * KIB


CASES: tuple[Case, ...] = (
    Case(key="one", title="1 file of {size}", unit=Unit.MIB, connections=1, uploads=1, size=GIB),
    Case(
        key="sixteen",
        title="16 files of {size} at once",
        unit=Unit.MIB,
        connections=16,
        uploads=16,
        size=64 * MIB,
    ),
    Case(
        key="patch-1",
        title="PATCHes of 64 KiB, 1 connection",
        unit=Unit.PATCHES,
        connections=1,
        uploads=256,
        size=16 * MIB,
        chunk=64 * KIB,
        seconds=1.5,
    ),
    Case(
        key="patch-16",
        title="PATCHes of 64 KiB, 16 connections",
        unit=Unit.PATCHES,
        connections=16,
        uploads=256,
        size=16 * MIB,
        chunk=64 * KIB,
        seconds=1.5,
    ),
    Case(
        key="head",
        title="HEAD, 32 connections",
        unit=Unit.HEADS,
        connections=32,
        uploads=0,
        size=64 * KIB,
        chunk=KIB,
        seconds=1.5,
    ),
    Case(
        key="small",
        title="files of 1 KiB, 32 connections",
        unit=Unit.UPLOADS,
        connections=32,
        uploads=60_000,
        size=KIB,
        seconds=1.5,
    ),
    Case(
        key="sha256",
        title="16 files of {size} with sha256",
        unit=Unit.MIB,
        connections=16,
        uploads=16,
        size=64 * MIB,
        checksum=True,
    ),
    Case(
        key="slow",
        title="1 file of {size} beside 200 slow ones",
        unit=Unit.MIB,
        connections=1,
        uploads=1,
        size=GIB,
        slow=200,
    ),
)


def shorten(case: Case) -> Case:
    """The same in little: a first look."""
    if case.is_timed:
        return replace(case, seconds=0.4, size=case.size // 8 if case.unit is Unit.PATCHES else case.size)
    return replace(case, size=case.size // 4)


def fit(case: Case, room: int) -> Case:
    """The case, made smaller until it leaves a quarter of `room` (bytes) free."""
    while case.room > room * 3 // 4:
        if case.is_timed and case.uploads > case.connections:
            case = replace(case, uploads=case.uploads // 2)
        elif case.size > SMALLEST:
            case = replace(case, size=case.size // 2)
        else:
            break
    return case


def title(case: Case) -> str:
    """What it is called in tables, with the size that it came down to."""
    return case.title.format(
        size=f"{case.size // GIB} GiB" if case.size >= GIB else f"{case.size // MIB} MiB"
    )
