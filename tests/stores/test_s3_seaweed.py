"""The store on a real server, with parts of the sizes that real servers ask for."""

from __future__ import annotations

from base64 import b64encode
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from tests.engine.scene import Scene, sum_of
from tests.stores.s3_bench import make_client, make_store
from tests.support.payload import make_bytes, sha256
from tests.support.s3_server import S3ServerProcess
from tests.support.server import fetch
from tusd_py.core.errors import ChecksumMismatchError
from tusd_py.core.model import UploadState
from tusd_py.stores.s3_body import CancelledSendingError, PartBody
from tusd_py.stores.s3_calls import Bucket, Presented
from tusd_py.stores.s3_parts import MIB
from tusd_py.testing.kit import content, finish, make_upload, put, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess
    from tusd_py.stores.s3 import S3Store

PIECE = 256 * 1024


@asynccontextmanager
async def opened(seaweed: SeaweedProcess, prefix: str) -> AsyncIterator[S3Store]:
    """A store over that prefix."""
    store = make_store(seaweed, prefix)
    try:
        yield store
    finally:
        await store.close()


def pieces(data: bytes) -> Sequence[bytes]:
    """What a connection brings at a time."""
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


async def test_uploads_of_odd_sizes_are_joined_within_s3(seaweed: SeaweedProcess) -> None:
    """Parts that lie in one source are copied, seams put together, and the whole is right to the byte."""
    prefix = seaweed.fresh_prefix()
    sources = [make_bytes(size, size) for size in (17 * MIB + 1, 5, 0, 19 * MIB + 3)]
    async with opened(seaweed, prefix) as store:
        scene = Scene(store)
        parts = []
        for data in sources:
            part = await scene.create(len(data), is_partial=True)
            await scene.append(part.id, 0, *pieces(data))
            parts.append(part.id)

        final = await scene.join(*parts)

        assert final.state is UploadState.COMPLETE
        assert store.memory_in_use == 0
    whole = b"".join(sources)
    assert seaweed.digest(f"{prefix}uploads/{final.name}") == sha256(whole)
    assert seaweed.unfinished(prefix) == []


async def test_a_right_chunk_replaces_a_wrong_one_part_by_part(seaweed: SeaweedProcess) -> None:
    """Its parts have the numbers of those that were refused, which the server goes on to list."""
    prefix = seaweed.fresh_prefix()
    wrong, right = make_bytes(12 * MIB + 7, 1), make_bytes(12 * MIB + 7, 2)
    async with opened(seaweed, prefix) as store:
        scene = Scene(store)
        upload = await scene.create(len(right) + 1000)
        for chunk in (wrong, wrong[: 11 * MIB]):
            with pytest.raises(ChecksumMismatchError):
                await scene.append(upload.id, 0, *pieces(chunk), checksum=sum_of(right))
        assert (await scene.head(upload.id)).offset == 0

        written = await scene.append(upload.id, 0, *pieces(right), checksum=sum_of(right))
        assert written.offset == len(right)
    async with opened(seaweed, prefix) as store:  # another process sees the same
        scene.restart(store)
        assert (await scene.head(upload.id)).offset == len(right)
        await scene.append(upload.id, len(right), bytes(1000))
    assert seaweed.digest(f"{prefix}uploads/{upload.name}") == sha256(right + bytes(1000))


class BreakingBody(PartBody):
    """Cancelled when so many bytes of it have been read."""

    def __init__(self, data: bytes, breaks_at: int) -> None:
        super().__init__([data])
        self._breaks_at = breaks_at

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        self.is_cancelled = self.tell() >= self._breaks_at
        return super().read(size)


def test_a_part_that_is_cancelled_on_its_way_is_not_stored(seaweed: SeaweedProcess) -> None:
    """S3 keeps nothing of it, boto3 does not send it again, and the client goes on to work."""
    key, data = f"{seaweed.fresh_prefix()}uploads/one", make_bytes(6 * MIB)
    shown = Presented(content_type="text/plain", disposition="attachment", owner="one")
    client = make_client(seaweed)
    with closing(Bucket(client, seaweed.bucket, checksums=True, extra={})) as bucket:
        multipart = bucket.create_multipart(key, shown)
        for breaks_at in (0, 1, 3 * MIB, 6 * MIB - 1):
            with pytest.raises(CancelledSendingError):
                bucket.upload_part(key, multipart, 1, BreakingBody(data, breaks_at))
        assert bucket.list_parts(key, multipart) == []

        part = bucket.upload_part(key, multipart, 1, PartBody([data]))
        bucket.complete_multipart(key, multipart, [part])
    assert seaweed.content(key) == data


