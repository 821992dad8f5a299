"""How much room a storage has, asked without ever waiting long for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tusd_py.core.errors import StoreError

if TYPE_CHECKING:
    from tusd_py.core.ports import Store

PATIENCE = 1.0
"""Seconds that a storage may take to say how much room it has."""


class FreeSpace:
    """Asks `store` when it is called, one question at a time however many ask: a storage that hangs
    costs one task. `close` ends it."""

    def __init__(self, store: Store, *, patience: float = PATIENCE) -> None:
        self._store = store
        self._patience = patience
        self._asking: asyncio.Task[int | None] | None = None
        self._is_closed = False

    async def __call__(self) -> int | None:
        """Bytes; None where that has no meaning, the storage fails, or it does not answer in time."""
        if self._is_closed:
            return None
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._ask(), name="free space")
        # A question that takes too long goes on: a thread in a dead disk cannot be called back.
        await asyncio.wait([asking], timeout=self._patience)
        return asking.result() if asking.done() and not asking.cancelled() else None

    async def _ask(self) -> int | None:
        try:
            return await self._store.free_space()
        except StoreError:
            return None

    async def close(self) -> None:
        """Ask nothing more, and let go of a question that is still open."""
        self._is_closed = True
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait([self._asking], timeout=self._patience)
