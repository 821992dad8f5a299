"""aiohttp's connection handling, where its defaults lose data or tell strangers too much."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import _ErrInfo
from multidict import CIMultiDict, CIMultiDictProxy

from tusd_py.protocol.trailers import TrailerScanner
from tusd_py.web.bypass import Bypass
from tusd_py.web.bypass_check import find_fault
from tusd_py.web.drainers import Drainers
from tusd_py.web.keys import PORTABLE

if TYPE_CHECKING:
    import asyncio

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import _RequestFactory

    from tusd_py.core.ports import DirectWriter
    from tusd_py.protocol.heads import Fields
    from tusd_py.web.bypass_check import Handle
    from tusd_py.web.tally import Tally

log = structlog.get_logger(__name__)

_TRANSPORTS = {"asyncio.selector_events", "asyncio.sslproto", "uvloop.loop"}
"""Where transports are from whose protocol can be put in another's place in the midst of a body."""


class Connection(web.RequestHandler):
    """One client connection. Requests that aiohttp cannot read are answered in our words.

    What a request sends behind its body is kept: see `take_trailing_fields`. `ordinal` is the number of
    the request in hand, from 0; -1 before the first.
    """

    __slots__ = ("_auto_decompress", "_drainers", "_trailers", "ordinal")

    def __init__(self, manager: web.Server, *, drainers: Drainers | None = None, **options: Any) -> None:
        super().__init__(manager, **options)
        self._auto_decompress = options.get("auto_decompress", True)
        self._drainers = drainers
        self._trailers = TrailerScanner()
        self.ordinal = -1

    def data_received(self, data: bytes) -> None:
        """Take what came; aiohttp calls this with b"", too, to go on with what it has.

        A body whose framing breaks ends there and then.
        """
        self._trailers.feed(data)  # first: when aiohttp ends a body, its trailer section has been seen
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._end_unreadable_body()

    def begin_request(self, message: RawRequestMessage) -> RawRequestMessage:
        """Take the next request in hand; the head as its client sent it."""
        self.ordinal = ordinal = self.ordinal + 1
        fields = self._trailers.field_count(ordinal)
        self._trailers.forget(ordinal)
        if fields is not None and len(message.raw_headers) == fields + 1:
            message = _without_first_field(message)
        return _without_unknown_expectation(message)

    def take_trailing_fields(self, ordinal: int) -> Fields | None:
        """See TrailerScanner.take. Complete once aiohttp has ended the request's body."""
        return self._trailers.take(ordinal)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what is left of the answer."""
        chunked = "Transfer-Encoding" in request.headers
        if chunked and (self._trailers.lost or not request.content.is_eof()):
            # Whether a trailer section came (see _without_first_field) could not be told any more.
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def _end_unreadable_body(self) -> None:
        """Tell the body before the unreadable part. aiohttp only queues the error behind its request, so
        whoever reads the body would wait for more until it times out."""
        if len(self._messages) > 1:
            body = self._messages[-2][1]
        elif self._current_request is not None:
            body = self._current_request.content
        else:
            return
        if not body.is_eof():
            if body.exception() is None:
                body.set_exception(web.RequestPayloadError("the framing is broken"))
            body.feed_eof()  # nobody waits for the rest

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's text, not for strangers
    ) -> web.StreamResponse:
        """The answer to a request that never became one, or whose handler broke."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response had begun") from exc
        if status < 500:
            log.info("unreadable request", peer=request.remote, status=status, reason=type(exc).__name__)
            text = "ERR_BAD_REQUEST: the request is not well-formed HTTP, or its head is too large\n"
        else:
            log.error("unexpected error", exc_info=exc)
            text = "ERR_INTERNAL_SERVER_ERROR: something unforeseen happened; try again\n"
        headers = {"Tus-Resumable": "1.0.0", "Server": "tusd-py", "X-Content-Type-Options": "nosniff"}
        response = web.Response(status=status, text=text, headers=headers)
        response.force_close()
        return response

    def bypass(self, content: StreamReader, left: int, write: DirectWriter, tally: Tally) -> Bypass | None:
        """Receive the `left` bytes that are still to come of the body in hand past the parser.

        None where that cannot be done. Everything that came has to be read from `content` before.
        """
        transport = self.transport
        if self._drainers is None or transport is None or transport.is_closing():
            return None
        if type(transport).__module__ not in _TRANSPORTS or not self._is_between(content, left):
            return None
        bypass = Bypass(self, content, write, self._drainers, tally)
        bypass.begin(transport, left)
        return bypass

    def _is_between(self, content: StreamReader, left: int) -> bool:
        """Whether aiohttp has handed out all that came, and has nothing to do but wait for `left` bytes."""
        is_waiting = not (content.is_eof() or content.exception() or self._messages)
        is_reading = not (self._reading_paused or self._buffer_paused)
        # What came on the wire is counted apart: where it is more, the parser keeps something back.
        return is_waiting and is_reading and self._trailers.body_left == left

    def end_bypass(self, content: StreamReader, count: int) -> None:
        """Go on behind a body of which `count` bytes came past the parser."""
        self._trailers.pass_over(count)
        # The parser that read the head waits for them for ever, and nothing can tell it.
        self._parser = HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=self._auto_decompress,
            max_msg_queue_size=self._max_msg_queue_size,
        )
        content.feed_eof()

    @property
    def siblings(self) -> int:
        """How many connections the server has, this one included."""
        return 0 if self._manager is None else len(self._manager.connections)

    def limit_lingering(self, seconds: float) -> None:
        """Spend at most `seconds` on reading the rest of a body that nobody wants."""
        self._lingering_time = min(self._lingering_time, seconds)


