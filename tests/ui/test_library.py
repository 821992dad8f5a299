"""Where the page has tus-js-client from."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tusd_py
from tests.interop.clients import HERE
from tests.support.payload import Payload
from tests.support.server import ServerProcess, fetch
from tests.ui.checks import digest_of
from tests.ui.pages import Page
from tusd_py.web.page import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.clients import Driver

    Store = Callable[..., Path]

PACKAGE = HERE / "node_modules" / "tus-js-client"
SCRIPT = PACKAGE / "dist" / "tus.min.js"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server from a package into which no tus-js-client was put."""
    folder = tmp_path_factory.mktemp("bare")
    source = Path(tusd_py.__file__).parent
    shutil.copytree(source, folder / "tusd_py", ignore=shutil.ignore_patterns("vendor", "__pycache__"))
    environment = {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    with ServerProcess(folder / "storage", environment=environment) as server:
        yield server


def test_the_pinned_file_is_the_one_in_the_npm_package() -> None:
    """Version and integrity are those of the client that everything else is tested with."""
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    digest = base64.b64encode(hashlib.sha384(SCRIPT.read_bytes()).digest()).decode()

    assert (version, f"sha384-{digest}") == (LIBRARY.version, LIBRARY.integrity)


def test_a_page_with_the_file_beside_it_asks_nobody_else(server: ServerProcess) -> None:
    """Neither the page nor its policy names another host."""
    answer = fetch(f"{server.origin}/")

    assert b"https://" not in answer.body.replace(b"http://www.w3.org/", b"")
    assert "https://" not in answer.headers["content-security-policy"]


def test_a_page_without_the_file_takes_it_from_the_cdn(
    browser: Driver, bare: ServerProcess, store: Store
) -> None:
    """W3C SRI: that very file, allowed by that very address, and the upload works as ever."""
    payload = Payload(size=100_000, seed=95)
    page = Page(browser, bare.origin, answers={LIBRARY.address: str(SCRIPT)})
    page.drop(store(payload))
    [address] = page.until_arrived()
    complaints = page.complaints()
    page.close()

    assert digest_of(bare, address) == payload.sha256
    assert complaints == []
    policy = fetch(f"{bare.origin}/").headers["content-security-policy"]
    assert f"script-src 'self' {LIBRARY.address};" in policy


def test_another_file_from_the_cdn_is_not_run(browser: Driver, bare: ServerProcess, tmp_path: Path) -> None:
    """W3C SRI: a script that is not the pinned one is refused; the page says that it cannot upload."""
    script = tmp_path / "tus.min.js"
    script.write_bytes(SCRIPT.read_bytes() + b"\nwindow.foreign = true")
    page = Page(browser, bare.origin, answers={LIBRARY.address: str(script)})
    page.until_said("The part of this page that uploads could not be loaded.")
    foreign = page.read("window.foreign ?? window.tus ?? null")
    refused = page.complaints()
    page.close()

    assert foreign is None
    assert any("integrity" in complaint for complaint in refused)
