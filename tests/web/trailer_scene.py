"""A server that tells what it understood of each request, and requests with trailers to send to it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from random import Random
from typing import Any

from aiohttp import web

from tests.web.download_scene import LOOPS, Client
from tusd_py.web.body import RequestBody
from tusd_py.web.connection import Connection, Runner

SUM = "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="
TRAILER = f"Upload-Checksum: {SUM}\r\n".encode()
FIELDS = [["upload-checksum", SUM]]
LARGE = Random(3).randbytes(5 * 1024 * 1024)


def chunked(content: bytes, *, size: int = 65536, trailer: bytes = TRAILER, head: bytes = b"") -> bytes:
    """A PATCH whose body comes in chunks of `size` bytes, `trailer` behind them."""
    announced = b"PATCH /files/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + head + b"\r\n"
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return announced + body + b"0\r\n" + trailer + b"\r\n"


def announcing(content: bytes, *, size: int = 65536, trailer: bytes = TRAILER) -> bytes:
    return chunked(content, size=size, trailer=trailer, head=b"Trailer: Upload-Checksum\r\n")


def fixed(content: bytes) -> bytes:
    head = b"PATCH /files/2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    return head % len(content) + content


PLAIN = b"OPTIONS /files/ HTTP/1.1\r\nHost: x\r\n\r\n"
REFUSED = b"PATCH /refused HTTP/1.1"


async def tell(request: web.Request) -> web.Response:
    """Read the whole body and say what came: its digest, the trailer fields, the names in the head."""
    body = RequestBody(request, idle_timeout=10)
    if request.path == "/refused":
        return web.json_response({"trailer": body.trailing_fields()})
    digest = sha256()
    async for piece in body.chunks():
        digest.update(piece)
    names = [name for name in request.headers if name != "Host"]
    told = {"body": digest.hexdigest(), "trailer": body.trailing_fields(), "names": names}
    return web.json_response(told)


def told(content: bytes, trailer: list[list[str]] | None, *names: str) -> dict[str, Any]:
    """What `tell` answers to a request with this body, these trailer fields and fields in its head."""
    return {"body": sha256(content).hexdigest(), "trailer": trailer, "names": list(names)}


IN_CHUNKS = ("Transfer-Encoding", "Trailer")


def application() -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", tell)
    return app


# -- a connection without a network: every byte where it is wanted --------------------------------


class Wire(asyncio.Transport):
    """Takes what the server writes, and can be written to only while the server reads."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.pauses = 0
        self._reading = asyncio.Event()
        self._reading.set()
        self._progress = asyncio.Event()
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self._progress.set()

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._progress.set()

    def pause_reading(self) -> None:
        self.pauses += 1
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    async def send(self, connection: Connection, *pieces: bytes) -> None:
        """Hand over each piece as soon as the server takes it."""
        for piece in pieces:
            await self._reading.wait()
            connection.data_received(piece)

    async def answers(self, count: int) -> list[Any]:
        """The bodies of the first `count` answers."""
        while len(found := read_answers(bytes(self.written))) < count and not self._closed:
            self._progress.clear()
            await self._progress.wait()
        return found


def read_answers(stream: bytes) -> list[Any]:
    found = []
    while b"\r\n\r\n" in stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(rest) < length:
            break
        found.append(json.loads(rest[:length]))
        stream = rest[length:]
    return found


@asynccontextmanager
async def connected(server: Any) -> AsyncIterator[tuple[Wire, Connection]]:
    wire = Wire()
    connection = server()
    assert isinstance(connection, Connection)
    connection.connection_made(wire)
    try:
        yield wire, connection
    finally:
        connection.connection_lost(None)


@asynccontextmanager
async def running() -> AsyncIterator[Runner]:
    runner = Runner(application(), idle_timeout=30, shutdown_timeout=1)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


# -- real sockets ---------------------------------------------------------------------------------


@contextmanager
def serving(loop: str, runner_type: Any = Runner) -> Iterator[int]:
    """Serve `application` on a port of the loopback from a loop of this kind in a thread of its own."""
    started = threading.Event()
    state: list[Any] = []

    async def live() -> None:
        over = asyncio.Event()
        options = {"idle_timeout": 30} if runner_type is Runner else {}
        runner = runner_type(application(), shutdown_timeout=1, **options)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        state.extend([asyncio.get_running_loop(), over, runner.addresses[0][1]])
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
        yield state[2]
    finally:
        state[0].call_soon_threadsafe(state[1].set)
        thread.join(30)


@contextmanager
def client(port: int) -> Iterator[Client]:
    with Client(port) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def answer(connection: Client) -> Any:
    return json.loads(connection.read_answer().body)
