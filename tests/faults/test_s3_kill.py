"""SIGKILL of the server and of S3 at any call: nothing acknowledged is lost, every file comes out right."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.faults.s3_travels import Harbour
from tests.faults.wire import VERSION, patch
from tests.support.payload import Payload
from tests.support.s3_proxy import S3FaultProxy
from tests.support.s3_server import S3ServerProcess
from tests.support.seaweed import SeaweedProcess
from tests.support.server import Answer, fetch, head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLIENTS = 3
SIZES = (0, 40_000, 5_300_000, 11_000_000)
PIECES = (30_000, 2_000_000, 6_000_000)
CALLS = 60
"""Up to so many calls to S3 are begun between two kills: twice as many as three uploads make."""
PASSING = {423, 500, 503}
"""What a client hears while S3 is away, and that it should come again."""


class Mortal(Protocol):
    """What is killed."""

    def kill9(self) -> None:
        """Make an end."""
        ...


@dataclass
class Journey:
    """One upload, and what its client was told."""

    payload: Payload
    url: str | None = None
    acknowledged: int = 0
    is_done: bool = False

    def go_on(self, server: S3ServerProcess, piece: int) -> None:
        """Create it, or ask and send `piece` bytes at most. OSError when the server is gone."""
        if self.url is None:
            self._create(server)
            return
        asked = head(self.url)
        if asked.status in PASSING:
            return
        assert asked.status == 200, asked
        offset = self._told(asked)
        if not self.is_done:
            data = self.payload.data[offset:][:piece]
            answer = patch(self.url, offset, data)
            if answer.status not in PASSING:
                assert answer.status == 204, answer
                assert self._told(answer) == offset + len(data)

    def _create(self, server: S3ServerProcess) -> None:
        answer = fetch(server.url, "POST", VERSION | {"Upload-Length": str(self.payload.size)})
        if answer.status not in PASSING:
            assert answer.status == 201, answer
            self.url = answer.headers["location"]

    def _told(self, answer: Answer) -> int:
        offset = int(answer.headers["upload-offset"])
        assert offset >= self.acknowledged, f"{self.url}: {self.acknowledged} bytes were acknowledged"
        self.acknowledged = offset
        self.is_done = offset == self.payload.size
        return offset


@dataclass
class Fleet:
    """Clients that upload one file after another, whatever is killed meanwhile."""

    server: S3ServerProcess
    seed: int
    all: list[Journey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = random.Random(self.seed)
        self.under_way = [self._next() for _ in range(CLIENTS)]
        self._stop = threading.Event()

    def _next(self) -> Journey:
        size = self.source.choice(SIZES)
        self.all.append(Journey(Payload(size=size, seed=self.seed * 1_000 + len(self.all))))
        return self.all[-1]

    def sail_until_killed(self, proxy: S3FaultProxy, victim: Mortal) -> None:
        """Kill `victim` when some number of calls to S3 have begun."""
        calls = len(proxy.requests) + self.source.randint(1, CALLS)
        self._stop.clear()
        with ThreadPoolExecutor(CLIENTS) as pool:
            jobs = [pool.submit(self._sail, ship) for ship in range(CLIENTS)]
            try:
                proxy.wait(lambda it: len(it.requests) >= calls, timeout=60)
                victim.kill9()
            finally:
                self._stop.set()
        for job in jobs:
            job.result()

    def _sail(self, ship: int) -> None:
        try:
            while not self._stop.is_set():
                self.under_way[ship].go_on(self.server, self.source.choice(PIECES))
                if self.under_way[ship].is_done:
                    self.under_way[ship] = self._next()
        except (OSError, HTTPException):
            assert self._stop.wait(30), "the server went by itself"

    def arrive(self) -> None:
        """Finish every upload: each file is there, right, and nothing is left of anything else."""
        for journey in self.all:
            for _ in range(40):
                if not journey.is_done:
                    journey.go_on(self.server, max(PIECES))
            assert journey.is_done, f"{journey.url} is stuck at {journey.acknowledged}"
        self.server.terminate()
        asyncio.run(self._examine())

    async def _examine(self) -> None:
        place = Harbour(self.server.seaweed, self.server.prefix, self.server.seaweed.endpoint)
        for journey in self.all:
            place.check_content(str(journey.url).rpartition("/")[2], journey.payload)
        place.forget_leader()
        await place.tidy_up()
        place.check_nothing_is_left([])
        await place.close()


def survive(
    seaweed: SeaweedProcess, folder: Path, seed: int, kills: int, end: Callable[[S3ServerProcess], Mortal]
) -> Fleet:
    """Upload while the server, or S3, is killed and started again."""
    with S3FaultProxy("127.0.0.1", seaweed.port) as proxy:
        # What was created and never answered has to go some day, or it would count as left behind.
        flags = ("--holder-silence", "60s", "--expire-after", "1h")
        server = S3ServerProcess(seaweed, folder, *flags, endpoint=proxy.origin)
        with server:
            fleet = Fleet(server, seed)
            for _ in range(kills):
                victim = end(server)
                port = server.port
                fleet.sail_until_killed(proxy, victim)
                if victim is server:
                    server.start(port)
                else:
                    seaweed.start()
            fleet.arrive()
    return fleet


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_server_loses_nothing_it_acknowledged(
    seaweed: SeaweedProcess, tmp_path: Path, seed: int
) -> None:
    """Three times kill -9, start, HEAD, resume: no offset falls, each file is there once, and right."""
    survive(seaweed, tmp_path / "storage", seed, 3, lambda server: server)


@pytest.mark.timeout(300)
def test_a_killed_s3_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Three times kill -9 of SeaweedFS: clients are told to come again, and all goes on where it was."""
    with SeaweedProcess(tmp_path / "seaweed") as seaweed:
        survive(seaweed, tmp_path / "storage", 3, 3, lambda _: seaweed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10, 12))
def test_many_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    """Now the server, now S3, thirty times."""
    chance = random.Random(seed)
    with SeaweedProcess(tmp_path / "seaweed") as seaweed:

        def choose(server: S3ServerProcess) -> Mortal:
            return server if chance.random() < 0.5 else seaweed

        survive(seaweed, tmp_path / "storage", seed, 30, choose)
