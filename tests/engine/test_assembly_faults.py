"""Limits, time, hooks, faults and crashes: no chunk that was acknowledged is lost, and no file is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.chunks import FILE, WHOLE, Caller, check_done
from tests.engine.scene import HOUR, Crash, Scene, crashes
from tusd_py.core.assembly import assembly_id
from tusd_py.core.errors import (
    ChunksMissingError,
    MaxSizeExceededError,
    StoreError,
    UploadNotFoundError,
    UploadRejectedError,
)
from tusd_py.core.model import Lifetime, Limits, Upload, UploadState
from tusd_py.core.ports import Hook
from tusd_py.engine.janitor import Housekeeping
from tusd_py.stores.local import LocalStore
from tusd_py.testing.kit import ids

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


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


def lose_bytes(root: Path, upload_id: str) -> None:
    """As a process leaves it that dies within the removal, behind its first step."""
    (root / "incoming" / upload_id).unlink()


async def test_a_crash_within_the_removal_of_a_chunk_leaves_nothing_of_it(tmp_path: Path) -> None:
    """Its bytes were removed, and its record was not: finalize, again, comes to that, too."""
    store = LocalStore(str(tmp_path))
    scene = Scene(store)
    caller = Caller(scene)
    await caller.put_all()
    scene.script(delete=[Crash()])
    await until_it_dies(caller.finalize())
    lose_bytes(tmp_path, caller.chunk(0))
    scene.restart(store)

    await caller.finalize()

    assert await scene.stored(FILE) == WHOLE
    assert await ids(store) == [FILE]


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


async def test_a_crash_within_the_first_chunk_costs_that_chunk_alone() -> None:
    """What its chunks have in common may be half there as well; the file comes to its end all the same."""

    async def look(caller: Caller) -> None:
        with pytest.raises(UploadNotFoundError):
            await caller.finalize()

    calls = await calls_of(look, lambda caller: caller.put(0))
    for script in crashes(calls):
        scene = Scene()
        caller = Caller(scene)
        whole = scene.store
        scene.script(**script)
        await until_it_dies(caller.put(0))
        scene.restart(whole)

        await caller.put_all()

        await check_done(scene, caller)
