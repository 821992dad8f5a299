"""The trailer fields of requests, found in the raw bytes of a connection.

For HTTP libraries that read a chunked body's trailer section and throw it away. Citations without a
name are of RFC 9112, the framing of HTTP/1.1 messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tusd_py.protocol.heads import Fields

MAX_HEAD: Final = 256 * 1024
"""Bytes of a request's head, its request line included."""

MAX_CHUNK_LINE: Final = 4096
"""Bytes of the line before a chunk, its extensions included."""

MAX_TRAILER: Final = 8192
"""Bytes of one trailer section."""

MAX_AHEAD: Final = 64
"""Notes about requests that the application has not come to yet."""

_FOREVER: Final = 1 << 62
"""More bytes than a connection can bring."""

# The fields that frame a message or lead out of HTTP/1.1, and folded lines (5.2). The constant beginning
# is what makes this quick: most heads have nothing of it.
_NOTABLE = re.compile(
    rb"\r\n(?:([ \t])|(content-length|transfer-encoding|trailer|upgrade)([ \t:][^\r]*))", re.IGNORECASE
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,15})(?:;[^\r\n\0]*)?\r\n")  # 7.1
_NEXT_CHUNK = re.compile(rb"\r\n([1-9a-fA-F][0-9a-fA-F]{0,14})\r\n")
_SECTION = re.compile(rb"(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*)*\r\n\r\n")  # 7.1.2


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A part of the stream that is looked at: it ends in `mark` and has at most `limit` bytes."""

    mark: bytes
    limit: int


_HEAD: Final = _Part(b"\r\n\r\n", MAX_HEAD)
_CHUNK_SIZE: Final = _Part(b"\r\n", MAX_CHUNK_LINE)
_CHUNK_END: Final = _Part(b"\r\n", 2)
_TRAILER: Final = _Part(b"\r\n\r\n", MAX_TRAILER)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Framing:
    """How a body is delimited: by its length in bytes, or by chunks when that is None."""

    length: int | None
    announces: bool = False


class TrailerScanner:
    """Follows one connection's bytes, in any pieces, and keeps the trailer fields that were announced.

    Requests are numbered as they come, from 0. Bodies are passed over, not looked at; memory is bounded
    by the limits above. Framing that is not strictly that of HTTP/1.1, or leads out of it (Upgrade,
    CONNECT), makes the scanner lose the thread for good: then no trailer is found any more, and none is
    ever found in the wrong place. Nothing here raises.
    """

    __slots__ = (
        "_announced",
        "_field_counts",
        "_follows_fields",
        "_held",
        "_kept",
        "_ordinal",
        "_part",
        "_skip",
        "lost",
    )

    def __init__(self) -> None:
        self.lost = False
        self._ordinal = -1
        self._part = _HEAD
        self._held = bytearray()  # what has come of a part that is not whole
        self._skip = 0  # bytes of a body that are still to come
        self._announced = False
        self._follows_fields = False
        self._kept: dict[int, bytes] = {}
        self._field_counts: dict[int, int] = {}

    def feed(self, data: bytes) -> None:
        """Take note of what came in next; b"" changes nothing."""
        position = self._skip
        size = len(data)
        while position < size:
            position = self._advance(data, position)
        self._skip = position - size

    @property
    def body_left(self) -> int:
        """Bytes that are still to come of a body whose length was given; 0 for every other."""
        return 0 if self.lost or self._part is not _HEAD else self._skip

    def pass_over(self, count: int) -> None:
        """Take note of `count` bytes of a body, at most `body_left`, that came another way."""
        self._skip -= count

    def take(self, ordinal: int) -> Fields | None:
        """Hand out a request's trailer fields, names in lower case, and forget them.

        None: it announced none, sent none, is not over, or the thread was lost before it was.
        """
        section = self._kept.pop(ordinal, None)
        if section is None:
            return None
        lines = section.decode("utf-8", "surrogateescape").split("\r\n")[1:-2]
        pairs = (line.partition(":") for line in lines)
        return tuple((name.lower(), value.strip(" \t")) for name, _, value in pairs)

    def field_count(self, ordinal: int) -> int | None:
        """How many field lines a request's head has, if the request before it had trailer fields.

        None for every other request.
        """
        return self._field_counts.get(ordinal)

    def forget(self, before: int) -> None:
        """Keep nothing about the requests before this one."""
        for notes in (self._kept, self._field_counts):
            if notes:
                for ordinal in [ordinal for ordinal in notes if ordinal < before]:
                    del notes[ordinal]

    def _advance(self, data: bytes, position: int) -> int:
        """Where to go on after the part at `position`; that may lie behind the end of `data`."""
        part = self._part
        if part is _CHUNK_END and (match := _NEXT_CHUNK.match(data, position)) and not self._held:
            return match.end() + int(match[1], 16)  # the usual case, in one step
        piece, position = self._gather(data, position, part)
        if piece is None:
            return position
        if part is _HEAD:
            return position + self._read_head(piece)
        if part is _CHUNK_SIZE:
            return position + self._read_chunk_size(piece)
        if part is _CHUNK_END:
            return position + self._read_chunk_end(piece)
        return position + self._read_trailer(piece)

    def _gather(self, data: bytes, position: int, part: _Part) -> tuple[bytes | None, int]:
        """The part, once it is whole, and the position behind what belongs to it."""
        mark = part.mark
        if not self._held:
            end = data.find(mark, position) + len(mark)
            if len(mark) <= end <= position + part.limit:
                return data[position:end], end
        return self._gather_pieces(data, position, part)

    def _gather_pieces(self, data: bytes, position: int, part: _Part) -> tuple[bytes | None, int]:
        held, mark = self._held, part.mark
        end = self._find_across(data, position, mark)
        if end < 0 and (found := data.find(mark, position)) >= 0:
            end = found + len(mark)
        stop = end if end >= 0 else len(data)
        if len(held) + stop - position > part.limit:
            return None, self._lose()
        held += data[position:stop]
        if end < 0:
            return None, stop
        piece = bytes(held)
        held.clear()
        return piece, end

    def _find_across(self, data: bytes, position: int, mark: bytes) -> int:
        """The position behind a `mark` that began in what is held; -1 if there is none."""
        reach = len(mark) - 1
        before = self._held[-reach:]
        found = (before + data[position : position + reach]).find(mark)
        return -1 if found < 0 else position + found + len(mark) - len(before)

    # Each of these reads one part and returns how many bytes to pass over behind it.

    def _read_head(self, head: bytes) -> int:
        if head[:2] == b"\r\n":  # 2.2: an empty line before the request line is ignored
            head = head[2:]
            if head == b"\r\n":
                return 0
        self._ordinal += 1
        if self._follows_fields:
            self._follows_fields = False
            self._field_counts[self._ordinal] = head.count(b"\r\n") - 2
        framing = _read_framing(head)
        if framing is None or len(self._kept) + len(self._field_counts) > MAX_AHEAD:
            return self._lose()
        if framing.length is None:
            self._part = _CHUNK_SIZE
            self._announced = framing.announces
        return framing.length or 0

    def _read_chunk_size(self, line: bytes) -> int:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            return self._lose()
        size = int(match[1], 16)
        if size == 0:
            self._part = _TRAILER
            self._held += b"\r\n"  # of this line: the section ends in an empty line, with or without fields
        else:
            self._part = _CHUNK_END
        return size

    def _read_chunk_end(self, line: bytes) -> int:
        self._part = _CHUNK_SIZE
        return 0 if line == b"\r\n" else self._lose()

    def _read_trailer(self, section: bytes) -> int:
        if not _SECTION.fullmatch(section):
            return self._lose()
        self._part = _HEAD
        self._follows_fields = len(section) > 4
        if self._announced and self._follows_fields:
            self._kept[self._ordinal] = section
        return 0

    def _lose(self) -> int:
        self.lost = True
        self._held.clear()
        return _FOREVER


_NO_BODY: Final = _Framing(length=0)


def _read_framing(head: bytes) -> _Framing | None:
    """How the body behind `head` is delimited; None where that cannot be told for certain (6.3)."""
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:  # 2.2: a lone CR or LF
        return None
    if head[:8].upper() == b"CONNECT ":
        return None
    notable = _NOTABLE.findall(head)
    if not notable:
        return _NO_BODY
    fields: dict[bytes, bytes] = {}
    for fold, found, value in notable:
        name = found.lower()
        # RFC 9110, 5.3: of these only Trailer is a list that may have several lines.
        if fold or value[:1] != b":" or name == b"upgrade" or (name in fields and name != b"trailer"):
            return None
        fields[name] = value[1:].strip(b" \t")
    if b"transfer-encoding" in fields:
        return _read_chunked(head, fields)
    length = fields.get(b"content-length", b"0")
    return _Framing(length=int(length)) if _LENGTH.fullmatch(length) else None


def _read_chunked(head: bytes, fields: dict[bytes, bytes]) -> _Framing | None:
    # 6.1: never together with Content-Length, never in HTTP/1.0.
    is_plain = fields[b"transfer-encoding"].lower() == b"chunked" and b"content-length" not in fields
    is_current = head.partition(b"\r\n")[0].endswith(b" HTTP/1.1")
    return _Framing(length=None, announces=b"trailer" in fields) if is_plain and is_current else None
