"""Several workers on one bucket: what one of them remembers of an upload never outweighs what is there."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.faults.wire import create, offset_of, resume, wait_until
from tests.support.payload import Payload, sha256
from tests.support.s3_server import S3ServerProcess
from tests.wire.tus import Tus
from tests.workers.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

DATA = Payload(size=13_000_000, seed=5)
CUTS = (0, 1_000_000, 5_500_000, 5_600_000, 9_000_000, 12_999_999, 13_000_000)


class S3Crew(Crew, S3ServerProcess):
    """A crew whose uploads are in a bucket."""

    def __init__(self, seaweed: SeaweedProcess, folder: Path, *flags: str) -> None:
        workers = ("--workers", "2", "--network-timeout", "60s")
        S3ServerProcess.__init__(self, seaweed, folder, *workers, *flags)


@pytest.fixture
def crew(seaweed: SeaweedProcess, tmp_path: Path) -> Iterator[S3Crew]:
    """Two workers on one bucket."""
    with S3Crew(seaweed, tmp_path / "crew") as it:
        yield it


def test_each_piece_goes_to_another_worker(crew: S3Crew, two: tuple[int, int]) -> None:
    """Parts and segments of both follow one another; each tells what the other one has stored."""
    tus, path = Tus.of(crew), Tus.of(crew).create(DATA.size)
    for turn, (start, stop) in enumerate(pairwise(CUTS)):
        with crew.connect(two[turn % 2]) as wire, crew.connect(two[(turn + 1) % 2]) as beside:
            wire.send(tus.patch_head(path, start, stop - start) + DATA.data[start:stop])
            assert wire.read("PATCH").status == 204
            for asking in (wire, beside):
                asking.send(tus.head_of("HEAD", path))
                assert asking.read("HEAD").get("Upload-Offset") == str(stop)

    assert sha256(crew.content(path)) == DATA.sha256


def test_a_silent_patch_gives_way_to_who_asks_at_another_worker(crew: S3Crew, two: tuple[int, int]) -> None:
    """What the first one has received is stored before a HEAD tells it, and a PATCH begins behind it."""
    tus, url = Tus.of(crew), create(crew.url, DATA.size)
    path = urlsplit(url).path
    with crew.connect(two[0]) as stalled, crew.connect(two[1]) as fresh:
        stalled.send(tus.patch_head(path, 0, DATA.size) + DATA.data[:7_000_000])
        wait_until(lambda: offset_of(url) == 7_000_000, "the bytes do not count")
        fresh.send(tus.patch_head(path, 7_000_000, DATA.size - 7_000_000) + DATA.data[7_000_000:])
        taken, refused = fresh.read("PATCH"), stalled.read("PATCH")

    assert (refused.status, taken.status) == (423, 204)
    assert sha256(crew.content(path)) == DATA.sha256


def test_a_killed_worker_takes_nothing_with_it_that_was_told(crew: S3Crew, two: tuple[int, int]) -> None:
    """kill -9 within an upload: the other one goes on from what is stored, at least what was told."""
    tus, url = Tus.of(crew), create(crew.url, DATA.size)
    path = urlsplit(url).path
    with crew.connect(two[0]) as wire:
        wire.send(tus.patch_head(path, 0, 6_000_000) + DATA.data[:6_000_000])
        assert wire.read("PATCH").status == 204
        wire.send(tus.patch_head(path, 6_000_000, 7_000_000) + DATA.data[6_000_000:9_000_000])
        os.kill(two[0], signal.SIGKILL)
        assert wire.rest() == b""

    assert resume(url, DATA.data) >= 6_000_000
    assert sha256(crew.content(path)) == DATA.sha256
