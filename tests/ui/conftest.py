"""What the page's tests share: one server and one browser for all, a visit and a network for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess
from tests.ui.pages import Page, start_browser
from tusd_py.web.page import FOLDER, LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.clients import Driver
    from tests.support.payload import Payload


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with its page, and with tus-js-client beside it."""
    assert (FOLDER / LIBRARY.name).is_file(), "tus-js-client is missing: run `make ui`"
    folder = tmp_path_factory.mktemp("ui") / "storage"
    with ServerProcess(folder, "--max-size", "20MB", "--behind-proxy") as process:
        yield process


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """One Chromium."""
    with start_browser(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[FaultProxy]:
    """A network in front of the server that breaks as it is told."""
    with FaultProxy("127.0.0.1", server.port) as it:
        yield it


@pytest.fixture
def page(browser: Driver, proxy: FaultProxy) -> Iterator[Page]:
    """A visit of the page over that network."""
    visit = Page(browser, proxy.origin)
    try:
        yield visit
    finally:
        visit.close()


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """A function that puts a payload into a file; its name can be chosen."""

    def write(payload: Payload, name: str = "photo.jpg") -> Path:
        path = tmp_path / name
        path.write_bytes(payload.data)
        return path

    return write
