"""Store checks: writing past the event loop. Where a store has no such way (`Appender.direct`), what they
ask of it is asked of `write`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tusd_py.testing.kit import content, make_upload, sample

if TYPE_CHECKING:
    from tusd_py.core.ports import Appender
    from tusd_py.testing.kit import OpenAgain, StoreCheck

SIZES = (1, 70_000, 4096, 300_000, 17)


async def _put(appender: Appender, piece: memoryview, *, in_thread: bool = False) -> None:
    direct = appender.direct
    if direct is None:
        await appender.write(bytes(piece))
    elif in_thread:
        await asyncio.to_thread(direct, piece)
    else:
        direct(piece)


async def direct_pieces_and_written_ones_follow_one_another(open_again: OpenAgain) -> None:
    """Whichever way a piece takes, it is stored behind the one before, and a commit counts them all."""
    store, data, position = open_again(), sample(2 * sum(SIZES)), 0
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        for size in SIZES:
            await _put(appender, memoryview(data)[position : position + size])
            position += size
            await appender.write(data[position : position + size])
            position += size
        offset = await appender.commit()

    assert offset == len(data)
    assert await content(open_again()) == data


async def direct_writing_begins_at_the_offset(open_again: OpenAgain) -> None:
    """Also in an upload that has bytes already."""
    store, data = open_again(), sample(9000)
    await store.create(make_upload())
    async with store.append(await store.load("one")) as appender:
        await appender.write(data[:5000])
        await appender.commit()

    async with store.append(await store.load("one")) as appender:
        await _put(appender, memoryview(data)[5000:])
        offset = await appender.commit()

    assert offset == 9000
    assert await content(open_again()) == data


async def direct_writing_works_in_any_thread(open_again: OpenAgain) -> None:
    """One call at a time, each in whatever thread."""
    store, data, position = open_again(), sample(sum(SIZES)), 0
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        for number, size in enumerate(SIZES):
            piece = memoryview(data)[position : position + size]
            position += size
            await _put(appender, piece, in_thread=number % 2 == 0)
        await appender.commit()

    assert await content(open_again()) == data


async def what_was_written_directly_is_not_kept(open_again: OpenAgain) -> None:
    """The caller receives into the same memory again: the bytes have to be out of it by then."""
    store, data, buffer = open_again(), sample(3 * 10_000), bytearray(10_000)
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        for start in range(0, len(data), len(buffer)):
            buffer[:] = data[start : start + len(buffer)]
            await _put(appender, memoryview(buffer))
        buffer[:] = bytes(len(buffer))
        await appender.commit()

    assert await content(open_again()) == data


async def direct_pieces_of_an_atomic_append_count_from_its_commit(open_again: OpenAgain) -> None:
    """Left without a commit they are gone, whatever way they took."""
    store, data = open_again(), sample(50_000)
    await store.create(make_upload())

    for commits in (False, True):
        async with store.append(await store.load("one"), atomic=True) as appender:
            await _put(appender, memoryview(data))
            assert (await store.load("one")).offset == 0, "it counts before its commit"
            if commits:
                await appender.commit()
        assert await content(open_again()) == (data if commits else b"")


DIRECT_CHECKS: tuple[StoreCheck, ...] = (
    direct_pieces_and_written_ones_follow_one_another,
    direct_writing_begins_at_the_offset,
    direct_writing_works_in_any_thread,
    what_was_written_directly_is_not_kept,
    direct_pieces_of_an_atomic_append_count_from_its_commit,
)
