"""The collector and joined uploads: what it says beforehand, and what it may not take away."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.engine.scene import HOUR, Scene
from tusd_py.core.errors import StorageFullError, UploadExpiredError
from tusd_py.core.events import UploadFinished
from tusd_py.core.intents import Append, Terminate
from tusd_py.core.model import Lifetime, Limits, UploadState
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import ScriptedBody

ABSOLUTE = Lifetime(unfinished=timedelta(hours=1), sliding=False)
SLIDING = Lifetime(unfinished=timedelta(hours=1))


async def test_a_dry_run_tells_of_a_final_that_can_be_joined() -> None:
    """A restart forgot who waits: the dry run names the partial's final as the sweep itself does."""
    scene = Scene()
    part = (await scene.create(4, is_partial=True)).id
    final = (await scene.join(part)).id
    scene.restart()
    await scene.append(part, 0, b"part")

    told = await scene.sweep(is_dry_run=True)
    done = await scene.sweep()

    assert told.finished == done.finished == [final]
    assert await scene.stored(final) == b"part"


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_a_sweep_reports_a_final_that_its_last_partial_took_along(is_restarted: bool) -> None:
    """Whether the partial completes the final or the final's own turn comes: both are reported, once."""
    scene = Scene()
    part = (await scene.create(4, is_partial=True)).id
    final = (await scene.join(part)).id
    scene.script(save=[StorageFullError("full")])
    with pytest.raises(StorageFullError):
        await scene.append(part, 0, b"part")
    if is_restarted:
        scene.restart()
    else:
        await scene.join(part)  # beside the first one; now this process knows of a waiting final

    told = await scene.sweep(is_dry_run=True)
    done = await scene.sweep()

    assert told.finished == done.finished
    assert done.finished[:2] == [part, final]
    assert len(done.finished) == (2 if is_restarted else 3)


async def test_a_dry_run_does_not_promise_what_cannot_be_joined() -> None:
    """A partial is no more, or the whole turned out too large: neither is called finished."""
    scene = Scene(limits=Limits(max_size=10))
    first, second = [(await scene.create(4, is_partial=True)).id for _ in range(2)]
    endless = (await scene.create(None, is_partial=True)).id
    await scene.join(first)
    await scene.join(second, endless)
    await scene.engine.terminate(Terminate(upload_id=first))
    scene.restart()
    await scene.append(second, 0, b"four")
    await scene.append(endless, 0, b"7 bytes")
    end = Append(upload_id=endless, offset=7, body_length=0, declared_length=7)
    await scene.engine.append(end, ScriptedBody([]))

    told = await scene.sweep(is_dry_run=True)
    done = await scene.sweep()

    assert told.finished == done.finished == []


async def test_partials_of_a_final_that_could_not_be_joined_now_are_kept_for_the_next_time() -> None:
    """The disk is full when the partials' time is over: they go only once the final has their bytes."""
    scene = Scene(lifetime=ABSOLUTE)
    part = await scene.part(b"part")
    full = StorageFullError("full")
    late = (await scene.create(4, is_partial=True)).id
    final = (await scene.join(part, late)).id
    scene.script(concatenate=[full, full])
    await scene.head(final)
    await scene.append(late, 0, b"late")
    scene.clock.advance(HOUR)

    hindered = await scene.sweep()
    done = await scene.sweep()

    assert (hindered.failed, hindered.expired) == ([final], [])
    assert (done.finished, sorted(done.expired)) == ([final], sorted([part, late]))
    assert await scene.stored(final) == b"partlate"


async def test_a_final_that_has_expired_is_not_joined_any_more() -> None:
    """What was answered 410 stays that way, although its last partial still gets its bytes."""
    scene = Scene(lifetime=SLIDING)
    part = (await scene.create(8, is_partial=True)).id
    final = (await scene.join(part)).id
    scene.clock.advance(HOUR / 2)
    await scene.append(part, 0, b"half")
    scene.clock.advance(HOUR / 2)
    with pytest.raises(UploadExpiredError):
        await scene.head(final)

    await scene.append(part, 4, b"half")

    with pytest.raises(UploadExpiredError):
        await scene.head(final)
    assert (await scene.store.load(final)).state is UploadState.OPEN
    assert scene.sink.of(UploadFinished) == []
    assert isinstance(scene.store, MemoryStore)
    assert scene.store.published == {}
