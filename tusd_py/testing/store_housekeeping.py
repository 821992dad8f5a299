"""Store checks: expiry, examination, repair, and who may clean up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tusd_py.core.errors import TusdError, UploadGoneError, UploadNotFoundError
from tusd_py.core.findings import FindingKind
from tusd_py.core.model import Delivery, UploadKind, UploadState
from tusd_py.testing.kit import (
    begin_completion,
    content,
    finish,
    ids,
    make_upload,
    put,
    refuses,
    sample,
    start,
    start_joined,
)

if TYPE_CHECKING:
    from tusd_py.core.findings import Finding
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Store
    from tusd_py.testing.kit import OpenAgain, StoreCheck

PARTS = {"part-a": sample(700, 1), "part-b": sample(300, 2)}

EACH_KIND = ("open", "complete", "part-open", "part-a", "part-b", "one", "waiting")
"""Ids of one upload of every kind, in the states it stays in; `one` is a complete final."""


async def records_keep_kind_parts_and_expiry(open_again: OpenAgain) -> None:
    """What makes an upload partial, final or mortal is on record to the microsecond, also after a save."""
    store = open_again()
    expires_at = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    made = [
        make_upload("a", length=5, kind=UploadKind.PARTIAL, expires_at=expires_at),
        make_upload("b", kind=UploadKind.FINAL, parts=("a", "c", "a"), expires_at=expires_at),
        make_upload("c", length=5),
    ]
    for upload in made:
        await store.create(upload)

    for upload in made:
        assert await open_again().load(upload.id) == upload
        later = replace(upload, expires_at=expires_at + timedelta(days=1))
        await store.save(later)
        assert await open_again().load(upload.id) == later
        await store.save(replace(upload, expires_at=None))
        assert (await open_again().load(upload.id)).expires_at is None


async def a_record_keeps_the_text_of_concat(open_again: OpenAgain) -> None:
    """tus 1.0.0, Concatenation: HEAD gives Upload-Concat as it came, so it is kept to the byte."""
    concat = "final;/files/a  https://example.org/files/b"
    upload = replace(make_upload(kind=UploadKind.FINAL, parts=("a", "b")), concat=concat)

    await open_again().create(upload)

    assert (await open_again().load("one")).concat == concat


async def discard_keeps_the_record(open_again: OpenAgain) -> None:
    """An expired upload of any kind loads as expired, at offset 0, with all that is known of it."""
    store = open_again()
    await _one_of_each_kind(store)

    for upload_id in EACH_KIND:
        expired = await _expire(store, upload_id)

        for view in (store, open_again()):
            assert await view.load(upload_id) == replace(expired, offset=0)
    assert await ids(open_again()) == sorted(EACH_KIND)


async def discard_removes_the_bytes(open_again: OpenAgain) -> None:
    """Nothing can be read of it any more, published or not, and nothing can be added."""
    store = open_again()
    await _one_of_each_kind(store)

    for upload_id in EACH_KIND:
        expired = await _expire(store, upload_id)

        with refuses(TusdError, f"reading the discarded upload {upload_id}"):
            async with open_again().open(expired) as reader:
                assert [piece async for piece in reader.chunks(0, 1)] == []
        with refuses(TusdError, f"appending to the discarded upload {upload_id}"):
            async with open_again().append(replace(expired, offset=0)):
                pass


async def discard_without_a_mark_is_told_as_gone(open_again: OpenAgain) -> None:
    """UploadGoneError to load an upload that is not expired and has lost its bytes."""
    store = open_again()
    await start(store, sample(10), "one")
    await start(store, sample(10), "two")
    await finish(store, "two")

    for upload_id in ("one", "two"):
        await store.discard(await store.load(upload_id))

        with refuses(UploadGoneError, f"load of {upload_id} without its bytes"):
            await open_again().load(upload_id)


async def discard_may_be_repeated(open_again: OpenAgain) -> None:
    """Again and again, also from what was loaded after the first time: the record stays as it is."""
    store = open_again()
    await _one_of_each_kind(store)

    for upload_id in EACH_KIND:
        expired = await _expire(store, upload_id)
        await store.discard(expired)
        await open_again().discard(await open_again().load(upload_id))

        assert await open_again().load(upload_id) == replace(expired, offset=0)


async def a_crash_before_the_discard_is_made_good(open_again: OpenAgain) -> None:
    """Interrupted between the mark `expired` and `discard`, a later discard frees bytes and name."""
    store = open_again()
    await start(store, sample(50), "one")
    await finish(store, "one")
    await store.save(replace(await store.load("one"), state=UploadState.EXPIRED))

    survivor = open_again()
    found = await survivor.load("one")
    await survivor.discard(found)

    assert (found.state, found.offset) == (UploadState.EXPIRED, 0)
    await start(survivor, b"new", "two", name="one.bin")
    await finish(survivor, "two")
    assert await content(open_again(), "two") == b"new"


async def a_marked_upload_is_deleted_whole(open_again: OpenAgain) -> None:
    """Marked `expired` but never discarded, a published upload goes with its file."""
    store = open_again()
    await start(store, sample(50), "one")
    await finish(store, "one")
    await store.save(replace(await store.load("one"), state=UploadState.EXPIRED))

    await open_again().delete("one")

    await start(store, b"new", "two", name="one.bin")
    await finish(store, "two")
    assert await ids(open_again()) == ["two"]
    assert await content(open_again(), "two") == b"new"


async def discard_takes_only_its_own(open_again: OpenAgain) -> None:
    """An upload that lost the dispute about a name leaves the winner's file alone when it goes."""
    store = open_again()
    await start(store, b"winner", "one", name="same.bin")
    await finish(store, "one")
    for upload_id in ("two", "three"):
        await start(store, b"losers", upload_id, name="same.bin")
    await begin_completion(store, "three")

    for upload_id in ("two", "three"):
        await _expire(store, upload_id)
        await store.discard(await store.load(upload_id))
        await open_again().delete(upload_id)

    assert await ids(open_again()) == ["one"]
    assert await content(open_again(), "one") == b"winner"


