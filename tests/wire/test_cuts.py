"""A body that is cut ends, hands out what arrived, and says why: at whatever moment the cut comes."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.wire.raw import Wire
from tusd_py.core.outcomes import BodyEnd
from tusd_py.web.body import RequestBody

HEAD = b"PATCH / HTTP/1.1\r\nHost: files.test\r\nContent-Length: 9\r\n\r\n"


async def drain(body: RequestBody) -> bytes:
    """Everything the body hands out."""
    return b"".join([piece async for piece in body.chunks()])


@pytest.mark.parametrize("idle_timeout", [0, 60], ids=["timing-out", "waiting"])
@pytest.mark.parametrize("turns", range(8))
async def test_a_cut_may_come_in_any_turn_of_the_loop(turns: int, idle_timeout: float) -> None:
    """Neither a timeout that has just struck nor one that has not is in its way (Body.cut)."""
    ends: list[BodyEnd] = []

    async def handle(request: web.Request) -> web.Response:
        body = RequestBody(request, idle_timeout=idle_timeout)
        draining = asyncio.create_task(drain(body))
        for _ in range(turns):
            await asyncio.sleep(0)
        body.cut(BodyEnd.SUPERSEDED)
        given = await draining
        ends.append(body.end)
        response = web.Response(body=given)
        response.force_close()
        return response

    app = web.Application()
    app.router.add_patch("/", handle)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        answer = await asyncio.to_thread(exchange, server.port, HEAD + b"abcd")

    assert answer == b"abcd"
    assert ends[0] is BodyEnd.SUPERSEDED or (idle_timeout == 0 and ends[0] is BodyEnd.TIMED_OUT)


def exchange(port: int, data: bytes) -> bytes:
    """Send, and the body of the answer."""
    with Wire.to(port) as wire:
        wire.send(data)
        return wire.read().body
