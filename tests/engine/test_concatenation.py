"""tus 1.0.0, Concatenation: a final is its partials, joined; it comes to its end on every way there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.scene import Crash, Scene, crashes
from tusd_py.core.errors import (
    FinalNotModifiableError,
    InvalidConcatError,
    StoreError,
    UploadError,
    UploadExpiredError,
    UploadFailedError,
    UploadGoneError,
    UploadNotFoundError,
    UploadRejectedError,
)
from tusd_py.core.events import UploadCreated, UploadFinished
from tusd_py.core.intents import Terminate
from tusd_py.core.model import Lifetime, Upload, UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.ports import Hook
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import FaultyStore, ScriptedBody
from tusd_py.testing.kit import ids, sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

A, B, C = sample(5000, 1), sample(70_001, 2), sample(3, 3)


def finished(scene: Scene) -> list[str]:
    """The ids of what was told to be finished, in order."""
    return [event.upload.id for event in scene.sink.of(UploadFinished)]


async def remove(scene: Scene, upload_id: str) -> None:
    """DELETE."""
    await scene.engine.terminate(Terminate(upload_id=upload_id))


async def test_complete_partials_are_joined_at_once() -> None:
    """The final is complete in the answer: length and offset are the sums, the bytes are in order."""
    scene = Scene()
    parts = [await scene.part(data) for data in (A, b"", B, C)]

    final = await scene.join(parts[3], parts[0], parts[1], parts[2])

    assert (final.kind, final.state) == (UploadKind.FINAL, UploadState.COMPLETE)
    assert (final.offset, final.length) == (75_004, 75_004)
    assert final.parts == (parts[3], parts[0], parts[1], parts[2])
    assert final.concat == "final;" + " ".join(f"/files/{part}" for part in final.parts)
    assert await scene.stored(final.id) == C + A + B
    assert await scene.head(final.id) == final


async def test_a_final_is_told_once_and_its_partials_never() -> None:
    """Each upload is announced when created; only the final is worth an announcement at the end."""
    scene = Scene()
    parts = [await scene.part(A), await scene.part(C)]

    final = await scene.join(*parts)
    await scene.head(final.id)
    await scene.sweep()

    assert [event.upload.id for event in scene.sink.of(UploadCreated)] == [*parts, final.id]
    assert finished(scene) == [final.id]


async def test_only_finals_are_published() -> None:
    """A partial is not processed by itself: it has no public file, before and after the join."""
    store = MemoryStore()
    scene = Scene(store)
    parts = [await scene.part(A), await scene.part(C)]
    before = store.published

    final = await scene.join(*parts)

    assert before == {}
    assert store.published == {final.name: A + C}


async def test_a_partial_in_several_finals_and_several_times() -> None:
    """A partial may be used again and again; it stays what it is."""
    scene = Scene()
    a, c = await scene.part(A), await scene.part(C)

    finals = [await scene.join(a, a), await scene.join(c, a, c), await scene.join(a)]

    assert [await scene.stored(final.id) for final in finals] == [A + A, C + A + C, A]
    assert [await scene.stored(part) for part in (a, c)] == [A, C]
    assert finished(scene) == [final.id for final in finals]


async def test_a_final_over_empty_partials_is_an_empty_file() -> None:
    """Nothing joined with nothing is complete at once."""
    scene = Scene()
    part = await scene.part(b"")

    final = await scene.join(part, part)

    assert (final.state, final.offset, final.length) == (UploadState.COMPLETE, 0, 0)
    assert await scene.stored(final.id) == b""


# -- unfinished partials --------------------------------------------------------------------------


async def waiting(scene: Scene) -> tuple[Upload, str]:
    """A final over a complete partial and one that lacks its last byte; the id of the latter."""
    whole, unfinished = await scene.part(A), (await scene.create(len(B), B[:-1], is_partial=True)).id
    return await scene.join(whole, unfinished, whole), unfinished


async def test_a_final_waits_for_its_partials() -> None:
    """tus 1.0.0, Concatenation Unfinished: it is open, has its length, and offset 0: nothing is joined."""
    scene = Scene()

    final, _ = await waiting(scene)

    assert (final.state, final.offset) == (UploadState.OPEN, 0)
    assert final.length == len(A) * 2 + len(B)
    assert await scene.head(final.id) == final
    assert finished(scene) == []


async def test_the_length_is_known_when_the_last_partial_has_one() -> None:
    """tus 1.0.0, Concatenation: Upload-Length as soon as it can be computed."""
    scene = Scene()
    whole, deferred = await scene.part(A), (await scene.create(None, B, is_partial=True)).id
    final = await scene.join(whole, deferred)
    upload = await scene.store.load(deferred)

    before = await scene.head(final.id)
    await scene.store.save(replace(upload, length=len(B) + 1))
    between = await scene.head(final.id)
    await scene.append(deferred, len(B), b"!")

    assert final.length is None
    assert before.length is None
    assert (between.length, between.offset) == (len(A) + len(B) + 1, 0)
    assert await scene.stored(final.id) == A + B + b"!"


async def test_the_last_partial_completes_the_final() -> None:
    """The PATCH that ends the last partial ends the final too, before it is answered."""
    scene = Scene()
    final, unfinished = await waiting(scene)

    await scene.append(unfinished, len(B) - 1, B[-1:])

    assert finished(scene) == [final.id]
    assert (await scene.store.load(final.id)).state is UploadState.COMPLETE
    assert await scene.stored(final.id) == A + B + A


async def test_the_last_partial_completes_every_final() -> None:
    """All finals that wait for it, each once."""
    scene = Scene()
    first, unfinished = await waiting(scene)
    second = await scene.join(unfinished)
    third = await scene.join(unfinished, unfinished)

    await scene.append(unfinished, len(B) - 1, B[-1:])

    assert sorted(finished(scene)) == sorted([first.id, second.id, third.id])
    assert await scene.stored(second.id) == B
    assert await scene.stored(third.id) == B + B


async def by_head(scene: Scene, final: str) -> None:
    """What its client does who saw a PATCH fail: first the partials, then the final."""
    for part in (await scene.store.load(final)).parts:
        await scene.head(part)
    await scene.head(final)


async def by_janitor(scene: Scene, final: str) -> None:
    await scene.sweep()


@pytest.mark.parametrize("finish", [by_head, by_janitor])
async def test_a_restart_forgets_no_waiting_final(finish: Callable[[Scene, str], Awaitable[None]]) -> None:
    """A process that never heard of the final ends its last partial; HEAD or a sweep does the rest."""
    scene = Scene()
    final, unfinished = await waiting(scene)
    scene.restart()

    await scene.append(unfinished, len(B) - 1, B[-1:])
    between = await scene.store.load(final.id)
    await finish(scene, final.id)

    assert (between.state, between.offset) == (UploadState.OPEN, 0)
    assert finished(scene) == [final.id]
    assert await scene.stored(final.id) == A + B + A


async def test_a_head_between_wakes_the_memory_of_a_new_process() -> None:
    """After a restart, a HEAD of the waiting final is enough for the last partial to find it."""
    scene = Scene()
    final, unfinished = await waiting(scene)
    scene.restart()
    await scene.head(final.id)

    await scene.append(unfinished, len(B) - 1, B[-1:])

    assert finished(scene) == [final.id]


async def test_a_cut_partial_keeps_the_final_waiting() -> None:
    """A partial's broken connection is no end; its rest is."""
    scene = Scene()
    part = (await scene.create(len(B), is_partial=True)).id
    final = await scene.join(part)

    with pytest.raises(UploadError):
        await scene.append(part, 0, B[:100], end=BodyEnd.DISCONNECTED)
    between = await scene.head(final.id)
    await scene.append(part, 100, B[100:])

    assert (between.state, between.offset, between.length) == (UploadState.OPEN, 0, len(B))
    assert await scene.stored(final.id) == B


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_complete", [False, True], ids=["waiting", "complete"])
async def test_a_patch_changes_nothing_of_a_final(is_complete: bool) -> None:
    """tus 1.0.0, Concatenation: PATCH against a final is 403, at any offset, unread."""
    scene = Scene()
    final, unfinished = await waiting(scene)
    if is_complete:
        await scene.append(unfinished, len(B) - 1, B[-1:])
    before = await scene.head(final.id)

    for offset in {0, before.offset}:
        body = ScriptedBody([b"intruder"])
        with pytest.raises(FinalNotModifiableError):
            await scene.append(final.id, offset, body=body)
        assert body.given == 0

    assert await scene.head(final.id) == before
    assert await scene.stored(final.id) == (A + B + A if is_complete else b"")


