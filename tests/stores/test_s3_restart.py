"""What one process has sent to S3, another one finishes."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.engine.scene import Scene
from tests.stores.s3_bench import make_store
from tests.support.payload import sha256
from tusd_py.core.model import UploadState
from tusd_py.stores.s3_parts import MIB

if TYPE_CHECKING:
    from tests.support.seaweed import SeaweedProcess

DATA = Random(4).randbytes(12 * MIB + 7)


async def test_whole_parts_of_an_earlier_process_are_completed(seaweed: SeaweedProcess) -> None:
    """Parts of which a new process knows no more than what the storage lists become the object."""
    prefix, half = seaweed.fresh_prefix(), 11 * MIB
    scene = Scene(make_store(seaweed, prefix))
    upload = await scene.create(len(DATA))
    await scene.append(upload.id, 0, DATA[:half])
    await scene.store.close()
    scene.restart(make_store(seaweed, prefix))

    found = await scene.head(upload.id)
    finished = await scene.append(upload.id, half, DATA[half:])
    await scene.store.close()

    assert found.offset == half
    assert finished.state is UploadState.COMPLETE
    assert seaweed.digest(f"{prefix}uploads/{upload.name}") == sha256(DATA)
