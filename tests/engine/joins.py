"""Partials, finals and the ways to their end, for the tests of concatenation."""

from __future__ import annotations

from tests.engine.scene import Scene
from tusd_py.core.events import UploadFinished
from tusd_py.core.intents import Terminate
from tusd_py.core.model import Upload
from tusd_py.testing.kit import sample

A, B, C = sample(5000, 1), sample(70_001, 2), sample(3, 3)


def finished(scene: Scene) -> list[str]:
    """The ids of what was told to be finished, in order."""
    return [event.upload.id for event in scene.sink.of(UploadFinished)]


async def remove(scene: Scene, upload_id: str) -> None:
    """DELETE."""
    await scene.engine.terminate(Terminate(upload_id=upload_id))


async def waiting(scene: Scene) -> tuple[Upload, str]:
    """A final over a complete partial and one that lacks its last byte; the id of the latter."""
    whole, unfinished = await scene.part(A), (await scene.create(len(B), B[:-1], is_partial=True)).id
    return await scene.join(whole, unfinished, whole), unfinished


async def by_head(scene: Scene, final: str) -> None:
    """What its client does who saw a PATCH fail: first the partials, then the final."""
    for part in (await scene.store.load(final)).parts:
        await scene.head(part)
    await scene.head(final)


async def by_janitor(scene: Scene, final: str) -> None:
    await scene.sweep()
