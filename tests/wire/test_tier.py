"""Which way bodies take into the server, in this run: `make test-tiers` runs these tests once for each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.faults.wire import Exchange, create, published_digest, wait_until_stored
from tests.support.payload import Payload
from tests.support.scrape import scrape
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

SHORT = Payload(size=10_000, seed=1)
LONG = Payload(size=1024 * 1024, seed=2)


def goes_past_aiohttp(server: ServerProcess, file: Payload) -> bool:
    """Whether a body did; but for its first byte, which is stored before the others are sent."""
    before = bytes_past_aiohttp(server)
    url = create(server.url, file.size)
    with Exchange.patch(url, 0, file.size) as request:
        request.send(file.data[:1])
        wait_until_stored(server, url, 1)
        request.send(file.data[1:])
        assert request.answer().status == 204
    assert published_digest(server, url) == file.sha256
    count = bytes_past_aiohttp(server) - before
    assert count in {0, file.size - 1, file.size}
    return count > 0


def bytes_past_aiohttp(server: ServerProcess) -> int:
    """Of all bodies so far."""
    told = scrape(server.origin).of("tusd_body_bytes_total")
    return sum(int(count) for labels, count in told.items() if labels != '{tier="stream"}')


def test_bodies_take_the_way_that_this_run_is_about(tmp_path: Path) -> None:
    """TIER: `eager` for past aiohttp wherever that can be, `portable` for never, else long ones alone."""
    with ServerProcess(tmp_path / "storage") as server:
        ways = (goes_past_aiohttp(server, SHORT), goes_past_aiohttp(server, LONG))

    expected = {"eager": (True, True), "portable": (False, False), None: (False, True)}
    assert ways == expected[os.environ.get("TIER")]
