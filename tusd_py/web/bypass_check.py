"""Whether this aiohttp and this event loop are what `tusd_py.web.bypass` takes them for: it is tried."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from tusd_py.web.bypass import BUFFER
from tusd_py.web.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tusd_py.web.bypass import Bypass
    from tusd_py.web.connection import Connection

Handle: TypeAlias = "Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]"

_BODY = bytes(range(256)) * (4 * BUFFER // 256 + 7)
"""More than aiohttp reads ahead, and not a multiple of the buffer: the last piece is a short one."""

_PATIENCE = 5.0
_GOODBYE = 0.1  # seconds; aiohttp takes 0 for no limit


class _Memory:
    is_quick = True

    def __init__(self) -> None:
        self.content = b""

    def __call__(self, data: memoryview) -> None:
        self.content += data


async def find_fault(make_server: Callable[[Handle], web.Server]) -> str | None:
    """Why bodies cannot be received past aiohttp's parser; None when they can.

    A request with a body and, right behind it, another one go to a connection of `make_server` through a
    pair of sockets: the body must come whole and past the parser, and the second request be read.
    """
    seen, faults = _Memory(), list[str]()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.method == "PATCH":
                await _receive(request, seen)
        except Exception as error:  # noqa: BLE001 - likewise
            faults.append(repr(error))
        return web.Response(headers={"Seen": request.method})

    server = make_server(handle)
    try:
        async with asyncio.timeout(_PATIENCE):
            answers = await _converse(server)
    except Exception as error:  # noqa: BLE001 - what somebody else's internals may raise is not known
        return repr(error)
    finally:
        await server.shutdown(_GOODBYE)
    if faults:
        return faults[0]
    if seen.content != _BODY:
        return f"{len(seen.content)} bytes came of {len(_BODY)}, or wrong ones"
    return None if answers == ["PATCH", "GET"] else f"the requests that were seen are {answers}"


async def _receive(request: web.BaseRequest, seen: _Memory) -> None:
    protocol: Connection = request.protocol  # type: ignore[assignment]
    while piece := request.content.read_nowait():
        seen.content += piece
    bypass: Bypass | None = protocol.bypass(request.content, len(_BODY) - len(seen.content), seen, Tally())
    if bypass is None:
        raise RuntimeError("the connection cannot be taken over")
    bypass.release()
    while not bypass.is_over:
        await bypass.news()


async def _converse(server: web.Server) -> list[str]:
    """Which requests were answered."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    await asyncio.get_running_loop().connect_accepted_socket(server, theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        writer.write(b"PATCH / HTTP/1.1\r\nHost: check\r\nContent-Length: %d\r\n\r\n" % len(_BODY))
        writer.write(_BODY + b"GET / HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n")
        lines = (await reader.read()).split(b"\r\n")
    finally:
        writer.close()
    return [line[6:].decode() for line in lines if line.startswith(b"Seen: ")]
