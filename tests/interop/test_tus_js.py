"""tus-js-client 4, in Node and in a page of another origin, over a network that works."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import pytest

from tests.interop.checks import (
    check_stored,
    check_success,
    methods,
    offsets,
    patched,
    wait_for_offset,
    wait_until_stored,
)
from tests.support.faults import silence_after
from tests.support.payload import Payload
from tests.support.server import head

if TYPE_CHECKING:
    from tests.interop.clients import TusJsClient
    from tests.support.proxy import FaultProxy
    from tests.support.server import ServerProcess

KIB = 1024
CHUNK = 64 * KIB


@pytest.mark.parametrize("size", [1, 8191, 65_537, 3_000_001])
@pytest.mark.parametrize("source", ["file", "buffer"])
def test_a_file_arrives_whole_in_one_request(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, source: str, size: int
) -> None:
    """tus 1.0.0, Creation and PATCH: POST, then one PATCH that brings everything."""
    payload = Payload(size=size, seed=size)
    report = client.upload(endpoint, payload, source=source)

    check_success(server, report, payload)
    assert methods(proxy) == ["POST", "PATCH"]


def test_an_empty_file_is_complete_when_it_is_created(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, Creation: Upload-Length 0 is legal, and no PATCH follows."""
    payload = Payload(size=0)
    report = client.upload(endpoint, payload)

    check_success(server, report, payload)
    assert methods(proxy) == ["POST"]


@pytest.mark.parametrize("size", [5 * CHUNK, 5 * CHUNK + 1, CHUNK - 1])
def test_chunks_arrive_one_behind_the_other(
    client: TusJsClient, server: ServerProcess, endpoint: str, size: int
) -> None:
    """tus 1.0.0, PATCH: each answer carries the offset behind the bytes it took."""
    payload = Payload(size=size, seed=size)
    report = client.upload(endpoint, payload, chunkSize=CHUNK)

    check_success(server, report, payload)
    assert report.accepted == [*range(CHUNK, size, CHUNK), size]


@pytest.mark.parametrize("size", [1, 4 * CHUNK + 1, 4 * CHUNK - 1])
def test_the_length_may_come_at_the_end(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, size: int
) -> None:
    """tus 1.0.0, Creation: Upload-Defer-Length now, Upload-Length with the last chunk."""
    payload = Payload(size=size, seed=size)
    report = client.upload(endpoint, payload, source="stream", chunkSize=CHUNK, uploadLengthDeferred=True)
    posts = [request for request in proxy.requests if request.method == "POST"]
    lengths = [
        request.headers["upload-length"]
        for request in proxy.requests
        if request.method == "PATCH" and "upload-length" in request.headers
    ]

    check_success(server, report, payload)
    assert [post.headers.get("upload-defer-length") for post in posts] == ["1"]
    assert lengths == [str(size)]


@pytest.mark.parametrize(
    ("chunk_size", "requests"), [(None, ["POST"]), (CHUNK, ["POST", "PATCH", "PATCH", "PATCH"])]
)
def test_data_may_come_with_the_creation(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    chunk_size: int | None,
    requests: list[str],
) -> None:
    """tus 1.0.0, Creation With Upload: the POST brings the first chunk, or all there is."""
    payload = Payload(size=3 * CHUNK + 5, seed=11)
    options = {} if chunk_size is None else {"chunkSize": chunk_size}
    report = client.upload(endpoint, payload, uploadDataDuringCreation=True, **options)

    check_success(server, report, payload)
    assert methods(proxy) == requests


