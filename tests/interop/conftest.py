"""What the interop tests share: one server and one browser for all, a client and a proxy for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.clients import BrowserClient, Driver, NodeClient, start_browser
from tests.interop.pages import PageServer
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.clients import TusJsClient


@pytest.fixture(scope="session")
def pages() -> Iterator[PageServer]:
    """The site with the uploading page."""
    with PageServer() as site:
        yield site


@pytest.fixture(scope="session")
def server(pages: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that pages of our site may use, and no others. It gives up a silent body after 2 s."""
    folder = tmp_path_factory.mktemp("server") / "storage"
    flags = ("--network-timeout", "2s", "--cors-allow-origin", pages.origin.replace(".", r"\."))
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
def published(server: ServerProcess) -> Callable[[], list[str]]:
    """The names of the files that have been published since the test began."""
    before = server.names()
    return lambda: [name for name in server.names() if name not in before]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """One Chromium."""
    with start_browser(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def node_client(tmp_path: Path) -> Iterator[NodeClient]:
    """tus-js-client in a Node process."""
    client = NodeClient(tmp_path)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def browser_client(browser: Driver, pages: PageServer) -> Iterator[BrowserClient]:
    """tus-js-client in a page of another origin than the server's."""
    client = BrowserClient(browser, pages)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(params=["node", "browser"])
def client(request: pytest.FixtureRequest) -> TusJsClient:
    """tus-js-client, once in Node and once in Chromium."""
    it: TusJsClient = request.getfixturevalue(f"{request.param}_client")
    return it
