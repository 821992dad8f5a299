"""A scrape never waits for a storage that does not answer."""

from __future__ import annotations

import asyncio

import pytest

from tusd_py.core.errors import StoreError
from tusd_py.metrics.free_space import FreeSpace
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import FaultyStore


class HangingStore(MemoryStore):
    """A store that says how much room it has once it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0
        self.answer = asyncio.Event()

    async def free_space(self) -> int | None:
        """7, after a while."""
        self.questions += 1
        await self.answer.wait()
        return 7


async def test_a_storage_that_hangs_is_asked_once_and_waited_for_no_longer() -> None:
    """Three scrapes cost one question; once it is answered, there is a number again."""
    store = HangingStore()
    free_space = FreeSpace(store, patience=0)

    unknown = [await free_space() for _ in range(3)]
    store.answer.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    known = await FreeSpace(store)()

    assert unknown == [None, None, None]
    assert store.questions == 2
    assert known == 7


async def test_a_storage_that_fails_has_no_number() -> None:
    """The scrape goes on without it."""
    free_space = FreeSpace(FaultyStore(MemoryStore(), free_space=[StoreError("disk")]))

    assert await free_space() is None


async def test_an_open_question_is_let_go_of_at_the_end() -> None:
    """Nothing of it outlives the application."""
    free_space = FreeSpace(HangingStore(), patience=0.1)

    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(free_space(), timeout=0)
        await free_space.close()

    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"free space"})