async def test_only_partials_can_be_joined() -> None:
    """A regular upload or a final is no part; nothing is put on record."""
    scene = Scene()
    part, regular = await scene.part(A), (await scene.create(len(C), C)).id
    final = (await scene.join(part)).id
    before = await ids(scene.store)

    for stranger in (regular, final):
        with pytest.raises(InvalidConcatError):
            await scene.join(part, stranger)

    assert await ids(scene.store) == before


async def test_an_unknown_partial_is_refused() -> None:
    """A final over something that is not there is not created."""
    scene = Scene()
    part = await scene.part(A)

    with pytest.raises(UploadNotFoundError):
        await scene.join(part, "stranger")

    assert await ids(scene.store) == [part]


# -- removed partials -----------------------------------------------------------------------------


async def test_a_partial_removed_afterwards_is_no_loss() -> None:
    """The final has bytes of its own."""
    scene = Scene()
    parts = [await scene.part(A), await scene.part(C)]
    final = await scene.join(*parts)

    for part in parts:
        await remove(scene, part)

    assert await scene.head(final.id) == final
    assert await scene.stored(final.id) == A + C


async def test_a_partial_removed_before_is_told() -> None:
    """A final that can never be whole says so; the collector leaves the other partials alone."""
    scene = Scene()
    final, unfinished = await waiting(scene)
    await remove(scene, unfinished)

    with pytest.raises(UploadGoneError) as caught:
        await scene.head(final.id)
    report = await scene.sweep()

    assert caught.value.upload_id == final.id
    assert report.finished == []
    assert finished(scene) == []
    assert await scene.stored(final.parts[0]) == A


