"""tus 1.0.0, Expiration: when time is over, for whom, and what is said about it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.engine.scene import HOUR, Scene, sum_of
from tusd_py.core.errors import (
    ChecksumMismatchError,
    OffsetMismatchError,
    UploadError,
    UploadExpiredError,
    UploadNotFoundError,
)
from tusd_py.core.events import UploadExpired, UploadFinished, UploadTerminated
from tusd_py.core.intents import Malformed, Read, Terminate
from tusd_py.core.model import Lifetime, Upload, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.engine.janitor import Housekeeping
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import ids, sample

SLIDING = Lifetime(unfinished=timedelta(hours=1))
ABSOLUTE = Lifetime(unfinished=timedelta(hours=1), sliding=False)
MORTAL = Lifetime(unfinished=timedelta(hours=1), finished=timedelta(days=7))
BRIEF = Housekeeping(memory=timedelta(hours=2))


async def begun(lifetime: Lifetime | None, *, is_partial: bool = False) -> tuple[Scene, str]:
    """An upload of 100 bytes at the offset 10."""
    scene = Scene(lifetime=lifetime, housekeeping=BRIEF)
    return scene, (await scene.create(100, b"0123456789", is_partial=is_partial)).id


def left(scene: Scene, upload: Upload) -> float | None:
    """Seconds until it expires."""
    return None if upload.expires_at is None else (upload.expires_at - scene.clock()).total_seconds()


async def test_without_a_lifetime_nothing_expires() -> None:
    """Expiration is off unless it is switched on."""
    scene, upload_id = await begun(None)
    scene.clock.advance(1000 * 365 * 24 * HOUR)

    await scene.sweep()
    upload = await scene.head(upload_id)

    assert (upload.offset, upload.expires_at) == (10, None)


async def test_a_new_upload_says_when_it_expires() -> None:
    """tus 1.0.0, Expiration: the answer to the creation names the time, and HEAD repeats it."""
    scene = Scene(lifetime=ABSOLUTE)

    upload = await scene.create(100)

    assert left(scene, upload) == HOUR
    assert await scene.head(upload.id) == upload


async def test_sliding_expiry_moves_with_every_append() -> None:
    """An upload that grows stays alive; HEAD moves nothing."""
    scene, upload_id = await begun(SLIDING)
    told = []

    for offset in (10, 20, 30):
        scene.clock.advance(HOUR - 1)
        await scene.head(upload_id)
        told.append(left(scene, await scene.append(upload_id, offset, b"0123456789")))

    assert told == [HOUR] * 3
    assert left(scene, await scene.head(upload_id)) == HOUR
    assert await scene.stored(upload_id) == b"0123456789" * 4


async def test_absolute_expiry_stays_where_it_was() -> None:
    """It counts from the creation, however much comes."""
    scene, upload_id = await begun(ABSOLUTE)
    scene.clock.advance(HOUR - 1)

    upload = await scene.append(upload_id, 10, b"0123456789")
    between = left(scene, upload)
    scene.clock.advance(1)

    assert between == 1
    with pytest.raises(UploadExpiredError):
        await scene.append(upload_id, 20, b"0123456789")


async def test_a_cut_append_moves_the_time_too() -> None:
    """What arrived before the cut counts as bytes that came."""
    scene, upload_id = await begun(SLIDING)
    scene.clock.advance(HOUR - 1)

    with pytest.raises(UploadError):
        await scene.append(upload_id, 10, b"01234", end=BodyEnd.DISCONNECTED)

    upload = await scene.head(upload_id)
    assert (upload.offset, left(scene, upload)) == (15, HOUR)


async def test_a_refused_append_moves_nothing() -> None:
    """A wrong offset or a wrong checksum brings no bytes."""
    scene, upload_id = await begun(SLIDING)
    scene.clock.advance(HOUR - 1)

    with pytest.raises(OffsetMismatchError) as mismatch:
        await scene.append(upload_id, 5, b"01234")
    with pytest.raises(ChecksumMismatchError) as discarded:
        await scene.append(upload_id, 10, b"01234", checksum=sum_of(b"else"))

    for caught in (mismatch, discarded):
        assert caught.value.upload is not None
        assert left(scene, caught.value.upload) == 1
    assert left(scene, await scene.head(upload_id)) == 1


@pytest.mark.parametrize("is_partial", [False, True], ids=["regular", "partial"])
@pytest.mark.parametrize("is_swept", [False, True], ids=["unswept", "swept"])
async def test_an_expired_upload_is_refused_in_every_way(is_swept: bool, is_partial: bool) -> None:
    """Swept or not, from the very instant on; no byte is read, nothing is removed by a refusal."""
    scene, upload_id = await begun(ABSOLUTE, is_partial=is_partial)
    scene.clock.advance(HOUR)
    if is_swept:
        await scene.sweep()
    body = ScriptedBody([b"0123456789"])

    with pytest.raises(UploadExpiredError):
        await scene.head(upload_id)
    with pytest.raises(UploadExpiredError) as refused:
        await scene.append(upload_id, 10, body=body)
    with pytest.raises(UploadExpiredError):
        await scene.engine.terminate(Terminate(upload_id=upload_id))
    with pytest.raises(UploadExpiredError):
        async with scene.engine.read(Read(upload_id=upload_id)):
            pass
    with pytest.raises(UploadExpiredError):
        await scene.engine.refuse(Malformed(upload_id=upload_id, complaint=UploadError("malformed")))

    assert body.given == 0
    assert refused.value.upload is not None
    assert refused.value.upload.id == upload_id
    assert await ids(scene.store) == [upload_id]
    assert (await scene.store.load(upload_id)).offset == (0 if is_swept else 10)


async def test_an_instant_before_nothing_is_refused() -> None:
    """A second before its time the upload goes on, and a sweep leaves it alone."""
    scene, upload_id = await begun(ABSOLUTE)
    scene.clock.advance(HOUR - 1)

    report = await scene.sweep()
    upload = await scene.append(upload_id, 10, sample(90))

    assert report.expired == []
    assert upload.state is UploadState.COMPLETE
    assert await scene.stored(upload_id) == b"0123456789" + sample(90)


async def test_an_expired_upload_is_remembered_then_unknown() -> None:
    """tus 1.0.0, Expiration: 410 as long as we remember, 404 afterwards."""
    scene, upload_id = await begun(ABSOLUTE)
    scene.clock.advance(HOUR)
    first = await scene.sweep()
    scene.clock.advance(2 * HOUR - 1)
    second = await scene.sweep()
    with pytest.raises(UploadExpiredError):
        await scene.head(upload_id)
    scene.clock.advance(1)
    third = await scene.sweep()

    with pytest.raises(UploadNotFoundError):
        await scene.head(upload_id)
    assert [report.expired for report in (first, second, third)] == [[upload_id], [], []]
    assert [report.forgotten for report in (first, second, third)] == [[], [], [upload_id]]
    assert await ids(scene.store) == []


async def test_an_expiry_is_told_once() -> None:
    """UploadExpired when the bytes are removed; forgetting is no event, and nobody terminated it."""
    scene, upload_id = await begun(ABSOLUTE)
    for _ in range(5):
        scene.clock.advance(HOUR)
        await scene.sweep()

    assert [event.upload.id for event in scene.sink.of(UploadExpired)] == [upload_id]
    assert scene.sink.of(UploadTerminated) == []


async def test_a_finished_upload_never_expires() -> None:
    """Cleaning up never touches what is finished, unless that is switched on by name."""
    scene, upload_id = await begun(SLIDING)
    await scene.append(upload_id, 10, sample(90))
    scene.clock.advance(1000 * 24 * HOUR)

    report = await scene.sweep()
    upload = await scene.head(upload_id)

    assert report.expired == report.forgotten == []
    assert (upload.state, upload.expires_at) == (UploadState.COMPLETE, None)
    assert await scene.stored(upload_id) == b"0123456789" + sample(90)


async def test_a_finished_upload_expires_when_told_so() -> None:
    """With a lifetime of its own it stays that long after its end, published file and all, then goes."""
    store = MemoryStore()
    scene = Scene(store, lifetime=MORTAL)
    upload_id = (await scene.create(100, b"0123456789")).id
    scene.clock.advance(HOUR - 1)
    upload = await scene.append(upload_id, 10, sample(90))
    between = left(scene, upload)
    scene.clock.advance(7 * 24 * HOUR - 1)
    early = await scene.sweep()
    kept = await scene.stored(upload_id)
    scene.clock.advance(1)
    late = await scene.sweep()

    assert between == 7 * 24 * HOUR
    assert early.expired == []
    assert kept == b"0123456789" + sample(90)
    assert late.expired == [upload_id]
    assert store.published == {}
    with pytest.raises(UploadExpiredError):
        await scene.head(upload_id)


async def test_an_empty_upload_is_finished_from_the_start() -> None:
    """An upload of length 0 has no unfinished time."""
    scene = Scene(lifetime=SLIDING)

    upload = await scene.create(0)

    assert (upload.state, upload.expires_at) == (UploadState.COMPLETE, None)


async def test_a_complete_partial_expires_like_an_unfinished_one() -> None:
    """A partial is work in progress until it is joined; a lifetime of finished uploads is not for it."""
    scene, upload_id = await begun(MORTAL, is_partial=True)
    upload = await scene.append(upload_id, 10, sample(90))
    scene.clock.advance(HOUR)

    report = await scene.sweep()

    assert upload.state is UploadState.COMPLETE
    assert report.expired == [upload_id]
    with pytest.raises(UploadExpiredError):
        await scene.join(upload_id)


async def test_a_final_outlives_its_expired_partials() -> None:
    """The joined file is a finished upload; its partials go when their time is over."""
    scene = Scene(lifetime=SLIDING)
    parts = [await scene.part(b"abc"), await scene.part(b"def")]
    final = await scene.join(*parts)
    scene.clock.advance(HOUR)

    report = await scene.sweep()

    assert report.expired == parts
    assert await scene.head(final.id) == final
    assert await scene.stored(final.id) == b"abcdef"


async def test_a_waiting_final_expires() -> None:
    """A final whose partials never came is unfinished like any other upload."""
    scene = Scene(lifetime=SLIDING)
    part = (await scene.create(10, is_partial=True)).id
    final = await scene.join(part)
    scene.clock.advance(HOUR)

    report = await scene.sweep()

    assert report.expired == [part, final.id]
    with pytest.raises(UploadExpiredError):
        await scene.head(final.id)


async def test_an_upload_being_written_is_never_swept() -> None:
    """Its time may be over: as long as somebody writes, it is busy; the bytes then decide."""
    scene, upload_id = await begun(SLIDING)
    gate = asyncio.Event()
    body = ScriptedBody([b"abc", gate, b"def"])
    holder = asyncio.create_task(scene.append(upload_id, 10, body=body))
    await body.paused.wait()
    scene.clock.advance(2 * HOUR)

    report = await scene.sweep()
    gate.set()
    upload = await holder

    assert (report.busy, report.expired) == ([upload_id], [])
    assert body.end is BodyEnd.WHOLE
    assert left(scene, upload) == HOUR
    assert await scene.stored(upload_id) == b"0123456789abcdef"


async def test_an_upload_being_written_is_not_said_to_have_expired() -> None:
    """Sliding expiry counts from the last bytes, and they are coming: a 410 would cost the upload."""
    scene, upload_id = await begun(SLIDING)
    gate = asyncio.Event()
    body = ScriptedBody([b"abc", gate, b"def"])
    holder = asyncio.create_task(scene.append(upload_id, 10, body=body))
    await body.paused.wait()
    scene.clock.advance(2 * HOUR)

    seen = await scene.head(upload_id)
    gate.set()
    upload = await holder

    assert (seen.offset, upload.offset) == (13, 16)
    assert left(scene, seen) == HOUR


async def test_what_has_all_its_bytes_is_finished_not_expired() -> None:
    """A crash before the completion and a long night after it: the file is there in the morning."""
    scene, upload_id = await begun(ABSOLUTE)
    upload = await scene.store.load(upload_id)
    async with scene.store.append(upload) as appender:
        await appender.write(sample(90))
        await appender.commit()
    scene.clock.advance(24 * HOUR)

    report = await scene.sweep()

    assert (report.finished, report.expired) == ([upload_id], [])
    assert [event.upload.id for event in scene.sink.of(UploadFinished)] == [upload_id]
    assert await scene.stored(upload_id) == b"0123456789" + sample(90)


async def test_a_join_that_was_begun_is_finished_before_its_partials_expire() -> None:
    """A final on its way to the end needs its partials once more, although their time is over."""
    scene = Scene(lifetime=ABSOLUTE)
    parts = [await scene.part(b"abc"), await scene.part(b"def")]
    final = await scene.join(*parts)
    upload = await scene.store.load(final.id)
    await scene.store.delete(final.id)
    await _put_back_unjoined(scene, upload)
    scene.clock.advance(24 * HOUR)

    report = await scene.sweep()

    assert (report.finished, report.expired) == ([final.id], parts)
    assert await scene.stored(final.id) == b"abcdef"


async def _put_back_unjoined(scene: Scene, final: Upload) -> None:
    """As a crash right after the creation of the final leaves it."""
    await scene.store.create(replace(final, offset=0, state=UploadState.COMPLETING))
