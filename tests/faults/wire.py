"""A tus client that can stop at any byte: requests on raw sockets, sent piece by piece."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

from tests.support.payload import sha256
from tests.support.server import Answer, fetch, head, upload_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.support.server import ServerProcess

VERSION = {"Tus-Resumable": "1.0.0"}
CHUNK = {**VERSION, "Content-Type": "application/offset+octet-stream"}
PATIENCE = 20.0


def create(url: str, length: int | None, **fields: str) -> str:
    """A new, empty upload; None defers its length. Returns its URL."""
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    answer = fetch(url, "POST", VERSION | size | fields)
    assert answer.status == 201, answer
    return urljoin(url, answer.headers["location"])


def patch(url: str, offset: int, data: bytes, fields: Mapping[str, str] | None = None) -> Answer:
    """A whole PATCH with a Content-Length."""
    return fetch(url, "PATCH", CHUNK | {"Upload-Offset": str(offset)} | dict(fields or {}), data)


def delete(url: str) -> Answer:
    """A termination."""
    return fetch(url, "DELETE", VERSION)


def offset_of(url: str) -> int:
    """What HEAD says; it has to be a 200."""
    answer = head(url)
    assert answer.status == 200, answer
    return int(answer.headers["upload-offset"])


def resume(url: str, data: bytes) -> int:
    """Send what is missing of `data`; returns the offset it went on from."""
    offset = offset_of(url)
    answer = patch(url, offset, data[offset:])
    assert (answer.status, answer.headers["upload-offset"]) == (204, str(len(data))), answer
    return offset


def code(answer: Answer) -> tuple[int, str]:
    """Status and machine-readable code of a refusal."""
    return answer.status, answer.body.decode().partition(":")[0]


def stored(server: ServerProcess, url: str) -> Path:
    """The file in which the bytes of a running upload arrive."""
    return server.upload_dir / "incoming" / upload_id(url)


def wait_until(holds: Callable[[], object], what: str = "it did not happen") -> None:
    """Return as soon as `holds()`; AssertionError when that takes longer than twenty seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def wait_until_stored(server: ServerProcess, url: str, size: int) -> None:
    """Wait until exactly `size` bytes of the upload are in its file."""
    file = stored(server, url)
    wait_until(lambda: file.stat().st_size == size, f"{file.stat().st_size} bytes stored, not {size}")


def published_digest(server: ServerProcess, url: str) -> str:
    """The sha256 of the one finished file of the upload."""
    return sha256(server.content(url))


class Exchange:
    """One request on a connection of its own. The head is sent at once, the body as it is told.

    With a Content-Length among the fields the body goes out as it is, else with `send_chunk`.
    Leaving the context closes the connection.
    """

    def __init__(self, url: str, method: str, fields: Mapping[str, str]) -> None:
        self._url = urlsplit(url)
        self._socket = socket.create_connection((self._url.hostname, self._url.port), timeout=PATIENCE)
        lines = [f"{method} {self._url.path} HTTP/1.1", f"Host: {self._url.netloc}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        try:
            self._socket.sendall("\r\n".join((*lines, "", "")).encode())
        except OSError:  # the server went in between: there is no context to leave yet
            self._socket.close()
            raise

    @classmethod
    def patch(cls, url: str, offset: int, length: int, **fields: str) -> Self:
        """A PATCH that announces `length` bytes."""
        announced = {"Upload-Offset": str(offset), "Content-Length": str(length)}
        return cls(url, "PATCH", CHUNK | announced | fields)

    @classmethod
    def chunked_patch(cls, url: str, offset: int) -> Self:
        """A PATCH of which nobody knows the length."""
        return cls(url, "PATCH", CHUNK | {"Upload-Offset": str(offset), "Transfer-Encoding": "chunked"})

    @classmethod
    def creation(cls, url: str, length: int, **fields: str) -> Self:
        """A creation whose whole content is announced as its body."""
        announced = {"Upload-Length": str(length), "Content-Length": str(length)}
        return cls(url, "POST", CHUNK | announced | fields)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Some bytes of the body."""
        self._socket.sendall(data)

    def send_chunk(self, data: bytes) -> None:
        """A chunk of a body without a length; an empty one is the last."""
        self._socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self) -> Answer:
        """The whole response."""
        with http.client.HTTPResponse(self._socket) as response:
            response.begin()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(status=response.status, headers=fields, body=response.read())

    def is_answered(self, within: float) -> bool:
        """Whether something of an answer comes in so many seconds; it stays to be read."""
        self._socket.settimeout(within)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(PATIENCE)

    def ends(self) -> bool:
        """Wait for the server to close the connection; False if it says something more instead."""
        return self._socket.recv(1) == b""

    def close(self) -> None:
        """Leave in good order (FIN), whether the request is over or not."""
        self._socket.close()

    def is_taken(self) -> bool:
        """Whether the server's machine has confirmed every byte sent."""
        return ioctl(self._socket, TIOCOUTQ, b"\0" * 4) == b"\0" * 4

    def reset(self) -> None:
        """Leave with RST, once the server's machine has confirmed every byte sent."""
        wait_until(self.is_taken)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
