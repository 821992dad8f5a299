"""What does not fit together in a bucket, what is done about it, and what nobody may touch."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.scene import HOUR, Scene
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.core.model import UploadKind, UploadState
from tusd_py.engine.janitor import Housekeeping
from tusd_py.testing.kit import finish, make_upload, put, sample, start

if TYPE_CHECKING:
    from tusd_py.stores.s3 import S3Store

DATA = sample(3500, 4)
STATE = "ours/state/"


def write(server: FakeS3, key: str, data: bytes = b"xyz") -> None:
    """An object as somebody else would write it."""
    server.client().put_object(Bucket="bucket", Key=key, Body=data)


def begin_multipart(server: FakeS3, key: str) -> str:
    """A multipart upload of somebody's, with a part."""
    client = server.client()
    upload_id: str = client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
    server.uploads[upload_id].parts.clear()
    return upload_id


async def begin(
    store: S3Store, data: bytes, upload_id: str, *, kind: UploadKind = UploadKind.REGULAR
) -> None:
    """An upload of 3500 bytes of which these have come."""
    await store.create(make_upload(upload_id, length=3500, kind=kind))
    await put(store, upload_id, data)


async def look(store: S3Store) -> list[Finding]:
    """Everything that is found."""
    return [finding async for finding in store.examine()]


async def found(store: S3Store) -> list[tuple[FindingKind, str, bool]]:
    """What of it can be compared."""
    return [(each.kind, each.subject, each.is_repairable) for each in await look(store)]


async def repair_all(store: S3Store) -> None:
    """Whatever is found; what cannot be repaired must not be, even when asked for."""
    for finding in await look(store):
        await store.repair(finding)
        await store.repair(finding)


async def test_a_multipart_upload_that_no_record_knows_is_aborted() -> None:
    """Of an upload on record or of none; the one that is on record goes on."""
    server = FakeS3()
    store = make_fake_store(server)
    await begin(store, DATA[:1200], "one")
    [own] = server.uploads
    second = begin_multipart(server, "ours/uploads/one.bin")
    alone = begin_multipart(server, "ours/uploads/two.bin")
    partial = begin_multipart(server, f"{STATE}three.data")

    subjects = {(kind, subject) for kind, subject, repairable in await found(store) if repairable}
    await repair_all(store)

    assert subjects == {
        (FindingKind.ORPHANED_MULTIPART, f"ours/uploads/one.bin?uploadId={second}"),
        (FindingKind.ORPHANED_MULTIPART, f"ours/uploads/two.bin?uploadId={alone}"),
        (FindingKind.ORPHANED_MULTIPART, f"{STATE}three.data?uploadId={partial}"),
    }
    assert list(server.uploads) == [own]
    assert await found(store) == []
    await put(store, "one", DATA[1200:])
    await finish(store, "one")
    assert server.objects["ours/uploads/one.bin"].data == DATA


async def test_a_multipart_upload_that_came_on_record_since_is_left() -> None:
    """An upload's parts are begun before its record: who looked in between is told otherwise."""
    server = FakeS3()
    store = make_fake_store(server)
    await store.create(make_upload("one", length=3500))
    record = server.objects.pop(f"{STATE}one.json")

    [orphan] = await look(store)
    server.objects[f"{STATE}one.json"] = record
    await store.repair(orphan)

    assert orphan.kind is FindingKind.ORPHANED_MULTIPART
    assert len(server.uploads) == 1


async def test_segments_that_no_record_knows_are_removed() -> None:
    """They came too late for an upload that was removed."""
    server = FakeS3()
    store = make_fake_store(server)
    write(server, f"{STATE}one.tail.0000000000000000.00000001")

    assert await found(store) == [
        (FindingKind.DATA_WITHOUT_RECORD, f"{STATE}one.tail.0000000000000000.00000001", True)
    ]
    await repair_all(store)
    assert server.objects == {}


async def test_segments_of_a_finished_upload_are_removed() -> None:
    """Its object has their bytes; also when the upload is known to be settled."""
    server = FakeS3()
    store = make_fake_store(server)
    await start(store, DATA, "one")
    await finish(store, "one")
    for number in range(2):
        tail = f"{STATE}one.tail.{number:016d}.00000001"
        write(server, tail)
        assert await found(store) == [(FindingKind.TORN_TEMPORARY, tail, True)]
        await repair_all(store)
        assert tail not in server.objects
    assert server.objects["ours/uploads/one.bin"].data == DATA


async def test_segments_of_an_upload_that_goes_on_are_nobodys_business() -> None:
    """Those that count, those that do not any more, those of a chunk that is not verified."""
    server = FakeS3()
    store = make_fake_store(server)
    await begin(store, DATA[:300], "one")
    write(server, f"{STATE}one.tail.0000000000000100.00000001")
    write(server, f"{STATE}one.tail.0000000000000300.00000001.abcdef")

    assert await found(store) == []


async def test_whole_objects_are_never_removed() -> None:
    """Files and partial uploads without a record are told, and left, whatever is asked."""
    server = FakeS3()
    store = make_fake_store(server)
    write(server, "ours/uploads/lost.mp3")
    write(server, f"{STATE}part.data")

    assert await found(store) == [
        (FindingKind.DATA_WITHOUT_RECORD, f"{STATE}part.data", False),
        (FindingKind.PUBLISHED_WITHOUT_RECORD, "lost.mp3", False),
    ]
    await repair_all(store)
    for finding in await look(store):
        await store.repair(replace(finding, is_repairable=True))
    assert set(server.objects) == {"ours/uploads/lost.mp3", f"{STATE}part.data"}


