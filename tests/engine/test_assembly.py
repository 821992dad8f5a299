"""Chunks come in any order, at once and again; what comes of them is the file, whole or not at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.chunks import CHUNKS, FILE, WAV, Caller
from tests.engine.joins import finished
from tests.engine.scene import HOUR, Crash, Scene, crashes
from tusd_py.core.assembly import assembly_id, gate_of
from tusd_py.core.errors import (
    BodyInterruptedError,
    ChunkCountMismatchError,
    ChunkMismatchError,
    ChunksMissingError,
    MaxSizeExceededError,
    StoreError,
    UploadError,
    UploadExistsError,
    UploadNotFoundError,
    UploadRejectedError,
)
from tusd_py.core.intents import Create
from tusd_py.core.model import Lifetime, Limits, Metadata, Upload, UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.ports import Hook
from tusd_py.engine.janitor import Housekeeping
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import ids
from tusd_py.testing.stage import settle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WHOLE = b"".join(CHUNKS)


async def check_done(scene: Scene, caller: Caller) -> None:
    """The file is there, whole and published, and nothing else is."""
    done = await caller.finalize()

    assert (done.id, done.name, done.state) == (FILE, f"{FILE}.wav", UploadState.COMPLETE)
    assert await scene.stored(FILE) == WHOLE
    assert await ids(scene.store) == [FILE]
    assert finished(scene) == [FILE]


async def test_chunks_in_any_order_become_the_file() -> None:
    """What comes last first is joined in its place, and nothing is left of the chunks."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()

    await check_done(scene, caller)


async def test_chunks_may_come_at_once() -> None:
    """All of them in parallel, as the first ones of their file, become one file."""
    scene = Scene()
    caller = Caller(scene)

    await asyncio.gather(*(caller.put(index) for index in range(len(CHUNKS))))

    await check_done(scene, caller)


async def test_the_same_chunk_again_changes_nothing() -> None:
    """A repetition, in other pieces, is answered like the first one; not a byte is written."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put(0)
    store = scene.script()

    await caller.put(0, CHUNKS[0][:7], CHUNKS[0][7:])

    assert not {"create", "write", "save", "delete"} & set(store.calls)
    assert await scene.stored(caller.chunk(0)) == CHUNKS[0]


@pytest.mark.parametrize(
    "other",
    [CHUNKS[0][:-1], CHUNKS[0] + b"x", b"x" + CHUNKS[0][1:], CHUNKS[0][:-1] + b"\xff", CHUNKS[1]],
    ids=["shorter", "longer", "other start", "other end", "another chunk"],
)
async def test_other_bytes_for_a_chunk_are_refused(other: bytes) -> None:
    """What came first stays, whatever is different."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()

    with pytest.raises(ChunkMismatchError) as refusal:
        await caller.put(0, other)

    assert (refusal.value.upload_id, refusal.value.index) == (FILE, 0)
    await check_done(scene, caller)


async def test_a_repetition_that_breaks_off_is_no_mismatch() -> None:
    """What came of it was right: the chunk stays, and the client may send it again."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()

    with pytest.raises(BodyInterruptedError):
        await caller.put(0, CHUNKS[0][:9], end=BodyEnd.DISCONNECTED)

    await check_done(scene, caller)


async def test_a_chunk_that_broke_off_leaves_nothing() -> None:
    """No byte of it is kept, so finalize names it, and it is taken when it comes again."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put(0)
    await caller.put(1)

    with pytest.raises(BodyInterruptedError):
        await caller.put(2, CHUNKS[2][:100], end=BodyEnd.DISCONNECTED)
    left = await ids(scene.store)
    with pytest.raises(ChunksMissingError) as refusal:
        await caller.finalize()
    await caller.put(2)

    assert caller.chunk(2) not in left
    assert refusal.value.missing == (2,)
    await check_done(scene, caller)


