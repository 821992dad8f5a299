"""A server that says exactly what a test wants it to say, byte for byte, and notes what it is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.support.loop import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. Field names are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def reply(status: str, *fields: str, body: bytes = b"") -> bytes:
    """The bytes of one answer: `reply("204 No Content", "Upload-Offset: 5")`."""
    # Announced, because it is what happens: a client must not send another request this way.
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


class ScriptedServer:
    """Answers every request with what `answer(asked)` returns, one request to a connection.

    Runs in a thread of its own, on a free port of 127.0.0.1; None leaves the request unanswered. One
    that is `hasty` answers what it has the head of, and throws the body away.
    """

    def __init__(
        self,
        answer: Callable[[Asked], bytes | None],
        *,
        hasty: bool = False,
    ) -> None:
        self.asked: list[Asked] = []
        self._answer = answer
        self._hasty = hasty
        self._loop = BackgroundLoop()
        self._clients: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self._server = self._loop.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._close())
        self._loop.__exit__()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    async def _close(self) -> None:
        self._server.close()
        for writer in self._clients:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (at.partition(":") for at in lines)
            }
            size = 0 if self._hasty else int(headers.get("content-length", "0"))
            body = await reader.readexactly(size)
            method, target, _ = first.split(" ")
            asked = Asked(method=method, target=target, headers=headers, body=body)
            self.asked.append(asked)
            said = self._answer(asked)
            if said is None:
                await reader.read()  # until the client has had enough
            else:
                writer.write(said)
                await writer.drain()
                if self._hasty:
                    await _ignore_the_rest(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            self._clients.discard(writer)
            writer.close()


async def _ignore_the_rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hang up in good order: closing with bytes unread would take the answer back."""
    writer.write_eof()
    while await reader.read(65536):
        pass
