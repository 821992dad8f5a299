"""tus-js-client and tuspy with files of several parts, over a network that breaks."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import pytest
from tusclient.client import TusClient

from tests.interop.checks import check_stored, check_success, methods
from tests.support.faults import lose_response, reset_after
from tests.support.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.clients import NodeClient
    from tests.support.proxy import FaultProxy
    from tests.support.s3_server import S3ServerProcess

MIB = 1024 * 1024
SIZE = 16 * MIB + 1


@pytest.mark.parametrize("options", [{}, {"chunkSize": 4 * MIB}], ids=["whole", "chunks"])
@pytest.mark.parametrize("seed", [1, 2])
def test_resets_at_random_places_lose_nothing(
    *,
    client: NodeClient,
    server: S3ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    options: dict[str, int],
    seed: int,
) -> None:
    """Four parts: within each of them, between them, and when the last answer is lost."""
    source = random.Random(seed)
    payload = Payload(size=SIZE, seed=seed)
    proxy.script(*(reset_after(source.randrange(4 * MIB)) for _ in range(3)), lose_response())
    report = client.upload(endpoint, payload, **options)

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 1
    assert proxy.pending == ()
    assert len(server.traces(report.url)) == 2


def test_a_stream_of_unknown_length_becomes_parts(
    client: NodeClient, server: S3ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, Upload-Defer-Length: the last chunk tells the length, and ends the last part."""
    payload = Payload(size=SIZE, seed=3)
    options = {"source": "stream", "chunkSize": 3 * MIB, "uploadLengthDeferred": True}
    proxy.script(reset_after(MIB, nth=2), lose_response(nth=2))
    report = client.upload(endpoint, payload, **options)

    check_success(server, report, payload)
    assert proxy.pending == ()


def test_large_partials_are_joined_within_s3(
    client: NodeClient,
    server: S3ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """tus 1.0.0, Concatenation: two partials of 17 MiB, cut on their way, become one file, in order."""
    payload = Payload(size=34 * MIB + 3, seed=4)
    proxy.script(*(reset_after(5 * MIB) for _ in range(3)))
    report = client.upload(endpoint, payload, parallelUploads=2)

    check_success(server, report, payload)
    assert published() == [server.published(report.url).name]


def test_tuspy_goes_on_after_resets(server: S3ServerProcess, proxy: FaultProxy, endpoint: str) -> None:
    """In chunks that do not fit to the parts."""
    payload = Payload(size=SIZE, seed=5)
    proxy.script(reset_after(3 * MIB, nth=2), reset_after(0), lose_response())
    uploader = TusClient(endpoint).uploader(
        file_stream=io.BytesIO(payload.data), chunk_size=4_000_000, retries=20, retry_delay=0
    )
    uploader.upload()

    assert proxy.pending == ()
    check_stored(server, str(uploader.url), payload)
