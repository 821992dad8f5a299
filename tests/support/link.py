"""One connection through a fault proxy: a client's socket, a server's socket, and what passes."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import TYPE_CHECKING, Protocol

from tests.support.faults import Action, Fault
from tests.support.framing import RequestScanner

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.support.framing import Piece, Request

_READ_SIZE = 64 * 1024
_SLICES_PER_SECOND = 50
_DRAIN_SECONDS = 5.0
_READ_SECONDS = 0.5


class Owner(Protocol):
    """What a link needs of its proxy."""

    bandwidth: int | None

    def meet(self, request: Request) -> Fault | None:
        """A request's head came; the fault that is to happen to it."""
        ...

    def fire(self, fault: Fault) -> bool:
        """The fault is about to happen; False when it must not any more."""
        ...

    def count(self, size: int) -> None:
        """So many bytes more were passed on to the server."""
        ...


class _ServerGoneError(Exception):
    """The server takes nothing more; it may still have something to say."""


class Link:
    """Relays until both sides are done, one breaks, or a fault strikes; then both sides are closed."""

    def __init__(self, owner: Owner, client: socket.socket) -> None:
        self._owner = owner
        self._client = client
        self._server = socket.socket()
        self._server.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[bool] = self._loop.create_future()
        self._scanner = RequestScanner()
        self._fault: Fault | None = None
        self._passed = 0  # bytes of the present request's body
        self._silent = False
        self._method = ""  # of the present request
        self._awaiting: Fault | None = None  # what is to happen to the next answer
        self._holding = False
        self._released = asyncio.Event()
        self._kept = bytearray()  # what the client sent while its request was held
        self._half_closed = False

    async def run(self, upstream: tuple[str, int]) -> None:
        """Connect, relay, close."""
        tasks: list[asyncio.Task[None]] = []
        reset = True
        try:
            await self._loop.sock_connect(self._server, upstream)
            tasks = [asyncio.create_task(self._guard(way())) for way in (self._upward, self._downward)]
            reset = await self._ended
        except ConnectionError:
            pass  # the server is away: the client is reset
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _close(self._server, reset=reset)
            _close(self._client, reset=reset)

    def end(self, *, reset: bool) -> None:
        """Close both sides now, with RST or with FIN."""
        if not self._ended.done():
            self._ended.set_result(reset)

    def release(self) -> None:
        """Let pass what is held."""
        self._released.set()

    async def _guard(self, way: Coroutine[None, None, None]) -> None:
        try:
            await way
        except OSError:
            self.end(reset=True)

    async def _upward(self) -> None:
        try:
            while data := await self._receive():
                for piece in self._scanner.feed(data):
                    await self._forward(piece)
            await self._send(self._scanner.rest())
            self._server.shutdown(socket.SHUT_WR)
        except _ServerGoneError:
            pass  # its answer still passes, and how it left shows there
        if self._holding:  # and nobody is there any more
            self.end(reset=True)
        self._one_way_done()

    async def _receive(self) -> bytes:
        if self._kept:
            data, self._kept = bytes(self._kept), bytearray()
            return data
        return await self._loop.sock_recv(self._client, _READ_SIZE)

    async def _downward(self) -> None:
        while data := await self._loop.sock_recv(self._server, _READ_SIZE):
            if not self._silent:
                await self._loop.sock_sendall(self._client, await self._treat_answer(data))
        if self._awaiting is not None or self._silent:
            self.end(reset=True)
        else:
            self._client.shutdown(socket.SHUT_WR)
            self._one_way_done()

    async def _treat_answer(self, data: bytes) -> bytes:
        """What is to be passed on of `data`; comes back late, or never, when a fault says so."""
        if self._awaiting is None:
            return data
        if data.startswith(b"HTTP/1.1 100 "):  # not the answer yet
            size = data.index(b"\r\n\r\n") + 4
            await self._loop.sock_sendall(self._client, data[:size])
            return await self._treat_answer(data[size:]) if data[size:] else b""
        fault, self._awaiting = self._awaiting, None
        if not self._owner.fire(fault):
            return data
        if fault.action is Action.HOLD_RESPONSE:
            await self._wait_for_release()
        else:
            await self._say(fault.answer)
            await self._strike(fault.action)
        return data

    async def _wait_for_release(self) -> None:
        self._released.clear()
        self._holding = True
        await self._released.wait()
        self._holding = False

    async def _say(self, answer: bytes) -> None:
        head, end, _ = answer.partition(b"\r\n\r\n")
        await self._loop.sock_sendall(self._client, head + end if self._method == "HEAD" else answer)

    def _one_way_done(self) -> None:
        """An end was passed on; the second one ends the link."""
        if self._half_closed:
            self.end(reset=False)
        self._half_closed = True

    async def _forward(self, piece: Piece) -> None:
        if piece.is_head:
            self._fault, self._passed = self._owner.meet(piece.request), 0
            self._method = piece.request.method
        fault = self._fault
        if fault is None:
            await self._send(piece.data)
        elif fault.action in _AT_THE_ANSWER:
            # Marked before the last byte leaves: the answer cannot be quicker.
            self._awaiting = fault if piece.is_last else None
            await self._send(piece.data)
        elif fault.action in _AT_THE_HEAD and piece.is_head and not self._owner.fire(fault):
            self._fault = None
            await self._send(piece.data)
        else:
            await self._hinder(fault, piece)

    async def _hinder(self, fault: Fault, piece: Piece) -> None:
        match fault.action:
            case Action.REFUSE:
                await self._strike(fault.action)
            case Action.ANSWER:
                # Once the client has sent everything, or while it waits to be told that it may.
                if piece.is_last or "expect" in piece.request.headers:
                    await self._say(fault.answer)
                    await self._strike(fault.action)
            case Action.HOLD:
                if piece.is_head:
                    await self._hold()
                await self._send(piece.data)
            case Action.CORRUPT:
                await self._send(self._corrupt(fault, piece))
            case _:
                await self._forward_to(fault, piece)

    async def _hold(self) -> None:
        keeper = asyncio.create_task(self._guard(self._keep()))
        try:
            await self._wait_for_release()
        finally:
            keeper.cancel()

    async def _keep(self) -> None:
        """Read on, so that it is noticed when the client leaves."""
        while data := await self._loop.sock_recv(self._client, _READ_SIZE):
            self._kept += data
        self.end(reset=True)

    def _corrupt(self, fault: Fault, piece: Piece) -> bytes:
        place = fault.after - self._passed
        self._passed += 0 if piece.is_head else len(piece.data)
        if piece.is_head or not 0 <= place < len(piece.data) or not self._owner.fire(fault):
            return piece.data
        return piece.data[:place] + bytes([piece.data[place] ^ 0xFF]) + piece.data[place + 1 :]

    async def _forward_to(self, fault: Fault, piece: Piece) -> None:
        room = len(piece.data) if piece.is_head else fault.after - self._passed
        await self._send(piece.data[:room])
        self._passed += 0 if piece.is_head else min(room, len(piece.data))
        if self._passed >= fault.after:
            self._fault = None
            await self._wait_until_acknowledged()
            await self._wait_until_read()
            if self._owner.fire(fault):
                await self._strike(fault.action)
        await self._send(piece.data[room:])

    async def _strike(self, action: Action) -> None:
        if action is Action.SILENCE:
            self._silent = True
        else:
            self.end(reset=action not in _POLITE)
        await asyncio.Event().wait()  # nothing passes any more; the end of the link cancels this

    async def _send(self, data: bytes) -> None:
        while data:
            rate = self._owner.bandwidth
            size = len(data) if rate is None else max(1, rate // _SLICES_PER_SECOND)
            part, data = data[:size], data[size:]
            if rate is not None:
                await asyncio.sleep(len(part) / rate)
            try:
                await self._loop.sock_sendall(self._server, part)
            except ConnectionError as error:
                raise _ServerGoneError from error
            self._owner.count(len(part))

    async def _wait_until_acknowledged(self) -> None:
        """A reset throws away what is not acknowledged, which would make the count inexact."""
        async with asyncio.timeout(_DRAIN_SECONDS):
            while _unacknowledged(self._server):  # noqa: ASYNC110 - the kernel sets no event
                await asyncio.sleep(0.001)

    async def _wait_until_read(self) -> None:
        """What a server has not read when it is reset it never reads, if it happens to write just then.

        One that does not read at all is not waited for any longer.
        """
        deadline = self._loop.time() + _READ_SECONDS
        while _unread(self._server) and self._loop.time() < deadline:  # noqa: ASYNC110 - no event either
            await asyncio.sleep(0.001)


_AT_THE_HEAD = {Action.REFUSE, Action.ANSWER, Action.HOLD}
_AT_THE_ANSWER = {Action.LOSE_RESPONSE, Action.ANSWER_INSTEAD, Action.HOLD_RESPONSE}
_POLITE = {Action.CLOSE, Action.ANSWER, Action.ANSWER_INSTEAD}


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes given to the kernel that the peer's kernel has not confirmed (SIOCOUTQ of tcp(7))."""
    answer = fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0))
    size: int = struct.unpack("i", answer)[0]
    return size


def _unread(sock: socket.socket) -> int:
    """Bytes that wait for the peer, a process on this machine, to read them (proc(5), /proc/net/tcp)."""
    ends = [_as_listed(*sock.getpeername()), _as_listed(*sock.getsockname())]
    with open("/proc/net/tcp", encoding="ascii") as table:
        queues = [fields[4] for line in table if (fields := line.split())[1:3] == ends]
    return sum(int(queue.partition(":")[2], 16) for queue in queues)


def _as_listed(address: str, port: int) -> str:
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"


def _close(sock: socket.socket, *, reset: bool) -> None:
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
