"""HTTP/1.1 without a library in between: what is sent is exact, and nothing of an answer is hidden."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SECONDS = 20.0
"""How long a server may take for the next byte before a test fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One final answer as it came: field lines in order, and the statuses of the interim ones before it."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    interim: tuple[int, ...] = ()

    def all(self, name: str) -> list[str]:
        """The values of every line of the field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of the field's only line, None where there is none; AssertionError for several."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def listed(self, name: str) -> set[str]:
        """The members of a comma-separated field, lower-case."""
        return {item.strip().lower() for value in self.all(name) for item in value.split(",")}


def format_head(
    method: str, target: str, fields: Mapping[str, str | Sequence[str] | None], host: str = "files.test"
) -> bytes:
    """A request's head. A field with None is left out, one with several values gets several lines."""
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in {"Host": host, **fields}.items():
        values = [value] if isinstance(value, str) else value or ()
        lines += [f"{name}: {each}" for each in values]
    return "\r\n".join((*lines, "", "")).encode("latin-1", "surrogateescape")


def format_chunks(pieces: Iterable[bytes], *, end: bool = True) -> bytes:
    """A body in chunked coding (RFC 9112, 7.1), with its last chunk if `end`."""
    coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return coded + (b"0\r\n\r\n" if end else b"")


class Wire:
    """One connection. Bytes beyond an answer stay in the buffer and belong to the next one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()
        sock.settimeout(SECONDS)

    @classmethod
    def to(cls, port: int, *, receive_buffer: int | None = None) -> Self:
        """Connect to a TCP port of this machine; `receive_buffer` in bytes makes a narrow client."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self.sock.sendall(data)

    def read(self, method: str = "GET") -> Response:
        """The next final answer; `method` is that of the request it belongs to."""
        interim: list[int] = []
        while True:
            status, reason, fields = self._read_head()
            if status >= 200:
                break
            interim.append(status)
        body = self._read_body(method, status, fields)
        return Response(
            status=status, reason=reason, fields=tuple(fields), body=body, interim=tuple(interim)
        )

    def read_interim(self) -> int:
        """The status of the next answer's head, which has to be an interim one."""
        status, _, _ = self._read_head()
        assert 100 <= status < 200, f"final answer {status} where an interim one was due"
        return status

    def rest(self) -> bytes:
        """Everything until the server closes; a reset counts as closing."""
        pieces = [self._cut(len(self._buffer))]
        try:
            while piece := self.sock.recv(65536):
                pieces.append(piece)
        except ConnectionError:
            pass
        return b"".join(pieces)

    def _read_head(self) -> tuple[int, str, list[tuple[str, str]]]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self._cut(end + 4)[:-4]
        line, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = line.split(" ", 2)
        assert version in {"HTTP/1.1", "HTTP/1.0"}, line  # 1.0 where the request could not be read
        fields = [(name, value.strip()) for name, _, value in (each.partition(":") for each in lines)]
        return int(status), reason, fields

    def _read_body(self, method: str, status: int, fields: list[tuple[str, str]]) -> bytes:
        named = {name.lower(): value for name, value in fields}
        # RFC 9112, 6.3: the order of these rules is the order of the section.
        if method == "HEAD" or status in {204, 304}:
            return b""
        if named.get("transfer-encoding") == "chunked":
            return self._read_chunks()
        if "content-length" in named:
            return self._take(int(named["content-length"]))
        return self.rest()

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self._take_line(), 16):
            body += self._take(size)
            assert self._take_line() == b""
        assert self._take_line() == b""
        return body

    def _take_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._more()
        return self._cut(end + 2)[:-2]

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        return self._cut(size)

    def _cut(self, size: int) -> bytes:
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def _more(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise EOFError(f"the server closed after {bytes(self._buffer)!r}")
        self._buffer += piece