async def test_a_partial_that_expired_before_is_told() -> None:
    """What is only remembered cannot be joined: neither asked for now nor waited for."""
    scene = Scene(lifetime=Lifetime(unfinished=timedelta(hours=1)))
    final, unfinished = await waiting(scene)
    upload = await scene.store.load(unfinished)
    await scene.store.save(replace(upload, state=UploadState.EXPIRED))

    with pytest.raises(UploadGoneError):
        await scene.head(final.id)
    with pytest.raises(UploadExpiredError):
        await scene.join(unfinished)


async def test_a_joined_final_survives_its_partials_although_nobody_noted_its_end() -> None:
    """Published, then a crash, then its partials are removed: it is finished, not lost."""
    scene = Scene()
    parts = [await scene.part(A), await scene.part(C)]
    sound = scene.store
    scene.script(save=[Crash()])
    with pytest.raises(Crash):
        await scene.join(*parts)
    scene.restart(sound)
    for part in parts:
        await remove(scene, part)

    final = await scene.head("id-3")

    assert final.state is UploadState.COMPLETE
    assert await scene.stored(final.id) == A + C
    assert finished(scene) == [final.id]


# -- faults ---------------------------------------------------------------------------------------


async def test_a_failed_join_leaves_no_final() -> None:
    """The client is told of no upload, so none is there; its partials are, and it may ask again."""
    scene = Scene()
    parts = [await scene.part(A), await scene.part(C)]
    scene.script(concatenate=[StoreError("the disk")])

    with pytest.raises(StoreError, match="the disk"):
        await scene.join(*parts)
    left = await ids(scene.store)
    final = await scene.join(*parts)

    assert left == sorted(parts)
    assert await scene.stored(final.id) == A + C
    assert finished(scene) == [final.id]


