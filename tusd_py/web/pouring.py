"""A request body that is stored while it is received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tusd_py.core.outcomes import BodyEnd
from tusd_py.web.connection import bypass

if TYPE_CHECKING:
    from types import TracebackType

    from tusd_py.core.ports import DirectWriter
    from tusd_py.web.body import RequestBody
    from tusd_py.web.bypass import Bypass

WORTH_POURING = 128 * 1024
"""Bytes still to come from which changing over to the bypass, and back, pays."""


class Pouring:
    """See tusd_py.core.ports.PouredBody.pour. The `body` has `length` bytes.

    It begins with what aiohttp has read already and goes on past it as soon as that is handed out. Where
    that cannot be done, all of the body comes as bytes.
    """

    def __init__(self, body: RequestBody, write: DirectWriter, length: int) -> None:
        self._body = body
        self._write = write
        self._length = length
        self._bypass: Bypass | None = None
        self._has_quit = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bypass is not None:
            await self._bypass.quit()

    def __aiter__(self) -> Pouring:
        return self

    async def __anext__(self) -> bytes | int:
        if self._bypass is not None:
            self._bypass.release()  # what was handed out is stored by now
            return await self._next(self._bypass)
        body = self._body
        if body.is_cut or not self._left():
            return await body.__anext__()
        piece = body.take_arrived()  # without this, more would have arrived by the time it is stored
        if left := self._left():
            self._bypass = bypass(body.request, left, self._write, body.tally)
        if self._bypass is None:
            return piece or await body.__anext__()
        if piece:
            return piece
        self._bypass.release()
        return await self._next(self._bypass)

    def _left(self) -> int:
        left = self._length - self._body.received
        return left if left >= WORTH_POURING else 0

    async def _next(self, source: Bypass) -> bytes | int:
        while True:
            if count := source.take():
                self._body.received += count
                return count
            if held := source.held:
                source.held = b""
                self._body.received += len(held)
                return held
            if source.failure is not None:
                raise source.failure
            if source.is_over or self._has_quit:
                break
            await self._go_on(source)
        if self._body.received < self._length:
            self._body.cut(BodyEnd.DISCONNECTED)  # unless it was cut before
        self._body.finish(is_whole=self._body.received == self._length)
        raise StopAsyncIteration

    async def _go_on(self, source: Bypass) -> None:
        if self._body.is_cut:
            await source.quit()
            self._has_quit = True  # what came until then is still to be handed out
        else:
            await self._body.wait_for(source.news(), excuse=lambda: source.is_storing)
