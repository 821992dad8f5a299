"""One server for all tests that can share it, others on demand."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.server import ServerProcess
from tests.wire.raw import SECONDS
from tests.wire.tus import Tus

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SIZE = 100_000_000
"""The largest upload the shared server takes, in bytes."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as it comes, with a limit so that limits can be met."""
    folder = tmp_path_factory.mktemp("wire") / "store"
    with ServerProcess(folder, "--max-size", str(MAX_SIZE), "--network-timeout", "2s") as process:
        yield process


@pytest.fixture(scope="session")
def tus(server: ServerProcess) -> Tus:
    """A client of the shared server."""
    return Tus.of(server)


@pytest.fixture(scope="session")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server without any limit of size, and patient."""
    folder = tmp_path_factory.mktemp("wire") / "open"
    with ServerProcess(folder, "--min-free-space", "0", "--network-timeout", "60s") as process:
        yield process


@pytest.fixture(scope="session")
def open_tus(open_server: ServerProcess) -> Tus:
    """A client of the server without limits."""
    return Tus.of(open_server)


class LogLines:
    """The lines the server has logged, up to everything it had to say of requests answered so far."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server

    def __iter__(self) -> Iterator[str]:
        mark = f"mark-{uuid.uuid4()}"
        Tus.of(self._server).ask("OPTIONS", fields={"X-Request-ID": mark})
        deadline = time.monotonic() + SECONDS
        while mark not in self._server.log:  # the log is collected by a thread
            assert time.monotonic() < deadline, "the log does not come"
            time.sleep(0.01)
        return iter(self._server.log.splitlines())

    def access(self, request_id: str) -> dict[str, object]:
        """The access line of that request, which reaches us on another way than its answer."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            lines = [json.loads(line) for line in self if '"event":"request"' in line]
            found: list[dict[str, object]] = [line for line in lines if line["request_id"] == request_id]
            if found:
                return found[-1]
        raise AssertionError(f"no access line of {request_id}")


@pytest.fixture
def server_log(server: ServerProcess) -> LogLines:
    """What the shared server says."""
    return LogLines(server)


def check_no_traceback(server: ServerProcess) -> None:
    """Nothing that was asked of the server so far was an error of its own."""
    lines = [line for line in LogLines(server) if "Traceback" in line or '"exception"' in line]
    assert lines == []


KINDS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "uvloop": (("--loop", "uvloop"), {}),
    "asyncio": (("--loop", "asyncio"), {}),
    "asyncio, parser in Python": (("--loop", "asyncio"), {"AIOHTTP_NO_EXTENSIONS": "1"}),
}
"""Flags and environment for each way the server's bytes may come in."""


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def any_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server on every event loop and with every HTTP parser there is; it is impatient."""
    flags, environment = request.param
    folder = tmp_path_factory.mktemp("kinds") / "store"
    with ServerProcess(folder, "--network-timeout", "1s", *flags, environment=environment) as process:
        yield process


@pytest.fixture(scope="module")
def any_tus(any_server: ServerProcess) -> Tus:
    """A client of such a server."""
    return Tus.of(any_server)
