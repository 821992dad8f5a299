"""Deliveries: every finished upload is given to whoever is to have it, and the record knows to whom."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.recipients import Delivery, Recipient
from tests.engine.scene import HOUR, sum_of
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3
from tests.support.payload import make_bytes
from tusd_py.core.deliveries import Retry
from tusd_py.core.errors import StoreError, UploadNotFoundError, UploadRejectedError
from tusd_py.core.events import (
    DeliveryAbandoned,
    DeliveryFailed,
    DeliveryUnclaimed,
    UploadDelivered,
    UploadFinished,
)
from tusd_py.core.intents import Terminate
from tusd_py.core.model import Delivery as Pending
from tusd_py.core.model import Lifetime, Upload, UploadKind, UploadState
from tusd_py.core.ports import Hook
from tusd_py.engine.janitor import SweepReport
from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore
from tusd_py.stores.s3_parts import MIB
from tusd_py.testing.kit import make_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tusd_py.core.ports import Store

CONTENT = make_bytes(5_000, seed=21)


@pytest.fixture(params=["memory", "local", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore(chunk_size=77)
        return
    is_local = request.param == "local"
    store = LocalStore(str(tmp_path)) if is_local else make_fake_store(FakeS3(), part_size=5 * MIB)
    yield store
    await store.close()


async def pending(scene: Delivery, upload_id: str) -> tuple[Pending, ...]:
    return (await scene.store.load(upload_id)).deliveries


async def test_a_finished_upload_is_given_to_everyone(store: Store) -> None:
    """Each processor gets the upload with all its bytes, once; then the record has nothing pending."""
    one, two = Recipient(), Recipient()
    scene = Delivery(store, {"one": one, "two": two})

    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT[:1000])
        await scene.append(upload.id, 1000, CONTENT[1000:], checksum=sum_of(CONTENT[1000:]))
        delivered = await scene.ear.hear(UploadDelivered, 2)

    assert one.given == two.given == [(upload.id, CONTENT)]
    assert {(event.upload.id, event.name, event.attempt) for event in delivered} == {
        (upload.id, "one", 1),
        (upload.id, "two", 1),
    }
    assert await pending(scene, upload.id) == ()


async def test_nothing_unfinished_is_given() -> None:
    """tus 1.0.0, Concatenation: a partial is not processed by itself; its final is, joined."""
    one = Recipient()
    scene = Delivery(None, {"one": one})

    async with scene.delivering():
        await scene.create(9, b"abc")
        parts = [await scene.part(b"abc"), await scene.part(b"def")]
        final = await scene.join(*parts)
        await scene.ear.hear(UploadDelivered)

    assert one.given == [(final.id, b"abcdef")]


async def test_an_empty_upload_is_given(store: Store) -> None:
    """No bytes are a content, too."""
    one = Recipient()
    scene = Delivery(store, {"one": one})

    async with scene.delivering():
        upload = await scene.create(0)
        await scene.ear.hear(UploadDelivered)

    assert one.given == [(upload.id, b"")]


async def test_completing_has_on_record_who_gets_the_upload(tmp_path: Path) -> None:
    """Before anything is published: a crash from here on forgets nobody."""
    store = LocalStore(str(tmp_path))
    scene = Delivery(store, {"one": Recipient(), "two": Recipient()})
    scene.script(complete=[StoreError("disk")])

    with pytest.raises(StoreError):
        await scene.create(len(CONTENT), CONTENT)

    found = await store.load("id-1")
    assert found.state is UploadState.COMPLETING
    assert found.deliveries == (Pending(name="one"), Pending(name="two"))
    await store.close()


async def test_what_another_process_finished_is_given_after_the_start(store: Store) -> None:
    """The first sweep of a process finds what the last one did not get to."""
    one = Recipient()
    scene = Delivery(store, {"one": one})
    upload = await scene.create(len(CONTENT), CONTENT)  # nobody delivers
    scene.restart()

    async with scene.delivering():
        await scene.sweep()
        await scene.ear.hear(UploadDelivered)

    assert one.given == [(upload.id, CONTENT)]


async def test_more_than_can_be_remembered_is_looked_for_again() -> None:
    """A backlog larger than the memory for it: the collector sweeps when there is room, not a day later."""
    one = Recipient()
    scene = Delivery(None, {"one": one}, concurrency=1)
    made = [(await scene.create(3, b"abc")).id for _ in range(7)]
    scene.restart()
    scene.engine.deliveries._lanes["one"]._capacity = 2
    sweeps: list[SweepReport] = []

    async with scene.delivering():
        cleaning = asyncio.create_task(scene.janitor.run(0, sweeps.append))
        await scene.ear.hear(UploadDelivered, 7)
        cleaning.cancel()

    assert Counter(one.called) == Counter(made)
    assert 3 <= len(sweeps) <= 8


async def test_what_still_has_to_be_tidied_up_is_delivered_as_well() -> None:
    """A final that a crash left with parts of its own: the sweep that drops them delivers it, too."""
    one, private = Recipient(), "form-one"
    scene = Delivery(None, {"one": one})
    final = await scene.join(await scene.part(b"abc"), await scene.part(b"def"))
    await scene.store.create(make_upload(private, length=5, kind=UploadKind.PARTIAL))
    left = replace(await scene.store.load(final.id), parts=(private,))
    await scene.store.save(left)
    scene.restart()

    async with scene.delivering():
        report = await scene.sweep()
        await scene.ear.hear(UploadDelivered)

    assert left.holds_own_parts
    assert report.finished == [final.id]
    assert one.given == [(final.id, b"abcdef")]


async def test_a_dry_run_delivers_nothing() -> None:
    """It only looks."""
    one = Recipient()
    scene = Delivery(None, {"one": one})
    await scene.create(3, b"abc")
    scene.restart()

    async with scene.delivering():
        await scene.sweep(is_dry_run=True)

    assert one.called == []


async def test_attempts_come_after_twice_the_time_each(store: Store) -> None:
    """1, 2, 4, 8 seconds, and 10 from then on: never before that, and told each time."""
    one = Recipient(script=[ValueError("no")] * 6)
    scene = Delivery(store, {"one": one}, retry=Retry(first=1, longest=10))
    pauses = (1, 2, 4, 8, 10, 10)

    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT)
        for attempt, pause in enumerate(pauses, start=1):
            failed = (await scene.ear.hear(DeliveryFailed, attempt))[-1]
            assert (failed.attempt, failed.name) == (attempt, "one")
            assert failed.retry_at == scene.clock() + timedelta(seconds=pause)
            assert await pending(scene, upload.id) == (
                Pending(name="one", attempts=attempt, due_at=failed.retry_at),
            )
            await scene.pass_time(pause - 0.001)
            assert len(one.called) == attempt
            await scene.pass_time(0.001)
        [delivered] = await scene.ear.hear(UploadDelivered)

    assert delivered.attempt == 7
    assert one.given == [(upload.id, CONTENT)]


async def test_a_restart_does_not_shorten_the_pause(store: Store) -> None:
    """Attempts and time are on record: a server that starts often does not try more often."""
    one = Recipient(script=[ValueError("no")] * 3)
    scene = Delivery(store, {"one": one})
    async with scene.delivering():
        await scene.create(3, b"abc")
        for attempt, pause in enumerate((1, 2), start=1):
            await scene.ear.hear(DeliveryFailed, attempt)
            await scene.pass_time(pause)
        await scene.ear.hear(DeliveryFailed, 3)
    scene.restart()

    async with scene.delivering():
        await scene.pass_time(3.9)
        calls = len(one.called)
        await scene.pass_time(0.1)
        [delivered] = await scene.ear.hear(UploadDelivered)

    assert (calls, delivered.attempt) == (3, 4)


async def test_one_that_fails_stops_nobody(store: Store) -> None:
    """Neither another processor nor another upload waits for it."""
    bad, good = Recipient(script=[ValueError("no")] * 99), Recipient()
    scene = Delivery(store, {"bad": bad, "good": good}, concurrency=1)

    async with scene.delivering():
        made = [(await scene.create(3, b"abc")).id for _ in range(5)]
        await scene.ear.hear(UploadDelivered, 5)
        await scene.ear.hear(DeliveryFailed, 5)

    assert Counter(upload_id for upload_id, _ in good.given) == Counter(made)
    assert Counter(bad.called) == Counter(made)
    for upload_id in made:
        assert [each.name for each in await pending(scene, upload_id)] == ["bad"]


async def test_one_that_hangs_stops_no_other_processor() -> None:
    """Each has places of its own."""
    gate = asyncio.Event()
    stuck, quick = Recipient(gate=gate), Recipient()
    scene = Delivery(None, {"stuck": stuck, "quick": quick}, concurrency=2)

    async with scene.delivering():
        for _ in range(6):
            await scene.create(3, b"abc")
        await scene.ear.hear(UploadDelivered, 6)
        calls = len(stuck.called)
        gate.set()
        await scene.ear.hear(UploadDelivered, 12)

    assert (calls, stuck.most) == (2, 2)
    assert len(stuck.given) == len(quick.given) == 6


async def test_requests_go_on_while_an_upload_is_delivered() -> None:
    """Nobody waits for a processor: HEAD answers, and a DELETE removes the upload."""
    gate = asyncio.Event()
    one = Recipient(gate=gate)
    scene = Delivery(None, {"one": one})

    async with scene.delivering():
        upload = await scene.create(3, b"abc")
        await one.is_called.wait()
        offset = (await scene.head(upload.id)).offset
        await scene.engine.terminate(Terminate(upload_id=upload.id))
        gate.set()

    assert offset == 3
    assert (scene.ear.of(UploadDelivered), scene.ear.of(DeliveryFailed)) == ([], [])
    with pytest.raises(UploadNotFoundError):
        await scene.store.load(upload.id)


async def test_a_terminated_upload_is_given_to_nobody_any_more(store: Store) -> None:
    """What is removed is not delivered, however often it was tried before."""
    one = Recipient(script=[ValueError("no")] * 99)
    scene = Delivery(store, {"one": one})

    async with scene.delivering():
        upload = await scene.create(3, b"abc")
        await scene.ear.hear(DeliveryFailed)
        await scene.engine.terminate(Terminate(upload_id=upload.id))
        await scene.pass_time(60)
        await scene.pass_time(60)

    assert one.called == [upload.id]


async def test_retention_waits_for_the_deliveries(store: Store) -> None:
    """A file whose time is over stays while somebody still has to be given it, and goes after that."""
    one = Recipient(script=[ValueError("no")])
    retention = Lifetime(finished=timedelta(hours=1))
    scene = Delivery(store, {"one": one}, retry=Retry(first=3 * HOUR, longest=3 * HOUR), lifetime=retention)

    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT)
        await scene.ear.hear(DeliveryFailed)
        scene.clock.advance(2 * HOUR)
        kept = await scene.sweep()
        answered = await scene.head(upload.id)
        await scene.pass_time(HOUR)
        await scene.ear.hear(UploadDelivered)
        gone = await scene.sweep()

    assert (kept.expired, gone.expired) == ([], [upload.id])
    assert answered.offset == len(CONTENT)
    assert one.given == [(upload.id, CONTENT)]


async def test_after_so_many_attempts_it_is_given_up(store: Store) -> None:
    """Only where the operator says so; it is told, and other deliveries stay."""
    bad, slow = Recipient(script=[ValueError("no")] * 3), Recipient(gate=asyncio.Event())
    scene = Delivery(store, {"bad": bad, "slow": slow}, retry=Retry(first=1, longest=1, attempts=3))

    async with scene.delivering(grace=0):
        upload = await scene.create(3, b"abc")
        for attempt in (1, 2, 3):
            await scene.ear.hear(DeliveryFailed, attempt)
            await scene.pass_time(1)
        [abandoned] = await scene.ear.hear(DeliveryAbandoned)

    assert (abandoned.upload.id, abandoned.name, abandoned.attempts) == (upload.id, "bad", 3)
    assert len(bad.called) == 3
    assert [each.name for each in await pending(scene, upload.id)] == ["slow"]


async def test_a_name_out_of_use_can_be_given_up(store: Store) -> None:
    """What is pending for it is struck off, and for nobody else."""
    scene = Delivery(store, {"old": Recipient(), "kept": Recipient()})
    upload = await scene.create(3, b"abc")
    scene = Delivery(store, abandoned=("old",))

    async with scene.delivering():
        await scene.sweep()
        [abandoned] = await scene.ear.hear(DeliveryAbandoned)

    assert (abandoned.name, abandoned.attempts) == ("old", 0)
    assert await pending(scene, upload.id) == (Pending(name="kept"),)


async def test_a_name_that_nobody_has_is_told_and_kept() -> None:
    """A processor that the settings lost or renamed loses nothing; once is enough to hear of it."""
    store = MemoryStore()
    scene = Delivery(store, {"old": Recipient()})
    for _ in range(3):
        await scene.create(3, b"abc")
    scene = Delivery(store)

    async with scene.delivering():
        await scene.sweep()
        await scene.sweep()

    [told] = scene.ear.of(DeliveryUnclaimed)
    assert told.name == "old"
    assert [await pending(scene, f"id-{number}") for number in (1, 2, 3)] == [(Pending(name="old"),)] * 3


class Refusing(Hook):
    async def pre_finish(self, upload: Upload) -> None:
        raise UploadRejectedError


async def test_a_refused_upload_is_given_to_nobody() -> None:
    """A veto at the end is final: nothing is pending."""
    scene = Delivery(None, {"one": Recipient()}, hooks=[Refusing()])

    with pytest.raises(UploadRejectedError):
        await scene.create(3, b"abc")

    assert (await scene.store.load("id-1")).state is UploadState.FAILED
    assert await pending(scene, "id-1") == ()


async def test_two_processes_do_not_deliver_the_same_at_once(store: Store) -> None:
    """Two servers over one storage that see each other's locks: the second leaves it to the first."""
    gate = asyncio.Event()
    ours, theirs = Recipient(gate=gate), Recipient()
    here, there = Delivery(store, {"one": ours}), Delivery(store, {"one": theirs})
    there.locker = there.engine.locker = there.engine.deliveries._locker = here.locker

    async with here.delivering(), there.delivering():
        upload = await here.create(len(CONTENT), CONTENT)
        await ours.is_called.wait()
        there.clock.advance(1)
        for _ in range(3):
            await there.sweep()
            await asyncio.sleep(0)
        gate.set()
        await here.ear.hear(UploadDelivered)
        await there.pass_time(60)

    assert ours.given == [(upload.id, CONTENT)]
    assert theirs.called == []


async def test_finishing_is_told_before_the_delivery() -> None:
    """Whoever listens hears of things in their order."""
    scene = Delivery(None, {"one": Recipient()})

    async with scene.delivering():
        await scene.create(3, b"abc")
        await scene.ear.hear(UploadDelivered)

    kinds = [type(event) for event in scene.ear.events]
    assert kinds.index(UploadFinished) < kinds.index(UploadDelivered)
