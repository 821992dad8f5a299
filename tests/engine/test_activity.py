"""What the engine says it is at: bodies, bytes, and completions that wait."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.scene import Scene
from tusd_py.core.errors import StoreError, UploadRejectedError
from tusd_py.core.intents import Terminate
from tusd_py.core.model import Upload
from tusd_py.core.ports import Hook
from tusd_py.testing import After, ScriptedBody

DATA = b"twelve bytes"


class Refusing(Hook):
    """A hook that is against everything at the end, once it has been told to be."""

    refuses = False

    async def pre_finish(self, upload: Upload) -> None:
        """No."""
        if self.refuses:
            raise UploadRejectedError


async def test_a_body_is_active_from_its_beginning_to_its_end() -> None:
    """While a body waits for more, one is running and what has come is counted."""
    scene, more = Scene(), asyncio.Event()
    body = ScriptedBody([DATA[:6], more, DATA[6:]])
    upload = await scene.create(len(DATA))

    async with asyncio.TaskGroup() as group:
        group.create_task(scene.append(upload.id, 0, body=body))
        await body.paused.wait()
        during = (scene.engine.activity.running, scene.engine.activity.received)
        more.set()
    after = (scene.engine.activity.running, scene.engine.activity.received)

    assert (during, after) == ((1, 6), (0, 12))


@pytest.mark.parametrize("call", ["complete", "save"])
async def test_a_completion_waits_until_it_succeeds(call: str) -> None:
    """An upload that could not be finished is waiting, once however often it is tried."""
    scene = Scene()
    upload = await scene.create(len(DATA))
    scene.script(**{call: [StoreError("disk"), StoreError("disk")]})
    with pytest.raises(StoreError):
        await scene.append(upload.id, 0, DATA)
    with pytest.raises(StoreError):
        await scene.head(upload.id)
    during = scene.engine.activity.waiting
    await scene.head(upload.id)

    assert during == 1
    assert scene.engine.activity.waiting == 0


async def test_partials_wait_as_well() -> None:
    """Nobody hears of a partial's end, but that it cannot be reached is known."""
    scene = Scene()
    upload = await scene.create(len(DATA), is_partial=True)
    scene.script(complete=[StoreError("disk")])
    with pytest.raises(StoreError):
        await scene.append(upload.id, 0, DATA)
    during = scene.engine.activity.waiting
    await scene.sweep()

    assert during == 1
    assert scene.engine.activity.waiting == 0


async def test_what_is_vetoed_or_removed_waits_no_more() -> None:
    """There is no end to wait for."""
    hook = Refusing()
    scene = Scene(hooks=[hook])
    vetoed, removed = await scene.create(len(DATA)), await scene.create(len(DATA))
    scene.script(save=[StoreError("disk"), StoreError("disk")])
    for upload in (vetoed, removed):
        with pytest.raises(StoreError):
            await scene.append(upload.id, 0, DATA)
    during = scene.engine.activity.waiting
    hook.refuses = True
    with pytest.raises(UploadRejectedError):
        await scene.head(vetoed.id)
    await scene.engine.terminate(Terminate(upload_id=removed.id))

    assert during == 2
    assert scene.engine.activity.waiting == 0


async def test_a_lost_answer_of_the_storage_is_not_waited_for() -> None:
    """The record was replaced and only the telling failed: the upload is finished."""
    scene = Scene()
    upload = await scene.create(len(DATA))
    scene.script(save=[None, After(StoreError("late"))])

    await scene.append(upload.id, 0, DATA)

    assert scene.engine.activity.waiting == 0
