"""Store checks: an append that counts as a whole or not at all, as a chunk with a checksum has to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from tusd_py.testing.kit import content, finish, make_upload, put, sample

if TYPE_CHECKING:
    from tusd_py.core.ports import Store
    from tusd_py.testing.kit import OpenAgain, StoreCheck

BEFORE = sample(1000)
"""What is stored and acknowledged when the atomic append begins."""

CHUNK = sample(150_000, 1)
"""What the atomic append brings, in pieces."""


async def an_atomic_append_counts_from_its_commit(open_again: OpenAgain) -> None:
    """Until it is committed nobody sees a byte of it, whatever handle they have; then they see it all."""
    store = await _begun(open_again)
    seen = []

    async with store.append(await store.load("one"), atomic=True) as appender:
        seen += [await _offset(store), await _offset(open_again())]
        await appender.write(CHUNK[:70_000])
        seen += [await _offset(store), await _offset(open_again())]
        await appender.write(CHUNK[70_000:])
        seen += [await _offset(store), await _offset(open_again())]
        offset = await appender.commit()
        after = [await _offset(store), await _offset(open_again())]

    assert seen == [1000] * 6
    assert (offset, after) == (151_000, [151_000] * 2)
    await _holds(open_again, BEFORE + CHUNK)


async def an_atomic_append_hides_its_bytes_from_readers(open_again: OpenAgain) -> None:
    """What is read beside an uncommitted atomic append is what counted before it."""
    store = await _begun(open_again)

    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(CHUNK)

        assert await content(store) == BEFORE
        assert await content(open_again()) == BEFORE


async def an_atomic_append_left_without_commit_is_discarded(open_again: OpenAgain) -> None:
    """Leaving is enough: not a byte of it stays, and the upload goes on from the old offset."""
    store = await _begun(open_again)

    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(CHUNK)

    await _holds(open_again, BEFORE)
    await _goes_on(open_again)


async def an_exception_discards_an_atomic_append(open_again: OpenAgain) -> None:
    """An exception in the block goes through unchanged, and what was written is gone."""
    store, raised = await _begun(open_again), ValueError("the sum is another")

    caught: BaseException | None = None
    try:
        await _write_then_raise(store, raised)
    except ValueError as error:
        caught = error

    assert caught is raised
    await _holds(open_again, BEFORE)
    await _goes_on(open_again)


async def cancelling_discards_an_atomic_append(open_again: OpenAgain) -> None:
    """A task cancelled before the commit leaves nothing of what it wrote."""
    store, written = await _begun(open_again), asyncio.Event()

    async def stall() -> None:
        async with store.append(await store.load("one"), atomic=True) as appender:
            await appender.write(CHUNK)
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stall())
    await written.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled(), "the cancellation was swallowed"
    await _holds(open_again, BEFORE)
    await _goes_on(open_again)


async def cancelling_a_commit_leaves_all_or_nothing(open_again: OpenAgain) -> None:
    """A task cancelled anywhere between write and commit leaves the whole chunk or none of it."""
    for turns in range(8):
        upload_id = f"turn-{turns}"
        store = open_again()
        await store.create(make_upload(upload_id))
        await put(store, upload_id, BEFORE)

        task = asyncio.create_task(put(store, upload_id, CHUNK, atomic=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        stored = await content(open_again(), upload_id)
        assert stored in {BEFORE, BEFORE + CHUNK}, f"{len(stored)} bytes after {turns} turns"
        assert (await open_again().load(upload_id)).offset == len(stored)


async def an_atomic_append_of_nothing_changes_nothing(open_again: OpenAgain) -> None:
    """Without a byte, committed or not, the offset stays where it is."""
    store = await _begun(open_again)

    offset = await put(store, "one", atomic=True)
    async with store.append(await store.load("one"), atomic=True):
        pass

    assert offset == 1000
    await _holds(open_again, BEFORE)
    await _goes_on(open_again)


async def atomic_and_plain_appends_follow_one_another(open_again: OpenAgain) -> None:
    """Each kind goes on where the other ended, whether that was committed or discarded."""
    store = await _begun(open_again)

    await put(store, "one", CHUNK[:10], atomic=True)
    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(b"discarded")
    await put(open_again(), "one", CHUNK[10:30])
    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(b"discarded, and longer than what comes next")
    await put(open_again(), "one", CHUNK[30:40], atomic=True)
    await put(open_again(), "one", CHUNK[40:100], atomic=True)

    await _holds(open_again, BEFORE + CHUNK[:100])


async def an_atomic_append_cuts_the_surplus_too(open_again: OpenAgain) -> None:
    """Begun below what is stored, it cuts there: committed or not, no old tail is left."""
    store = await _begun(open_again)

    async with store.append(replace(await store.load("one"), offset=600), atomic=True) as appender:
        await appender.write(b"discarded")
    async with store.append(replace(await store.load("one"), offset=400), atomic=True) as appender:
        await appender.write(b"counts")
        offset = await appender.commit()

    assert offset == 406
    await _holds(open_again, BEFORE[:400] + b"counts")


async def a_record_saved_beside_an_atomic_append_changes_no_bytes(open_again: OpenAgain) -> None:
    """A save within the block neither commits nor discards what is being written."""
    store = await _begun(open_again)
    upload = await store.load("one")

    async with store.append(upload, atomic=True) as appender:
        await appender.write(CHUNK)
        await store.save(replace(upload, length=151_000))
        between = await _offset(open_again())
        await appender.commit()

    assert between == 1000
    await _holds(open_again, BEFORE + CHUNK)
    assert (await open_again().load("one")).length == 151_000


async def the_last_chunk_may_be_atomic(open_again: OpenAgain) -> None:
    """An upload whose last bytes came in an atomic append is published whole."""
    store = await _begun(open_again, length=151_000)
    await put(store, "one", CHUNK, atomic=True)

    finished = await finish(store)

    assert (finished.offset, finished.length) == (151_000, 151_000)
    await _holds(open_again, BEFORE + CHUNK)


async def _begun(open_again: OpenAgain, length: int | None = None) -> Store:
    """A store with the upload `one` at the offset 1000."""
    store = open_again()
    await store.create(make_upload(length=length))
    await put(store, "one", BEFORE)
    return store


async def _offset(store: Store) -> int:
    return (await store.load("one")).offset


async def _holds(open_again: OpenAgain, data: bytes) -> None:
    """The upload `one` is exactly `data`, whoever looks."""
    assert await _offset(open_again()) == len(data)
    assert await content(open_again()) == data


async def _goes_on(open_again: OpenAgain) -> None:
    """A plain append starts behind BEFORE and counts."""
    assert await put(open_again(), "one", b"next") == 1004
    await _holds(open_again, BEFORE + b"next")


async def _write_then_raise(store: Store, error: Exception) -> None:
    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(CHUNK)
        raise error


ATOMIC_CHECKS: tuple[StoreCheck, ...] = (
    an_atomic_append_counts_from_its_commit,
    an_atomic_append_hides_its_bytes_from_readers,
    an_atomic_append_left_without_commit_is_discarded,
    an_exception_discards_an_atomic_append,
    cancelling_discards_an_atomic_append,
    cancelling_a_commit_leaves_all_or_nothing,
    an_atomic_append_of_nothing_changes_nothing,
    atomic_and_plain_appends_follow_one_another,
    an_atomic_append_cuts_the_surplus_too,
    a_record_saved_beside_an_atomic_append_changes_no_bytes,
    the_last_chunk_may_be_atomic,
)
