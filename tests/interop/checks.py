"""What has to be true when an upload is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.support.payload import Payload, sha256
from tests.support.server import ServerProcess, fetch, head, upload_id
from tests.wire.waiting import wait_until

if TYPE_CHECKING:
    from tests.interop.clients import Report
    from tests.support.proxy import FaultProxy


def check_stored(server: ServerProcess, upload_url: str, payload: Payload) -> None:
    """The published file has exactly the payload's bytes; GET and HEAD agree."""
    served = fetch(server.public_url(upload_url))
    state = head(server.direct(upload_url))

    assert sha256(server.content(upload_url)) == payload.sha256
    assert (served.status, sha256(served.body)) == (200, payload.sha256)
    assert state.status in {200, 204}
    assert state.headers["upload-offset"] == state.headers["upload-length"] == str(payload.size)


def check_success(server: ServerProcess, report: Report, payload: Payload) -> None:
    """The client heard of one success and of no error, and the file is what it sent."""
    assert (report.outcome, report.successes, report.errors) == ("success", 1, [])
    check_stored(server, report.url, payload)


def wait_for_offset(upload_url: str, offset: int, seconds: float = 10.0) -> None:
    """Return once the server says that it has `offset` bytes; AssertionError if it never does."""
    deadline = time.monotonic() + seconds
    while (state := head(upload_url)).headers.get("upload-offset") != str(offset):
        assert time.monotonic() < deadline, f"{offset} not reached: {state}"
        time.sleep(0.01)


def wait_until_stored(server: ServerProcess, proxy: FaultProxy, size: int) -> None:
    """Return once the upload of the last PATCH has `size` bytes.

    A client that asks before the server has read what its machine received is told of less. Of a server on
    S3 it cannot be seen.
    """
    file = server.upload_dir / "incoming" / upload_id(patched(proxy))
    wait_until(lambda: not file.exists() or file.stat().st_size == size, f"{size} bytes are not stored")


def patched(proxy: FaultProxy) -> str:
    """The path of the upload of the last PATCH."""
    return [request.target for request in proxy.requests if request.method == "PATCH"][-1]


def wait_until_gone(server: ServerProcess, path: str, seconds: float = 10.0) -> None:
    """Return once the server says 404 and has no file of the upload; AssertionError if that never is so."""
    deadline = time.monotonic() + seconds
    while (status := head(f"{server.origin}{path}").status) != 404 or server.traces(path):
        assert time.monotonic() < deadline, f"not gone: {status}, {server.traces(path)}"
        time.sleep(0.01)


def methods(proxy: FaultProxy) -> list[str]:
    """The methods of the requests so far, without a browser's questions beforehand."""
    return [request.method for request in proxy.requests if request.method != "OPTIONS"]


def offsets(proxy: FaultProxy) -> list[int]:
    """Where the PATCH requests so far meant to write, in bytes."""
    return [int(it.headers["upload-offset"]) for it in proxy.requests if it.method == "PATCH"]


def partials(proxy: FaultProxy) -> list[str]:
    """The paths of the uploads that were written to, each once, in the order of their first PATCH."""
    return list(dict.fromkeys(it.target for it in proxy.requests if it.method == "PATCH"))
