"""What MemoryStore promises beyond the contract: capacity, what is published, pieces to the byte."""

from __future__ import annotations

import pytest

from tusd_py.core.errors import NameTakenError, StorageFullError, StoreError
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing.kit import begin_completion, content, finish, make_upload, put, sample, start


async def test_a_full_store_keeps_exactly_what_fitted() -> None:
    """Appender.write: StorageFullError, and the part of the data that fitted stays."""
    store, data = MemoryStore(capacity=1000), sample(1500)
    await store.create(make_upload())

    with pytest.raises(StorageFullError, match="500 bytes did not fit"):
        await put(store, "one", data[:400], data[400:])

    assert await content(store) == data[:1000]
    assert await store.free_space() == 0


async def test_room_is_counted_over_all_uploads_and_comes_back() -> None:
    """Stored and published bytes use the capacity; cutting and removing gives it back."""
    store, left = MemoryStore(capacity=100), []
    await start(store, sample(30), "one")
    await finish(store, "one")
    left.append(await store.free_space())
    await start(store, sample(50), "two")
    left.append(await store.free_space())
    async with store.append(make_upload("two")) as appender:
        await appender.commit()
    left.append(await store.free_space())
    await store.delete("one")
    left.append(await store.free_space())

    assert left == [70, 20, 70, 100]


async def test_a_full_store_fails_its_check() -> None:
    """`check` raises when the storage takes nothing more, and passes again when it does."""
    store = MemoryStore(capacity=10)
    await start(store, sample(10))

    with pytest.raises(StorageFullError):
        await store.check()
    await store.delete("one")

    await store.check()


async def test_a_store_without_capacity_is_boundless() -> None:
    """free_space is None where it has no meaning."""
    assert await MemoryStore().free_space() is None


async def test_every_written_byte_counts_without_a_commit() -> None:
    """A cut connection keeps what arrived, to the byte."""
    store, data = MemoryStore(), sample(777)
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        await appender.write(data)

    assert (await store.load("one")).offset == 777
    assert await content(store) == data


async def test_published_shows_finished_files_only() -> None:
    """`published` maps names to content; an upload is in it from `complete` until it is removed."""
    store = MemoryStore()
    await start(store, b"running", "one")
    await start(store, b"finished", "two", name="two.txt")
    upload = await begin_completion(store, "two")
    before = store.published

    await store.complete(upload)
    after = store.published
    await store.delete("two")

    assert before == {}
    assert after == {"two.txt": b"finished"}
    assert store.published == {}


async def test_a_refused_name_publishes_nothing() -> None:
    """NameTakenError: the file that has the name stays as it is."""
    store = MemoryStore()
    await start(store, b"winner", "one", name="same.bin")
    await finish(store, "one")
    await start(store, b"loser", "two", name="same.bin")

    with pytest.raises(NameTakenError, match=r"same\.bin"):
        await store.complete(await begin_completion(store, "two"))

    assert store.published == {"same.bin": b"winner"}


async def test_pieces_have_the_chunk_size() -> None:
    """Reader.chunks gives pieces of the store's chunk size, the last one shorter."""
    store = MemoryStore(chunk_size=4)
    upload = await start(store, b"0123456789")

    async with store.open(upload) as reader:
        pieces = [piece async for piece in reader.chunks(1, 10)]

    assert pieces == [b"1234", b"5678", b"9"]


async def test_a_published_upload_takes_no_more_bytes() -> None:
    """StoreError to append to what is published: its file never changes."""
    store = MemoryStore()
    await start(store, b"data")
    upload = await finish(store)

    with pytest.raises(StoreError, match="published"):
        async with store.append(upload):
            pass

    assert store.published == {"one.bin": b"data"}
