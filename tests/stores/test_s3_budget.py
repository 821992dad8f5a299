"""What an upload costs in calls to S3, and what it takes in memory: the budgets of docs/operations.md."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.engine.scene import Scene, sum_of
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3, Fault
from tusd_py.core.errors import StoreError
from tusd_py.core.model import UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import sample

LISTINGS = {"list_objects_v2", "list_parts", "list_multipart_uploads"}

DATA = sample(3500, 4)
"""Three whole parts of a fake store, and a half."""


def pieces(data: bytes, size: int = 450) -> list[bytes]:
    """What a connection brings at a time."""
    return [data[at : at + size] for at in range(0, len(data), size)]


async def test_a_small_file_with_its_creation_takes_three_calls() -> None:
    """The record, the object, and the record again: what is published is its own mark of completion."""
    server = FakeS3()

    upload = await Scene(make_fake_store(server)).create(900, *pieces(DATA[:900]))

    assert upload.state is UploadState.COMPLETE
    assert server.log == ["put_object"] * 3
    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA[:900]


async def test_a_small_file_in_its_own_request_takes_four_calls() -> None:
    """One more: the record is read, because another server may have written to the upload."""
    server = FakeS3()
    scene = Scene(make_fake_store(server))
    upload = await scene.create(900)

    await scene.append(upload.id, 0, *pieces(DATA[:900]))

    assert server.log == ["put_object", "get_object", "put_object", "put_object"]


@pytest.mark.parametrize("with_creation", [True, False])
async def test_an_upload_of_n_parts_takes_at_most_five_calls_more(*, with_creation: bool) -> None:
    """Begun, on record, n parts, completed, on record; and one reading where a request follows."""
    server = FakeS3()
    scene = Scene(make_fake_store(server))

    if with_creation:
        await scene.create(len(DATA), *pieces(DATA))
    else:
        upload = await scene.create(len(DATA))
        await scene.append(upload.id, 0, *pieces(DATA))

    assert server.calls["upload_part"] == 4
    assert server.calls.total() == 4 + (4 if with_creation else 5)


async def test_what_is_in_memory_is_not_read_back_for_the_last_part() -> None:
    """A recording comes in hundreds of small pieces; its end does not read them one by one."""
    server = FakeS3()
    store = make_fake_store(server)
    scene = Scene(store)
    upload = await scene.create(None)
    for at in range(0, len(DATA), 50):
        await scene.append(upload.id, at, DATA[at : at + 50])
    read = server.calls["get_object"]

    done = await scene.append(upload.id, len(DATA), length=len(DATA))

    assert done.state is UploadState.COMPLETE
    assert server.calls["get_object"] - read <= 2  # the record
    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA
    assert store.memory_in_use == 0


async def test_a_running_upload_is_never_listed() -> None:
    """PATCHes, with HEADs between them and beside them: a reading of the record each, and no listing."""
    server = FakeS3()
    scene = Scene(make_fake_store(server))
    upload = await scene.create(len(DATA))
    more = asyncio.Event()
    body = ScriptedBody([DATA[:300], more])

    running = asyncio.create_task(scene.append(upload.id, 0, body=body))
    await body.paused.wait()
    beside = await scene.head(upload.id)
    more.set()
    await running
    offsets = [beside.offset]
    for start, stop in ((300, 1500), (1500, 1600), (1600, 3500)):
        offsets.append((await scene.head(upload.id)).offset)
        await scene.append(upload.id, start, *pieces(DATA[start:stop]))

    assert offsets == [0, 300, 1500, 1600]
    assert LISTINGS & set(server.calls) == set()
    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA


async def test_another_server_looks_once() -> None:
    """A server that goes on with another's upload lists its parts and tails once, and writes its name."""
    server = FakeS3()
    first, second = Scene(make_fake_store(server)), Scene(make_fake_store(server))
    upload = await first.create(len(DATA))
    await first.append(upload.id, 0, *pieces(DATA[:1200]))
    server.calls.clear()

    await second.append(upload.id, 1200, *pieces(DATA[1200:2500]))
    calls = Counter(server.calls)
    await second.append(upload.id, 2500, *pieces(DATA[2500:]))

    assert {name: calls[name] for name in LISTINGS & set(calls)} == {"list_parts": 1, "list_objects_v2": 1}
    assert server.calls["list_parts"] == 1
    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA


async def test_the_first_server_finds_out_that_another_went_on() -> None:
    """What a server remembers of an upload holds as long as nobody else has written to it, no longer."""
    server = FakeS3()
    first, second = Scene(make_fake_store(server)), Scene(make_fake_store(server))
    upload = await first.create(len(DATA))
    await first.append(upload.id, 0, *pieces(DATA[:1200]))
    await second.append(upload.id, 1200, *pieces(DATA[1200:2500]))

    seen = await first.head(upload.id)
    await first.append(upload.id, 2500, *pieces(DATA[2500:]))

    assert seen.offset == 2500
    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA


