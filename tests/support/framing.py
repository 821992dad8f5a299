"""Where requests begin and end in the bytes a client sends: just enough of RFC 9112 for a proxy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request's head. Field names are lower-case; of repeated fields the last one is kept."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def line(self) -> str:
        """Method and target, as in `PATCH /files/1`."""
        return f"{self.method} {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some bytes of one request: its whole head, or a part of its body with whatever frames it."""

    request: Request
    data: bytes
    is_head: bool
    is_last: bool


_FOREVER = 1 << 62


class RequestScanner:
    """Takes bytes as they come and gives them back, all of them and in order, as pieces.

    A head, and the line before a chunk, is held back until it is whole. What follows a request for
    another protocol (Upgrade) is its body, for good.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._request: Request | None = None
        self._left = 0  # bytes until the body, or the chunk with its line end, is over
        self._chunked = False
        self._in_trailer = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that `data` makes complete."""
        self._pending += data
        while self._pending:
            piece = self._take_head() if self._request is None else self._take_body(self._request)
            if piece is None:
                return
            if piece.is_last:
                self._request = None
            yield piece

    def rest(self) -> bytes:
        """What is still held back, for the end of the connection."""
        return self._take(len(self._pending))

    def _take(self, size: int) -> bytes:
        data = bytes(self._pending[:size])
        del self._pending[:size]
        return data

    def _take_head(self) -> Piece | None:
        end = self._pending.find(b"\r\n\r\n")
        if end < 0:
            return None
        data = self._take(end + 4)
        self._request = request = _parse_head(data)
        self._chunked = "chunked" in request.headers.get("transfer-encoding", "").lower()
        self._in_trailer = False
        self._left = 0 if self._chunked else int(request.headers.get("content-length", "0"))
        if "upgrade" in request.headers:
            self._left = _FOREVER
        is_last = not self._chunked and self._left == 0
        return Piece(request=request, data=data, is_head=True, is_last=is_last)

    def _take_body(self, request: Request) -> Piece | None:
        if self._left == 0:
            return self._take_chunk_line(request)
        data = self._take(self._left)
        self._left -= len(data)
        is_last = not self._chunked and self._left == 0
        return Piece(request=request, data=data, is_head=False, is_last=is_last)

    def _take_chunk_line(self, request: Request) -> Piece | None:
        end = self._pending.find(b"\r\n")
        if end < 0:
            return None
        line = self._take(end + 2)
        is_last = self._in_trailer and line == b"\r\n"
        if not self._in_trailer:
            size = int(line.split(b";")[0], 16)
            self._left = size + 2 if size else 0
            self._in_trailer = size == 0
        return Piece(request=request, data=line, is_head=False, is_last=is_last)


def _parse_head(head: bytes) -> Request:
    line, *fields = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = line.split(" ", 2)
    pairs = (field.partition(":") for field in fields)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Request(method=method, target=target, headers=headers)
