"""tus 1.0.0, Concatenation: a final is its partials, joined; it comes to its end on every way there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.joins import A, B, C, by_head, by_janitor, finished, remove, waiting
from tests.engine.scene import Crash, Scene
from tusd_py.core.errors import (
    FinalNotModifiableError,
    InvalidConcatError,
    MaxSizeExceededError,
    UploadError,
    UploadExpiredError,
    UploadFailedError,
    UploadGoneError,
    UploadNotFoundError,
)
from tusd_py.core.events import UploadCreated
from tusd_py.core.model import Lifetime, Limits, UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import ids

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


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


async def test_a_final_that_turns_out_too_large_is_refused_for_good() -> None:
    """tus 1.0.0, Tus-Max-Size: the limit holds for a sum that is known only in the end, too (T-130)."""
    scene = Scene(limits=Limits(max_size=len(A) + len(B) - 1))
    whole, deferred = await scene.part(A), (await scene.create(None, B, is_partial=True)).id
    final = await scene.join(whole, deferred)
    upload = await scene.store.load(deferred)

    await scene.store.save(replace(upload, length=len(B)))
    with pytest.raises(MaxSizeExceededError):
        await scene.head(final.id)

    assert (await scene.store.load(final.id)).state is UploadState.FAILED
    with pytest.raises(UploadFailedError):
        await scene.head(final.id)
    assert finished(scene) == []


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
    scene.script(save=[None, Crash()])  # `completing` is noted, `complete` is not
    with pytest.raises(Crash):
        await scene.join(*parts)
    scene.restart(sound)
    for part in parts:
        await remove(scene, part)

    final = await scene.head("id-3")

    assert final.state is UploadState.COMPLETE
    assert await scene.stored(final.id) == A + C
    assert finished(scene) == [final.id]
