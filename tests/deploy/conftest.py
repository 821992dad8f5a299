"""Two servers behind nginx."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.deploy.nginx import Nginx
from tests.support.scrape import scrape
from tests.support.server import ServerProcess
from tests.wire.raw import Wire
from tests.wire.tus import Tus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Fleet:
    """nginx and the servers behind it, on one folder.

    Their locks do not know each other: a test may only ever have one of them write to an upload, which
    is what nginx is for.
    """

    nginx: Nginx
    servers: tuple[ServerProcess, ServerProcess]

    @property
    def tus(self) -> Tus:
        """A client that comes in by nginx."""
        return Tus(partial(Wire.to, self.nginx.port), "/files/", self.servers[0].upload_dir)

    @property
    def log(self) -> str:
        """What nginx had to say, then what the servers had, who write into one file."""
        return f"{self.nginx.log}\n{self.servers[0].log}"

    def counts(self, series: str) -> tuple[float, ...]:
        """The value of a series at each server; 0 where it has none yet."""
        return tuple(scrape(server.origin).values.get(series, 0.0) for server in self.servers)

    def until(self, series: str, holds: Callable[[tuple[float, ...]], bool]) -> tuple[float, ...]:
        """The first values for which that holds; pytest's timeout ends the waiting."""
        while not holds(now := self.counts(series)):
            pass
        return now

    def home_of(self, path: str) -> ServerProcess:
        """The server to which nginx sends the requests of an upload."""
        before = self.counts('tusd_requests_total{method="HEAD"}')
        self.tus.head(path)
        after = self.counts('tusd_requests_total{method="HEAD"}')
        [home] = [server for server, was, now in zip(self.servers, before, after, strict=True) if now > was]
        return home


def start(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Fleet]:
    """A fleet that keeps its uploads in `folder`, unless its `environment` says otherwise."""
    one, other = servers = [
        ServerProcess(folder / "store", "--behind-proxy", environment=environment) for _ in range(2)
    ]
    with ExitStack() as stack:
        for server in servers:
            stack.push(server)  # which ends it, started or not
        with ThreadPoolExecutor() as pool:
            list(pool.map(ServerProcess.start, servers))
        nginx = stack.enter_context(Nginx(folder / "nginx", (one.port, other.port)))
        yield Fleet(nginx, (one, other))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet for all tests of a file that leave it whole."""
    yield from start(tmp_path_factory.mktemp("fleet"))


@pytest.fixture
def own_fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet whose servers a test may kill."""
    yield from start(tmp_path)
