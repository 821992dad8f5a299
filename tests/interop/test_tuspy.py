"""tuspy 1.1, the Python client: plain, in chunks, resumed, and over a network that breaks."""

from __future__ import annotations

import asyncio
import io
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed
from tusclient.storage.filestorage import FileStorage

from tests.interop.checks import check_stored, methods, offsets, wait_for_offset
from tests.support.faults import lose_response, reset_after, silence_after
from tests.support.payload import Payload, cut_points

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.faults import Fault
    from tests.support.proxy import FaultProxy
    from tests.support.server import ServerProcess

CHUNK = 64 * 1024
RETRIES = {"retries": 20, "retry_delay": 0.1}


def uploader(endpoint: str, payload: Payload, **options: Any) -> Any:
    """A blocking uploader of the payload."""
    return TusClient(endpoint).uploader(file_stream=io.BytesIO(payload.data), **options)


@pytest.mark.parametrize("size", [0, 1, 5 * CHUNK, 5 * CHUNK + 1])
@pytest.mark.parametrize("chunks", [{}, {"chunk_size": CHUNK}], ids=["whole", "chunks"])
def test_a_file_arrives_whole(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, size: int, chunks: dict[str, int]
) -> None:
    """tus 1.0.0, Creation and PATCH, as tuspy speaks it: an empty Upload-Metadata comes along."""
    payload = Payload(size=size, seed=size)
    upload = uploader(endpoint, payload, **chunks)
    upload.upload()

    step = CHUNK if chunks else size or 1
    assert offsets(proxy) == list(range(0, size, step))
    check_stored(server, upload.url, payload)


def test_metadata_names_the_published_file(server: ServerProcess, endpoint: str) -> None:
    """The suffix of `filename` becomes the published name's."""
    payload = Payload(size=1000, seed=90)
    upload = uploader(endpoint, payload, metadata={"filename": "Grüße.tar", "empty": ""})
    upload.upload()

    assert server.published(upload.url).suffix == ".tar"
    check_stored(server, upload.url, payload)


def test_another_uploader_finishes_what_one_began(
    server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, HEAD: a new uploader that knows only the URL asks for the offset and goes on."""
    payload = Payload(size=6 * CHUNK, seed=91)
    first = uploader(endpoint, payload, chunk_size=CHUNK)
    first.upload(stop_at=2 * CHUNK)
    second = uploader(endpoint, payload, chunk_size=CHUNK, url=first.url)
    offset_found = second.offset
    second.upload()

    assert offset_found == 2 * CHUNK
    assert offsets(proxy) == [CHUNK * n for n in range(6)]
    check_stored(server, second.url, payload)


# tuspy leaves files that it opened by their path to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_stored_url_resumes_an_upload(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path
) -> None:
    """`store_url`: the URL is found again by the file's fingerprint."""
    payload = Payload(size=4 * CHUNK, seed=92)
    path = tmp_path / "payload.bin"
    path.write_bytes(payload.data)
    client = TusClient(endpoint)
    storage_path = str(tmp_path / "urls.json")
    with closing(FileStorage(storage_path)) as storage:  # type: ignore[no-untyped-call]  # tuspy has no types here
        options = {"chunk_size": CHUNK, "store_url": True, "url_storage": storage}
        client.uploader(str(path), **options).upload(stop_at=CHUNK)
        second = client.uploader(str(path), **options)
        second.upload()

    assert methods(proxy).count("POST") == 1
    assert offsets(proxy) == [0, CHUNK, 2 * CHUNK, 3 * CHUNK]
    check_stored(server, str(second.url), payload)


@pytest.mark.parametrize("seed", range(4))
def test_resets_at_random_places_lose_nothing(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, seed: int
) -> None:
    """After each reset tuspy asks for the offset and goes on behind what arrived."""
    size = 1_000_000
    places = (0, *cut_points(size, 4, seed))
    payload = Payload(size=size, seed=seed)
    proxy.script(*(reset_after(places[n + 1] - places[n]) for n in range(4)))
    upload = uploader(endpoint, payload, **RETRIES)
    upload.upload()

    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1
    check_stored(server, upload.url, payload)


@pytest.mark.parametrize(
    "faults",
    [
        [lose_response("PATCH", nth=2)],
        [lose_response("PATCH", nth=4)],
        [silence_after(30_000, nth=2)],
        [reset_after(10_000), lose_response("HEAD")],
    ],
    ids=["lost answer", "last answer lost", "silence", "reset, then a lost HEAD"],
)
def test_faults_between_and_within_chunks_lose_nothing(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, faults: list[Fault]
) -> None:
    """Whatever breaks, the server's offset is the truth and the client believes it."""
    payload = Payload(size=4 * CHUNK, seed=93)
    proxy.script(*faults)
    upload = uploader(endpoint, payload, chunk_size=CHUNK, **RETRIES)
    upload.upload()

    assert proxy.pending == ()
    check_stored(server, upload.url, payload)


def test_without_retries_a_new_uploader_goes_on_at_the_byte_of_the_break(
    server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, PATCH: what came of the broken body is kept, to the byte."""
    payload = Payload(size=1_000_000, seed=94)
    proxy.script(reset_after(456_789))
    first = uploader(endpoint, payload)
    with pytest.raises(TusUploadFailed):
        first.upload()
    wait_for_offset(server.direct(first.url), 456_789)
    second = uploader(endpoint, payload, url=first.url)
    second.upload()

    assert offsets(proxy) == [0, 456_789]
    check_stored(server, second.url, payload)


async def test_the_asynchronous_uploader_works_too(
    server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """It creates with an empty body of another content type, which is no upload data."""
    payload = Payload(size=5 * CHUNK + 1, seed=95)
    proxy.script(reset_after(10_000, nth=2))
    client = TusClient(endpoint)
    upload = client.async_uploader(file_stream=io.BytesIO(payload.data), chunk_size=CHUNK, **RETRIES)
    await upload.upload()

    assert proxy.pending == ()
    await asyncio.to_thread(check_stored, server, str(upload.url), payload)
