"""A request body as the engine wants it: every byte that arrived is handed out, whatever happens then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web
from aiohttp.http import HttpProcessingError

from tusd_py.core.errors import InvalidChecksumError
from tusd_py.core.outcomes import BodyEnd
from tusd_py.protocol.fields import parse_checksum
from tusd_py.web.connection import ordinal_of, take_trailing_fields
from tusd_py.web.pouring import WORTH_POURING, Pouring
from tusd_py.web.tally import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tusd_py.core.checksums import Checksum
    from tusd_py.core.ports import DirectWriter
    from tusd_py.protocol.heads import Fields

T = TypeVar("T")

_CUT_FROM_OUTSIDE = {BodyEnd.SUPERSEDED, BodyEnd.SHUTDOWN}


class RequestBody:
    """See tusd_py.core.ports.Body.

    `idle_timeout` is in seconds: the longest time without a byte. `received` counts the body's bytes, as
    `tally` does with those of all bodies that have it.
    """

    def __init__(
        self, request: web.BaseRequest, *, idle_timeout: float, tally: Tally | None = None
    ) -> None:
        self.request = request
        self.content = request.content
        self.tally = tally or Tally()
        self._ordinal = ordinal_of(request)
        self._idle_timeout = idle_timeout
        self._waiting: asyncio.Timeout | None = None
        self._cut: BodyEnd | None = None
        self._is_over = False
        self.is_started = False
        self.received = 0

    @property
    def end(self) -> BodyEnd:
        """See tusd_py.core.ports.Body.end."""
        return self._cut or BodyEnd.WHOLE

    @property
    def is_cut(self) -> bool:
        """Something ended the body before its end."""
        return self._cut is not None

    def cut(self, why: BodyEnd) -> None:
        """See tusd_py.core.ports.Body.cut."""
        if self._cut is None and not self._is_over:
            self._cut = why
            if self._waiting is not None and not self._waiting.expired():
                self._waiting.reschedule(asyncio.get_running_loop().time())

    def trailing_fields(self) -> Fields | None:
        """The fields behind a body that ended WHOLE, names in lower case; they can be asked for once.

        None: the request announced no trailer (RFC 9110, 6.6.2) or sent none, the body is not over or
        not whole, or the server is not run by our Runner.
        """
        if not self._is_over or self._cut is not None:
            return None
        return take_trailing_fields(self.request, self._ordinal)

    def trailing_checksum(self) -> Checksum:
        """See tusd_py.core.ports.Body.trailing_checksum."""
        lines = [value for name, value in self.trailing_fields() or () if name == "upload-checksum"]
        if not lines:
            raise InvalidChecksumError(
                "Upload-Checksum", "the announced trailer did not come", "the field after the last chunk"
            )
        return parse_checksum(", ".join(lines))

    def chunks(self) -> AsyncIterator[bytes]:
        """See tusd_py.core.ports.Body.chunks. An iterator, not a generator: leaving it costs nothing."""
        self.is_started = True
        self._send_continue()
        return self

    def pour(self, write: DirectWriter, *, room: int | None) -> Pouring | None:
        """See tusd_py.core.ports.PouredBody.pour."""
        length = self.request.content_length
        if length is None or length < WORTH_POURING or (room is not None and length > room):
            return None
        self.chunks()
        return Pouring(self, write, length)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        piece = b"" if self._cut else self._at_hand()
        if piece is None:
            piece = await self._read()
        if not piece:
            piece = self._last_piece()
        if not piece:
            raise StopAsyncIteration
        self._count(len(piece))
        return piece

    def _at_hand(self) -> bytes | None:
        """What has arrived, or b"" at the end of the body; None where it has to be waited for.

        Most of the short bodies have arrived with their heads: to wait for them takes longer than all else.
        """
        content = self.content
        if content.exception() is not None:
            return None
        return content.read_nowait() or (b"" if content.at_eof() else None)

    def take_arrived(self) -> bytes:
        """All that has arrived and was not handed out, without waiting; b"" also when the body broke."""
        content, pieces = self.content, []
        # More than once: taking something has aiohttp parse what it had no room for.
        while content.exception() is None and (piece := content.read_nowait()):
            pieces.append(piece)
        self._count(sum(map(len, pieces)))
        return b"".join(pieces)

    def _count(self, size: int) -> None:
        self.received += size
        self.tally.stream += size

    async def _read(self) -> bytes:
        """What has arrived, waiting for something to arrive; b"" when nothing more will."""
        try:
            return await self.wait_for(self.content.readany()) or b""
        except (web.RequestPayloadError, HttpProcessingError):  # by which parser it was read
            self.cut(BodyEnd.MALFORMED)
        except (ConnectionError, RuntimeError):  # RuntimeError: the connection was lost before we began
            self.cut(BodyEnd.DISCONNECTED)
        return b""

    async def wait_for(
        self, arrival: Awaitable[T], *, excuse: Callable[[], bool] | None = None
    ) -> T | None:
        """Wait until something arrives; None when the body is cut before, at the latest as TIMED_OUT.

        None and no cut when the time is over and the client is excused.
        """
        try:
            async with asyncio.timeout(self._idle_timeout) as self._waiting:
                return await arrival
        except TimeoutError:
            if excuse is None or not excuse():
                self.cut(BodyEnd.TIMED_OUT)  # unless it was `cut` that ended the waiting
            return None
        finally:
            self._waiting = None  # it is over: a cut has nothing to end any more

    def finish(self, *, is_whole: bool) -> None:
        """The body is over; `is_whole`: everything had arrived when it was cut from outside, if it was."""
        self._is_over = True
        if is_whole and self._cut in _CUT_FROM_OUTSIDE:
            self._cut = None

    def _last_piece(self) -> bytes:
        """What arrived before the cut but was not handed out.

        aiohttp's public readers raise the connection's error before they give out what is buffered,
        so up to a whole read buffer of received bytes would be lost without this.
        """
        if self._cut is None:
            self._is_over = True
            return b""
        content = self.content
        # Where there is no body, aiohttp's stand-in for its reader has no such method that works.
        piece = content._read_nowait(-1) if self.request.body_exists else b""  # noqa: SLF001 (see above)
        self.finish(is_whole=content.at_eof() and content.exception() is None)
        return piece

    def _send_continue(self) -> None:
        # RFC 9110, 10.1.1: 100 asks for the body, so it comes only once the head has been accepted.
        transport = self.request.transport
        if self.expects_continue and transport is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    @property
    def expects_continue(self) -> bool:
        """The client waits for a 100 before it sends the body."""
        expectation = self.request.headers.get("Expect", "")
        return expectation.lower() == "100-continue" and self.request.version >= (1, 1)
