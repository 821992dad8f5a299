"""What only a browser does: ask for permission, and keep what a page may not see from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.checks import check_success, methods
from tests.interop.clients import BrowserClient
from tests.interop.pages import PageServer
from tests.support.payload import Payload
from tests.support.server import ServerProcess, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.clients import Driver
    from tests.support.proxy import FaultProxy

KIB = 1024
CHUNK = 64 * KIB


def test_a_page_asks_before_it_uploads(
    browser_client: BrowserClient, pages: PageServer, proxy: FaultProxy, endpoint: str
) -> None:
    """Fetch, CORS-preflight: the browser asks for each method and header that is not simple."""
    browser_client.upload(endpoint, Payload(size=1000, seed=60))
    questions = [request for request in proxy.requests if request.method == "OPTIONS"]

    asked = [question.headers["access-control-request-method"] for question in questions]
    assert asked == ["POST", "PATCH"]
    assert {question.headers["origin"] for question in questions} == {pages.origin}


def test_a_page_of_a_foreign_origin_gets_nowhere(browser: Driver, server: ServerProcess) -> None:
    """An origin that does not match `cors_allow_origin` cannot create an upload."""
    with PageServer() as foreign:
        client = BrowserClient(browser, foreign)
        report = client.upload(server.url, Payload(size=1000, seed=61), retryDelays=None)
        client.close()

    assert (report.outcome, report.successes, len(report.errors)) == ("error", 0, 1)


def test_a_page_may_send_cookies_when_the_server_says_so(
    browser: Driver, pages: PageServer, tmp_path: Path
) -> None:
    """Fetch, credentials: the origin is named, never `*`, and Access-Control-Allow-Credentials is true."""
    payload = Payload(size=150_000, seed=62)
    flags = ("--cors-allow-origin", pages.origin, "--cors-allow-credentials")
    with ServerProcess(tmp_path / "storage", *flags) as server:
        client = BrowserClient(browser, pages)
        report = client.upload(server.url, payload, chunkSize=CHUNK, with_credentials=True)
        client.close()

        check_success(server, report, payload)


def test_a_page_sees_an_error_of_the_server_as_it_is(
    browser: Driver, pages: PageServer, tmp_path: Path
) -> None:
    """Errors carry the CORS headers too: a refusal is final, not a network fault to be repeated."""
    with ServerProcess(tmp_path / "storage", "--max-size", "1000") as server:
        client = BrowserClient(browser, pages)
        report = client.upload(server.url, Payload(size=1001, seed=63))
        client.close()

    assert (report.outcome, report.successes) == ("error", 0)
    assert "response code: 413" in report.errors[0]


def test_a_page_may_read_the_published_file(
    browser_client: BrowserClient, pages: PageServer, server: ServerProcess, endpoint: str
) -> None:
    """The finished file answers GET from an allowed origin with that origin."""
    report = browser_client.upload(endpoint, Payload(size=1000, seed=64))
    answer = fetch(server.public_url(report.url), headers={"Origin": pages.origin})

    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == pages.origin


@pytest.mark.parametrize("size", [CHUNK, 4 * CHUNK])
def test_a_stream_that_ends_on_a_chunk_edge_is_complete(
    browser_client: BrowserClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, size: int
) -> None:
    """tus 1.0.0, Creation: the length may come with an empty last PATCH, at offset == length."""
    payload = Payload(size=size, seed=65)
    report = browser_client.upload(
        endpoint, payload, source="stream", chunkSize=CHUNK, uploadLengthDeferred=True
    )
    last = proxy.requests[-1]

    check_success(server, report, payload)
    assert last.headers["upload-length"] == str(size)


def test_a_deferred_length_survives_a_reload(
    browser_client: BrowserClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, HEAD: Upload-Defer-Length: 1 while the length is unknown; the upload goes on."""
    payload = Payload(size=5 * CHUNK + 7, seed=66)
    browser_client.start(endpoint, payload, chunkSize=CHUNK, uploadLengthDeferred=True, pause_at=3 * CHUNK)
    paused = browser_client.result()
    browser_client.restart()
    report = browser_client.upload(
        endpoint, payload, chunkSize=CHUNK, uploadLengthDeferred=True, resume=True
    )

    assert (report.found, report.url) == (1, paused.url)
    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 1
