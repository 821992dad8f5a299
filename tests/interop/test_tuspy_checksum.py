"""tuspy 1.1 with `upload_checksum`: each chunk says what it sums up to, and a wrong one does not count."""

from __future__ import annotations

import asyncio
import io
import random
from typing import TYPE_CHECKING, Any

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed

from tests.interop.checks import check_stored, methods, offsets
from tests.support.faults import corrupt_at, lose_response, reset_after, silence_after
from tests.support.payload import Payload
from tests.support.server import head

if TYPE_CHECKING:
    from tests.support.faults import Fault
    from tests.support.proxy import FaultProxy
    from tests.support.server import ServerProcess

CHUNK = 64 * 1024
RETRIES = {"retries": 20, "retry_delay": 0.1}


def uploader(endpoint: str, payload: Payload, **options: Any) -> Any:
    """A blocking uploader of the payload that sends checksums."""
    stream = io.BytesIO(payload.data)
    return TusClient(endpoint).uploader(file_stream=stream, upload_checksum=True, **options)


@pytest.mark.parametrize("size", [1, 5 * CHUNK, 5 * CHUNK + 1])
@pytest.mark.parametrize("chunks", [{}, {"chunk_size": CHUNK}], ids=["whole", "chunks"])
def test_chunks_with_their_checksums_are_accepted(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, size: int, chunks: dict[str, int]
) -> None:
    """tus 1.0.0, Checksum: SHA-1 in Base64, as tuspy states it for each PATCH."""
    payload = Payload(size=size, seed=size)
    upload = uploader(endpoint, payload, **chunks)
    upload.upload()
    sums = [it.headers["upload-checksum"] for it in proxy.requests if it.method == "PATCH"]

    assert offsets(proxy) == list(range(0, size, CHUNK if chunks else size))
    assert [text.split(" ")[0] for text in sums] == ["sha1"] * len(sums)
    check_stored(server, upload.url, payload)


@pytest.mark.parametrize("place", [0, 40_000, CHUNK - 1])
def test_a_corrupt_chunk_is_refused_and_does_not_count(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, place: int
) -> None:
    """tus 1.0.0, Checksum: 460 Checksum Mismatch, the chunk is discarded whole, the offset stays."""
    payload = Payload(size=3 * CHUNK, seed=100)
    proxy.script(corrupt_at(place, nth=2))
    upload = uploader(endpoint, payload, chunk_size=CHUNK)
    with pytest.raises(TusUploadFailed) as caught:
        upload.upload()
    offset_after = head(server.direct(upload.url)).headers["upload-offset"]
    upload.upload()

    assert caught.value.status_code == 460
    assert offset_after == str(CHUNK)
    assert offsets(proxy) == [0, CHUNK, CHUNK, 2 * CHUNK]
    check_stored(server, upload.url, payload)


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_corrupt_chunk_is_sent_again_and_the_file_is_right(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, nth: int
) -> None:
    """After 460 tuspy asks for the offset, which is the chunk's own, and repeats the chunk."""
    payload = Payload(size=4 * CHUNK, seed=101)
    proxy.script(corrupt_at(12_345, nth=nth))
    upload = uploader(endpoint, payload, chunk_size=CHUNK, **RETRIES)
    upload.upload()

    assert proxy.pending == ()
    assert offsets(proxy) == sorted([0, CHUNK, 2 * CHUNK, 3 * CHUNK, (nth - 1) * CHUNK])
    check_stored(server, upload.url, payload)


def test_a_corrupt_upload_in_one_piece_starts_again_at_zero(
    server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, Checksum: all of a request is one chunk, and none of it is kept, however long it is."""
    payload = Payload(size=3_000_000, seed=102)
    proxy.script(corrupt_at(2_999_999))
    upload = uploader(endpoint, payload, **RETRIES)
    upload.upload()

    assert proxy.pending == ()
    assert methods(proxy) == ["POST", "PATCH", "HEAD", "PATCH"]
    assert offsets(proxy) == [0, 0]
    check_stored(server, upload.url, payload)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (reset_after(30_000, nth=2), [0, CHUNK, CHUNK, 2 * CHUNK, 3 * CHUNK]),
        (reset_after(CHUNK - 1, nth=4), [0, CHUNK, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK]),
        (silence_after(30_000, nth=3), [0, CHUNK, 2 * CHUNK, 2 * CHUNK, 3 * CHUNK]),
        (lose_response("PATCH", nth=2), [0, CHUNK, 2 * CHUNK, 3 * CHUNK]),
        (lose_response("PATCH", nth=4), [0, CHUNK, 2 * CHUNK, 3 * CHUNK, 4 * CHUNK]),
    ],
    ids=["reset", "reset before the last byte", "silence", "lost answer", "last answer lost"],
)
def test_a_broken_chunk_counts_whole_or_not_at_all(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, fault: Fault, expected: list[int]
) -> None:
    """tus 1.0.0, Checksum: what cannot be verified is discarded; what was verified stays.

    `expected` are the offsets of the PATCH requests. After a lost answer to the last one, tuspy sends
    an empty chunk at the end, and its checksum is right as well.
    """
    payload = Payload(size=4 * CHUNK, seed=103)
    proxy.script(fault)
    upload = uploader(endpoint, payload, chunk_size=CHUNK, **RETRIES)
    upload.upload()

    assert proxy.pending == ()
    assert offsets(proxy) == expected
    check_stored(server, upload.url, payload)


@pytest.mark.parametrize("seed", range(4))
def test_any_mixture_of_breaks_and_corruption_ends_in_the_right_bytes(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, seed: int
) -> None:
    """Six faults of random kinds at random places: no wrong byte, and no chunk begins within another."""
    source = random.Random(seed)
    payload = Payload(size=600_001, seed=110 + seed)
    kinds = [
        lambda: corrupt_at(source.randrange(20_000), nth=source.randint(1, 2)),
        lambda: reset_after(source.randrange(20_000), nth=source.randint(1, 2)),
        lambda: lose_response("PATCH"),
    ]
    proxy.script(*(source.choice(kinds)() for _ in range(6)))
    upload = uploader(endpoint, payload, chunk_size=50_000, **RETRIES)
    upload.upload()

    assert proxy.pending == ()
    assert [offset % 50_000 for offset in offsets(proxy)] == [0] * len(offsets(proxy))
    check_stored(server, upload.url, payload)


async def test_the_asynchronous_uploader_sends_checksums_too(
    server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """A corrupt chunk and a broken one, each sent again from its beginning."""
    payload = Payload(size=4 * CHUNK + 1, seed=104)
    proxy.script(corrupt_at(7, nth=2), reset_after(10_000, nth=2))
    client = TusClient(endpoint)
    upload = client.async_uploader(
        file_stream=io.BytesIO(payload.data), chunk_size=CHUNK, upload_checksum=True, **RETRIES
    )
    await upload.upload()

    assert proxy.pending == ()
    assert offsets(proxy) == [0, CHUNK, CHUNK, 2 * CHUNK, 2 * CHUNK, 3 * CHUNK, 4 * CHUNK]
    await asyncio.to_thread(check_stored, server, str(upload.url), payload)