async def test_a_newer_request_for_a_running_chunk_wins() -> None:
    """Its client lost the connection and the server did not notice: the older body is cut, not mixed in."""
    scene = Scene()
    caller = Caller(scene)
    silence = asyncio.Event()
    older = ScriptedBody([b"x" * 500, silence])
    async with asyncio.TaskGroup() as group:
        stalled = group.create_task(cut(caller, older))
        await older.paused.wait()
        await caller.put(0)

    assert stalled.result() is BodyEnd.SUPERSEDED
    assert await scene.stored(caller.chunk(0)) == CHUNKS[0]


async def cut(caller: Caller, body: ScriptedBody) -> BodyEnd:
    """How the body of chunk 0 ended that had to end early."""
    with pytest.raises(BodyInterruptedError) as interruption:
        await caller.put(0, body=body)
    return interruption.value.end


async def test_finalize_names_every_missing_chunk() -> None:
    """The file of nine chunks of which three came."""
    caller = Caller(Scene())
    for index in (1, 4, 5):
        await caller.put(index, b"x", total=9)

    with pytest.raises(ChunksMissingError) as refusal:
        await caller.finalize()

    assert refusal.value.missing == (0, 2, 3, 6, 7, 8)


async def test_what_was_never_begun_is_not_found() -> None:
    """Without a single chunk there is nothing to finalize, and nothing is left of the attempt."""
    scene = Scene()

    with pytest.raises(UploadNotFoundError):
        await Caller(scene).finalize()

    assert await ids(scene.store) == []


async def test_every_chunk_has_to_say_the_same_total() -> None:
    """Another number is refused before a byte is stored."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put(0)
    before = await ids(scene.store)

    with pytest.raises(ChunkCountMismatchError) as refusal:
        await caller.put(1, total=4)

    assert (refusal.value.expected, refusal.value.actual) == (3, 4)
    assert await ids(scene.store) == before


async def test_parallel_finalizes_make_one_file() -> None:
    """All of them are answered with it."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()

    answers = await asyncio.gather(*(caller.finalize() for _ in range(5)))

    assert {(answer.id, answer.name, answer.state, answer.length) for answer in answers} == {
        (FILE, f"{FILE}.wav", UploadState.COMPLETE, len(WHOLE))
    }
    await check_done(scene, caller)


async def test_a_file_that_is_there_is_left_alone() -> None:
    """Chunks for a finished file, and another description of it, are refused."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()
    await caller.finalize()

    with pytest.raises(UploadExistsError):
        await caller.put(0)
    with pytest.raises(UploadExistsError):
        await caller.finalize(metadata=Metadata.of(filename="x.ogg", filetype="audio/ogg"))

    await check_done(scene, caller)


async def test_another_upload_is_not_taken_for_the_file() -> None:
    """An id that belongs to any upload can neither be filled nor finalized by chunks."""
    scene = Scene()
    await scene.engine.create(Create(length=5, metadata=WAV, upload_id=FILE))
    caller = Caller(scene)

    with pytest.raises(UploadExistsError):
        await caller.put(0)
    with pytest.raises(UploadExistsError):
        await caller.finalize()

    assert (await scene.head(FILE)).kind is UploadKind.REGULAR
    assert await ids(scene.store) == [FILE]


async def test_a_repetition_that_ends_behind_finalize_is_refused() -> None:
    """Its bytes are in the file already; nothing is left beside it."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()
    gate = asyncio.Event()
    slow = ScriptedBody([CHUNKS[0][:5], gate, CHUNKS[0][5:]])
    async with asyncio.TaskGroup() as group:
        late = group.create_task(refused(caller, slow))
        await slow.paused.wait()
        await caller.finalize()
        gate.set()

    assert late.result() is UploadExistsError
    await check_done(scene, caller)


