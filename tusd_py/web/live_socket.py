"""aiohttp's WebSocket, where its own way of receiving ends the connection before we have our say."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from aiohttp import WSMsgType, web
from aiohttp.http import WebSocketError
from aiohttp.streams import EofStream

from tusd_py.protocol.live import LEFT

if TYPE_CHECKING:
    from aiohttp.http import WSMessage

GOODBYE = 1.0
"""Seconds in which a client may read the last messages and say goodbye in turn."""


class SocketClosedError(Exception):
    """The client has left, in good order or not."""


class LiveSocket:
    """One WebSocket connection of a server. Messages have at most `max_frame` bytes."""

    def __init__(self, request: web.Request, *, max_frame: int) -> None:
        self._request = request
        # aiohttp's limit is the first size that is too large. What is compressed could be anything
        # when it is unpacked, and sound is compressed already.
        self.response = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=max_frame + 1)
        self._is_broken = False
        self._is_left = False

    def can_open(self) -> bool:
        """Whether the request is a handshake."""
        return self.response.can_prepare(self._request).ok

    async def open(self) -> None:
        """Answer the handshake."""
        await self.response.prepare(self._request)

    async def receive(self) -> WSMessage:
        """The next text or binary message, or a pong; pings are answered.

        Everything that arrived is handed out before SocketClosedError tells that the client has left.
        Raises WebSocketError for what is no WebSocket or too large.
        """
        while (message := await self._read()).type is WSMsgType.PING:
            with suppress(ConnectionError):  # it may have left behind what is still to be read
                await self.response.pong(message.data)
        return message

    async def _read(self) -> WSMessage:
        # WebSocketResponse.receive would close the connection on what it does not like, before the
        # bytes that came before it are stored and anybody has said what is wrong.
        reader = self.response._reader  # noqa: SLF001 (see above)
        if reader is None:
            raise SocketClosedError
        try:
            message = cast("WSMessage", await reader.read())
        except WebSocketError:
            self._is_broken = True
            raise
        except (EofStream, ConnectionError):
            self._is_left = True
            raise SocketClosedError from None
        if message.type is WSMsgType.CLOSE:
            self._is_left = True
            raise SocketClosedError
        return message

    async def send(self, message: dict[str, Any]) -> None:
        """Send as JSON; waits while the client does not read. Raises ConnectionError."""
        await self.response.send_str(json.dumps(message))

    async def ping(self) -> None:
        """Ask for a sign of life. Raises ConnectionError."""
        await self.response.ping()

    async def close(self, code: int) -> None:
        """Say goodbye, wait a moment for the client's, and close the connection."""
        with suppress(ConnectionError, TimeoutError, WebSocketError, SocketClosedError):
            async with asyncio.timeout(GOODBYE):
                reason = b"" if code == LEFT else code.to_bytes(2, "big")
                await self.response.send_frame(reason, WSMsgType.CLOSE)
                if self._is_broken and not self._is_left:
                    # What still comes is dropped unread; closing on it would reset the connection, and
                    # our words might never be read.
                    await asyncio.sleep(GOODBYE)
                while not self._is_left:
                    await self._read()
        transport = self._request.transport
        if transport is not None:
            if transport.get_write_buffer_size():
                transport.abort()  # the client does not read
            else:
                transport.close()