async def delete_removes_every_kind(open_again: OpenAgain) -> None:
    """Partials, finals and what has expired are gone whole after delete, and nobody else is."""
    store = open_again()
    await _one_of_each_kind(store)
    await _expire(store, "waiting")
    left = set(EACH_KIND)

    for upload_id in ("part-a", "one", "waiting", "part-open", "complete", "part-b", "open"):
        await store.delete(upload_id)
        left.remove(upload_id)

        with refuses(UploadNotFoundError, f"load of the deleted upload {upload_id}"):
            await open_again().load(upload_id)
        assert await ids(open_again()) == sorted(left)
        for kept in left:
            await open_again().load(kept)
    assert await _findings(open_again()) == []


async def a_healthy_storage_has_no_findings(open_again: OpenAgain) -> None:
    """Uploads of every kind and state, running, finished, failed and expired: all fits together."""
    store = open_again()
    empty = await _findings(store)
    await _one_of_each_kind(store)
    await store.create(make_upload("failed", length=10))
    await put(store, "failed", sample(10))
    await store.save(replace(await store.load("failed"), state=UploadState.FAILED))
    await start(store, sample(5), "expired")
    await _expire(store, "expired")
    await put(store, "open", b"checked", atomic=True)

    assert empty == []
    assert await _findings(store) == []
    assert await _findings(open_again()) == []


async def a_running_append_is_no_finding(open_again: OpenAgain) -> None:
    """Work in progress is not litter: whoever examines beside it finds nothing."""
    store = open_again()
    await store.create(make_upload())

    for atomic in (False, True):
        async with store.append(await store.load("one"), atomic=atomic) as appender:
            await appender.write(b"abc")
            assert await _findings(open_again()) == [], f"atomic: {atomic}"
            await appender.commit()


async def only_what_is_finished_for_good_is_settled(open_again: OpenAgain) -> None:
    """A store that has seen everything may know what is settled; what has changed it knows no more."""
    store = open_again()
    await _one_of_each_kind(store)
    await start(store, sample(20), "mortal")
    mortal = await finish(store, "mortal")
    soon = datetime(2026, 5, 6, tzinfo=UTC)
    await store.save(replace(mortal, expires_at=soon))
    await start(store, sample(20), "wanted")
    await store.save(replace(await finish(store, "wanted"), deliveries=(Delivery(name="somebody"),)))
    uploads = {upload_id: await store.load(upload_id) for upload_id in await ids(store)}

    assert await ids(store) == sorted(uploads)
    for upload in uploads.values():
        assert upload.is_settled or not store.is_settled(upload.id), f"{upload.id} is no settled upload"
    assert not store.is_settled("unheard-of")

    for upload_id in ("complete", "one"):
        other = open_again()
        await other.save(replace(await other.load(upload_id), expires_at=soon))
        await ids(store)
        assert not store.is_settled(upload_id), f"{upload_id} has got an end"