async def test_what_a_corrupt_record_may_know_is_left() -> None:
    """Its multipart upload and its segments may be somebody's bytes."""
    server = FakeS3()
    store = make_fake_store(server)
    await begin(store, DATA[:1200], "one")
    write(server, f"{STATE}one.json", b"{")
    before = dict(server.objects), dict(server.uploads)

    assert await found(store) == [(FindingKind.CORRUPT_RECORD, "one", False)]
    await repair_all(store)
    assert (server.objects, server.uploads) == before


@pytest.mark.parametrize("kind", [UploadKind.REGULAR, UploadKind.PARTIAL])
async def test_the_record_of_an_unfinished_upload_whose_parts_are_gone_is_removed(kind: UploadKind) -> None:
    """A lifecycle rule took them; that of a finished file is for a person to look at."""
    server = FakeS3()
    store = make_fake_store(server)
    await begin(store, DATA[:1200], "gone", kind=kind)
    server.uploads.clear()
    await start(store, DATA, "finished", kind=kind)
    await finish(store, "finished")
    for key in ("ours/uploads/finished.bin", f"{STATE}finished.data"):
        server.objects.pop(key, None)

    assert await found(make_fake_store(server)) == [
        (FindingKind.RECORD_WITHOUT_DATA, "finished", False),
        (FindingKind.RECORD_WITHOUT_DATA, "gone", True),
    ]
    await repair_all(store)
    assert set(server.objects) == {f"{STATE}finished.json"}


@pytest.mark.parametrize("crash", ["before the publication", "behind it"])
async def test_what_is_stuck_before_its_end_is_found(crash: str) -> None:
    """All its bytes are there, in parts or in the object, and its record says open."""
    server = FakeS3()
    store = make_fake_store(server)
    await begin(store, DATA, "one")
    if crash == "behind it":
        await store.complete(await store.load("one"))

    assert await found(make_fake_store(server)) == [(FindingKind.STUCK_COMPLETING, "one", True)]


async def test_nothing_outside_the_prefix_is_looked_at_or_touched() -> None:
    """Not with the upload's id, not with a prefix that begins alike."""
    server = FakeS3()
    store = make_fake_store(server)
    await begin(store, DATA[:1200], "one")
    strange = [
        "uploads/one.bin",
        "state/one.json",
        "state/two.tail.0000000000000000.00000001",
        "ours2/state/two.tail.0000000000000000.00000001",
        "our/state/two.tail.0000000000000000.00000001",
        "ours/other/two.tail.0000000000000000.00000001",
        "ours/statement",
    ]
    for key in strange:
        write(server, key)
        begin_multipart(server, key)
    keys: set[str] = set()
    server.hold_up = lambda _operation, key: keys.add(key)

    findings = await look(store)
    await Scene(store, housekeeping=Housekeeping(litter_age=timedelta(0))).sweep()
    await store.delete("one")

    assert findings == []
    assert all(key.startswith(("ours/state/", "ours/uploads/")) for key in keys - {""})
    assert set(server.objects) == set(strange)
    assert sorted(upload.key for upload in server.uploads.values()) == sorted(strange)


async def test_what_is_strange_within_the_prefix_is_left() -> None:
    """Keys that are none of ours: nobody knows what they mean."""
    server = FakeS3()
    store = make_fake_store(server)
    for name in ("readme", "one.txt", "no id!.json", "no id!.tail.0.0", "a.tail.0.json", "leader", "check"):
        write(server, f"{STATE}{name}")

    assert await found(store) == []
    assert [upload_id async for upload_id in store.list()] == []


async def test_a_sweep_takes_only_what_is_old_enough() -> None:
    """What is younger than `litter_age` may be somebody's work that is not on record yet."""
    server = FakeS3()
    scene = Scene(make_fake_store(server), housekeeping=Housekeeping(litter_age=timedelta(hours=1)))
    orphan = begin_multipart(server, "ours/uploads/two.bin")
    write(server, f"{STATE}two.tail.0000000000000000.00000001")

    scene.clock.advance(HOUR / 2)
    early = await scene.sweep()
    assert early.litter == []
    assert orphan in server.uploads
    scene.clock.advance(HOUR)
    late = await scene.sweep()

    assert [finding.kind for finding in late.litter] == [
        FindingKind.ORPHANED_MULTIPART,
        FindingKind.DATA_WITHOUT_RECORD,
    ]
    assert (server.uploads, server.objects) == ({}, {})


async def test_a_vanished_upload_is_not_removed_when_it_is_back() -> None:
    """A finding is looked at once more before anything goes."""
    server = FakeS3()
    store = make_fake_store(server)
    await begin(store, DATA[:1200], "one")
    kept = dict(server.uploads)
    server.uploads.clear()

    [lost] = await look(make_fake_store(server))
    server.uploads.update(kept)
    await store.repair(lost)

    assert lost.kind is FindingKind.RECORD_WITHOUT_DATA
    assert (await make_fake_store(server).load("one")).offset == 1200
    assert (await store.load("one")).state is UploadState.OPEN
