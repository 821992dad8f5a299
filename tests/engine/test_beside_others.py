"""Several engines on one storage, with one locker: what one of them remembers, another may have settled."""

from __future__ import annotations

from itertools import count

import pytest

from tests.engine.joins import A, B
from tests.engine.scene import LIMITS
from tusd_py.core.errors import StoreError
from tusd_py.core.intents import Append, Concatenate, Create, ReadOffset, Terminate
from tusd_py.core.model import Metadata, Upload, UploadState
from tusd_py.engine.uploads import UploadEngine
from tusd_py.locks.memory import MemoryLocker
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import FaultyStore, ManualClock, RecordingSink, ScriptedBody

FAILS: list[StoreError | None] = [StoreError("disk")]


class Pair:
    """Two engines; `faulty` is what the first one has its uploads in. `told` are completed partials."""

    def __init__(self, **faults: list[StoreError | None]) -> None:
        self.disk = MemoryStore()
        self.faulty = FaultyStore(self.disk, **faults)
        self.told: list[str] = []
        self._locker, self._clock, self._ids = MemoryLocker(), ManualClock(), count(1)
        self.one = self._engine(self.faulty)
        self.other = self._engine(FaultyStore(self.disk))

    def _engine(self, store: FaultyStore) -> UploadEngine:
        return UploadEngine(
            store=store,
            locker=self._locker,
            limits=LIMITS,
            clock=self._clock,
            new_id=lambda: f"id-{next(self._ids)}",
            emit=RecordingSink(),
            tell_partial=self.told.append,
        )

    async def state(self, upload_id: str) -> UploadState:
        """What is on record."""
        return (await self.disk.load(upload_id)).state


async def begin(engine: UploadEngine, data: bytes, *, is_partial: bool = False) -> Upload:
    """An upload that lacks its last byte."""
    create = Create(
        length=len(data),
        metadata=Metadata(),
        has_body=True,
        body_length=len(data) - 1,
        is_partial=is_partial,
    )
    return (await engine.create(create, ScriptedBody([data[:-1]]))).upload


async def finish(engine: UploadEngine, upload: Upload, data: bytes) -> None:
    """Its last byte."""
    append = Append(upload_id=upload.id, offset=len(data) - 1, body_length=1)
    await engine.append(append, ScriptedBody([data[-1:]]))


async def test_a_final_is_joined_whoever_completes_its_last_partial() -> None:
    """tus 1.0.0, Concatenation: the final waits in the process that made it, which is told."""
    pair = Pair()
    first, second = await begin(pair.one, A, is_partial=True), await begin(pair.one, B, is_partial=True)
    parts = (first.id, second.id)
    join = Concatenate(parts=parts, concat="final;/" + " /".join(parts), metadata=Metadata())
    final = (await pair.one.concatenate(join)).upload

    for upload, data in ((first, A), (second, B)):
        await finish(pair.other, upload, data)
        for upload_id in pair.told:
            await pair.one.completion.settle_finals_of(upload_id)

    assert pair.told == list(parts)
    assert await pair.state(final.id) is UploadState.COMPLETE


async def late(pair: Pair) -> Upload:
    """An upload that `one`, whose first completion fails, has all bytes of."""
    upload = await begin(pair.one, A)
    with pytest.raises(StoreError):
        await finish(pair.one, upload, A)
    assert pair.one.activity.waiting == 1
    return upload


async def test_what_another_one_has_finished_waits_no_more() -> None:
    """Nobody is woken at night for an upload that is complete."""
    pair = Pair(complete=FAILS)
    upload = await late(pair)

    await pair.other.inspect(ReadOffset(upload_id=upload.id))
    await pair.one.completion.review_delayed()

    assert await pair.state(upload.id) is UploadState.COMPLETE
    assert pair.one.activity.waiting == 0


async def test_what_another_one_has_removed_waits_no_more() -> None:
    """A DELETE may come to any process."""
    pair = Pair(complete=FAILS)
    upload = await late(pair)

    await pair.other.terminate(Terminate(upload_id=upload.id))
    await pair.one.completion.review_delayed()

    assert pair.one.activity.waiting == 0


async def test_what_is_not_finished_goes_on_waiting() -> None:
    """It is as it was."""
    pair = Pair(complete=FAILS)
    await late(pair)

    await pair.one.completion.review_delayed()

    assert pair.one.activity.waiting == 1


async def test_what_cannot_be_looked_at_goes_on_waiting() -> None:
    """A storage that fails says nothing of its uploads."""
    rehearsal = Pair(complete=FAILS)
    await late(rehearsal)
    loads: list[StoreError | None] = [None] * rehearsal.faulty.calls.count("load")
    pair = Pair(complete=FAILS, load=[*loads, StoreError("disk")])
    upload = await late(pair)
    await pair.other.terminate(Terminate(upload_id=upload.id))

    await pair.one.completion.review_delayed()
    unknown = pair.one.activity.waiting
    await pair.one.completion.review_delayed()

    assert (unknown, pair.one.activity.waiting) == (1, 0)
