"""aiohttp's connection handling, where its defaults lose data or tell strangers too much."""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import _ErrInfo

log = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """One client connection. Requests that aiohttp cannot read are answered in our words."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Take what came; a body whose framing breaks ends there and then."""
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._end_unreadable_body()

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

    def limit_lingering(self, seconds: float) -> None:
        """Spend at most `seconds` on reading the rest of a body that nobody wants."""
        self._lingering_time = min(self._lingering_time, seconds)


def limit_lingering(request: web.Request, seconds: float) -> None:
    """See Connection.limit_lingering; without effect where somebody else runs the application."""
    if isinstance(request.protocol, Connection):
        request.protocol.limit_lingering(seconds)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


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
        super().__init__(app, shutdown_timeout=shutdown_timeout, **self._handler_options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._handler_options)
