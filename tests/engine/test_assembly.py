"""Chunks come in any order, at once and again; what comes of them is the file, whole or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.engine.chunks import CHUNKS, FILE, WAV, WHOLE, Caller, check_done
from tests.engine.scene import Scene
from tusd_py.core.assembly import gate_of
from tusd_py.core.errors import (
    BodyInterruptedError,
    ChunkCountMismatchError,
    ChunkMismatchError,
    ChunksMissingError,
    UploadError,
    UploadExistsError,
    UploadNotFoundError,
)
from tusd_py.core.intents import Create
from tusd_py.core.model import Metadata, UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import ids
from tusd_py.testing.stage import settle

if TYPE_CHECKING:
    pass


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
        assert len(scene.locker._holders[gate].line or ()) == 1
        await caller.finalize()

    assert late.result() is UploadExistsError
    await check_done(scene, caller)


async def refused(caller: Caller, body: ScriptedBody) -> type[BaseException]:
    """What chunk 0 is refused with."""
    with pytest.raises(UploadError) as refusal:
        await caller.put(0, body=body)
    return refusal.type
