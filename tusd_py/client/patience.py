"""How often something is tried again, and when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tusd_py.client.errors import PassingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

DELAYS = (0.0, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)


class Patience:
    """Waits between attempts, `delays` seconds in turn; bytes that arrive begin the row anew.

    `on_wait` is told the reason and the seconds.
    """

    def __init__(self, delays: tuple[float, ...], on_wait: Callable[[str, float], None]) -> None:
        self._delays = delays
        self._on_wait = on_wait
        self._spent = 0
        self._furthest = 0

    async def persist(self, step: Callable[[], Awaitable[T]], offset: Callable[[], int] = lambda: 0) -> T:
        """The result of `step`, tried until it succeeds or the row is at its end. Raises its last error.

        `offset` tells how many bytes have arrived. An error that does not pass ends it at once.
        """
        while True:
            try:
                return await step()
            except PassingError as error:
                await self._wait(error, offset())

    async def _wait(self, error: PassingError, offset: int) -> None:
        if offset > self._furthest:
            self._furthest, self._spent = offset, 0
        if self._spent == len(self._delays):
            raise error
        seconds = max(self._delays[self._spent], error.retry_after)
        self._spent += 1
        self._on_wait(str(error), seconds)
        await asyncio.sleep(seconds)