async def what_is_stuck_completing_is_found(open_again: OpenAgain) -> None:
    """An upload between its last byte and `complete` is named once; finishing it ends the finding."""
    store = open_again()
    await start(store, sample(50), "before")
    await begin_completion(store, "before")
    await start(store, sample(50), "behind")
    await store.complete(await begin_completion(store, "behind"))
    await start_joined(store, PARTS)

    found = await _findings(open_again())
    for finding in found:
        await store.repair(finding)
    for upload_id in ("before", "behind"):
        await finish(store, upload_id)
    left = await _findings(open_again())

    assert sorted((finding.kind, finding.subject) for finding in found) == [
        (FindingKind.STUCK_COMPLETING, upload_id) for upload_id in ("before", "behind", "one")
    ]
    assert [finding.subject for finding in left] == ["one"]
    assert await content(open_again(), "before") == sample(50)
    assert await content(open_again(), "behind") == sample(50)


async def lost_bytes_are_found(open_again: OpenAgain) -> None:
    """A record without bytes is found; only that of an open upload may go, nothing else changes."""
    store = open_again()
    await _one_of_each_kind(store)
    for upload_id in ("open", "complete", "part-a"):
        await store.discard(await store.load(upload_id))

    found = await _findings(open_again())
    for finding in [*found, *found]:
        await open_again().repair(finding)
    left = await _findings(open_again())

    assert {(finding.kind, finding.subject, finding.is_repairable) for finding in found} == {
        (FindingKind.RECORD_WITHOUT_DATA, "open", True),
        (FindingKind.RECORD_WITHOUT_DATA, "complete", False),
        (FindingKind.RECORD_WITHOUT_DATA, "part-a", False),
    }
    assert all(finding.since.utcoffset() == timedelta(0) for finding in found)
    assert sorted(finding.subject for finding in left) == ["complete", "part-a"]
    assert await ids(open_again()) == sorted(set(EACH_KIND) - {"open"})


async def one_at_a_time_leads(open_again: OpenAgain) -> None:
    """Whoever comes second is told at once that somebody leads, also from another handle."""
    first, second = open_again(), open_again()

    async with first.lead() as leads:
        async with second.lead() as other, first.lead() as again:
            told = (leads, other, again)
        async with second.lead() as still:
            pass
    async with second.lead() as free:
        pass

    assert told == (True, False, False)
    assert still is False, "a refused one let go of another's lead"
    assert free is True


async def the_lead_is_free_after_an_exception(open_again: OpenAgain) -> None:
    """A leader that fails or is cancelled leads no more, and its exception goes through."""
    store, leading = open_again(), asyncio.Event()

    async def lead() -> None:
        async with store.lead():
            leading.set()
            await asyncio.Event().wait()

    with refuses(ValueError, "an exception in the block"):
        await _fail_while_leading(store)
    task = asyncio.create_task(lead())
    await leading.wait()
    async with open_again().lead() as meanwhile:
        pass
    task.cancel()
    await asyncio.wait([task])
    async with open_again().lead() as after:
        pass

    assert task.cancelled()
    assert (meanwhile, after) == (False, True)


async def _one_of_each_kind(store: Store) -> None:
    """An upload for each of EACH_KIND."""
    await store.create(make_upload("open", length=1000))
    await put(store, "open", sample(10))
    await start(store, sample(20), "complete")
    await finish(store, "complete")
    await store.create(make_upload("part-open", length=9, kind=UploadKind.PARTIAL))
    final, parts = await start_joined(store, PARTS)
    await store.concatenate(final, parts)
    await store.complete(final)
    await store.save(replace(final, state=UploadState.COMPLETE))
    waits_for = ("part-a", "part-open")
    await store.create(make_upload("waiting", kind=UploadKind.FINAL, parts=waits_for))


async def _fail_while_leading(store: Store) -> None:
    async with store.lead():
        raise ValueError


async def _expire(store: Store, upload_id: str) -> Upload:
    """Mark it, then discard what it was; returns the marked one."""
    upload = await store.load(upload_id)
    marked = replace(upload, state=UploadState.EXPIRED)
    await store.save(marked)
    await store.discard(upload)
    return marked


async def _findings(store: Store) -> list[Finding]:
    return [finding async for finding in store.examine()]


HOUSEKEEPING_CHECKS: tuple[StoreCheck, ...] = (
    records_keep_kind_parts_and_expiry,
    a_record_keeps_the_text_of_concat,
    discard_keeps_the_record,
    discard_removes_the_bytes,
    discard_without_a_mark_is_told_as_gone,
    discard_may_be_repeated,
    a_crash_before_the_discard_is_made_good,
    a_marked_upload_is_deleted_whole,
    discard_takes_only_its_own,
    delete_removes_every_kind,
    a_healthy_storage_has_no_findings,
    a_running_append_is_no_finding,
    only_what_is_finished_for_good_is_settled,
    what_is_stuck_completing_is_found,
    lost_bytes_are_found,
    one_at_a_time_leads,
    the_lead_is_free_after_an_exception,
)
