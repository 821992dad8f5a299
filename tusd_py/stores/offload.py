"""Blocking calls on a bounded pool of threads of their own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tusd_py.stores.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

P = ParamSpec("P")
T = TypeVar("T")


class Offload:
    """Runs blocking functions so that the event loop never waits long for a disk.

    `pace` says whether it would have to; without it, it would.
    The pool is bounded: a hanging disk holds up the storage's own calls, not the interpreter's others.
    """

    def __init__(self, threads: int, name: str, pace: Pace | None = None) -> None:
        self.pace = pace or Pace(is_remote=True)
        self.pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread and return what it returns.

        A thread cannot be interrupted, so neither can this: when the caller is cancelled, it waits for
        the thread first. Otherwise a cancelled writer would still write while the next one does.
        """
        waiting = asyncio.wrap_future(self.pool.submit(function, *args, **kwargs))
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await _outlast(waiting)
            raise

    async def brief(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` here and now while the storage is quick, else like `run`.

        For what reads or writes little and forces nothing to the device.
        """
        if self.pace.is_quick:
            return self._timed(function, *args, **kwargs)
        return await self.run(self._timed, function, *args, **kwargs)

    def _timed(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            self.pace.note(time.perf_counter() - begun)

    async def acquire_briefly(self, function: Callable[[], T], *, release: Callable[[T], object]) -> T:
        """Like `brief`, for what has to be given back."""
        if self.pace.is_quick:
            return self._timed(function)
        return await self.acquire(partial(self._timed, function), release=release)

    async def acquire(self, function: Callable[[], T], *, release: Callable[[T], object]) -> T:
        """Like `run`, for what has to be given back: nobody else would, if the caller is cancelled."""
        waiting = asyncio.wrap_future(self.pool.submit(function))
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if await _outlast(waiting):
                release(waiting.result())
            raise

    def close(self) -> None:
        """Take no more calls; running ones end by themselves."""
        self.pool.shutdown(wait=False, cancel_futures=True)


async def _outlast(waiting: asyncio.Future[T]) -> bool:
    """Wait for a thread through any number of cancellations; whether it returned something."""
    with contextlib.suppress(asyncio.CancelledError):
        await outlast([waiting])
    return waiting.exception() is None  # an error is taken note of: the cancellation is what counts


async def outlast(waiting: Collection[asyncio.Future[Any]]) -> None:
    """Wait for all of them, whatever they end with; a cancellation is obeyed when that is over."""
    cancelled = False
    while any(not future.done() for future in waiting):
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
