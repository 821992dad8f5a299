"""tus 1.0.0, Concatenation: no fault, veto or crash loses a final or announces it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.joins import A, B, C, by_head, by_janitor, finished, waiting
from tests.engine.scene import Crash, Scene, crashes
from tusd_py.core.errors import (
    StoreError,
    UploadFailedError,
    UploadRejectedError,
)
from tusd_py.core.model import Upload, UploadState
from tusd_py.core.ports import Hook
from tusd_py.testing import FaultyStore
from tusd_py.testing.kit import ids

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


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
