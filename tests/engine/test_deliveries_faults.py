"""Deliveries when things break: crashes at every call of the storage, failing storage, shutdowns."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.recipients import Delivery, Recipient
from tests.engine.scene import crashes
from tests.properties.storages import CrashError, LocalStorage, MortalStore, S3Storage, Storage
from tests.support.payload import make_bytes
from tusd_py.core.errors import StoreError
from tusd_py.core.events import DeliveryFailed, UploadDelivered
from tusd_py.core.model import Delivery as Pending
from tusd_py.core.model import Upload, UploadState
from tusd_py.stores.local import LocalStore
from tusd_py.testing import After, FaultyStore
from tusd_py.testing.kit import ids

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tusd_py.core.ports import Store

CONTENT = make_bytes(1_000, seed=22)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(str(tmp_path))
    yield store
    await store.close()


async def whole_life(scene: Delivery) -> None:
    """All that happens to an upload, from its creation until it was given to every processor."""
    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT)
        await scene.ear.hear(UploadDelivered, len(upload.deliveries))


async def calls_of_a_whole_life(storage: Storage, names: Sequence[str]) -> list[str]:
    """Every call of the storage in that time; it is not needed after that."""
    faulty = FaultyStore(store := storage.open())
    await whole_life(Delivery(faulty, {name: Recipient() for name in names}))
    await store.close()
    storage.close()
    return faulty.calls


def deadly(script: dict[str, Any]) -> dict[str, Any]:
    """The same, with the end of the process that freezes the storage as it is."""
    [(call, [*passing, fault])] = script.items()
    return {call: [*passing, After(CrashError()) if isinstance(fault, After) else CrashError()]}


async def the_upload(store: Store) -> Upload | None:
    """The only one."""
    known = await ids(store)
    return await store.load(known[0]) if known else None


@pytest.mark.parametrize(
    # A folder is copied as it is at the crash: nothing may be at work beside the call that dies.
    ("open_storage", "names"),
    [(LocalStorage, ["one"]), (S3Storage, ["one", "two"])],
)
async def test_no_crash_loses_a_delivery(open_storage: Callable[[], Storage], names: list[str]) -> None:
    """kill -9 before and behind each call of the storage: what is finished is given to all in the end.

    Whole each time, and at most once more than needed, where the record could not say so any more.
    """
    finished = 0
    for script in map(deadly, crashes(await calls_of_a_whole_life(open_storage(), names))):
        storage, recipients = open_storage(), {name: Recipient() for name in names}
        dying = storage.open()
        scene = Delivery(MortalStore(storage, dying, **script), recipients)
        with pytest.raises(BaseExceptionGroup):
            await whole_life(scene)
        await dying.close()
        store = storage.open()
        scene.restart(store)

        await scene.sweep()  # finishes what has its bytes
        found = await the_upload(store)
        async with scene.delivering():
            await scene.pass_time(100)
            await scene.ear.hear(UploadDelivered, len(found.deliveries) if found else 0)

        found = await the_upload(store)
        assert found is None or found.deliveries == (), script
        is_complete = found is not None and found.state is UploadState.COMPLETE
        for recipient in recipients.values():
            assert {data for _, data in recipient.given} == ({CONTENT} if is_complete else set()), script
            assert len(recipient.given) <= 2, script
        finished += is_complete
        await store.close()
        storage.close()
    assert finished > 15


@pytest.mark.parametrize(
    "faults",
    [
        {"open": [StoreError("disk")]},
        {"read": [StoreError("disk")]},
        {"save": [None] * 2 + [StoreError("disk")]},
        {"save": [None] * 2 + [After(StoreError("disk"))]},
        {"save": [None] * 3 + [StoreError("disk")]},
        {"save": [None] * 3 + [StoreError("disk")] * 2},
    ],
)
async def test_a_failing_storage_only_delays(local: LocalStore, faults: dict[str, Sequence[Any]]) -> None:
    """Whatever of an attempt fails in the storage, another attempt follows."""
    one, faulty = Recipient(), FaultyStore(local, **faults)
    scene = Delivery(faulty, {"one": one})

    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT)
        while not scene.ear.of(UploadDelivered):
            await scene.pass_time(1)
            await asyncio.sleep(0.001)

    assert faulty.left == {}
    assert {data for _, data in one.given} == {CONTENT}
    assert (await local.load(upload.id)).deliveries == ()


async def test_bytes_that_could_not_be_read_are_no_end(local: LocalStore) -> None:
    """A processor that takes the break for the end, and returns, is called again for the whole file."""
    taken: list[bytes] = []

    async def careless(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
        data = b""
        try:
            async for piece in pieces:
                data += piece
        except StoreError:
            pass
        taken.append(data)

    scene = Delivery(FaultyStore(local, open=[StoreError("disk")]), {"careless": careless})

    async with scene.delivering():
        await scene.create(len(CONTENT), CONTENT)
        [failed] = await scene.ear.hear(DeliveryFailed)
        await scene.pass_time(1)
        await scene.ear.hear(UploadDelivered)

    assert isinstance(failed.error, StoreError)
    assert taken == [b"", CONTENT]


async def test_a_process_that_dies_in_an_attempt_waits_before_the_next(local: LocalStore) -> None:
    """The pause is on record before the attempt: who kills the server does not do so in a circle."""
    stuck, well = Recipient(gate=asyncio.Event()), Recipient()
    scene = Delivery(local, {"one": stuck})
    async with scene.delivering(grace=0):
        upload = await scene.create(len(CONTENT), CONTENT)
        await stuck.is_called.wait()
        on_record = (await local.load(upload.id)).deliveries  # what a kill would leave
    await local.save(replace(await local.load(upload.id), deliveries=on_record))

    scene = Delivery(local, {"one": well})
    async with scene.delivering():
        await scene.pass_time(0.5)
        early = list(well.called)
        await scene.pass_time(0.5)
        [delivered] = await scene.ear.hear(UploadDelivered)

    assert on_record == (Pending(name="one", attempts=1, due_at=scene.clock()),)
    assert (early, delivered.attempt) == ([], 2)


async def test_a_shutdown_waits_for_what_is_running(local: LocalStore) -> None:
    """Within the time it has: what ends in it is done, and nothing new is begun."""
    gate = asyncio.Event()
    one = Recipient(gate=gate)
    scene = Delivery(local, {"one": one}, concurrency=1)

    async with scene.delivering(grace=1000):
        first = await scene.create(len(CONTENT), CONTENT)
        second = await scene.create(len(CONTENT), CONTENT)
        await one.is_called.wait()
        scene.engine.stop()
        gate.set()

    assert one.given == [(first.id, CONTENT)]
    assert (await local.load(first.id)).deliveries == ()
    assert (await local.load(second.id)).deliveries == (Pending(name="one"),)


async def test_what_a_shutdown_cuts_short_is_called_again_at_once(local: LocalStore) -> None:
    """It did not fail: the attempt does not count, and the next process does not wait."""
    stuck, well = Recipient(gate=asyncio.Event()), Recipient()
    scene = Delivery(local, {"one": stuck})
    async with scene.delivering(grace=0):
        upload = await scene.create(len(CONTENT), CONTENT)
        await stuck.is_called.wait()
    left = (await local.load(upload.id)).deliveries

    scene = Delivery(local, {"one": well})
    async with scene.delivering():
        await scene.sweep()
        [delivered] = await scene.ear.hear(UploadDelivered)

    assert left == (Pending(name="one"),)
    assert delivered.attempt == 1
    assert (stuck.running, well.given) == (0, [(upload.id, CONTENT)])


async def exits(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
    raise SystemExit(3)


async def cancels_itself(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
    raise asyncio.CancelledError


async def hangs(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("bad", "error"), [(exits, SystemExit), (cancels_itself, RuntimeError), (hangs, TimeoutError)]
)
async def test_whatever_a_processor_does_is_a_failed_attempt(bad: Any, error: type[BaseException]) -> None:
    """It neither ends the server nor holds a place for ever; the others get their uploads."""
    good = Recipient()
    scene = Delivery(None, {"bad": bad, "good": good}, timeout=0.05, concurrency=1)

    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT)
        [failed] = await scene.ear.hear(DeliveryFailed)
        await scene.ear.hear(UploadDelivered)

    assert type(failed.error) is error
    assert failed.retry_at == scene.clock() + timedelta(seconds=1)
    assert good.given == [(upload.id, CONTENT)]


async def test_a_processor_need_not_take_everything() -> None:
    """One that has seen enough returns, and that is all; nothing is left running."""

    async def glance(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
        assert await anext(pieces) == CONTENT[:100]

    scene = Delivery(None, {"glance": glance})

    async with scene.delivering():
        await scene.create(len(CONTENT), CONTENT)
        await scene.ear.hear(UploadDelivered)

    assert len(asyncio.all_tasks()) == 1


async def test_an_unforeseen_error_ends_no_delivery(local: LocalStore) -> None:
    """A bug of a store is told where bugs are told, and the upload is delivered later."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.put_nowait(context))
    one = Recipient()
    scene = Delivery(FaultyStore(local, save=[None, None, ZeroDivisionError()]), {"one": one})

    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT)
        context = await told.get()
        await scene.pass_time(60)
        await scene.ear.hear(UploadDelivered)

    assert type(context["exception"]) is ZeroDivisionError
    assert one.given == [(upload.id, CONTENT)]
