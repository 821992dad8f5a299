"""Processors that block: called in threads, with pieces they can iterate over as over a list."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tusd_py.core.model import Upload


class GivenUpError(Exception):
    """Raised within a processor that asks for a piece when nobody waits for its work any more."""


class Threaded:
    """A Processor that runs `function(upload, pieces)` in a thread, `threads` at a time at most.

    A thread cannot be interrupted: when the call is cancelled, the function hears of it from the next
    piece it asks for (GivenUpError), and the call ends when the function does. Otherwise it might
    still be at work when the next attempt begins.
    """

    def __init__(self, function: Callable[..., Any], *, name: str, threads: int) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"tusd-py-{name}")

    async def __call__(self, upload: Upload, pieces: AsyncIterator[bytes]) -> None:
        """See tusd_py.core.ports.Processor."""
        handed = _Handed(pieces, asyncio.get_running_loop())
        working = asyncio.wrap_future(self._pool.submit(self._work, upload, handed))
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            handed.is_given_up = True
            await _outlast(working)
            raise

    def _work(self, upload: Upload, handed: _Handed) -> None:
        try:
            result = self._function(upload, iter(handed))
        except StopIteration as error:  # which no future can hold
            raise RuntimeError("the processor ran out of something") from error
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError("the processor returned something to await: define it with async def")


class _Handed:
    """The pieces, fetched in the event loop and handed to the thread."""

    def __init__(self, pieces: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._pieces = pieces
        self._loop = loop
        self.is_given_up = False

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._fetch()) is not None:
            yield piece

    def _fetch(self) -> bytes | None:
        if self.is_given_up:
            raise GivenUpError("the delivery was given up; another attempt follows")
        return asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()

    async def _next(self) -> bytes | None:
        return await anext(self._pieces, None)


async def _outlast(working: asyncio.Future[None]) -> None:
    """Wait for a thread through any number of cancellations; what came of it is of no interest."""
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            continue
    working.exception()