async def test_a_chunk_that_begins_before_finalize_and_is_stored_behind_it_is_gone() -> None:
    """Refused, and no byte of it stays: nobody would ever ask for it."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()
    gate = gate_of(caller.chunk(0))
    async with asyncio.TaskGroup() as group, scene.engine.hold(gate):
        late = group.create_task(refused(caller, ScriptedBody([b"other"])))
        await settle()
        assert len(scene.locker._queues[gate]) == 2
        await caller.finalize()

    assert late.result() is UploadExistsError
    await check_done(scene, caller)


async def refused(caller: Caller, body: ScriptedBody) -> type[BaseException]:
    """What chunk 0 is refused with."""
    with pytest.raises(UploadError) as refusal:
        await caller.put(0, body=body)
    return refusal.type


# -- limits, time, faults ---------------------------------------------------------------------


async def test_the_chunks_together_are_held_to_the_limit() -> None:
    """The chunk that makes them too large is refused and leaves nothing; a smaller one fits."""
    scene = Scene(limits=Limits(max_size=10))
    caller = Caller(scene)
    await caller.put(0, b"12345")
    await caller.put(0, b"12345")  # counts once

    with pytest.raises(MaxSizeExceededError):
        await caller.put(1, b"123456")
    with pytest.raises(MaxSizeExceededError):
        await caller.put(1, b"12345678901")
    await caller.put(1, b"12345")
    await caller.put(2, b"", total=3)
    await caller.finalize()

    assert await scene.stored(FILE) == b"1234512345"
    assert await ids(scene.store) == [FILE]


async def test_a_chunk_that_was_replaced_counts_once() -> None:
    """What is known to be too much is counted anew before anything is refused."""
    scene = Scene(limits=Limits(max_size=10), lifetime=Lifetime(unfinished=timedelta(hours=2)))
    caller = Caller(scene)
    await caller.put(0, b"12345")
    scene.clock.advance(HOUR)
    await caller.put(1, b"1", total=3)
    scene.clock.advance(1.5 * HOUR)
    await caller.put(0, b"123456")
    await caller.put(2, b"123")

    await caller.finalize()

    assert await scene.stored(FILE) == b"1234561123"


async def test_chunks_expire_and_may_be_sent_again() -> None:
    """--expire-after counts for each chunk from when it came; finalize names those whose time is over."""
    scene = Scene(lifetime=Lifetime(unfinished=timedelta(hours=2)))
    caller = Caller(scene)
    await caller.put(0)
    scene.clock.advance(HOUR)
    await caller.put(1)
    await caller.put(2)
    scene.clock.advance(1.5 * HOUR)
    await scene.sweep()

    with pytest.raises(ChunksMissingError) as refusal:
        await caller.finalize()
    await caller.put(0)

    assert refusal.value.missing == (0,)
    await check_done(scene, caller)


async def test_what_is_never_finalized_is_collected() -> None:
    """With --expire-after nothing of it stays, and the id can be used again."""
    lifetime = Lifetime(unfinished=timedelta(hours=2))
    scene = Scene(lifetime=lifetime, housekeeping=Housekeeping(memory=timedelta(0)))
    caller = Caller(scene)
    await caller.put(0)
    await caller.put(1)
    scene.clock.advance(3 * HOUR)
    await scene.sweep()
    await scene.sweep()
    left = await ids(scene.store)

    await caller.put_all()

    assert left == []
    await check_done(scene, caller)


async def test_chunks_of_an_earlier_file_do_not_count() -> None:
    """With an absolute expiry a chunk can outlive what it belonged to; the next file does not get it."""
    lifetime = Lifetime(unfinished=timedelta(hours=2), sliding=False)
    scene = Scene(lifetime=lifetime)
    caller = Caller(scene)
    await caller.put(0, b"somebody else's", total=2)
    scene.clock.advance(1.5 * HOUR)
    await caller.put(1, b"somebody else's", total=2)
    scene.clock.advance(HOUR)
    await caller.put(0)

    with pytest.raises(ChunksMissingError) as refusal:
        await caller.finalize()
    await caller.put(1)
    await caller.put(2)

    assert refusal.value.missing == (1, 2)
    await check_done(scene, caller)


class Veto(Hook):
    """Says no to what is about to finish."""

    async def pre_finish(self, upload: Upload) -> None:
        """No."""
        raise UploadRejectedError("no")


async def test_a_veto_leaves_the_chunks() -> None:
    """pre-finish is asked about the file alone; there is none after its no, and the chunks stay."""
    scene = Scene(hooks=[Veto()])
    caller = Caller(scene)
    await caller.put_all()
    before = await ids(scene.store)

    with pytest.raises(UploadRejectedError):
        await caller.finalize()

    assert await ids(scene.store) == before


async def test_hooks_know_the_type_of_what_comes() -> None:
    """pre-create sees the media type with every part of the file, and with the file."""
    seen: list[str | None] = []

    class Curious(Hook):
        async def pre_create(self, upload: Upload) -> None:
            seen.append(upload.metadata.text("filetype"))

    caller = Caller(Scene(hooks=[Curious()]))
    await caller.put_all()
    await caller.finalize()

    assert seen == ["audio/wav"] * 5


@pytest.mark.parametrize("call", ["load", "create", "append", "write", "commit", "save", "complete"])
async def test_a_fault_while_a_chunk_comes_costs_no_more_than_that_chunk(call: str) -> None:
    """The storage fails, at whatever call: it is 5xx, and the chunk is taken when it comes again."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put(0)
    await caller.put(1)
    scene.script(**{call: [StoreError("the disk")]})

    with pytest.raises(StoreError):
        await caller.put(2)
    await caller.put(2)

    await check_done(scene, caller)


