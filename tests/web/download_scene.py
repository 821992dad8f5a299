"""A server that shows one upload, under either event loop, and a client that takes nothing on trust."""

from __future__ import annotations

import asyncio
import socket
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from typing import BinaryIO, Self

import uvloop
from aiohttp import web

from tusd_py.core.errors import StoreError
from tusd_py.core.model import Metadata, Upload, UploadState
from tusd_py.core.ports import Reader
from tusd_py.web.downloads import send

CONTENT = Random(7).randbytes(300_000)
CHANGED = datetime(2026, 11, 5, 12, 0, 0, 250_000, tzinfo=UTC)
CHANGED_TEXT = "Thu, 05 Nov 2026 12:00:00 GMT"
FINISHED = Upload(
    id="c0ffee",
    name="c0ffee.mp4",
    created_at=CHANGED,
    offset=len(CONTENT),
    length=len(CONTENT),
    state=UploadState.COMPLETE,
    metadata=Metadata.parse(
        f"filename {b64encode(b'Film.mp4').decode()},filetype {b64encode(b'video/mp4').decode()}"
    ),
)
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class MemoryReader:
    """A Reader over bytes that notes how far it was read; it breaks down at `fails_at`."""

    content: bytes
    modified_at: datetime = CHANGED
    file: BinaryIO | None = None
    fails_at: int | None = None
    furthest: int = 0

    @property
    def size(self) -> int:
        return len(self.content)

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        for position in range(start, stop, 8192):
            if self.fails_at is not None and position >= self.fails_at:
                raise StoreError("the storage broke down")
            self.furthest = min(position + 8192, stop)
            yield self.content[position : self.furthest]


@dataclass
class FileReader:
    """A Reader over an open file; `claims` is the size it has found when it was opened."""

    file: BinaryIO
    claims: int
    modified_at: datetime = CHANGED

    @property
    def size(self) -> int:
        return self.claims

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        self.file.seek(start)
        while start < stop and (piece := self.file.read(min(8192, stop - start))):
            start += len(piece)
            yield piece


@dataclass
class Scene:
    """What the server has to show, and the errors that left `send`."""

    reader: Reader
    upload: Upload = FINISHED
    errors: list[BaseException] = field(default_factory=list)
    answered: threading.Event = field(default_factory=threading.Event)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method = request.headers.get("X-HTTP-Method-Override", request.method)
        try:
            return await send(request, self.upload, self.reader, method=method)
        except StoreError as error:
            self.errors.append(error)
            return web.Response(status=500, text="ERR_INTERNAL_SERVER_ERROR: try again\n")
        finally:
            self.answered.set()


@contextmanager
def serving(scene: Scene, loop: str) -> Iterator[int]:
    """Serve `scene` on a port of the loopback from a loop of this kind in a thread of its own."""
    port: list[int] = []
    started = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def live() -> None:
        runner = web.ServerRunner(web.Server(scene.handle))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.append(runner.addresses[0][1])
        over = asyncio.Event()
        stop.append((asyncio.get_running_loop(), over))
        started.set()
        await over.wait()
        await runner.cleanup()

    def run() -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(live())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield port[0]
    finally:
        stop[0][0].call_soon_threadsafe(stop[0][1].set)
        thread.join(30)


@dataclass
class Answer:
    """A whole answer, field names in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes


class Client:
    """One connection, framed by RFC 9112, 6.3. Nothing is thrown away: a stray byte spoils what follows."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.stream = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()

    def ask(self, method: str = "GET", **fields: str | tuple[str, ...]) -> Answer:
        """Send a request (`If_Match` is If-Match, a tuple is a field in several lines), read its answer."""
        lines = [
            f"{name.replace('_', '-')}: {value}"
            for name, values in fields.items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        head = "\r\n".join([f"{method} / HTTP/1.1", "Host: x", *lines, "", ""])
        self.socket.sendall(head.encode())
        return self.read_answer(method)

    def read_answer(self, method: str = "GET") -> Answer:
        """The next answer on the connection, to a request of this method."""
        status = self.stream.readline().split(b" ")
        assert status[0] == b"HTTP/1.1"
        lines = iter(self.stream.readline, b"\r\n")
        pairs = [line.decode().rstrip("\r\n").split(": ", 1) for line in lines]
        fields = {name.lower(): value for name, value in pairs}
        assert len(fields) == len(pairs)
        if method == "HEAD" or status[1] == b"304":
            return Answer(int(status[1]), fields, b"")
        return Answer(int(status[1]), fields, self.stream.read(int(fields["content-length"])))

    def is_kept(self) -> bool:
        """The connection brings one more whole answer, and after that nothing but its end."""
        again = self.ask(Connection="close")
        whole = (again.status, sha256(again.body).digest()) == (200, sha256(CONTENT).digest())
        return whole and self.stream.read() == b""