async def test_a_server_that_only_looked_sees_what_the_other_one_adds() -> None:
    """The writer does not change the record as it goes on: what it has is looked up each time."""
    server = FakeS3()
    writing, looking = Scene(make_fake_store(server)), Scene(make_fake_store(server))
    upload = await writing.create(len(DATA))
    seen = []
    for start, stop in ((0, 300), (300, 700), (700, 1200), (1200, 2500)):
        await writing.append(upload.id, start, *pieces(DATA[start:stop]))
        seen.append((await looking.head(upload.id)).offset)
    assert seen == [300, 700, 1200, 2500]

    await looking.append(upload.id, 2500, *pieces(DATA[2500:]))

    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA


async def test_a_chunk_within_a_part_is_one_call_also_with_a_checksum() -> None:
    """One write makes it count, so that no note of it is needed."""
    server = FakeS3()
    scene = Scene(make_fake_store(server))
    upload = await scene.create(len(DATA))
    server.log.clear()

    await scene.append(upload.id, 0, DATA[:400], checksum=sum_of(DATA[:400]))
    await scene.append(upload.id, 400, DATA[400:1000], checksum=sum_of(DATA[400:1000]))

    assert server.log == ["get_object", "put_object", "get_object", "upload_part", "delete_objects"]


async def test_uploads_that_wait_for_their_clients_hold_up_no_other() -> None:
    """Their bytes make room: into segments, out of memory; they go on from there, to the byte."""
    server = FakeS3()
    store = make_fake_store(server, memory_budget=4000)
    scene = Scene(store)
    stalled = []
    for number in range(10):
        upload = await scene.create(len(DATA))
        body = ScriptedBody(
            [sample(3500, number)[:900], release := asyncio.Event(), sample(3500, number)[900:]]
        )
        stalled.append((upload, release, asyncio.create_task(scene.append(upload.id, 0, body=body))))

    fast = await scene.create(len(DATA))
    await scene.append(fast.id, 0, *pieces(DATA))
    for _, release, _ in stalled:
        release.set()
    await asyncio.gather(*(task for _, _, task in stalled))

    assert server.objects[f"ours/uploads/{fast.name}"].data == DATA
    for number, (upload, _, _) in enumerate(stalled):
        assert server.objects[f"ours/uploads/{upload.name}"].data == sample(3500, number)
    assert store.memory_in_use == 0


async def test_a_failed_part_stops_the_request_and_gives_its_memory_back() -> None:
    """What was stored before it counts; the memory of what was not is free again."""
    server = FakeS3()
    store = make_fake_store(server, concurrency=1)
    scene = Scene(store)
    upload = await scene.create(len(DATA))
    parts = 0

    def refuse_the_second_part(operation: str, _number: int) -> Fault | None:
        nonlocal parts
        parts += operation == "upload_part"
        return "slow down" if operation == "upload_part" and parts == 2 else None

    server.strike = refuse_the_second_part
    with pytest.raises(StoreError):
        await scene.append(upload.id, 0, *pieces(DATA))

    assert (await scene.head(upload.id)).offset == 1000
    assert store.memory_in_use == 0


async def test_a_body_that_breaks_off_is_kept_to_the_byte() -> None:
    """Whole parts as parts, the rest in a segment; the next server goes on behind it."""
    server = FakeS3()
    scene = Scene(make_fake_store(server))
    upload = await scene.create(len(DATA))

    with pytest.raises(Exception, match="ended early"):
        await scene.append(upload.id, 0, *pieces(DATA[:2345]), end=BodyEnd.DISCONNECTED)
    scene.restart(make_fake_store(server))
    seen = await scene.head(upload.id)
    await scene.append(upload.id, 2345, *pieces(DATA[2345:]))

    assert seen.offset == 2345
    assert server.objects[f"ours/uploads/{upload.name}"].data == DATA


async def test_a_sweep_reads_what_is_finished_once() -> None:
    """Finished uploads cost no call of their own any more, and are looked after all the same."""
    server = FakeS3()
    scene = Scene(make_fake_store(server))
    for size in (0, 900, 3500):
        await scene.create(size, *pieces(DATA[:size]))
    part = await scene.part(DATA)
    scene.restart(make_fake_store(server))
    await scene.sweep()
    server.calls.clear()

    report = await scene.sweep()

    assert report.examined == 4
    assert set(server.calls) <= LISTINGS
    for lost in ("ours/uploads/id-3", f"ours/state/{part}.data"):
        del server.objects[lost]
    findings = [finding async for finding in scene.store.examine()]
    assert {finding.subject for finding in findings} == {"id-3", part}


async def test_a_sweep_meets_what_another_server_changed() -> None:
    """A record that is not the one that is known is read: here a finished upload has got an end."""
    server = FakeS3()
    scene, other = Scene(make_fake_store(server)), make_fake_store(server)
    upload = await scene.create(900, *pieces(DATA[:900]))
    await scene.sweep()
    await other.save(replace(upload, expires_at=scene.clock() - timedelta(hours=1)))

    report = await scene.sweep()

    assert report.expired == [upload.id]
    assert f"ours/uploads/{upload.name}" not in server.objects
