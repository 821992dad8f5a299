"""A TCP proxy that breaks things on purpose, at an exact byte of an exact request.

    with FaultProxy("127.0.0.1", port) as proxy:
        proxy.script(faults.reset_after(100_000), faults.lose_response("POST"))
        ...  # a client talks to proxy.origin
        proxy.down()  # the cable is pulled
        proxy.up()

Scripted faults happen one after another: the next one waits until the one before it has happened. A
fault counts the bytes of one request's body as they stand on the wire. If that body is too short,
the fault waits for the next request that fits. What has no fault passes unchanged.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from tests.support.link import Link
from tests.support.loop import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faults import Fault
    from tests.support.framing import Request


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and passes everything on to `host`:`port`.

    Runs in its own thread: every method may be called from anywhere, also from a blocking test.
    `upstream` may be set to another address; new connections go there.
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self.bandwidth: int | None = None
        self._changed = threading.Condition()
        self._script: deque[Fault] = deque()
        self._matches = 0
        self._strikes = 0  # how often the next fault has happened already
        self._fired: list[Fault] = []
        self._requests: list[Request] = []
        self._forwarded = 0
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = BackgroundLoop()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        # This socket only holds the port: it stays ours while nobody listens on it.
        self._port_holder = _bind(0)
        self.port: int = self._port_holder.getsockname()[1]
        self._loop.__enter__()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._loop.__exit__()
        self._port_holder.close()

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`, where clients go."""
        return f"http://127.0.0.1:{self.port}"

    def via(self, url: str) -> str:
        """`url` with this proxy in the place of its host and port."""
        return urlsplit(url)._replace(scheme="http", netloc=f"127.0.0.1:{self.port}").geturl()

    def script(self, *faults: Fault) -> None:
        """Add faults to what is still going to happen."""
        with self._changed:
            self._script.extend(faults)

    def clear(self) -> None:
        """Forget what has not happened yet: the trouble is over."""
        with self._changed:
            self._script.clear()
            self._matches = self._strikes = 0

    def forget_requests(self) -> None:
        """`requests` begins anew."""
        with self._changed:
            self._requests.clear()

    def release(self) -> None:
        """Let what is held pass."""
        self._loop.run(self._release())

    def slow(self, bytes_per_second: int | None) -> None:
        """Limit what each connection passes on to the server; None lifts the limit."""
        self.bandwidth = bytes_per_second

    def down(self) -> None:
        """Refuse new connections and reset all that exist."""
        self._loop.run(self._down())

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._loop.run(self._up())

    def cut(self) -> None:
        """Reset all connections, the silent ones too; new ones are welcome."""
        self._loop.run(self._cut())

    @property
    def forwarded(self) -> int:
        """Bytes passed on to the server, heads and bodies, over all connections."""
        with self._changed:
            return self._forwarded

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests passed on, in the order their heads came."""
        with self._changed:
            return tuple(self._requests)

    @property
    def fired(self) -> tuple[Fault, ...]:
        """The faults that have happened."""
        with self._changed:
            return tuple(self._fired)

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that have not happened yet."""
        with self._changed:
            return tuple(self._script)

    def wait(self, predicate: Callable[[Self], bool], timeout: float = 20.0) -> None:
        """Return as soon as `predicate(self)` holds; AssertionError after `timeout` seconds."""
        with self._changed:
            held = self._changed.wait_for(lambda: predicate(self), timeout)
            lines = [request.line for request in self._requests]
        assert held, f"not in {timeout} s; {self._forwarded} bytes forwarded; requests: {lines}"

    def describe(self, request: Request) -> str:
        """What the `of` of a fault is compared with."""
        return request.line

    # What links call, in the loop's thread.

    def meet(self, request: Request) -> Fault | None:
        """Note a request; the fault that is to happen to it, if any."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            if not self._script or not re.match(self._script[0].of, self.describe(request)):
                return None
            self._matches += 1
            return self._script[0] if self._matches >= self._script[0].nth else None

    def fire(self, fault: Fault) -> bool:
        """Take the fault as happened; False when it happened to another connection before."""
        with self._changed:
            if not self._script or self._script[0] is not fault:
                return False
            self._fired.append(fault)
            self._strikes += 1
            if self._strikes == fault.times:
                self._script.popleft()
                self._matches = self._strikes = 0
            self._changed.notify_all()
            return True

    def count(self, size: int) -> None:
        """Note `size` bytes more passed on to the server."""
        with self._changed:
            self._forwarded += size
            self._changed.notify_all()

    async def _up(self) -> None:
        if self._listener is None:
            self._listener = _bind(self.port)
            self._listener.listen(128)
            asyncio.get_running_loop().add_reader(self._listener, self._admit, self._listener)

    async def _down(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._cut()

    async def _cut(self) -> None:
        for link in self._links:
            link.end(reset=True)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _release(self) -> None:
        for link in self._links:
            link.release()

    def _admit(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it has left again
        client.setblocking(False)
        task = asyncio.create_task(self._relay(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, client: socket.socket) -> None:
        link = Link(self, client)
        self._links.add(link)
        try:
            await link.run(self.upstream)
        finally:
            self._links.discard(link)


def _bind(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    return sock
