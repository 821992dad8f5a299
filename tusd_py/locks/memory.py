"""Locks within one process: hand-over in one turn of the event loop, nothing is polled."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tusd_py.core.errors import UploadLockedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class _Claim:
    """One request's place in the queue of an upload; the first in the queue is the holder."""

    __slots__ = ("_loop", "_touched_at", "entered", "on_takeover", "silence")

    def __init__(self, on_takeover: Callable[[], None] | None, silence: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._touched_at = self._loop.time()
        self.entered: asyncio.Future[None] = self._loop.create_future()
        self.on_takeover = on_takeover
        self.silence = silence

    def touch(self) -> None:
        self._touched_at = self._loop.time()

    def admit(self) -> None:
        self.touch()
        if not self.entered.done():
            self.entered.set_result(None)

    def ask_to_leave(self) -> None:
        if self.on_takeover is not None:
            self.on_takeover()

    def is_silent_for(self, seconds: float) -> bool:
        return self._loop.time() - self._touched_at >= seconds


class MemoryLocker:
    """See tusd_py.core.ports.Locker. `len()` is the number of uploads held or waited for."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[_Claim]] = {}

    def __len__(self) -> int:
        return len(self._queues)

    @asynccontextmanager
    async def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[_Claim]:
        """See tusd_py.core.ports.Locker.hold."""
        claim = _Claim(on_takeover, silence)
        queue = self._queues.setdefault(upload_id, deque())
        queue.append(claim)
        try:
            if queue[0] is not claim:
                await self._wait_in_line(upload_id, queue, claim, timeout)
            yield claim
        finally:
            self._leave(upload_id, queue, claim)

    async def _wait_in_line(
        self, upload_id: str, queue: deque[_Claim], claim: _Claim, timeout: float
    ) -> None:
        holder = queue[0]
        if claim.silence is not None and not holder.is_silent_for(claim.silence):
            raise UploadLockedError(upload_id)
        holder.ask_to_leave()
        try:
            async with asyncio.timeout(timeout):
                await claim.entered
        except TimeoutError:
            raise UploadLockedError(upload_id) from None

    def _leave(self, upload_id: str, queue: deque[_Claim], claim: _Claim) -> None:
        was_holder = queue[0] is claim
        queue.remove(claim)
        if not queue:
            del self._queues[upload_id]
        elif was_holder:
            self._hand_over(upload_id, queue)

    @staticmethod
    def _hand_over(upload_id: str, queue: deque[_Claim]) -> None:
        queue[0].admit()
        for waiting in list(queue)[1:]:
            if waiting.silence is None:
                queue[0].ask_to_leave()
            elif not waiting.entered.done():  # it does not disturb one who has just begun
                waiting.entered.set_exception(UploadLockedError(upload_id))
                waiting.entered.exception()  # not a loss if the waiter is cancelled before it hears
