"""What happens to an upload in S3 at the same time: looking, writing, making room, taking over."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.engine.scene import Scene, sum_of
from tests.stores.gate import Gate
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3, Fault
from tusd_py.core.errors import ChecksumMismatchError, StoreError
from tusd_py.core.model import Lifetime, UploadState
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import content, make_upload, put, sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tusd_py.stores.s3 import S3Store

DATA = sample(3500, 4)


async def begin(server: FakeS3, size: int, *, length: int | None = len(DATA)) -> str:
    """The id of an upload of which another process stored `size` bytes."""
    store = make_fake_store(server)
    await store.create(make_upload(length=length))
    if size:
        await put(store, "one", DATA[:size])
    return "one"


async def test_who_looked_before_somebody_wrote_does_not_disturb_the_writing() -> None:
    """A look that takes long, as by a GET, ends in the middle of a PATCH: every byte of that stays."""
    server = FakeS3()
    upload_id = await begin(server, 0)
    scene = Scene(make_fake_store(server))
    gate = Gate(server, "list_parts")
    looking = asyncio.create_task(scene.store.load(upload_id))
    await gate.reached()
    more = asyncio.Event()
    body = ScriptedBody([DATA[:300], more, DATA[300:700]])
    writing = asyncio.create_task(scene.append(upload_id, 0, body=body))
    await body.paused.wait()

    gate.open()
    await looking
    more.set()
    written = await writing

    assert written.offset == 700
    assert (await scene.head(upload_id)).offset == 700
    await scene.append(upload_id, 700, DATA[700:])
    assert server.objects["ours/uploads/one.bin"].data == DATA


async def test_who_opens_an_upload_beside_its_writer_does_not_disturb_the_writing() -> None:
    """The same for the opening, which looks by itself when nothing is remembered."""
    server = FakeS3()
    upload_id = await begin(server, 200)
    store = make_fake_store(server)
    upload = make_upload(length=len(DATA))
    gate = Gate(server, "list_parts")
    opening = asyncio.create_task(open_once(store, upload_id))
    await gate.reached()

    async with store.append(await store.load(upload_id)) as appender:
        await appender.write(DATA[200:300])
        gate.open()
        assert await opening == DATA[:200]
        await appender.write(DATA[300:700])
        assert await appender.commit() == 700

    assert await content(store, upload.id) == DATA[:700]
    assert await content(make_fake_store(server), upload.id) == DATA[:700]


def announced(server: FakeS3, operation: str, number: int, fault: Fault | None = None) -> asyncio.Event:
    """Set when the call of that operation and number comes, from 1, which `fault` strikes."""
    coming, loop, count = asyncio.Event(), asyncio.get_running_loop(), 0

    def strike(called: str, _number: int) -> Fault | None:
        nonlocal count
        count += called == operation
        if called != operation or count != number:
            return None
        loop.call_soon_threadsafe(coming.set)
        return fault

    server.strike = strike
    return coming


async def open_once(store: S3Store, upload_id: str) -> bytes:
    """What can be read."""
    async with store.open(make_upload(upload_id, length=len(DATA))) as reader:
        return b"".join([piece async for piece in reader.chunks(0, reader.size)])


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_parts"])
async def test_a_look_does_not_count_what_is_not_verified_yet(operation: str) -> None:
    """Another server looks; meanwhile parts come that belong to a chunk with a checksum. None counts."""
    server = FakeS3()
    upload_id = await begin(server, 0)
    here, there = Scene(make_fake_store(server, concurrency=1)), make_fake_store(server)
    gate = Gate(server, operation)
    looking = asyncio.create_task(there.load(upload_id))
    await gate.reached()
    second_part = announced(server, "upload_part", 2)  # so the first one is stored
    more = asyncio.Event()
    body = ScriptedBody([DATA[:1000], DATA[1000:2000], DATA[2000:2500], more])
    writing = asyncio.create_task(here.append(upload_id, 0, body=body, checksum=sum_of(b"something else")))
    await body.paused.wait()
    await second_part.wait()

    gate.open()
    seen = await looking
    more.set()
    with pytest.raises(ChecksumMismatchError):
        await writing

    assert seen.offset == 0
    assert (await there.load(upload_id)).offset == 0


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_parts"])
async def test_a_look_never_misses_what_moves_from_a_segment_into_its_part(operation: str) -> None:
    """Between two listings a part is stored and its segments go: the offset that was told stays true."""
    server = FakeS3()
    upload_id = await begin(server, 700)
    here, there = make_fake_store(server), make_fake_store(server)
    upload = await here.load(upload_id)
    gate = Gate(server, operation)
    looking = asyncio.create_task(there.load(upload_id))
    await gate.reached()
    async with here.append(upload) as appender:
        await appender.write(DATA[700:1100])
        await appender.commit()

    gate.open()

    assert (await looking).offset >= 700


@pytest.mark.parametrize("operation", ["list_objects_v2", "head_object"])
async def test_a_look_never_misses_what_moves_from_segments_into_the_object(operation: str) -> None:
    """The same when the upload is completed meanwhile."""
    server = FakeS3()
    upload_id = await begin(server, 700, length=900)
    here, there = Scene(make_fake_store(server)), make_fake_store(server)
    gate = Gate(server, operation)
    looking = asyncio.create_task(there.load(upload_id))
    await gate.reached()
    writing = asyncio.create_task(here.append(upload_id, 700, DATA[700:900]))
    if operation == "list_objects_v2":
        await writing

    gate.open()
    seen = await looking

    assert (await writing).state is UploadState.COMPLETE
    assert seen.offset >= 700


async def test_making_room_for_an_append_that_is_over_changes_nothing() -> None:
    """It came too late: the next append has begun, and what that has is not verified."""
    server = FakeS3()
    upload_id = await begin(server, 0)
    store = make_fake_store(server)
    async with store.append(await store.load(upload_id)) as earlier:
        await earlier.write(DATA[:300])
        await earlier.commit()

    async with store.append(await store.load(upload_id), atomic=True) as later:
        await later.write(DATA[300:600])
        await earlier.spill()
        beside = await make_fake_store(server).load(upload_id)

    assert beside.offset == 300
    assert (await make_fake_store(server).load(upload_id)).offset == 300
    assert store.memory_in_use == 0


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("size", [1000, 2000])
async def test_a_full_part_that_had_to_make_room_is_sent_later(size: int, *, atomic: bool) -> None:
    """All of a part lies in segments: whoever goes on makes a part of them first."""
    server = FakeS3()
    upload_id = await begin(server, 0)
    store = make_fake_store(server)

    async with store.append(await store.load(upload_id), atomic=atomic) as appender:
        for at in range(0, size, 250):
            await appender.write(DATA[at : at + 250])
            await appender.spill()
        assert await appender.commit() == size
    for stop in (2100, len(DATA)):
        await put(store, upload_id, DATA[(await store.load(upload_id)).offset : stop])

    await store.complete(await store.load(upload_id))
    assert server.objects["ours/uploads/one.bin"].data == DATA


async def test_making_room_while_the_length_is_put_on_record_costs_nothing() -> None:
    """Both replace the record: one waits for the other, and what is not verified yet counts in the end."""
    server = FakeS3()
    store = make_fake_store(server)
    await store.create(make_upload(length=None))
    upload = await store.load("one")

    async with store.append(upload, atomic=True) as appender:
        await appender.write(DATA[:700])
        server.hold_up = meet(threading.Barrier(2))
        await asyncio.gather(store.save(replace(upload, length=700)), appender.spill())
        assert await appender.commit() == 700

    seen = await make_fake_store(server).load("one")
    assert (seen.offset, seen.length) == (700, 700)


def meet(both: threading.Barrier) -> Callable[[str, str], None]:
    """Have two that write the record do so at once; one that comes alone goes on after a moment."""

    def hold_up(operation: str, key: str) -> None:
        if operation == "put_object" and key.endswith("/one.json"):
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)

    return hold_up


async def test_a_full_part_that_had_to_make_room_is_sent_in_the_same_request() -> None:
    """The same append goes on behind it."""
    server = FakeS3()
    upload_id = await begin(server, 0)
    store = make_fake_store(server)

    async with store.append(await store.load(upload_id), atomic=True) as appender:
        await appender.write(DATA[:1000])
        await appender.spill()
        await appender.write(DATA[1000:])
        assert await appender.commit() == len(DATA)

    await store.complete(await store.load(upload_id))
    assert server.objects["ours/uploads/one.bin"].data == DATA


async def test_what_lies_behind_a_failed_part_makes_room() -> None:
    """Its client says nothing and so does not hear of it: others have the memory all the same."""
    server = FakeS3()
    store = make_fake_store(server, memory_budget=1500)
    scene = Scene(store)
    stuck = await scene.create(len(DATA))
    more = asyncio.Event()
    body = ScriptedBody([DATA[:1000], DATA[1000:1900], more, DATA[1900:]])
    struck = announced(server, "upload_part", 1, "slow down")
    failing = asyncio.create_task(scene.append(stuck.id, 0, body=body))
    await body.paused.wait()
    await struck.wait()
    server.strike = lambda _operation, _number: None

    other = await scene.create(len(DATA), *[DATA[at : at + 500] for at in range(0, len(DATA), 500)])

    assert other.state is UploadState.COMPLETE
    more.set()
    with pytest.raises(StoreError):
        await failing
    assert store.memory_in_use == 0


async def test_the_memory_of_parts_does_not_grow_with_the_uploads_that_are_remembered() -> None:
    """Of unfinished uploads, those asked for last are remembered; who was forgotten is looked up again."""
    server = FakeS3()
    store = make_fake_store(server, remembered_parts=4)
    for number in range(5):
        upload = make_upload(f"upload-{number}", length=len(DATA))
        await store.create(upload)
        await put(store, upload.id, DATA[:2500] if number else DATA)
        if not number:
            whole = await store.load(upload.id)
            await store.complete(whole)
            await store.save(replace(whole, state=UploadState.COMPLETE))

    server.calls.clear()
    await store.load("upload-4")
    assert server.calls["list_parts"] == 0
    await store.load("upload-1")
    assert server.calls["list_parts"] == 1


async def test_the_time_of_an_upload_moves_on_record_while_its_parts_are_on_their_way() -> None:
    """A request that lasts longer than uploads live writes the record beside its parts; no byte suffers."""
    server = FakeS3()
    scene = Scene(make_fake_store(server), lifetime=Lifetime(unfinished=timedelta(hours=1)))
    upload = await scene.create(len(DATA) + 1)
    moved = []

    class Slow(ScriptedBody):
        async def chunks(self) -> AsyncIterator[bytes]:
            for at in range(0, len(DATA), 250):
                scene.clock.advance(20 * 60)
                yield DATA[at : at + 250]
                other = make_fake_store(server)
                moved.append(str((await other.load(upload.id)).expires_at))
                await other.close()

    await scene.append(upload.id, 0, body=Slow([]))
    done = await scene.append(upload.id, len(DATA), b"!")

    assert moved == sorted(moved)
    assert len(set(moved)) == len(moved)
    assert server.objects[f"ours/uploads/{done.name}"].data == DATA + b"!"


async def test_who_cannot_make_room_does_not_keep_others_from_it() -> None:
    """One upload's bytes cannot be put away, again and again: those of the next one are."""
    server = FakeS3()
    scene = Scene(make_fake_store(server, memory_budget=1500))
    waiting = []
    for size in (700, 600):
        upload = await scene.create(len(DATA))
        body = ScriptedBody([DATA[:size], more := asyncio.Event(), DATA[size:]])
        waiting.append((upload, more, asyncio.create_task(scene.append(upload.id, 0, body=body))))
        await body.paused.wait()

    def refuse(_operation: str, key: str) -> None:
        if "id-1.tail" in key:
            raise EndpointConnectionError(endpoint_url="http://fake")

    server.hold_up = refuse
    other = await scene.create(500, DATA[:500])

    assert other.state is UploadState.COMPLETE
    server.hold_up = lambda _operation, _key: None
    for upload, more, task in waiting:
        more.set()
        assert (await task).state is UploadState.COMPLETE
        assert server.objects[f"ours/uploads/{upload.name}"].data == DATA


