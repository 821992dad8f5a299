"""Store checks: what is on record, what is not, and what a removal takes along."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tusd_py.core.errors import NameTakenError, UploadNotFoundError
from tusd_py.core.model import Delivery, UploadState
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
)

if TYPE_CHECKING:
    from tusd_py.core.ports import Store
    from tusd_py.testing.kit import OpenAgain, StoreCheck

STRANGE_IDS = ("", ".", "..", "../one", "one/", "one/.", "./one", "/etc/passwd", "o\x00ne", "é", "x" * 5000)

ONE_OF_EACH = ("open", "completing", "published", "complete")
"""Ids, each telling how far its upload is; `published` is still `completing` on record."""


async def create_then_load_gives_the_same_upload(open_again: OpenAgain) -> None:
    """A created upload loads as it was given, at offset 0, now and after a restart."""
    store = open_again()
    upload = make_upload(length=1000, raw="filename aGVsbG8udHh0,filetype dGV4dC9wbGFpbg==")

    await store.create(upload)

    assert await store.load("one") == upload
    assert await open_again().load("one") == upload
    assert await content(store) == b""


async def a_secret_is_kept(open_again: OpenAgain) -> None:
    """What a caller has to know to go on with an upload is there after a save and a restart."""
    store, secret = open_again(), sample(32).hex()
    await store.create(replace(make_upload(), secret=secret))
    created = (await open_again().load("one")).secret

    await store.save(replace(await store.load("one"), length=7))

    assert [created, (await open_again().load("one")).secret] == [secret, secret]


async def create_refuses_an_id_in_use(open_again: OpenAgain) -> None:
    """An id is given once: a second create is refused, and the first upload keeps record and bytes."""
    store = open_again()
    await _one_of_each(store)
    before = [await store.load(upload_id) for upload_id in ONE_OF_EACH]

    for upload_id in ONE_OF_EACH:
        with refuses(NameTakenError, f"create of the id of the {upload_id} upload"):
            await store.create(make_upload(upload_id, length=5, raw="other"))

    for upload in before:
        assert await open_again().load(upload.id) == upload, f"the {upload.id} upload has changed"
        assert await content(open_again(), upload.id) == sample(50)


async def unknown_ids_are_not_found(open_again: OpenAgain) -> None:
    """UploadNotFoundError to load or delete what was never created, and nothing springs up."""
    store = open_again()
    await store.create(make_upload("one"))

    with refuses(UploadNotFoundError, "load of an unknown id"):
        await store.load("stranger")
    with refuses(UploadNotFoundError, "delete of an unknown id"):
        await store.delete("stranger")

    assert await ids(store) == ["one"]


async def append_to_an_unknown_id_is_not_found(open_again: OpenAgain) -> None:
    """UploadNotFoundError to append to what was never created, and no upload comes of it."""
    store = open_again()

    with refuses(UploadNotFoundError, "append to an unknown id"):
        async with store.append(make_upload("stranger", length=3)) as appender:
            await appender.write(b"abc")
            await appender.commit()

    assert await ids(store) == []


async def open_of_a_removed_upload_is_not_found(open_again: OpenAgain) -> None:
    """UploadNotFoundError to open what was removed since it was loaded: reading takes no lock."""
    store = open_again()
    await start(store, b"open", "one")
    await start(store, b"done", "two")
    await finish(store, "two")
    loaded = [await store.load("one"), await store.load("two")]
    await store.delete("one")
    await store.delete("two")

    for upload in loaded:
        with refuses(UploadNotFoundError, f"open of a removed {upload.state} upload"):
            async with store.open(upload):
                pass


async def complete_of_an_unknown_id_is_not_found(open_again: OpenAgain) -> None:
    """UploadNotFoundError to complete what was never created, and no upload comes of it."""
    store = open_again()

    with refuses(UploadNotFoundError, "complete of an unknown id"):
        await store.complete(make_upload("stranger", length=0))

    assert await ids(store) == []


async def strange_ids_are_not_found(open_again: OpenAgain) -> None:
    """An id that cannot be one is certainly unknown: not a failure, and never a way to another upload."""
    store, data = open_again(), sample(100)
    await start(store, data)

    for upload_id in STRANGE_IDS:
        with refuses(UploadNotFoundError, f"load of {upload_id[:20]!r}"):
            await store.load(upload_id)
        with refuses(UploadNotFoundError, f"delete of {upload_id[:20]!r}"):
            await store.delete(upload_id)

    assert await ids(store) == ["one"]
    assert await content(store) == data


async def metadata_is_kept_to_the_byte(open_again: OpenAgain) -> None:
    """Upload-Metadata comes back as it was written: order, blanks, empty and binary values.

    tus 1.0.0, Upload-Metadata: HEAD gives the value from the creation.
    """
    raw = "z AP8=,  name bsOkbWUuYmlu ,empty ,flag,A Kio="
    await open_again().create(make_upload(raw=raw))

    loaded = (await open_again().load("one")).metadata

    assert loaded.raw == raw
    assert loaded.pairs == (
        ("z", b"\x00\xff"),
        ("name", "näme.bin".encode()),
        ("empty", b""),
        ("flag", b""),
        ("A", b"**"),
    )


async def save_replaces_state_and_length(open_again: OpenAgain) -> None:
    """What was saved last is what loads, for every state, now and after a restart."""
    store, upload = open_again(), make_upload()
    await store.create(upload)

    for state in (UploadState.OPEN, UploadState.COMPLETING, UploadState.FAILED):
        saved = replace(upload, length=7, state=state)
        await store.save(saved)

        assert await store.load("one") == saved, f"state {state} in the same process"
        assert await open_again().load("one") == saved, f"state {state} after a restart"


async def save_keeps_what_is_to_be_delivered(open_again: OpenAgain) -> None:
    """Deliveries stay on record, with attempts and times, until each is struck off."""
    store, data = open_again(), sample(500)
    await start(store, data)
    later = datetime(2026, 5, 6, 7, 8, 9, 12, tzinfo=UTC)
    pending = (Delivery(name="package.module:call"), Delivery(name="zweite", attempts=7, due_at=later))

    await store.save(replace(await store.load("one"), state=UploadState.COMPLETING, deliveries=pending))
    completing = await open_again().load("one")
    await store.complete(completing)
    await store.save(replace(completing, state=UploadState.COMPLETE, deliveries=pending[1:]))
    complete = await open_again().load("one")
    await store.save(replace(complete, deliveries=()))

    assert completing.deliveries == pending, "while it is completing"
    assert complete.deliveries == pending[1:], "one is struck off, the upload is complete"
    assert (await open_again().load("one")).deliveries == ()
    assert await content(open_again()) == data


async def save_leaves_the_bytes_alone(open_again: OpenAgain) -> None:
    """A record is replaced without touching data, even while the data is being written."""
    store, data = open_again(), sample(3000)
    await store.create(make_upload())
    upload = await store.load("one")

    async with store.append(upload) as appender:
        await appender.write(data[:1000])
        await store.save(replace(upload, length=3000))
        await appender.write(data[1000:])
        offset = await appender.commit()
    await store.save(replace(upload, length=3000, state=UploadState.FAILED))

    assert offset == 3000
    assert (await store.load("one")).offset == 3000
    assert await content(open_again()) == data


async def a_length_may_come_later(open_again: OpenAgain) -> None:
    """tus 1.0.0, Creation Defer Length: unknown until it is saved, known and 0 are different things."""
    store = open_again()
    await store.create(make_upload())
    await store.create(make_upload("empty", length=0))

    await put(store, "one", b"12345")
    before = await open_again().load("one")
    await store.save(replace(before, length=5))
    after = await open_again().load("one")

    assert (before.offset, before.length) == (5, None)
    assert (after.offset, after.length) == (5, 5)
    assert (await open_again().load("empty")).length == 0


async def delete_leaves_nothing(open_again: OpenAgain) -> None:
    """An open, a completing, a published and a complete upload are gone whole after delete."""
    store = open_again()
    await _one_of_each(store)

    for upload_id in ONE_OF_EACH:
        await store.delete(upload_id)

        for view in (store, open_again()):
            with refuses(UploadNotFoundError, f"load of the deleted {upload_id} upload"):
                await view.load(upload_id)
            assert upload_id not in await ids(view)
    assert await ids(store) == []


async def delete_frees_the_name(open_again: OpenAgain) -> None:
    """A name whose upload is removed can be published again: no file of it is left behind."""
    store = open_again()
    await start(store, b"first", "one", name="same.bin")
    await finish(store, "one")
    await store.delete("one")

    await start(store, b"second", "two", name="same.bin")
    await finish(store, "two")

    assert await content(open_again(), "two") == b"second"


async def deleting_twice_is_not_found(open_again: OpenAgain) -> None:
    """The second delete says UploadNotFoundError, also in another process."""
    store = open_again()
    await start(store, b"data")
    await store.delete("one")

    with refuses(UploadNotFoundError, "the second delete"):
        await store.delete("one")
    with refuses(UploadNotFoundError, "the third delete, after a restart"):
        await open_again().delete("one")


async def delete_takes_only_its_own(open_again: OpenAgain) -> None:
    """Removing an unfinished upload leaves alone what another one published under the same name."""
    store = open_again()
    await start(store, b"winner", "one", name="same.bin")
    await finish(store, "one")
    await start(store, b"losers", "two", name="same.bin")
    await start(store, b"thirds", "three", name="same.bin")
    await begin_completion(store, "three")

    await store.delete("two")
    await store.delete("three")

    assert await ids(store) == ["one"]
    assert await content(open_again(), "one") == b"winner"


async def list_names_every_upload_once(open_again: OpenAgain) -> None:
    """Uploads in every state are listed, each once, also after a restart."""
    store = open_again()
    assert await ids(store) == []

    await _one_of_each(store)

    assert await ids(store) == sorted(ONE_OF_EACH)
    assert await ids(open_again()) == sorted(ONE_OF_EACH)


async def uploads_may_vanish_while_they_are_listed(open_again: OpenAgain) -> None:
    """A pass over the list that removes what it meets ends, and has met everything."""
    store, met = open_again(), []
    created = [f"upload-{number:02}" for number in range(20)]
    for upload_id in created:
        await store.create(make_upload(upload_id))

    async for upload_id in store.list():
        met.append(upload_id)
        await store.delete(upload_id)

    assert sorted(met) == created
    assert await ids(store) == []


async def a_healthy_store_passes_its_own_check(open_again: OpenAgain) -> None:
    """`check` is silent, leaves no upload behind, and `free_space` is None or not negative."""
    store = open_again()

    await store.check()
    await store.check()
    space = await store.free_space()

    assert await ids(store) == []
    assert space is None or space >= 0


async def _one_of_each(store: Store) -> None:
    for upload_id in ONE_OF_EACH:
        await start(store, sample(50), upload_id)
    await begin_completion(store, "completing")
    await store.complete(await begin_completion(store, "published"))
    await finish(store, "complete")


RECORD_CHECKS: tuple[StoreCheck, ...] = (
    create_then_load_gives_the_same_upload,
    a_secret_is_kept,
    create_refuses_an_id_in_use,
    unknown_ids_are_not_found,
    append_to_an_unknown_id_is_not_found,
    open_of_a_removed_upload_is_not_found,
    complete_of_an_unknown_id_is_not_found,
    strange_ids_are_not_found,
    metadata_is_kept_to_the_byte,
    save_replaces_state_and_length,
    save_keeps_what_is_to_be_delivered,
    save_leaves_the_bytes_alone,
    a_length_may_come_later,
    delete_leaves_nothing,
    delete_frees_the_name,
    deleting_twice_is_not_found,
    delete_takes_only_its_own,
    list_names_every_upload_once,
    uploads_may_vanish_while_they_are_listed,
    a_healthy_store_passes_its_own_check,
)
