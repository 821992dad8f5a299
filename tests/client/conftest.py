"""What the client's tests share: one server, and a network in front of it for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPIRE_AFTER = 7 * 86400


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose unfinished uploads live a week. It gives up a silent body after 2 s."""
    folder = tmp_path_factory.mktemp("client") / "storage"
    flags = ("--network-timeout", "2s", "--expire-after", f"{EXPIRE_AFTER}s")
    with ServerProcess(folder, *flags) as process:
        yield process


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[FaultProxy]:
    """A network in front of the server that breaks as it is told."""
    with FaultProxy("127.0.0.1", server.port) as it:
        yield it


@pytest.fixture
def endpoint(server: ServerProcess, proxy: FaultProxy) -> str:
    """The creation URL, through the proxy."""
    return proxy.via(server.url)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the client remembers uploads."""
    return tmp_path / "state"
