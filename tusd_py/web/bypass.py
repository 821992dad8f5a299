"""The rest of one request's body, received past aiohttp's parser, straight from the socket into one buffer.

aiohttp makes an object of every piece, joins and splits them, and looks for the end of the body in them.
Here each piece lies in a buffer that all connections of a thread use in turn, is written from there, and
is forgotten. A sender that fills the buffer again and again gets a thread (see tusd_py.web.drainers).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from tusd_py.web.drainers import Drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.streams import StreamReader

    from tusd_py.core.ports import DirectWriter
    from tusd_py.web.connection import Connection
    from tusd_py.web.drainers import Drainers
    from tusd_py.web.tally import Tally

BUFFER = 256 * 1024
"""Bytes received at once in the loop: more hold up the other connections for too long."""

_CAUTIOUS = 64 * 1024
"""The same while the storage is slow: then each connection keeps its own until they are stored."""

_WORTH_A_THREAD = 1024 * 1024
"""Bytes still to come from which a thread pays."""

_BEAT = 0.1
"""Seconds from one word about what has come to the next."""


class _OwnBuffer(threading.local):
    """Each thread has at most one event loop, and a loop uses its buffer for one connection at a time."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(BUFFER))


_own = _OwnBuffer()


class _Word:
    """Wakes the one who waits: at once with `say`; with `mention` not more often than each `_BEAT`."""

    __slots__ = ("_due", "_loop", "_not_before", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._due: asyncio.TimerHandle | None = None
        self._not_before = 0.0

    async def wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def say(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._not_before = self._loop.time() + _BEAT
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def mention(self) -> None:
        if self._due is not None:
            return
        if self._loop.time() >= self._not_before:
            self.say()
        else:
            self._due = self._loop.call_at(self._not_before, self.say)


class _State(Enum):
    RECEIVING = auto()
    DRAINING = auto()  # a thread has the socket
    HOLDING = auto()  # a piece waits for somebody to store it; nothing more is read
    DISCARDING = auto()  # nobody wants the rest
    OVER = auto()  # all of the body has come and aiohttp has the connection again, or it is lost


class Bypass(asyncio.BufferedProtocol):
    """Stands in for `connection` until the rest of a body has come.

    Whoever reads the body looks at `take` (how many bytes were handed to `write` since it was asked last),
    `held` (a piece that the storage had no time for) and `failure` (what `write` raised), in this order;
    with nothing there and not `is_over` it waits for `news`. `left` counts what has not come.
    """

    def __init__(
        self,
        connection: Connection,
        content: StreamReader,
        write: DirectWriter,
        drainers: Drainers,
        tally: Tally,
    ) -> None:
        self._connection = connection
        self._content = content
        self._write = write
        self._drainers = drainers
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self._buffer = _own.view
        self._room = 0
        self._state = _State.HOLDING
        self._is_filled = False
        self._drain: Drain | None = None
        self._drained: asyncio.Future[None] | None = None
        self._is_wanted = True
        self._written = self._told = 0
        self._word = _Word(self._loop)
        self.left = self._length = 0
        self.held = b""
        self.failure: BaseException | None = None

    def begin(self, transport: asyncio.Transport, left: int) -> None:
        """Take the place of the connection's protocol for `left` bytes. `release` has them read."""
        self._transport = transport
        self.left = self._length = left
        is_plain = transport.get_extra_info("sslcontext") is None
        raw = transport.get_extra_info("socket") if is_plain else None
        self._descriptor: int | None = None if raw is None else raw.fileno()
        self._take_place(self)

    # -- for who reads the body ---------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Nothing more will come and nobody writes."""
        return self._state is _State.OVER

    def take(self) -> int:
        """Bytes handed to `write` since the last call."""
        written = self._count_written()
        fresh, self._told = written - self._told, written
        return fresh

    def _count_written(self) -> int:
        return self._written + (self._drain.received if self._drain else 0)

    async def news(self) -> None:
        """Wait until something has come or changed."""
        await self._word.wait()

    @property
    def is_storing(self) -> bool:
        """A thread is waiting for the storage, not for the client; or was, and nobody has asked since."""
        is_waiting = self._drain is not None and self._drain.is_storing
        return is_waiting or self._count_written() != self._told

    def release(self) -> None:
        """What was handed out is stored: go on. Without effect while something is held."""
        if self._state is not _State.HOLDING or self.held:
            return
        self._state = _State.RECEIVING
        if not self.left:
            self._end()
        elif not self._is_filled or self.left < _WORTH_A_THREAD or not self._hand_over():
            self._transport.resume_reading()

    async def quit(self) -> None:
        """Have nobody write any more; what still comes of the body is thrown away.

        However often it is cancelled, it waits for the thread that may be writing.
        """
        self._is_wanted = False
        if self._drain is not None:
            self._drain.stop = True
            await _outlast(self._drained)
        elif self._state in {_State.RECEIVING, _State.HOLDING}:
            self._discard()

    # -- for the transport --------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Never more than what is left of the body: what follows it stays in the socket."""
        most = BUFFER if self._state is _State.DISCARDING or self._write.is_quick else _CAUTIOUS
        self._room = min(self.left, most)
        return self._buffer[: self._room]

    def buffer_updated(self, nbytes: int) -> None:
        """Store what has come."""
        self.left -= nbytes
        if self._state is _State.DISCARDING:
            if not self.left:
                self._end()
            return
        if self._state is not _State.RECEIVING:
            # Whatever comes out of turn would be missing, or in the wrong place: better no connection.
            raise RuntimeError(f"the transport reads while it is paused ({self._state.name})")
        self._tally.protocol += nbytes
        if not self._write.is_quick:
            self._hold(nbytes)
            return
        try:
            self._write(self._buffer[:nbytes])
        except BaseException as failure:  # noqa: BLE001 - who reads the body raises it
            self._fail(failure)
            return
        self._written += nbytes
        if not self.left:
            self._end()
            return
        if nbytes == BUFFER and self.left >= _WORTH_A_THREAD:
            self._hand_over()
        self._word.mention()

    def eof_received(self) -> None:
        """The transport closes, and says that the connection is lost."""

    def pause_writing(self) -> None:
        """For aiohttp, which writes the answer."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Likewise."""
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody."""
        if self._drain is not None:
            self._drain.stop = True  # its end is the end
        else:
            self._state = _State.OVER
        self._connection.connection_lost(exc)
        self._word.say()

    # -- steps --------------------------------------------------------------------------------

    def _take_place(self, protocol: asyncio.BaseProtocol) -> None:
        # uvloop looks at what kind of protocol it has only when it begins to read.
        self._transport.pause_reading()
        self._transport.set_protocol(protocol)

    def _hold(self, count: int) -> None:
        self.held = bytes(self._buffer[:count])
        self._is_filled = count == self._room
        self._state = _State.HOLDING
        self._transport.pause_reading()
        self._word.say()

    def _fail(self, failure: BaseException) -> None:
        self.failure = failure
        self._discard()
        self._word.say()

    def _discard(self) -> None:
        was_held, self._state = self._state is _State.HOLDING, _State.DISCARDING
        if not self.left:
            self._end()
        elif was_held:
            self._transport.resume_reading()

    def _end(self) -> None:
        """The body is over: aiohttp goes on."""
        self._state = _State.OVER
        self._take_place(self._connection)
        self._connection.end_bypass(self._content, self._length)
        self._word.say()

    # -- threads ------------------------------------------------------------------------------

    def _hand_over(self) -> bool:
        """Give the socket to a thread, if there is one."""
        if self._descriptor is None:
            return False
        drain = Drain(self._descriptor, self.left, self._write, _Beat(self._loop, self._word.say))
        running = self._drainers.begin(drain)
        if running is None:
            return False
        self._state, self._drain, self._drained = _State.DRAINING, drain, self._loop.create_future()
        self._transport.pause_reading()
        running.add_done_callback(lambda _: _call(self._loop, self._take_back, drain, self._drained))
        return True

    def _take_back(self, drain: Drain, drained: asyncio.Future[None]) -> None:
        self._drain = self._drained = None
        drained.set_result(None)
        self._written += drain.received
        self._tally.worker += drain.received
        self.left = drain.left
        self.failure = drain.failure
        if self._connection.transport is None:
            self._state = _State.OVER
        elif not self.left:
            self._end()
        else:
            is_over = self.failure is not None or not self._is_wanted
            self._state = _State.DISCARDING if is_over else _State.RECEIVING
            self._transport.resume_reading()
        self._word.say()


class _Beat:
    """Says in the loop, now and then, that a thread has stored something."""

    __slots__ = ("_loop", "_not_before", "_say")

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Callable[[], None]) -> None:
        self._loop = loop
        self._say = say
        self._not_before = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._not_before:
            self._not_before = now + _BEAT
            _call(self._loop, self._say)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
        loop.call_soon_threadsafe(function, *args)


async def _outlast(future: asyncio.Future[None] | None) -> None:
    """Wait for it through any number of cancellations, and obey them then."""
    cancelled = False
    while future is not None and not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
