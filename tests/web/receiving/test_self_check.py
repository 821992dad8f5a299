"""Where aiohttp is not what the bypass takes it for, everything goes on without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tusd_py.web import connection
from tusd_py.web.body import RequestBody
from tusd_py.web.bypass import Bypass
from tusd_py.web.connection import Runner
from tusd_py.web.keys import PORTABLE
from tusd_py.web.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 1_000_000


async def receive(*, portable: bool = False) -> tuple[Tally, int, list[str]]:
    """The tally of one large body, its bytes, and what was logged."""
    tally, received = Tally(), []

    async def handle(request: web.Request) -> web.Response:
        body = RequestBody(request, idle_timeout=10, tally=tally)
        poured = body.pour(Anywhere(), room=None)
        assert poured is not None
        async with poured:
            async for _ in poured:
                pass
        received.append(body.received)
        return web.Response()

    app = web.Application()
    app[PORTABLE] = portable
    app.router.add_route("*", "/", handle)
    runner = Runner(app, idle_timeout=10, shutdown_timeout=1)
    with capture_logs() as lines:
        await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        await (await session.patch(f"http://{host}:{port}/", data=b"x" * SIZE)).read()
    await runner.cleanup()
    return tally, received[0], [line["event"] for line in lines]


class Anywhere:
    """A DirectWriter that keeps nothing."""

    is_quick = True

    def __call__(self, data: memoryview) -> None:
        pass


async def test_here_it_works() -> None:
    """The check finds nothing wrong, and a large body is received past the parser."""
    tally, received, lines = await receive()

    assert tally.protocol + tally.worker > 0
    assert received == SIZE
    assert lines == []


async def test_it_can_be_switched_off() -> None:
    """--receive portable."""
    tally, received, lines = await receive(portable=True)

    assert (tally.stream, received) == (SIZE, SIZE)
    assert lines == []


def another_signature(*_: object, **__: object) -> object:
    raise TypeError("unexpected keyword argument")


def ignored(_self: Bypass, _protocol: object) -> None:
    """A transport that goes on with the protocol it has."""


@pytest.mark.parametrize(
    ("where", "name", "stand_in"),
    [(connection, "HttpRequestParser", another_signature), (Bypass, "_take_place", ignored)],
    ids=["parser", "transport"],
)
async def test_what_does_not_work_is_said_once_and_done_without(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str, stand_in: Callable[..., object]
) -> None:
    """Every body comes whole all the same, through aiohttp."""
    monkeypatch.setattr("tusd_py.web.bypass_check._PATIENCE", 1.0)
    monkeypatch.setattr(where, name, stand_in)

    tally, received, lines = await receive()

    assert (tally.stream, received) == (SIZE, SIZE)
    assert lines == ["bodies are received the slower way"]