async def test_a_fault_while_chunks_are_looked_at_is_a_fault() -> None:
    """Not "missing": the client would send everything again."""
    scene = Scene()
    caller = Caller(scene)
    await caller.put_all()
    scene.script(load=[None, None, StoreError("the disk"), StoreError("the disk")])

    with pytest.raises(StoreError, match="the disk"):
        await caller.finalize()

    await check_done(scene, caller)


async def calls_of(
    prepare: Callable[[Caller], Awaitable[None]], act: Callable[[Caller], Awaitable[object]]
) -> list[str]:
    """Every call of the store that `act` makes."""
    scene = Scene()
    caller = Caller(scene)
    await prepare(caller)
    store = scene.script()
    await act(caller)
    return store.calls


async def until_it_dies(act: Awaitable[object]) -> None:
    """To its end where the crash was to come behind a call that failed by itself."""
    try:
        await act
    except* Crash:
        pass


async def test_finalize_survives_a_crash_at_any_step() -> None:
    """The process dies before or behind each call of the store; finalize, again, answers with the file."""
    calls = await calls_of(Caller.put_all, Caller.finalize)
    for script in crashes(calls):
        scene = Scene()
        caller = Caller(scene)
        await caller.put_all()
        whole = scene.store
        scene.script(**script)
        await until_it_dies(caller.finalize())
        scene.restart(whole)

        done = await caller.finalize()

        assert (done.name, done.state) == (f"{FILE}.wav", UploadState.COMPLETE), script
        assert await scene.stored(FILE) == WHOLE
        assert await ids(scene.store) == [FILE], script


async def test_the_collector_finishes_what_a_crash_left_of_finalize() -> None:
    """Nobody asks again: a file that was begun is finished all the same, and takes its chunks along."""
    calls = await calls_of(Caller.put_all, Caller.finalize)
    assert len(calls) > 20
    for script in crashes(calls):
        scene = Scene()
        caller = Caller(scene)
        await caller.put_all()
        whole = scene.store
        scene.script(**script)
        await until_it_dies(caller.finalize())
        scene.restart(whole)

        await scene.sweep()
        await scene.sweep()

        left = await ids(scene.store)
        if FILE in left:
            assert await scene.stored(FILE) == WHOLE
            assert left == [FILE], script
        else:
            assert left == sorted([assembly_id(FILE), *(caller.chunk(index) for index in range(3))])


async def test_a_crash_within_a_chunk_costs_that_chunk_alone() -> None:
    """Before or behind any call of the store: the chunk is taken again, and the file is right."""

    async def put_two(caller: Caller) -> None:
        await caller.put(1)
        await caller.put(2)

    calls = await calls_of(put_two, lambda caller: caller.put(0))
    for script in crashes(calls):
        scene = Scene()
        caller = Caller(scene)
        await put_two(caller)
        whole = scene.store
        scene.script(**script)
        await until_it_dies(caller.put(0))
        scene.restart(whole)

        await caller.put(0)

        await check_done(scene, caller)