def test_a_pause_between_chunks_keeps_what_was_accepted(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, HEAD: after a pause the client asks for the offset and goes on there."""
    payload = Payload(size=6 * CHUNK, seed=12)
    client.start(endpoint, payload, chunkSize=CHUNK, pause_at=2 * CHUNK)
    paused = client.result()
    offset_in_pause = head(server.direct(paused.url)).headers["upload-offset"]
    client.go_on()
    report = client.result()

    assert (paused.outcome, paused.accepted) == ("paused", [CHUNK, 2 * CHUNK])
    assert offset_in_pause == str(2 * CHUNK)
    check_success(server, report, payload)
    assert report.accepted == [CHUNK * n for n in range(1, 7)]
    assert methods(proxy).count("POST") == 1


def test_a_pause_within_a_request_keeps_what_arrived(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, PATCH: what came of an interrupted body is kept, to the byte."""
    payload = Payload(size=2_000_000, seed=13)
    proxy.script(silence_after(700_001))
    client.start(endpoint, payload)
    proxy.wait(lambda it: len(it.fired) == 1)
    wait_until_stored(server, proxy, 700_001)
    client.pause()
    proxy.cut()
    client.go_on()
    report = client.result()

    check_success(server, report, payload)
    assert methods(proxy) == ["POST", "PATCH", "HEAD", "PATCH"]
    assert offsets(proxy) == [0, 700_001]


def test_a_stored_url_resumes_an_upload_after_a_restart(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """A page reloaded, or a program started again, finds the upload's URL and sends only the rest."""
    payload = Payload(size=5 * CHUNK + 7, seed=14)
    client.start(endpoint, payload, pause_at=3 * CHUNK, chunkSize=CHUNK)
    paused = client.result()
    client.restart()
    report = client.upload(endpoint, payload, resume=True, chunkSize=CHUNK)

    assert report.found == 1
    assert report.url == paused.url
    check_success(server, report, payload)
    assert report.accepted == [4 * CHUNK, 5 * CHUNK, 5 * CHUNK + 7]
    assert methods(proxy).count("POST") == 1


def test_a_stored_url_of_a_finished_upload_is_success_at_once(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """A finished upload keeps answering HEAD, so choosing the same file again sends nothing."""
    payload = Payload(size=100_000, seed=15)
    first = client.upload(endpoint, payload)
    client.restart()
    report = client.upload(endpoint, payload, resume=True)

    check_success(server, report, payload)
    assert report.url == first.url
    assert methods(proxy) == ["POST", "PATCH", "HEAD"]


def test_a_restart_in_the_middle_of_a_request_resumes(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """A page reloaded while bytes are on their way goes on behind those that arrived."""
    payload = Payload(size=2_000_000, seed=16)
    proxy.script(silence_after(1_234_567))
    client.start(endpoint, payload)
    proxy.wait(lambda it: len(it.fired) == 1)
    client.restart()
    proxy.cut()
    wait_for_offset(server.direct(patched(proxy)), 1_234_567)
    report = client.upload(endpoint, payload, resume=True)

    check_success(server, report, payload)
    assert methods(proxy) == ["POST", "PATCH", "HEAD", "PATCH"]
    assert offsets(proxy) == [0, 1_234_567]


def test_termination_leaves_nothing_behind(
    client: TusJsClient, server: ServerProcess, endpoint: str
) -> None:
    """tus 1.0.0, Termination: 204, then 404, and no file of the upload remains."""
    client.start(endpoint, Payload(size=6 * CHUNK, seed=17), chunkSize=CHUNK, pause_at=2 * CHUNK)
    url = client.result().url
    traces_before = server.traces(url)
    client.terminate()

    assert traces_before != []
    assert head(server.direct(url)).status == 404
    assert server.traces(url) == []


def test_termination_stops_a_running_request(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, Termination: a PATCH that still waits for bytes does not bring the file back."""
    proxy.script(silence_after(300_000))
    client.start(endpoint, Payload(size=2_000_000, seed=18))
    proxy.wait(lambda it: len(it.fired) == 1)
    path = next(request.target for request in proxy.requests if request.method == "PATCH")
    url = f"{server.origin}{path}"
    traces_before = server.traces(url)
    client.terminate()
    proxy.cut()

    assert traces_before != []
    assert head(url).status == 404
    assert server.traces(url) == []


def test_a_finished_upload_can_be_terminated(
    client: TusJsClient, server: ServerProcess, endpoint: str
) -> None:
    """tus 1.0.0, Termination: it holds for finished uploads too; the published file is gone."""
    payload = Payload(size=70_000, seed=19)
    report = client.upload(endpoint, payload)
    check_stored(server, report.url, payload)
    client.terminate()

    assert head(server.direct(report.url)).status == 404
    assert server.traces(report.url) == []


def test_patch_may_be_spelled_as_post(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: its value is the method, for networks that know no PATCH."""
    payload = Payload(size=3 * CHUNK, seed=20)
    report = client.upload(endpoint, payload, chunkSize=CHUNK, overridePatchMethod=True)

    check_success(server, report, payload)
    assert methods(proxy) == ["POST"] * 4


def test_metadata_comes_back_as_it_went(client: TusJsClient, server: ServerProcess, endpoint: str) -> None:
    """tus 1.0.0, Upload-Metadata: HEAD gives the value of the creation; the suffix names the file."""
    metadata = {
        "filename": "Fjällräven, „東京“ 🚀.bin",
        "filetype": "application/octet-stream",
        "empty": "",
    }
    payload = Payload(size=1000, seed=21)
    report = client.upload(endpoint, payload, metadata=metadata)
    pairs = [
        pair.partition(" ")
        for pair in head(server.direct(report.url)).headers["upload-metadata"].split(",")
    ]

    check_success(server, report, payload)
    assert {key: b64decode(value).decode() for key, _, value in pairs} == metadata
    assert server.published(report.url).suffix == ".bin"


def test_headers_of_the_page_and_request_ids_are_welcome(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """Everything tus-js-client may add passes a browser's check beforehand, and the server."""
    payload = Payload(size=1000, seed=22)
    report = client.upload(endpoint, payload, addRequestId=True, headers={"Authorization": "Bearer abc"})
    sent = [request for request in proxy.requests if request.method != "OPTIONS"]

    check_success(server, report, payload)
    assert all(len(request.headers["x-request-id"]) == 36 for request in sent)
    assert {request.headers["authorization"] for request in sent} == {"Bearer abc"}


def test_an_upload_goes_on_from_a_url_alone(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """`uploadUrl`: a program that kept the URL itself needs no creation."""
    payload = Payload(size=4 * CHUNK, seed=23)
    client.start(endpoint, payload, chunkSize=CHUNK, pause_at=CHUNK)
    url = client.result().url
    client.restart()
    report = client.upload(endpoint, payload, chunkSize=CHUNK, uploadUrl=url)

    check_success(server, report, payload)
    assert report.accepted == [2 * CHUNK, 3 * CHUNK, 4 * CHUNK]
    assert methods(proxy).count("POST") == 1
