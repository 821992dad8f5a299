"""Live audio: a WebSocket whose frames become an upload while they arrive."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from tusd_py.core.errors import (
    MethodNotAllowedError,
    ServerShutdownError,
    TusdError,
    UpgradeRequiredError,
)
from tusd_py.protocol.heads import ResponseHead
from tusd_py.web.heads import write_head
from tusd_py.web.keys import HEAD
from tusd_py.web.live_session import Conditions, Session
from tusd_py.web.live_socket import LiveSocket
from tusd_py.web.uploads import note_failure

if TYPE_CHECKING:
    from aiohttp import web

    from tusd_py.engine.uploads import UploadEngine
    from tusd_py.protocol.cors import CorsPolicy
    from tusd_py.protocol.dialect import Dialect

_INVITATION = {"Connection": "upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


class LiveEndpoint:
    """Takes live connections. A page of an origin that `origins` do not allow gets none.

    CORS does not protect a WebSocket: a browser opens one to wherever a page wants, so it is refused
    here, also where CORS headers are left to a proxy.
    """

    def __init__(
        self, engine: UploadEngine, conditions: Conditions, *, dialect: Dialect, origins: CorsPolicy
    ) -> None:
        self._engine = engine
        self._conditions = conditions
        self._dialect = dialect
        self._origins = origins

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: refuse it in HTTP, or serve the connection until it ends."""
        head = request[HEAD]
        socket = LiveSocket(request, max_frame=self._conditions.max_frame)
        try:
            self._origins.check(head)
            if head.method != "GET" or request.method != "GET":
                raise MethodNotAllowedError(head.method, ("GET",))
            if not socket.can_open():
                raise UpgradeRequiredError
            if self._engine.is_stopping:
                raise ServerShutdownError
        except TusdError as error:
            note_failure(request, error)
            response = write_head(self._dialect.render_error(error, head))
            if response.status == 426:  # RFC 9110, 15.5.22: it says to what.
                response.headers.update(_INVITATION)
            return response
        try:
            await socket.open()
        except ConnectionError:  # it has left: nobody sees what is answered
            return write_head(ResponseHead(status=400))
        session = Session(
            self._engine, self._conditions, socket, head, note_failure=partial(note_failure, request)
        )
        try:
            await session.run(request.query)
        finally:
            structlog.contextvars.bind_contextvars(received=session.received)
        return socket.response