async def test_a_chunk_whose_note_was_written_unheard_makes_room_and_fails() -> None:
    """Its record is not the one it knows, for good: it ends, and keeps nobody waiting."""
    server = FakeS3()
    store = make_fake_store(server)
    upload_id = await begin(server, 0)

    async with store.append(await store.load(upload_id), atomic=True) as appender:
        await appender.write(DATA[:600])
        server.strike = lambda operation, _: "lost" if operation == "put_object" else None
        with pytest.raises(StoreError):
            await appender.spill()
        server.strike = lambda _operation, _number: None
        assert store.memory_in_use == 600
        await appender.spill()
        assert store.memory_in_use == 0
        with pytest.raises(StoreError):
            await appender.commit()

    assert (await store.load(upload_id)).offset == 0


async def test_trying_the_storage_leaves_one_object_at_most() -> None:
    """Whatever fails, and however often."""
    server = FakeS3()
    store = make_fake_store(server)
    server.strike = lambda operation, _number: "unreachable" if operation == "delete_object" else None

    for _ in range(3):
        with pytest.raises(StoreError):
            await store.check()

    assert len(server.objects) == 1


async def test_an_examination_that_is_no_longer_wanted_stops_at_the_next_upload() -> None:
    """A server that goes down waits for a call to S3, not for a look at every upload of a bucket."""
    server = FakeS3()
    store = make_fake_store(server)
    for number in range(20):
        await store.create(make_upload(f"upload-{number}", length=len(DATA)))
    server.calls.clear()
    gate = Gate(server, "get_object")

    async def examine() -> None:
        async for _ in store.examine():
            pass

    examining = asyncio.create_task(examine())
    await gate.reached()
    examining.cancel()
    await asyncio.sleep(0)
    gate.open()

    with pytest.raises(asyncio.CancelledError):
        await examining
    assert server.calls["get_object"] == 1
