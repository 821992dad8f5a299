"""Store checks: writing at the offset, measuring it, and reading back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tusd_py.core.errors import TusdError
from tusd_py.testing.kit import content, make_upload, put, read, sample, start

if TYPE_CHECKING:
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Reader, Store
    from tusd_py.testing.kit import OpenAgain, StoreCheck

PIECES = (1, 0, 4095, 4096, 4097, 70_000, 1, 200_000)


async def append_stores_every_piece_in_order(open_again: OpenAgain) -> None:
    """Pieces of any size, none included, follow one another without a gap over several appends."""
    store, data, position = open_again(), sample(2 * sum(PIECES)), 0
    await store.create(make_upload())

    for _ in range(2):
        async with store.append(await store.load("one")) as appender:
            for size in PIECES:
                await appender.write(data[position : position + size])
                position += size
            offset = await appender.commit()

        assert offset == position
        assert (await store.load("one")).offset == position

    assert await content(store) == data
    assert await content(open_again()) == data


async def commit_tells_the_offset(open_again: OpenAgain) -> None:
    """Every commit returns what is stored so far; without a write in between it stays the same."""
    store, data = open_again(), sample(900)
    await store.create(make_upload())
    offsets = []

    async with store.append(await store.load("one")) as appender:
        offsets.append(await appender.commit())
        await appender.write(data[:300])
        offsets.append(await appender.commit())
        offsets.append(await appender.commit())
        await appender.write(data[300:])
        offsets.append(await appender.commit())

    assert offsets == [0, 300, 300, 900]
    assert await content(store) == data


async def a_commit_counts_at_once(open_again: OpenAgain) -> None:
    """What is committed is seen from outside while the append goes on, and holds if it dies there."""
    store, data = open_again(), sample(500)
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        await appender.write(data)
        await appender.commit()
        seen, seen_elsewhere = await store.load("one"), await open_again().load("one")

    assert (seen.offset, seen_elsewhere.offset) == (500, 500)


async def the_offset_is_measured_not_believed(open_again: OpenAgain) -> None:
    """A record that claims another offset changes nothing: the data itself is asked."""
    store, data = open_again(), sample(800)
    upload = await start(store, data)

    for claimed in (0, 799, 801, 5000):
        await store.save(replace(upload, offset=claimed))

        assert (await store.load("one")).offset == 800, f"the record claimed {claimed}"
        assert (await open_again().load("one")).offset == 800, f"the record claimed {claimed}"

    assert await content(store) == data


async def leaving_without_commit_keeps_a_true_prefix(open_again: OpenAgain) -> None:
    """An append left early keeps everything committed and invents nothing; the rest continues there."""
    store, data = open_again(), sample(3000)
    await store.create(make_upload())

    async with store.append(await store.load("one")) as appender:
        await appender.write(data[:1000])
        await appender.commit()
        await appender.write(data[1000:2000])

    await _is_prefix(open_again, data, at_least=1000, at_most=2000)
    await _resume(open_again, data)


async def an_exception_keeps_a_true_prefix(open_again: OpenAgain) -> None:
    """An exception in the block goes through unchanged and costs nothing that was committed."""
    store, data, raised = open_again(), sample(3000), ConnectionResetError("the client left")
    await store.create(make_upload())

    caught: BaseException | None = None
    try:
        await _write_then_raise(store, data[:2000], raised)
    except ConnectionResetError as error:
        caught = error

    assert caught is raised
    await _is_prefix(open_again, data, at_least=1000, at_most=2000)
    await _resume(open_again, data)


async def cancelling_an_append_keeps_a_true_prefix(open_again: OpenAgain) -> None:
    """A task cancelled between writes leaves what was committed, and the upload can go on."""
    store, data, written = open_again(), sample(3000), asyncio.Event()
    await store.create(make_upload())

    async def stall() -> None:
        async with store.append(await store.load("one")) as appender:
            await appender.write(data[:1000])
            await appender.commit()
            await appender.write(data[1000:2000])
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stall())
    await written.wait()
    await _cancel(task)

    await _is_prefix(open_again, data, at_least=1000, at_most=2000)
    await _resume(open_again, data)


async def cancelling_a_write_keeps_a_true_prefix(open_again: OpenAgain) -> None:
    """A task cancelled inside a write leaves a prefix of it, and a continuation is not overwritten."""
    store, data, started = open_again(), sample(400_000), asyncio.Event()
    await store.create(make_upload())

    async def write_much() -> None:
        async with store.append(await store.load("one")) as appender:
            await appender.write(data[:1000])
            await appender.commit()
            started.set()
            for position in range(1000, 300_000, 50_000):
                await appender.write(data[position : position + 50_000])
                await asyncio.sleep(0)

    task = asyncio.create_task(write_much())
    await started.wait()
    await _cancel(task)

    await _is_prefix(open_again, data, at_least=1000, at_most=301_000)
    await _resume(open_again, data)


async def the_offset_never_goes_back(open_again: OpenAgain) -> None:
    """Through appends, saves and restarts every offset told is at least the one told before."""
    data, told, upload = sample(1000), [0], make_upload()
    await open_again().create(upload)

    for _ in range(10):
        store = open_again()
        told.append((await store.load("one")).offset)
        told.append(await put(store, "one", data[told[-1] : told[-1] + 100]))
        await store.save(upload)
        told.append((await store.load("one")).offset)

    assert told == sorted(told)
    assert told[-1] == 1000
    assert await content(open_again()) == data


async def surplus_is_cut_before_writing(open_again: OpenAgain) -> None:
    """An append below what is stored writes there, and nothing of the old tail is left behind it."""
    store = open_again()
    await store.create(make_upload())
    await put(store, "one", b"0123456789")
    upload = replace(await store.load("one"), offset=6)

    async with store.append(upload) as appender:
        await appender.write(b"AB")
        offset = await appender.commit()

    assert offset == 8
    assert (await open_again().load("one")).offset == 8
    assert await content(open_again()) == b"012345AB"


async def surplus_is_cut_even_without_a_write(open_again: OpenAgain) -> None:
    """Opening for append at a lower offset makes that the offset."""
    store = open_again()
    await store.create(make_upload())
    await put(store, "one", b"0123456789")

    async with store.append(replace(await store.load("one"), offset=4)) as appender:
        offset = await appender.commit()

    assert offset == 4
    assert (await open_again().load("one")).offset == 4
    assert await content(open_again()) == b"0123"


async def an_append_never_leaves_a_hole(open_again: OpenAgain) -> None:
    """Appending beyond what is stored is refused: bytes nobody sent would count as received."""
    store = open_again()
    await store.create(make_upload())
    await put(store, "one", b"01234")
    beyond = replace(await store.load("one"), offset=9)

    refused = False
    try:
        async with store.append(beyond) as appender:
            await appender.write(b"9")
            await appender.commit()
    except TusdError:
        refused = True

    assert refused
    assert await content(open_again()) == b"01234"


async def concurrent_appends_do_not_mix(open_again: OpenAgain) -> None:
    """Uploads that are written at the same time each get their own bytes."""
    store, names = open_again(), ("one", "two", "three")
    data = {name: sample(60_000, seed) for seed, name in enumerate(names)}

    async def write(name: str) -> None:
        await store.create(make_upload(name))
        async with store.append(await store.load(name)) as appender:
            for position in range(0, 60_000, 1000):
                await appender.write(data[name][position : position + 1000])
                await asyncio.sleep(0)
            await appender.commit()

    await asyncio.gather(*(write(name) for name in names))

    for name in names:
        assert await content(store, name) == data[name]


async def ranges_are_exact(open_again: OpenAgain) -> None:
    """`chunks(start, stop)` gives the bytes from start up to but not including stop, any time again."""
    store, data = open_again(), sample(200_001)
    upload = await start(store, data)

    async with store.open(upload) as reader:
        assert reader.size == 200_001
        for first, stop in ((0, 200_001), (0, 1), (200_000, 200_001), (7, 7), (65_535, 131_073), (0, 0)):
            assert await read(reader, first, stop) == data[first:stop], f"bytes {first} to {stop}"
        await _file_agrees(reader, data)
        assert await read(reader, 100, 200_000) == data[100:200_000]


async def an_open_reader_sees_no_later_append(open_again: OpenAgain) -> None:
    """Size and bytes of a reader stay as they were when it was opened."""
    store, data = open_again(), sample(100_000)
    await store.create(make_upload())
    await put(store, "one", data[:50_000])

    async with store.open(await store.load("one")) as reader:
        changed_at = reader.modified_at
        await put(store, "one", data[50_000:])

        assert reader.size == 50_000
        assert reader.modified_at == changed_at
        assert await read(reader) == data[:50_000]
    assert await content(store) == data


async def an_open_reader_survives_removal(open_again: OpenAgain) -> None:
    """A reader goes on to its end although the upload is removed meanwhile."""
    store, data = open_again(), sample(100_000)
    upload = await start(store, data)

    async with store.open(upload) as reader:
        pieces = reader.chunks(0, reader.size)
        first = await anext(pieces)
        await store.delete("one")

        assert first + b"".join([piece async for piece in pieces]) == data
        assert await read(reader, 99_000, 100_000) == data[99_000:]


async def a_reader_tells_when_the_bytes_changed(open_again: OpenAgain) -> None:
    """`modified_at` is in UTC and does not go back when bytes arrive."""
    store, times = open_again(), []
    await store.create(make_upload())

    for _ in range(2):
        await put(store, "one", b"abc")
        async with store.open(await store.load("one")) as reader:
            times.append(reader.modified_at)

    assert all(time.utcoffset() == timedelta(0) for time in times)
    assert times == sorted(times)


async def _is_prefix(open_again: OpenAgain, data: bytes, *, at_least: int, at_most: int) -> None:
    """The upload `one` holds a prefix of `data` of a size between the two, whoever looks."""
    offset = (await open_again().load("one")).offset
    stored = await content(open_again())
    assert at_least <= offset <= at_most
    assert len(stored) >= offset
    assert stored == data[: len(stored)]


async def _resume(open_again: OpenAgain, data: bytes) -> None:
    """The upload `one` takes the rest of `data` from where it is, and then equals it."""
    store = open_again()
    upload: Upload = await store.load("one")
    assert await put(store, "one", data[upload.offset :]) == len(data)
    assert await content(open_again()) == data


async def _write_then_raise(store: Store, data: bytes, error: Exception) -> None:
    async with store.append(await store.load("one")) as appender:
        await appender.write(data[:1000])
        await appender.commit()
        await appender.write(data[1000:])
        raise error


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), "the cancellation was swallowed"


async def _file_agrees(reader: Reader, data: bytes) -> None:
    file = reader.file
    if file is None:
        return

    def read_file() -> bytes:
        file.seek(0)
        return file.read(reader.size)

    assert await asyncio.to_thread(read_file) == data


BYTE_CHECKS: tuple[StoreCheck, ...] = (
    append_stores_every_piece_in_order,
    commit_tells_the_offset,
    a_commit_counts_at_once,
    the_offset_is_measured_not_believed,
    leaving_without_commit_keeps_a_true_prefix,
    an_exception_keeps_a_true_prefix,
    cancelling_an_append_keeps_a_true_prefix,
    cancelling_a_write_keeps_a_true_prefix,
    the_offset_never_goes_back,
    surplus_is_cut_before_writing,
    surplus_is_cut_even_without_a_write,
    an_append_never_leaves_a_hole,
    concurrent_appends_do_not_mix,
    ranges_are_exact,
    an_open_reader_sees_no_later_append,
    an_open_reader_survives_removal,
    a_reader_tells_when_the_bytes_changed,
)
