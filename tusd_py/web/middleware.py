"""Around every request: its id, its head, who may ask, what every answer carries, and one line of log."""

from __future__ import annotations

import re
import time
import uuid
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
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request[REQUEST_ID])
        return await handler(request)

    return middleware


@web.middleware
async def log_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line per request. A client that went away is no error: mobile networks do that."""
    begun = time.monotonic()
    status: int | None = None
    sent = 0
    gone = False
    try:
        response = await handler(request)
        status, sent = response.status, response.content_length or 0
        gone = not response.prepared and (request.transport is None or request.transport.is_closing())
    finally:
        level = "error" if status is None or (status == 500 and not gone) else "info"
        getattr(log, level)(
            "request",
            method=request[HEAD].method,
            path=request.rel_url.raw_path,
            status=status,
            sent=sent,
            duration_ms=round((time.monotonic() - begun) * 1000, 1),
            peer=request.remote,
            client_gone=gone,
        )
    return response


def measure(meter: Meter, unmeasured: Container[str]) -> Middleware:
    """Tell `meter` of every request, but for those of monitors, whose paths are `unmeasured`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in unmeasured:
            return await handler(request)
        begun = time.monotonic()
        try:
            response = await handler(request)
        except Exception:  # web.connection.Connection.handle_error has the answer
            meter(_answered(request, 500, "ERR_INTERNAL_SERVER_ERROR", begun))
            raise
        meter(_answered(request, response.status, response.get(ERROR_CODE, ""), begun))
        return response

    return middleware


def _answered(request: web.Request, status: int, code: str, begun: float) -> RequestAnswered:
    return RequestAnswered(
        method=request[HEAD].method,
        status=status,
        code=code,
        seconds=time.monotonic() - begun,
        failure=request.get(FAILURE),
    )


def guard_origin(
    cors: CorsPolicy, refuse: Callable[[TusdError, RequestHead], web.Response], *, unguarded: str
) -> Middleware:
    """Turn away pages of origins that may not use the server, before anything else looks at it.

    Paths below `unguarded` are everybody's.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not request.path.startswith(unguarded):
                cors.check(request[HEAD])
        except OriginNotAllowedError as error:
            return refuse(error, request[HEAD])
        return await handler(request)

    return middleware


def explain_paths(base: str, public: str) -> Middleware:
    """aiohttp's own 404 and 405 in our form, with where to go instead."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            code = "ERR_METHOD_NOT_ALLOWED" if error.status == 405 else "ERR_NOT_FOUND"
            text = f"{code}: uploads are created by POST to {base}, finished files are under {public}\n"
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            response = web.Response(status=error.status, text=text, headers=allow)
            response[ERROR_CODE] = code
            return response

    return middleware


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
