"""Store checks: publishing, its repetition after an interruption at any step, and names in dispute."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from tusd_py.core.errors import NameTakenError
from tusd_py.core.model import UploadState
from tusd_py.testing.kit import (
    begin_completion,
    content,
    finish,
    make_upload,
    put,
    read,
    refuses,
    sample,
    start,
)

if TYPE_CHECKING:
    from tusd_py.testing.kit import OpenAgain, StoreCheck


async def a_complete_upload_stays_loadable(open_again: OpenAgain) -> None:
    """A complete upload keeps answering: offset equals length, and its bytes can be read."""
    store, data = open_again(), sample(100_000)
    await start(store, data)

    finished = await finish(store)

    assert finished.state is UploadState.COMPLETE
    assert (finished.offset, finished.length) == (100_000, 100_000)
    assert await open_again().load("one") == finished
    assert await content(store) == data
    assert await content(open_again()) == data


async def completing_an_empty_upload_works(open_again: OpenAgain) -> None:
    """A length of 0 is an upload like any other: published, complete, and empty."""
    store = open_again()
    await store.create(make_upload(length=0))

    finished = await finish(store)

    assert (finished.state, finished.offset, finished.length) == (UploadState.COMPLETE, 0, 0)
    assert await content(open_again()) == b""


async def a_late_length_completes(open_again: OpenAgain) -> None:
    """An upload whose length was settled after its bytes is completed like any other."""
    store = open_again()
    await store.create(make_upload())
    await put(store, "one", b"12345")
    await store.save(replace(await store.load("one"), length=5))

    finished = await finish(store)

    assert (finished.offset, finished.length) == (5, 5)
    assert await content(open_again()) == b"12345"


async def complete_may_be_repeated(open_again: OpenAgain) -> None:
    """A second and third `complete` change nothing, before and after the last save."""
    store, data = open_again(), sample(5000)
    await start(store, data)
    upload = await begin_completion(store)

    await store.complete(upload)
    await store.complete(upload)
    await store.save(replace(upload, state=UploadState.COMPLETE))
    await open_again().complete(await store.load("one"))

    assert await content(open_again()) == data


async def a_crash_before_publishing_is_made_good(open_again: OpenAgain) -> None:
    """Interrupted between the record `completing` and `complete`, the upload is found and finished."""
    store, data = open_again(), sample(5000)
    await start(store, data)
    await begin_completion(store)

    survivor = open_again()
    found = await survivor.load("one")
    await survivor.complete(found)
    await survivor.save(replace(found, state=UploadState.COMPLETE))

    assert found.state is UploadState.COMPLETING
    assert found.offset == 5000
    assert (await open_again().load("one")).state is UploadState.COMPLETE
    assert await content(open_again()) == data


async def a_crash_after_publishing_is_made_good(open_again: OpenAgain) -> None:
    """Interrupted between `complete` and the last save, the upload is whole and still `completing`."""
    store, data = open_again(), sample(5000)
    await start(store, data)
    await store.complete(await begin_completion(store))

    survivor = open_again()
    found = await survivor.load("one")
    seen = await content(survivor)
    await survivor.complete(found)
    await survivor.save(replace(found, state=UploadState.COMPLETE))

    assert found.state is UploadState.COMPLETING
    assert (found.offset, found.length) == (5000, 5000)
    assert seen == data
    assert (await open_again().load("one")).state is UploadState.COMPLETE
    assert await content(open_again()) == data


async def complete_never_replaces_a_file(open_again: OpenAgain) -> None:
    """A name that another upload has published is refused, however often; both keep their bytes."""
    store, winner, loser = open_again(), sample(5000, 1), sample(5000, 2)
    await start(store, winner, "one", name="same.bin")
    await finish(store, "one")
    await start(store, loser, "two", name="same.bin")
    refused = await begin_completion(store, "two")

    for view in (store, store, open_again()):
        with refuses(NameTakenError, "completing under a name in use"):
            await view.complete(refused)

    assert await content(open_again(), "one") == winner
    assert await content(open_again(), "two") == loser
    assert (await open_again().load("two")).offset == 5000


async def of_two_at_once_one_gets_the_name(open_again: OpenAgain) -> None:
    """Two uploads completed under one name at the same moment: one is refused, both keep their bytes."""
    store = open_again()
    data = {"one": sample(5000, 1), "two": sample(5000, 2)}
    for upload_id, expected in data.items():
        await start(store, expected, upload_id, name="same.bin")
    uploads = [await begin_completion(store, upload_id) for upload_id in data]

    results = await asyncio.gather(*(store.complete(u) for u in uploads), return_exceptions=True)

    refusals = [result for result in results if result is not None]
    assert len(refusals) == 1
    assert isinstance(refusals[0], NameTakenError)
    for upload_id, expected in data.items():
        assert await content(open_again(), upload_id) == expected


async def an_open_reader_survives_completion(open_again: OpenAgain) -> None:
    """A reader opened on the growing upload reads on while it is published."""
    store, data = open_again(), sample(100_000)
    upload = await start(store, data)

    async with store.open(upload) as reader:
        pieces = reader.chunks(0, reader.size)
        first = await anext(pieces)
        await finish(store)

        assert first + b"".join([piece async for piece in pieces]) == data
        assert await read(reader, 1, 2) == data[1:2]


async def a_place_is_told_for_each_name(open_again: OpenAgain) -> None:
    """`place` ends with the public name and stays the same, whether there is such a file, and later."""
    store = open_again()
    told = [store.place("one.bin"), store.place("two")]

    await start(store, b"1", "one", name="one.bin")
    await finish(store, "one")

    assert [place.rpartition("/")[2] for place in told] == ["one.bin", "two"]
    assert [store.place("one.bin"), open_again().place("two")] == told


COMPLETION_CHECKS: tuple[StoreCheck, ...] = (
    a_complete_upload_stays_loadable,
    completing_an_empty_upload_works,
    a_late_length_completes,
    complete_may_be_repeated,
    a_crash_before_publishing_is_made_good,
    a_crash_after_publishing_is_made_good,
    complete_never_replaces_a_file,
    of_two_at_once_one_gets_the_name,
    an_open_reader_survives_completion,
    a_place_is_told_for_each_name,
)