async def fail_behind(store: S3Store, pieces: Sequence[bytes]) -> None:
    """An append that ends with an error when all of this is written."""
    async with store.append(await store.load("one")) as appender:
        for piece in pieces:
            await appender.write(piece)
        raise ZeroDivisionError


async def test_a_request_that_fails_cancels_its_parts_and_the_next_one_goes_on(
    seaweed: SeaweedProcess,
) -> None:
    """Memory and connections are free again; what is stored is stored whole."""
    prefix, data = seaweed.fresh_prefix(), make_bytes(16 * MIB + 5)
    async with opened(seaweed, prefix) as store:
        await store.create(make_upload(length=len(data)))
        with pytest.raises(ZeroDivisionError):
            await fail_behind(store, pieces(data[: 11 * MIB]))

        assert store.memory_in_use == 0
        offset = (await store.load("one")).offset
        assert offset in {0, 5 * MIB, 10 * MIB}
        await put(store, "one", *pieces(data[offset:]))
        await store.complete(await store.load("one"))
    assert seaweed.digest(f"{prefix}uploads/one.bin") == sha256(data)


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 128 * 1024 + 1, 300_000])
async def test_any_range_of_a_finished_file_can_be_read(seaweed: SeaweedProcess, size: int) -> None:
    """Small objects are read when they are opened, larger ones range by range."""
    prefix, data = seaweed.fresh_prefix(), make_bytes(size)
    edge = 128 * 1024
    async with opened(seaweed, prefix) as store:
        await start(store, data)
        upload = await finish(store)
        async with store.open(upload) as reader:
            assert reader.size == size
            ranges = ((0, size), (size // 2, size), (edge - 1, edge + 1), (0, 1), (edge, edge))
            for first, last in ((min(first, size), min(last, size)) for first, last in ranges):
                assert b"".join([it async for it in reader.chunks(first, last)]) == data[first:last]
        assert await content(store) == data


def test_a_client_is_sent_to_an_address_that_has_the_file(seaweed: SeaweedProcess, tmp_path: Path) -> None:
    """With `--s3-serve redirect`: 307 for GET and HEAD, and at the other end what we would have said."""
    data, name = make_bytes(1000), b64encode("Übung €.txt".encode()).decode()
    flags = ("--s3-serve", "redirect", "--s3-checksums", "when_required")
    with S3ServerProcess(seaweed, tmp_path / "store", *flags) as server:
        created = fetch(
            server.url,
            "POST",
            {
                "Tus-Resumable": "1.0.0",
                "Upload-Length": "1000",
                "Upload-Metadata": f"filename {name},filetype {b64encode(b'text/plain').decode()}",
                "Content-Type": "application/offset+octet-stream",
            },
            data,
        )
        assert (created.status, created.headers["upload-offset"]) == (201, "1000")
        file = server.published(created.headers["location"]).name
        address = f"{server.url.removesuffix('/files/')}/uploads/{file}"

        for method in ("GET", "HEAD"):
            sent = fetch(address, method)
            assert (sent.status, sent.body) == (307, b"")
            there = fetch(sent.headers["location"], method)
            assert (there.status, there.body) == (200, data if method == "GET" else b"")
            assert there.headers["content-length"] == "1000"
            assert there.headers["content-type"].startswith("text/plain")
            disposition = there.headers["content-disposition"]
            assert "filename*=UTF-8''%C3%9Cbung%20%E2%82%AC.txt" in disposition
        stored = seaweed.client().head_object(Bucket=seaweed.bucket, Key=f"{server.prefix}uploads/{file}")
    assert stored["Metadata"] == {"upload-id": created.headers["location"].rpartition("/")[2]}
    assert stored["ContentDisposition"] == disposition
    assert "ContentEncoding" not in stored
