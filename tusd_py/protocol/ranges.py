"""Which bytes of a representation a GET asks for, and how several ranges share one body.

RFC 9110, sections 14 (range requests), 15.3.7 (206) and 17.15 (denial of service by ranges).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

MAX_RANGES = 16
"""More ranges than this in one field are nobody's honest wish; the field is ignored."""

UNSATISFIABLE: Final = "unsatisfiable"

_MAX_DIGITS = 19  # no file reaches 10**19 bytes
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")


class ByteRange(NamedTuple):
    """Bytes `start` up to but not including `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes that is."""
        return self.stop - self.start


Selection = tuple[ByteRange, ...] | Literal["unsatisfiable"] | None
"""The ranges to send in the order asked for; `UNSATISFIABLE`; or None: send the whole."""


def select_ranges(field: str | None, size: int) -> Selection:
    """What a Range field selects of a representation of `size` bytes. Never raises.

    None where the field is absent, malformed or of another unit than bytes, and where it asks for more
    than `MAX_RANGES` ranges or, repeats counted, for more bytes than there are: all are to be ignored.
    """
    specs = _split_specs(field)
    if not specs or len(specs) > MAX_RANGES:
        return None
    chosen: list[ByteRange] = []
    for spec in specs:
        match _resolve(spec, size):
            case None:
                return None
            case ByteRange() as span:
                chosen.append(span)
            case _:  # RFC 9110, 14.1.2: what cannot be satisfied is left out of the rest.
                continue
    if not chosen:
        return UNSATISFIABLE
    # RFC 9110, 17.15: overlapping ranges must not multiply what one request costs. And of an empty
    # representation a suffix is all there is, which no Content-Range can express.
    if sum(span.length for span in chosen) > size or size == 0:
        return None
    return tuple(chosen)


def _split_specs(field: str | None) -> list[str]:
    """The members of a `bytes=` set; empty when there is none to obey."""
    unit, _, members = (field or "").partition("=")
    # RFC 9110, 14.1: range units are case-insensitive; an unknown one is ignored (14.2).
    if unit.strip(" \t").lower() != "bytes":
        return []
    # RFC 9110, 5.6.1.2: empty list elements are tolerated.
    return [spec for member in members.split(",") if (spec := member.strip(" \t"))]


def _resolve(spec: str, size: int) -> ByteRange | Literal["unsatisfiable"] | None:
    """One range-spec against `size`; None when it is no valid one (RFC 9110, 14.1.1)."""
    match = _SPEC.fullmatch(spec)
    if match is None or spec == "-":
        return None
    first, last = match.groups()
    if not first:
        return _resolve_suffix(_position(last), size)
    start = _position(first)
    stop = _position(last) + 1 if last else max(size, start + 1)
    if stop <= start:  # RFC 9110, 14.1.1: a last-pos below first-pos makes the field invalid.
        return None
    return ByteRange(start, min(stop, size)) if start < size else UNSATISFIABLE


def _resolve_suffix(length: int, size: int) -> ByteRange | Literal["unsatisfiable"]:
    # RFC 9110, 14.1.2: a suffix longer than the representation is all of it.
    return ByteRange(max(size - length, 0), size) if length else UNSATISFIABLE


def _position(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _MAX_DIGITS else 10**_MAX_DIGITS


def format_content_range(span: ByteRange, size: int) -> str:
    """Content-Range of one part (RFC 9110, 14.4)."""
    return f"bytes {span.start}-{span.stop - 1}/{size}"


def format_unsatisfied(size: int) -> str:
    """Content-Range of a 416 (RFC 9110, 14.4)."""
    return f"bytes */{size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipart:
    """A multipart/byteranges body: each head goes before its range, `closing` behind the last.

    `length` is the exact size of the whole body in bytes.
    """

    content_type: str
    parts: tuple[tuple[bytes, ByteRange], ...]
    closing: bytes
    length: int


def plan_multipart(
    spans: tuple[ByteRange, ...], size: int, *, content_type: str, boundary: str
) -> Multipart:
    """Frame `spans` of a representation of `size` bytes (RFC 9110, 14.6; RFC 2046, 5.1.1).

    `boundary` is one to 70 letters and digits that nobody could have put into the content.
    """
    parts: list[tuple[bytes, ByteRange]] = []
    for span in spans:
        # RFC 2046, 5.1.1: the line break before a delimiter belongs to it.
        delimiter = f"\r\n--{boundary}" if parts else f"--{boundary}"
        fields = f"Content-Type: {content_type}\r\nContent-Range: {format_content_range(span, size)}"
        parts.append((f"{delimiter}\r\n{fields}\r\n\r\n".encode("ascii"), span))
    closing = f"\r\n--{boundary}--\r\n".encode("ascii")
    length = sum(len(head) + span.length for head, span in parts) + len(closing)
    return Multipart(
        content_type=f"multipart/byteranges; boundary={boundary}",
        parts=tuple(parts),
        closing=closing,
        length=length,
    )
