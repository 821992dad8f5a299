"""tus-js-client 4 with `parallelUploads`, in Node and in a page of another origin."""

from __future__ import annotations

from base64 import b64decode
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.interop.checks import check_success, methods, partials, wait_until_gone
from tests.support.faults import silence_after
from tests.support.payload import Payload
from tests.support.server import head

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.clients import TusJsClient
    from tests.support.proxy import FaultProxy
    from tests.support.server import ServerProcess

CHUNK = 64 * 1024
SIZE = 1_500_001


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("chunks", [{}, {"chunkSize": CHUNK}], ids=["whole", "chunks"])
def test_partials_sent_at_once_become_one_file(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    count: int,
    chunks: dict[str, int],
) -> None:
    """tus 1.0.0, Concatenation: the final is its partials in their order; a partial is never published."""
    payload = Payload(size=SIZE, seed=count)
    report = client.upload(endpoint, payload, parallelUploads=count, **chunks)

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == count + 1
    assert len(partials(proxy)) == count
    assert published() == [server.published(report.url).name]


@pytest.mark.parametrize(("size", "count"), [(0, 2), (1, 2), (3, 5), (7, 6)])
def test_more_partials_than_bytes_become_one_file(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    size: int,
    count: int,
) -> None:
    """tus 1.0.0, Creation and Concatenation: a partial of length 0 is complete and joins like any."""
    payload = Payload(size=size, seed=size)
    report = client.upload(endpoint, payload, source="buffer", parallelUploads=count)

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == count + 1
    assert published() == [server.published(report.url).name]


@pytest.mark.parametrize(
    "edges",
    [[0, 10, 1_000_000, SIZE], [0, SIZE - 1, SIZE], [0, 500, 500, SIZE, SIZE]],
    ids=["three", "a last byte alone", "empty ones"],
)
def test_the_client_chooses_where_to_cut(
    *, client: TusJsClient, server: ServerProcess, endpoint: str, edges: list[int]
) -> None:
    """`parallelUploadBoundaries`: partials of any size, equal or not."""
    bounds = [{"start": a, "end": b} for a, b in pairwise(edges)]
    payload = Payload(size=SIZE, seed=200)
    report = client.upload(
        endpoint,
        payload,
        source="buffer",
        parallelUploads=len(bounds),
        parallelUploadBoundaries=bounds,
    )
    final = head(server.direct(report.url)).headers["upload-concat"]
    lengths = [
        head(server.direct(url)).headers["upload-length"] for url in final.removeprefix("final;").split()
    ]

    check_success(server, report, payload)
    assert lengths == [str(bound["end"] - bound["start"]) for bound in bounds]


def test_only_the_final_has_the_metadata_and_the_name(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """tus 1.0.0, Concatenation: metadata of a partial stays with it and says nothing about the file."""
    payload = Payload(size=SIZE, seed=201)
    report = client.upload(
        endpoint,
        payload,
        parallelUploads=3,
        metadata={"filename": "Grüße.tar"},
        metadataForPartialUploads={"filename": "piece.txt"},
    )
    final = head(server.direct(report.url)).headers["upload-metadata"]
    pieces = [head(f"{server.origin}{path}").headers for path in partials(proxy)]

    check_success(server, report, payload)
    assert b64decode(final.removeprefix("filename ")).decode() == "Grüße.tar"
    assert published() == [f"{report.url.rpartition('/')[2]}.tar"]
    assert [piece["upload-concat"] for piece in pieces] == ["partial"] * 3
    assert {piece["upload-metadata"] for piece in pieces} == {"filename cGllY2UudHh0"}
    assert all("content-location" not in piece for piece in pieces)


def test_data_may_come_with_the_creation_of_partials(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, Creation With Upload: each partial arrives in the POST that creates it."""
    payload = Payload(size=SIZE, seed=202)
    report = client.upload(endpoint, payload, parallelUploads=3, uploadDataDuringCreation=True)

    check_success(server, report, payload)
    assert methods(proxy) == ["POST"] * 4


def test_a_pause_stops_every_partial_and_loses_nothing(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """tus 1.0.0, HEAD: after the pause each partial is asked how far it is; none is created again."""
    payload = Payload(size=SIZE, seed=203)
    proxy.script(silence_after(200_000, nth=3))
    client.start(endpoint, payload, parallelUploads=3)
    proxy.wait(lambda it: len(it.fired) == 1)
    client.pause()
    proxy.cut()
    client.go_on()
    report = client.result()

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 4
    assert len(partials(proxy)) == 3
    assert published() == [server.published(report.url).name]


def test_stored_urls_resume_the_partials_after_a_restart(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """A page reloaded, or a program started again, finds the partials' URLs and sends only the rest."""
    payload = Payload(size=SIZE, seed=204)
    proxy.script(silence_after(300_000, nth=3))
    client.start(endpoint, payload, parallelUploads=3)
    proxy.wait(lambda it: len(it.fired) == 1)
    client.wait_until_stored()
    client.restart()
    proxy.cut()
    report = client.upload(endpoint, payload, resume=True, parallelUploads=3)

    assert report.found == 1
    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 4
    assert len(partials(proxy)) == 3
    assert published() == [server.published(report.url).name]


def test_a_finished_file_chosen_again_sends_no_bytes(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """The URL storage knows the partials, which still answer HEAD: all that follows is another final."""
    payload = Payload(size=SIZE, seed=205)
    client.upload(endpoint, payload, parallelUploads=2)
    patches_before = methods(proxy).count("PATCH")
    client.restart()
    report = client.upload(endpoint, payload, resume=True, parallelUploads=2)

    check_success(server, report, payload)
    assert methods(proxy)[-3:] == ["HEAD", "HEAD", "POST"]
    assert methods(proxy).count("PATCH") == patches_before


def test_termination_removes_every_partial(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, Termination: a partial is removed as any upload is, in the middle of its request.

    The client does not tell when the partials are gone, so the test looks until they are.
    """
    proxy.script(silence_after(200_000, nth=3))
    client.start(endpoint, Payload(size=SIZE, seed=206), parallelUploads=3)
    proxy.wait(lambda it: len(it.fired) == 1)
    paths = partials(proxy)
    client.terminate()

    assert len(paths) == 3
    for path in paths:
        wait_until_gone(server, path)
