"""Requests that are cancelled at any call, and many that share too little memory: no byte is wrong."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from tests.engine.scene import HOUR, Scene, sum_of
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3
from tusd_py.core.errors import ChecksumMismatchError
from tusd_py.core.model import UploadState
from tusd_py.testing.kit import sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tusd_py.core.model import Upload

DATA = sample(3500, 4)


def pieces(data: bytes, size: int = 450) -> list[bytes]:
    """What a connection brings at a time."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def patch(size: int, *, summed: bool) -> Callable[[Scene, str], Awaitable[Upload]]:
    """A request that sends so much from the beginning on."""
    chunk = DATA[:size]
    checksum = sum_of(chunk) if summed else None
    return lambda scene, upload_id: scene.append(upload_id, 0, *pieces(chunk), checksum=checksum)


PATCHES = {
    "within a part": (3500, patch(700, summed=False)),
    "over parts": (3500, patch(2700, summed=False)),
    "over parts, with a sum": (3500, patch(2700, summed=True)),
    "all of it": (3500, patch(3500, summed=False)),
    "all of it, with a sum": (3500, patch(3500, summed=True)),
    "all of a small one": (900, patch(900, summed=False)),
    "all of a small one, with a sum": (900, patch(900, summed=True)),
    "with a deferred length": (None, patch(2700, summed=False)),
}


async def cancel_at(
    server: FakeS3, request: Callable[[], Awaitable[Upload]], number: int
) -> tuple[Upload | None, bool]:
    """Cancel a request while its call of that number runs: what it answered, and whether there was one."""
    loop, calls = asyncio.get_running_loop(), 0
    task = asyncio.ensure_future(request())

    def hold_up(_operation: str, _key: str) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            loop.call_soon_threadsafe(task.cancel)

    server.hold_up = hold_up
    try:
        return await task, calls >= number
    except asyncio.CancelledError:
        return None, True
    finally:
        server.hold_up = lambda _operation, _key: None


@pytest.mark.parametrize(("length", "request_of"), PATCHES.values(), ids=PATCHES)
async def test_a_cancellation_at_any_call_costs_nothing(
    length: int | None, request_of: Callable[[Scene, str], Awaitable[Upload]]
) -> None:
    """Memory is free, what counts is true, the next request goes on, and no orphan is left."""
    number, is_within = 0, True
    while is_within:
        number += 1
        server = FakeS3()
        store = make_fake_store(server, concurrency=2)
        scene = Scene(store)
        upload = await scene.create(length)

        answered, is_within = await cancel_at(server, lambda: request_of(scene, upload.id), number)  # noqa: B023
        await check_whole(scene, server, upload, answered)

        assert store.memory_in_use <= 1000, f"call {number}"
    assert number > 2


async def check_whole(scene: Scene, server: FakeS3, upload: Upload, answered: Upload | None) -> None:
    """The client asks, and goes on to the end."""
    size = upload.length or len(DATA)
    seen = await scene.head(upload.id)
    assert seen.offset >= (answered.offset if answered else 0)
    if seen.offset < size or seen.length is None:
        await scene.append(upload.id, seen.offset, *pieces(DATA[seen.offset : size]), length=size)
    done = await scene.head(upload.id)
    assert (done.offset, done.state) == (size, UploadState.COMPLETE)
    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA[:size]
    scene.clock.advance(1000 * HOUR)
    await scene.sweep()
    assert server.uploads == {}
    assert set(server.objects) == {f"ours/state/{upload.id}.json", f"ours/uploads/{upload.name}"}


@pytest.mark.parametrize("seed", range(6))
async def test_many_at_once_with_memory_for_two_parts_are_all_right(seed: int) -> None:
    """Chunks of any size, with sums and without, wrong ones among them: everybody's bytes are their own."""
    server, chance = FakeS3(), random.Random(seed)
    store = make_fake_store(server, memory_budget=2000, concurrency=2)
    scene = Scene(store)

    finished = await asyncio.gather(*(send(scene, chance, number) for number in range(8)))

    for upload, data in finished:
        assert upload.state is UploadState.COMPLETE
        assert server.objects[f"ours/uploads/{upload.name}"].data == data
    assert store.memory_in_use == 0


async def send(scene: Scene, chance: random.Random, number: int) -> tuple[Upload, bytes]:
    """One client, to its end."""
    data = sample(chance.choice([900, 1000, 2000, 3500, 4100]), number)
    upload = await scene.create(chance.choice([None, len(data)]))
    while upload.offset < len(data) or upload.length is None:
        stop = min(upload.offset + chance.randint(0, 2500), len(data))
        chunk = data[upload.offset : stop]
        length = len(data) if stop == len(data) else None
        checksum = chance.choice([None, sum_of(chunk), sum_of(b"another")])
        try:
            upload = await scene.append(
                upload.id,
                upload.offset,
                *pieces(chunk, chance.randint(50, 600)),
                checksum=checksum,
                length=length,
            )
        except ChecksumMismatchError:
            upload = await scene.head(upload.id)
    return upload, data
