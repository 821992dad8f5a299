"""Reading back from S3: what can be read of an upload, when, and where else it can be had."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.engine.scene import Scene
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3
from tusd_py import stream
from tusd_py.core.errors import UploadIncompleteError
from tusd_py.testing.kit import content, sample

DATA = sample(3500, 4)


async def test_what_lies_in_parts_is_read_when_it_is_complete() -> None:
    """S3 gives parts back only as the object that they become; what is less than a part can be read."""
    scene = Scene(make_fake_store(FakeS3()))
    upload = await scene.create(len(DATA))

    await scene.append(upload.id, 0, DATA[:700])
    early = await content(scene.store, upload.id)
    await scene.append(upload.id, 700, DATA[700:2000])
    with pytest.raises(UploadIncompleteError):
        await content(scene.store, upload.id)
    await scene.append(upload.id, 2000, DATA[2000:])

    assert early == DATA[:700]
    assert await content(scene.store, upload.id) == DATA


async def test_who_follows_an_upload_in_parts_gets_every_byte_when_it_is_complete() -> None:
    """A stream that follows waits where the storage cannot give the bytes back yet, and loses none."""
    scene = Scene(make_fake_store(FakeS3(), chunk_size=100))
    upload = await scene.create(len(DATA))
    await scene.append(upload.id, 0, DATA[:700])
    got = bytearray()

    async def take() -> None:
        async with aclosing(stream(scene.engine, upload.id, chunk_size=256, follow=True)) as pieces:
            async for piece in pieces:
                got.extend(piece)

    taking = asyncio.create_task(take())
    await scene.append(upload.id, 700, DATA[700:2000])
    await scene.append(upload.id, 2000, DATA[2000:])
    await taking

    assert bytes(got) == DATA