def _without_first_field(message: RawRequestMessage) -> RawRequestMessage:
    """The head without what is not its own.

    aiohttp's C parser (3.14) puts the last field of a trailer section before the fields of the next
    request on the connection. Behind a proxy that may be the request of somebody else.
    """
    fields = CIMultiDict(islice(message.headers.items(), 1, None))
    return message._replace(headers=CIMultiDictProxy(fields), raw_headers=message.raw_headers[1:])


def _without_unknown_expectation(message: RawRequestMessage) -> RawRequestMessage:
    """The head without an Expect that asks for anything but 100-continue.

    RFC 9110, 10.1.1: an unknown expectation may be ignored. On paths without a route aiohttp answers it
    before any code of ours, with a 417 that becomes a 500 when the value is not ASCII.
    """
    if message.headers.get("Expect", "100-continue").lower() == "100-continue":
        return message
    fields = CIMultiDict(message.headers)
    del fields["Expect"]
    return message._replace(headers=CIMultiDictProxy(fields))


def ordinal_of(request: web.BaseRequest) -> int:
    """The number of the request in hand on its connection; -1 where somebody else runs the application."""
    return request.protocol.ordinal if isinstance(request.protocol, Connection) else -1


def take_trailing_fields(request: web.BaseRequest, ordinal: int) -> Fields | None:
    """See Connection.take_trailing_fields; None where somebody else runs the application."""
    if isinstance(request.protocol, Connection):
        return request.protocol.take_trailing_fields(ordinal)
    return None


def connections_beside(request: web.BaseRequest) -> int | None:
    """How many connections the server has, that of `request` included; None where somebody else runs the
    application."""
    return request.protocol.siblings if isinstance(request.protocol, Connection) else None


def bypass(request: web.BaseRequest, left: int, write: DirectWriter, tally: Tally) -> Bypass | None:
    """See Connection.bypass; None where somebody else runs the application."""
    if isinstance(request.protocol, Connection):
        return request.protocol.bypass(request.content, left, write, tally)
    return None


def limit_lingering(request: web.Request, seconds: float) -> None:
    """See Connection.limit_lingering; without effect where somebody else runs the application."""
    if isinstance(request.protocol, Connection):
        request.protocol.limit_lingering(seconds)


class _Server(web.Server):
    def __init__(self, application: web.Server, drainers: Drainers | None, **options: Any) -> None:
        self._drainers = drainers
        super().__init__(
            application.request_handler, request_factory=_numbering(application.request_factory), **options
        )

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, drainers=self._drainers, **self._kwargs)


def _numbering(make_request: _RequestFactory) -> _RequestFactory:
    """`make_request`, which aiohttp calls once for each request in order, unreadable ones included."""

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            message = protocol.begin_request(message)
        return make_request(message, payload, protocol, writer, task)

    return make


class Runner(web.AppRunner):
    """Runs the application with `Connection`s.

    `idle_timeout` in seconds: how long a connection may take for a request's head, or be idle between
    requests. Bodies are not decompressed: an offset counts the bytes that were sent.
    """

    def __init__(self, app: web.Application, *, idle_timeout: float, shutdown_timeout: float) -> None:
        self._handler_options: dict[str, Any] = {
            "auto_decompress": False,
            "access_log": None,
            "keepalive_timeout": idle_timeout,
            "lingering_time": 5.0,
            # Upload-Concat and Upload-Metadata may be long: 400 absolute URLs are 16 kB.
            "max_field_size": 64 * 1024,
            "max_line_size": 64 * 1024,
        }
        self._drainers = Drainers()
        super().__init__(app, shutdown_timeout=shutdown_timeout, **self._handler_options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        drainers = self._drainers if await self._can_bypass() else None
        return _Server(made, drainers, **self._handler_options)

    async def _can_bypass(self) -> bool:
        if self.app.get(PORTABLE, False):
            return False
        fault = await find_fault(self._for_the_check)
        if fault is not None:
            log.warning("bodies are received the slower way", reason=fault, aiohttp=aiohttp.__version__)
        return fault is None

    def _for_the_check(self, handle: Handle) -> web.Server:
        return _Server(web.Server(handle), self._drainers, **self._handler_options)

    async def cleanup(self) -> None:
        """Close every connection, and what they had in common."""
        await super().cleanup()
        self._drainers.close()
