"""A disk that keeps everybody waiting: whoever does not need it is served all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import Exchange, create, patch, published_digest, wait_until, wait_until_stored
from tests.support.payload import Payload
from tests.support.scrape import scrape
from tests.support.slow_disk import SlowDisk
from tests.support.watched import WatchedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = Payload(size=2 * 1024 * 1024, seed=11)
HALF = FILE.size // 2
TASTE = 64 * 1024
SLOW = 0.1
"""Seconds for each write, of which a piece of a body takes one or several."""

HARDLY_NOTICED = 0.05
"""Seconds that the event loop may be late."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SlowDisk]:
    """It is quick until it is told to be slow."""
    with SlowDisk(tmp_path / "disk") as it:
        yield it


def quick(server: WatchedServer) -> float:
    """What the server says of its storage: 1 while it answers at once."""
    return scrape(server.origin).values["tusd_storage_quick"]


def test_what_lies_behind_a_program_never_holds_up_the_loop(disk: SlowDisk) -> None:
    """A FUSE file system, in which every operation takes a tenth of a second from the first one on."""
    with WatchedServer(disk.folder) as server:
        disk.slow_down(write=SLOW, others=SLOW)
        server.worst_lag()
        url = create(server.url, FILE.size)
        answer = patch(url, 0, FILE.data)
        lag = server.worst_lag()
        disk.slow_down()

        assert (answer.status, quick(server)) == (204, 0)
        assert published_digest(server, url) == FILE.sha256
    assert disk.waited >= FILE.size // (256 * 1024)
    assert lag < HARDLY_NOTICED


def test_a_disk_that_becomes_slow_is_left_to_threads(disk: SlowDisk) -> None:
    """It passes for a local one. One slow write is felt; the loop waits for none of those behind it."""
    with WatchedServer(disk.folder, takes_for_local=True) as server:
        url = create(server.url, FILE.size)
        with Exchange.patch(url, 0, FILE.size) as request:
            request.send(FILE.data[:HALF])
            wait_until_stored(server, url, HALF)
            wait_until(lambda: quick(server) == 1)  # a busy machine may have made it slow for a second
            disk.slow_down(write=SLOW)
            request.send(FILE.data[HALF : HALF + TASTE])
            wait_until(lambda: quick(server) == 0)
            server.worst_lag()
            waited = disk.waited
            request.send(FILE.data[HALF + TASTE :])
            answer = request.answer()
            lag = server.worst_lag()
            waited = disk.waited - waited
        disk.slow_down()

        assert answer.status == 204
        assert published_digest(server, url) == FILE.sha256
    assert waited >= (HALF - TASTE) // (256 * 1024)
    assert lag < HARDLY_NOTICED


def test_without_noticing_the_loop_would_be_late(disk: SlowDisk) -> None:
    """What the tests above measure is there to be measured."""
    with WatchedServer(disk.folder, takes_for_quick=True) as server:
        url = create(server.url, FILE.size)
        disk.slow_down(write=SLOW)
        server.worst_lag()
        patch(url, 0, FILE.data[:TASTE])
        lag = server.worst_lag()
        disk.slow_down()
    assert lag >= SLOW
