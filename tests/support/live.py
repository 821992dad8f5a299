"""A client of live connections that believes nothing but what it is told."""

from __future__ import annotations

import asyncio
import re
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSMsgType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

PATIENCE = 20.0
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
_GOODBYE = re.compile(rb"\x88\x02..", re.DOTALL)  # nothing else that is said has such a byte
_MASK = b"\x37\xfa\x21\x3d"


def raw_frame(
    payload: bytes, opcode: int = BINARY, *, is_final: bool = True, announced: int | None = None
) -> bytes:
    """A client's frame (RFC 6455, 5.2), well-formed or not; `announced` is the length that it tells."""
    length = len(payload) if announced is None else announced
    first = opcode | (0x80 if is_final else 0)
    if length < 126:
        header = struct.pack("!BB", first, 0x80 | length)
    elif length < 65536:
        header = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, length)
    masked = bytes(byte ^ _MASK[place % 4] for place, byte in enumerate(payload))
    return header + _MASK + masked


@asynccontextmanager
async def raw_connection(
    origin: str, target: str = "/live"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection behind its handshake. Leaving the context resets it."""
    where = urlsplit(origin)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {where.netloc}\r\n{fields}\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def converse(origin: str, *frames: bytes, target: str = "/live") -> bytes:
    """Everything a server says to these frames, up to its goodbye."""
    said = b""
    async with asyncio.timeout(PATIENCE), raw_connection(origin, target) as (reader, writer):
        for frame in frames:
            writer.write(frame)
        while not _GOODBYE.search(said):
            piece = await reader.read(65536)
            assert piece, said
            said += piece
    return said


def wire_size(frame: bytes) -> int:
    """Bytes that a client's binary frame takes on the wire (RFC 6455, 5.2: header, mask, payload)."""
    header = 2 if len(frame) < 126 else 4 if len(frame) < 65536 else 10
    return header + 4 + len(frame)


class LiveClient:
    """One connection. `acknowledged` is the greatest offset that was told to be stored, `said` every
    message so far."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.said: list[dict[str, Any]] = []
        self.acknowledged = 0

    async def hear(self) -> dict[str, Any]:
        """The next message; ConnectionError when the connection ends instead."""
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError(f"{message.type!r} {message.data!r}; said: {self.said}")
        said: dict[str, Any] = message.json()
        self.said.append(said)
        self.acknowledged = max(self.acknowledged, said.get("offset", 0))
        return said

    async def greet(self) -> dict[str, Any]:
        """The first message."""
        greeting = await self.hear()
        assert greeting.keys() == {"url", "file_uuid", "offset"}, greeting
        return greeting

    async def send(self, *frames: bytes) -> None:
        """Binary messages."""
        for frame in frames:
            await self.socket.send_bytes(frame)

    async def stored(self, offset: int) -> None:
        """Wait until everything up to `offset` is acknowledged, and no more."""
        while self.acknowledged < offset:
            said = await self.hear()
            assert "error" not in said, said
        assert self.acknowledged == offset

    async def finish(self) -> dict[str, Any]:
        """Complete the upload; the answer."""
        await self.socket.send_json({"complete": True})
        return await self.result()

    async def result(self) -> dict[str, Any]:
        """Wait for the last message."""
        while not (said := await self.hear()).get("complete"):
            assert "error" not in said, said
        return said

    async def end(self) -> tuple[dict[str, Any], int | None]:
        """Wait until the server closes: the last message, and the code."""
        try:
            while True:
                await self.hear()
        except ConnectionError:
            return (self.said or [{}])[-1], self.socket.close_code

    async def refusal(self) -> tuple[str, int | None]:
        """Wait until the server closes because of an error: the error's code, and that of closing."""
        last, code = await self.end()
        assert last.get("error", {}).keys() == {"code", "message"}, self.said
        return last["error"]["code"], code


@asynccontextmanager
async def connecting(
    origin: str,
    query: Mapping[str, str | int] | None = None,
    *,
    path: str = "/live",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[LiveClient]:
    """A connection whose greeting is still to be heard. Leaving the context says goodbye."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(origin + path, params=query, headers=headers) as socket,
    ):
        yield LiveClient(socket)