class Veto(Hook):
    """Refuses every upload at its end."""

    async def pre_create(self, upload: Upload) -> None: ...

    async def post_receive(self, upload: Upload) -> None: ...

    async def pre_terminate(self, upload: Upload) -> None: ...

    async def pre_finish(self, upload: Upload) -> None:
        raise UploadRejectedError("no")


async def test_a_veto_fails_the_final_for_good_and_asks_of_no_partial() -> None:
    """pre-finish is asked about the final alone; its no sticks, and the partials stay."""
    scene = Scene(hooks=[Veto()])
    final, unfinished = await waiting(scene)

    part = await scene.append(unfinished, len(B) - 1, B[-1:])

    assert part.state is UploadState.COMPLETE
    assert (await scene.store.load(final.id)).state is UploadState.FAILED
    assert finished(scene) == []
    with pytest.raises(UploadFailedError):
        await scene.head(final.id)


async def all_complete(scene: Scene) -> None:
    """Two partials; the next id is the final's."""
    await scene.part(A)
    await scene.part(B)


async def join_them(scene: Scene) -> None:
    await scene.join("id-1", "id-2", "id-1")


async def one_missing(scene: Scene) -> None:
    """The final waits for the second partial's last bytes."""
    await scene.part(A)
    await scene.create(len(B), B[:-5], is_partial=True)


async def wait_and_end(scene: Scene) -> None:
    await scene.join("id-1", "id-2", "id-1")
    await scene.append("id-2", len(B) - 5, B[-5:])


@pytest.mark.parametrize("finish", [by_head, by_janitor])
@pytest.mark.parametrize(("prepare", "act"), [(all_complete, join_them), (one_missing, wait_and_end)])
async def test_a_crash_at_any_call_is_made_good(
    prepare: Callable[[Scene], Awaitable[None]],
    act: Callable[[Scene], Awaitable[None]],
    finish: Callable[[Scene, str], Awaitable[None]],
) -> None:
    """Before and behind each call to the store: the next process ends what was begun, told at most once."""
    rehearsal = Scene()
    await prepare(rehearsal)
    recorder = rehearsal.script()
    await act(rehearsal)
    calls = tuple(recorder.calls)
    outcomes = set()

    for script in crashes(calls):
        scene = Scene()
        await prepare(scene)
        sound = scene.store
        scene.restart(FaultyStore(sound, **script))
        with pytest.raises(Crash):
            await act(scene)
        scene.restart(sound)
        outcomes.add(await _recover(scene, finish, str(script)))

    assert outcomes == {"unknown", "finished", "was finished"}


async def _recover(scene: Scene, finish: Callable[[Scene, str], Awaitable[None]], script: str) -> str:
    """Go on after a crash; what the final was found to be."""
    if "id-3" not in await ids(scene.store):
        assert await ids(scene.store) == ["id-1", "id-2"], script
        return "unknown"
    part = await scene.store.load("id-2")
    if part.offset < len(B):  # its client goes on
        await scene.append("id-2", part.offset, B[part.offset :])
    was_finished = (await scene.store.load("id-3")).state is UploadState.COMPLETE
    for _ in range(2):
        await finish(scene, "id-3")
    final = await scene.store.load("id-3")
    assert (final.state, final.offset) == (UploadState.COMPLETE, len(A + B + A)), script
    assert await scene.stored("id-3") == A + B + A, script
    assert finished(scene) in ([["id-3"], []] if was_finished else [["id-3"]]), script
    return "was finished" if was_finished else "finished"
