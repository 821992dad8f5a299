"""The memory that upload bytes may take on their way to S3, over all uploads together."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PRESSURE_INTERVAL = 0.1
"""Seconds between two attempts to make room while somebody waits for it, when the last one made none."""

AT_LEAST = 4
"""When room has to be made, it is one of so many parts of the budget, not just for who waits first."""

SMALL = 64 * 1024
"""Bytes below which pieces are put together."""


class Budget:
    """`size` bytes, taken in the order of asking.

    While somebody waits, `reclaim` is called again and again with how much is wanted: it lets go of what
    can be had back, or puts it into the storage, releases it here, and returns how much that was. Nobody
    is given more than there is.
    """

    def __init__(self, size: int, reclaim: Callable[[int], Awaitable[int]]) -> None:
        self.size = size
        self.free = size
        self._reclaim = reclaim
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._pressure: asyncio.Task[None] | None = None

    async def take(self, size: int) -> None:
        """Wait until `size` bytes are to be had, and take them; more than all there is counts as all."""
        size = min(size, self.size)
        if not self._waiting and size <= self.free:
            self.free -= size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        if self._pressure is None:
            self._pressure = asyncio.create_task(self._press(), name="s3-memory")
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(size)
            else:
                with suppress(ValueError):
                    self._waiting.remove((size, turn))
                self._admit()
            raise

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        self.free = min(self.free + size, self.size)
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.free -= size
                turn.set_result(None)

    async def _press(self) -> None:
        try:
            while self._waiting:
                wanted = sum(size for size, _ in self._waiting) - self.free
                freed = await self._reclaim(max(wanted, self.size // AT_LEAST))
                if self._waiting:
                    await asyncio.sleep(0 if freed else PRESSURE_INTERVAL)
        finally:
            self._pressure = None

    async def close(self) -> None:
        """End the pressure."""
        if self._pressure is not None:
            self._pressure.cancel()
            with suppress(asyncio.CancelledError):
                await self._pressure


class Rope:
    """Bytes in a row, `start` being the offset of the first in the upload. The budget is the holder's."""

    __slots__ = ("_pieces", "start", "stop")

    def __init__(self, start: int) -> None:
        self.start = start
        self.stop = start
        self._pieces: list[bytes | bytearray] = []

    def __len__(self) -> int:
        return self.stop - self.start

    def append(self, data: bytes) -> None:
        """Add bytes at the end; small ones are put together, or their objects would outweigh them."""
        last = self._pieces[-1] if self._pieces else b""
        if isinstance(last, bytearray) and len(last) + len(data) <= SMALL:
            last += data
        else:
            self._pieces.append(data if len(data) >= SMALL else bytearray(data))
        self.stop += len(data)

    def between(self, start: int, stop: int) -> list[memoryview]:
        """The bytes `start` up to but not including `stop`, as views of what is held."""
        if self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] = bytes(self._pieces[-1])  # what is looked at must not grow
        found: list[memoryview] = []
        position = self.start
        for piece in self._pieces:
            first, last = max(start - position, 0), min(stop - position, len(piece))
            if first < last:
                found.append(memoryview(piece)[first:last])
            position += len(piece)
        return found

    def clear(self) -> int:
        """Hold nothing any more; how many bytes that were."""
        size = len(self)
        self._pieces.clear()
        self.start = self.stop
        return size
