"""Every store of ours keeps every promise of the Store port."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import STORE_CHECKS, FaultyStore, run_store_check
from tusd_py.testing.kit import make_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.testing.kit import OpenAgain, OpenStore, StoreCheck


@asynccontextmanager
async def open_memory(chunk_size: int = 65536) -> AsyncIterator[OpenAgain]:
    """Memory is the storage: the one store is what a restart would find."""
    store = MemoryStore(chunk_size=chunk_size)
    yield lambda: store


@asynccontextmanager
async def open_faultless() -> AsyncIterator[OpenAgain]:
    """A FaultyStore without a script has to be as good as what it wraps."""
    store = MemoryStore()
    yield lambda: FaultyStore(store)


@asynccontextmanager
async def open_local(durability: str) -> AsyncIterator[OpenAgain]:
    """One folder; each store is a process of its own."""
    with TemporaryDirectory() as root:
        yield lambda: LocalStore(root, durability=durability)


STORES: dict[str, OpenStore] = {
    "memory": open_memory,
    "memory-tiny-chunks": partial(open_memory, 1000),
    "faultless": open_faultless,
    "local-os": partial(open_local, "os"),
    "local-finish": partial(open_local, "finish"),
    "local-commit": partial(open_local, "commit"),
}


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("open_store", STORES.values(), ids=STORES)
async def test_store_keeps_its_promise(open_store: OpenStore, check: StoreCheck) -> None:
    """One rule of tusd_py.testing on one store: the assertions are in the check."""
    await run_store_check(check, open_store)


@pytest.mark.parametrize("open_store", STORES.values(), ids=STORES)
async def test_store_can_be_written_to_past_the_event_loop(open_store: OpenStore) -> None:
    """None of ours but the one in S3 has to wait for a network."""
    async with open_store() as open_again:
        store = open_again()
        await store.create(make_upload())
        async with store.append(await store.load("one")) as appender:
            assert appender.direct is not None
        await store.close()
