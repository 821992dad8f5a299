"""The upload endpoint: every request to the base path and below."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import structlog

from tusd_py.core.errors import BodyInterruptedError, MethodNotAllowedError, StoreError, TusdError
from tusd_py.core.intents import (
    Append,
    Concatenate,
    Create,
    Discover,
    Malformed,
    Read,
    ReadOffset,
    Terminate,
)
from tusd_py.core.outcomes import BodyEnd, Discovered, Outcome
from tusd_py.core.rules import check_addressable
from tusd_py.web import downloads
from tusd_py.web.body import RequestBody
from tusd_py.web.connection import limit_lingering
from tusd_py.web.heads import write_head
from tusd_py.web.keys import FAILURE, HEAD, TALLY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from tusd_py.engine.uploads import UploadEngine
    from tusd_py.protocol.dialect import Dialect
    from tusd_py.protocol.heads import RequestHead

log = structlog.get_logger(__name__)

_SHORT_GOODBYE = 0.5
"""Seconds in which a client may read the answer to a body that was cut, before the connection closes."""


class UploadEndpoint:
    """Reads a request, has the engine carry it out, and writes what came of it."""

    def __init__(self, engine: UploadEngine, dialect: Dialect, *, network_timeout: float) -> None:
        self._engine = engine
        self._dialect = dialect
        self._network_timeout = network_timeout

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        head = request[HEAD]
        body = RequestBody(request, idle_timeout=self._network_timeout, tally=request.app.get(TALLY))

        def refuse(error: Exception) -> web.Response:
            return write_head(self._dialect.render_error(error, head))

        return await respond(request, body, self._answer(request, head, body), refuse)

    async def _answer(
        self, request: web.Request, head: RequestHead, body: RequestBody
    ) -> web.StreamResponse:
        intent = self._dialect.parse(head)
        check_addressable(intent)
        structlog.contextvars.bind_contextvars(upload=getattr(intent, "upload_id", None))
        match intent:
            case Read():
                async with self._engine.read(intent) as (upload, reader):
                    return await downloads.send(request, upload, reader, method=head.method)
            case Malformed():
                return await self._engine.refuse(intent)
            case _:
                return write_head(self._dialect.render(await self._carry_out(intent, body), head))

    async def _carry_out(
        self, intent: Create | Concatenate | Append | ReadOffset | Terminate | Discover, body: RequestBody
    ) -> Outcome:
        match intent:
            case Create():
                created = await self._engine.create(intent, body)
                structlog.contextvars.bind_contextvars(upload=created.upload.id)
                return created
            case Concatenate():
                created = await self._engine.concatenate(intent)
                structlog.contextvars.bind_contextvars(upload=created.upload.id)
                return created
            case Append():
                return await self._engine.append(intent, body)
            case ReadOffset():
                return await self._engine.inspect(intent)
            case Terminate():
                return await self._engine.terminate(intent)
            case Discover():
                return Discovered()
            case _:
                assert_never(intent)


class PublishedEndpoint:
    """Finished files under the public path."""

    def __init__(self, engine: UploadEngine, dialect: Dialect) -> None:
        self._engine = engine
        self._dialect = dialect

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        head = request[HEAD]
        name = request.match_info["name"]
        try:
            if head.method not in {"GET", "HEAD"}:
                raise MethodNotAllowedError(head.method, ("GET", "HEAD"))
            async with self._engine.read_published(name, head.method) as (upload, reader):
                structlog.contextvars.bind_contextvars(upload=upload.id)
                if isinstance(reader, str):
                    return downloads.send_elsewhere(reader)
                return await downloads.send(request, upload, reader, method=head.method)
        except TusdError as error:
            note_failure(request, error)
            return write_head(self._dialect.render_error(error, head))


async def respond(
    request: web.Request,
    body: RequestBody,
    answer: Awaitable[web.StreamResponse],
    refuse: Callable[[Exception], web.Response],
) -> web.StreamResponse:
    """What `answer` comes to; where that is an error, it is noted, and `refuse` has the words for it."""
    try:
        response = await answer
    except TusdError as error:
        note_failure(request, error)
        response = refuse(error)
    except Exception as error:
        log.exception("unexpected error")
        response = refuse(error)
    structlog.contextvars.bind_contextvars(received=body.received)
    close_if_unread(request, response, body)
    return response


def note_failure(request: web.Request, error: TusdError) -> None:
    """For the access line and the metrics: what became of the request."""
    request[FAILURE] = error
    outcome = type(error).__name__.removesuffix("Error")
    if isinstance(error, BodyInterruptedError):
        outcome = error.end.name.lower()
    # What failed on our side is said here alone: an answer tells nobody about the storage.
    reason = {"reason": str(error)} if isinstance(error, StoreError) else {}
    structlog.contextvars.bind_contextvars(outcome=outcome, **reason)


def close_if_unread(request: web.Request, response: web.StreamResponse, body: RequestBody) -> None:
    """Close the connection behind the answer where nobody can say what comes next on it."""
    if body.expects_continue and not body.is_started:
        response.force_close()  # the client may send the body or not: the next request cannot be found
    elif body.end is BodyEnd.MALFORMED:
        response.force_close()  # where the next request begins cannot be said
    elif body.end in {BodyEnd.TIMED_OUT, BodyEnd.SHUTDOWN}:
        response.force_close()
        # tus 1.0.0, PATCH: a timed-out connection is closed.
        limit_lingering(request, _SHORT_GOODBYE)
