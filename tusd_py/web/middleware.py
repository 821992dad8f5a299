"""Around every request: its id, its head, who may ask, what every answer carries, and one line of log."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from tusd_py.core.errors import OriginNotAllowedError
from tusd_py.core.measurements import RequestAnswered
from tusd_py.protocol.tus1 import RESUMABLE
from tusd_py.web.keys import ERROR_CODE, FAILURE, HEAD, REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container

    from aiohttp.typedefs import Handler, Middleware

    from tusd_py.core.errors import TusdError
    from tusd_py.core.ports import Meter
    from tusd_py.protocol.cors import CorsPolicy
    from tusd_py.protocol.heads import RequestHead

log = structlog.get_logger("tusd_py.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def identify(read_head: Callable[[web.Request], RequestHead]) -> Middleware:
    """Give the request its head and an id: the client's X-Request-ID if it is usable, else a new one."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[HEAD] = read_head(request)
        given = request.headers.get("X-Request-ID", "")
        request[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        # aiohttp has a task, and so a context, for each request: there is nothing of another's in it.
        structlog.contextvars.bind_contextvars(request_id=request[REQUEST_ID])
        return await handler(request)

    return middleware


@dataclass(frozen=True, slots=True, kw_only=True)
class Porter:
    """Lets requests in, and tells what became of them. One middleware: each costs every request.

    `guard` raises OriginNotAllowedError for those that go no further, and `refuse` has the words for it.
    Paths below `unguarded` are everybody's. `meter` is told of every request, but for those of monitors,
    whose paths are `unmeasured`. `directions` say where to go instead of a path that leads nowhere.
    """

    directions: str
    refuse: Callable[[TusdError, RequestHead], web.Response]
    guard: Callable[[RequestHead], None] | None = None
    unguarded: str = ""
    meter: Meter | None = None
    unmeasured: Container[str] = ()

    @property
    def middleware(self) -> Middleware:
        """For behind `identify`."""

        @web.middleware
        async def attend(request: web.Request, handler: Handler) -> web.StreamResponse:
            begun = time.monotonic()
            try:
                response = await self._answer(request, handler)
            except BaseException as error:
                if isinstance(error, Exception):  # web.connection.Connection.handle_error has the answer
                    self._measure(request, 500, "ERR_INTERNAL_SERVER_ERROR", begun)
                _log(request, None, begun)
                raise
            self._measure(request, response.status, response.get(ERROR_CODE, ""), begun)
            _log(request, response, begun)
            return response

        return attend

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.guard is not None and not request.path.startswith(self.unguarded):
            try:
                self.guard(request[HEAD])
            except OriginNotAllowedError as error:
                return self.refuse(error, request[HEAD])
        try:
            return await handler(request)
        except web.HTTPException as error:
            return self._direct(error)

    def _direct(self, error: web.HTTPException) -> web.Response:
        """aiohttp's own 404 and 405 in our form."""
        code = "ERR_METHOD_NOT_ALLOWED" if error.status == 405 else "ERR_NOT_FOUND"
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        response = web.Response(status=error.status, text=f"{code}: {self.directions}\n", headers=allow)
        response[ERROR_CODE] = code
        return response

    def _measure(self, request: web.Request, status: int, code: str, begun: float) -> None:
        if self.meter is None or request.path in self.unmeasured:
            return
        answered = RequestAnswered(
            method=request[HEAD].method,
            status=status,
            code=code,
            seconds=time.monotonic() - begun,
            failure=request.get(FAILURE),
        )
        self.meter(answered)


def _log(request: web.Request, response: web.StreamResponse | None, begun: float) -> None:
    """One line per request. A client that went away is no error: mobile networks do that."""
    gone, status = False, None
    if response is not None:
        status = response.status
        gone = not response.prepared and (request.transport is None or request.transport.is_closing())
    tell = log.error if status is None or (status == 500 and not gone) else log.info
    tell(
        "request",
        method=request[HEAD].method,
        path=request.rel_url.raw_path,
        status=status,
        sent=0 if response is None else response.content_length or 0,
        duration_ms=round((time.monotonic() - begun) * 1000, 1),
        peer=request.remote,
        client_gone=gone,
    )


def finish_headers(cors: CorsPolicy | None) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer carries, whoever made it; for `on_response_prepare`."""

    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        # tus 1.0.0, Tus-Resumable: on every response, errors included.
        headers.setdefault(*RESUMABLE)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers["Server"] = "tusd-py"  # what runs below it is nobody's business
        if REQUEST_ID in request:
            headers["X-Request-ID"] = request[REQUEST_ID]
        if cors is not None and HEAD in request:
            for name, value in cors.fields(request[HEAD]):
                headers.add(name, value)

    return finish
