"""Part arithmetic: which bytes are in which part, and which of what is stored counts. Pure.

A part's number comes from its position: part `n` of an upload holds the bytes from `(n - 1) * size` on.
All parts but the last have the same size for the whole life of an upload (Cloudflare R2 takes no others).
What lies behind the last whole part is kept in segments, small objects of their own, until it is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MIB = 2**20
MIN_PART = 5 * MIB
"""Bytes; only an object's last part may be smaller (Amazon S3, multipart upload limits)."""
MAX_PART = 5 * 2**30
"""Bytes."""
MAX_PARTS = 10_000
MAX_OBJECT = MAX_PARTS * MAX_PART
"""48.8 TiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An uploaded part: its size in bytes, and what a completion has to name it by."""

    number: int
    size: int
    etag: str
    checksum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The bytes from `start` on, `size` of them, in an object of their own.

    `epoch` counts who has written to the upload: each process that goes on with another one's work
    begins a new one. `is_staged`: it belongs to an append that is all or nothing.
    """

    start: int
    size: int
    epoch: int
    key: str
    is_staged: bool = False

    @property
    def stop(self) -> int:
        """The offset behind its last byte."""
        return self.start + self.size


def plan_part_size(length: int | None, *, preferred: int, room: int | None = None) -> int:
    """Bytes of each part of an upload of `length`; for a deferred length, one that leaves `room`.

    `preferred`, or what 10,000 parts need, rounded up to a MiB.
    """
    needed = -(-(room or 0 if length is None else length) // MAX_PARTS)
    return preferred if needed <= preferred else -(-needed // MIB) * MIB


def number_at(offset: int, part_size: int) -> int:
    """The number of the part that holds the byte at `offset`."""
    return offset // part_size + 1


def start_of(number: int, part_size: int) -> int:
    """The offset of a part's first byte."""
    return (number - 1) * part_size


def size_of(number: int, part_size: int, length: int | None) -> int:
    """Bytes that a part can hold: the last one of a known length only what is left."""
    start = start_of(number, part_size)
    return part_size if length is None else max(min(part_size, length - start), 0)


def count_contiguous(
    parts: Mapping[int, Part], part_size: int, length: int | None, *, known: int = 0
) -> int:
    """How many parts follow one another from the first one on; the first `known` are not looked at.

    A part behind a hole does not count, nor does one of another size than its place has.
    """
    number = known + 1
    while (part := parts.get(number)) and part.size == size_of(number, part_size, length) > 0:
        number += 1
    return number - 1


def chain(segments: Iterable[Segment], start: int) -> list[Segment]:
    """The segments that follow one another from `start` on.

    Who goes on with an upload begins an epoch. A write of an earlier one that arrives late does not
    count: neither beside a segment of a later epoch, nor behind one.
    """
    latest: dict[int, Segment] = {}
    for segment in segments:
        known = latest.get(segment.start)
        if known is None or segment.epoch > known.epoch:
            latest[segment.start] = segment
    linked: list[Segment] = []
    while (segment := latest.get(start)) and segment.size:  # type: ignore[assignment]
        if linked and segment.epoch < linked[-1].epoch:
            break
        linked.append(segment)
        start = segment.stop
    return linked


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` up to but not including `stop` of the source with index `source`."""

    source: int
    start: int
    stop: int


def plan_join(sizes: Iterable[int], part_size: int) -> list[list[Span]]:
    """For each part of a joined object, the spans of the sources that make it up, in order.

    A part with a single span can be copied within the storage; the others have to be put together.
    """
    parts: list[list[Span]] = []
    room = 0
    for source, size in enumerate(sizes):
        start = 0
        while start < size:
            if not room:
                parts.append([])
                room = part_size
            taken = min(room, size - start)
            parts[-1].append(Span(source, start, start + taken))
            start += taken
            room -= taken
    return parts
