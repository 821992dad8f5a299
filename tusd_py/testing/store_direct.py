"""Store checks: writing past the event loop. A store without such a way (`Appender.direct`) keeps them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tusd_py.testing.kit import content, make_upload, sample

if TYPE_CHECKING:
    from tusd_py.testing.kit import OpenAgain, StoreCheck

SIZES = (1, 70_000, 4096, 300_000, 17)


async def direct_pieces_and_written_ones_follow_one_another(open_again: OpenAgain) -> None:
    """Whichever way a piece takes, it is stored behind the one before, and a commit counts them all."""
    store, data, position = open_again(), sample(2 * sum(SIZES)), 0
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        direct = appender.direct
        if direct is None:
            return
        for size in SIZES:
            direct(memoryview(data)[position : position + size])
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
        if appender.direct is None:
            return
        appender.direct(memoryview(data)[5000:])
        offset = await appender.commit()

    assert offset == 9000
    assert await content(open_again()) == data


async def direct_writing_works_in_any_thread(open_again: OpenAgain) -> None:
    """One call at a time, each in whatever thread."""
    store, data, position = open_again(), sample(sum(SIZES)), 0
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        direct = appender.direct
        if direct is None:
            return
        for number, size in enumerate(SIZES):
            piece = memoryview(data)[position : position + size]
            position += size
            if number % 2:
                direct(piece)
            else:
                await asyncio.to_thread(direct, piece)
        await appender.commit()

    assert await content(open_again()) == data


async def what_was_written_directly_is_not_kept(open_again: OpenAgain) -> None:
    """The caller receives into the same memory again: the bytes have to be out of it by then."""
    store, data, buffer = open_again(), sample(3 * 10_000), bytearray(10_000)
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        direct = appender.direct
        if direct is None:
            return
        for start in range(0, len(data), len(buffer)):
            buffer[:] = data[start : start + len(buffer)]
            direct(memoryview(buffer))
        buffer[:] = bytes(len(buffer))
        await appender.commit()

    assert await content(open_again()) == data


async def direct_pieces_of_an_atomic_append_count_from_its_commit(open_again: OpenAgain) -> None:
    """Left without a commit they are gone, whatever way they took."""
    store, data = open_again(), sample(50_000)
    await store.create(make_upload())

    for commits in (False, True):
        async with store.append(await store.load("one"), atomic=True) as appender:
            if appender.direct is None:
                return
            appender.direct(memoryview(data))
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
