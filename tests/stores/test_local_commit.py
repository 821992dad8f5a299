"""What the local store promises of an atomic append beyond the contract: a commit is never taken back."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from tusd_py.stores.local import LocalStore
from tusd_py.stores.local_files import Durability, LocalFiles
from tusd_py.stores.pace import LIMIT
from tusd_py.testing.kit import content, make_upload

if TYPE_CHECKING:
    from pathlib import Path


class SlowToAnswer(LocalFiles):
    """The commit is done, and the thread that did it is held up before it says so."""

    def __init__(self, root: str) -> None:
        super().__init__(root, Durability.OS)
        self.done = threading.Event()
        self.gate = threading.Event()

    def accept(self, descriptor: int, upload_id: str) -> None:
        super().accept(descriptor, upload_id)
        self.done.set()
        assert self.gate.wait(10)


async def test_a_commit_that_was_done_stays_although_its_caller_is_cancelled(tmp_path: Path) -> None:
    """An offset that could be seen never goes back: what counts is not cut off when the answer is lost."""
    store, files = LocalStore(str(tmp_path)), SlowToAnswer(str(tmp_path))
    store._files = files
    store._offload.pace.note(LIMIT)  # so that commits are made in threads
    await store.create(make_upload())

    async def append() -> None:
        async with store.append(await store.load("one"), atomic=True) as appender:
            await appender.write(b"whole")
            await appender.commit()

    task = asyncio.create_task(append())
    await asyncio.to_thread(files.done.wait, 10)
    seen = (await store.load("one")).offset
    task.cancel()
    files.gate.set()
    await asyncio.wait([task])

    assert task.cancelled()
    assert seen == 5
    assert (await store.load("one")).offset == 5
    assert await content(store) == b"whole"
    await store.close()
