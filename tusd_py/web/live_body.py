"""The frames of a live connection, as the body of one long append."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from tusd_py.core.errors import InvalidChecksumError
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tusd_py.core.checksums import Checksum

FRAME_OVERHEAD = 128
"""Bytes that a frame counts for besides its own, so that a million tiny ones are not a trifle."""

QUEUE_LIMIT = 256 * 1024
"""Bytes of frames from which on the next one is not read from the connection."""

_FROM_OUTSIDE = {BodyEnd.SUPERSEDED, BodyEnd.SHUTDOWN}
_AT_ONCE = {BodyEnd.TOO_LONG, BodyEnd.STOPPED}


class FrameBody:
    """See tusd_py.core.ports.Body.

    Every piece is all that has come since the last one. A sign of life comes every `beat` seconds.
    While `may_go_on` says no, nothing is handed out, unless nothing more will come; `wake` says that it
    may have changed its mind. `received` counts the bytes taken from the connection.
    """

    def __init__(self, *, beat: float, may_go_on: Callable[[], bool]) -> None:
        self._beat = beat
        self._may_go_on = may_go_on
        self._frames: deque[bytes] = deque()
        self._queued = 0
        self._given: deque[bytes] = deque()
        self._cut: BodyEnd | None = None
        self._is_whole = False
        self._is_over = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self.started = asyncio.Event()
        """The upload is ours, and its offset is what the append was asked for."""
        self.received = 0

    # -- the connection's side ----------------------------------------------------------------

    async def put(self, frame: bytes) -> None:
        """Take a frame; waits while there are too many. After the end it goes nowhere."""
        if self._is_over:
            return
        self.received += len(frame)
        self._frames.append(frame)
        self._queued += len(frame) + FRAME_OVERHEAD
        self.wake()
        while self._queued > QUEUE_LIMIT and not self._is_over:
            self._room.clear()
            await self._room.wait()

    def finish(self) -> None:
        """Nothing more comes, and that is as it should be."""
        self._is_whole = True
        self.wake()

    def cut(self, why: BodyEnd) -> None:
        """See tusd_py.core.ports.Body.cut."""
        if self._cut is None and not self._is_over:
            self._cut = why
            self.wake()

    def wake(self) -> None:
        """Look again."""
        self._news.set()

    # -- the engine's side --------------------------------------------------------------------

    @property
    def end(self) -> BodyEnd:
        """See tusd_py.core.ports.Body.end."""
        return self._cut or BodyEnd.WHOLE

    def trailing_checksum(self) -> Checksum:
        """None can come."""
        raise InvalidChecksumError("Upload-Checksum", "frames have none", "no checksum")

    def chunks(self) -> AsyncIterator[bytes]:
        """See tusd_py.core.ports.Body.chunks."""
        self.started.set()
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._is_over:
            nothing_more = self._is_whole or self._cut is not None
            if self._frames and self._cut not in _AT_ONCE and (nothing_more or self._may_go_on()):
                return self._take()
            if nothing_more:
                self._close()
            elif not await self._hears_news():
                return b""
        raise StopAsyncIteration

    async def _hears_news(self) -> bool:
        self._news.clear()
        try:
            async with asyncio.timeout(self._beat):
                return await self._news.wait()
        except TimeoutError:
            return False

    def _take(self) -> bytes:
        piece = b"".join(self._frames)
        self._given.extend(self._frames)
        self._frames.clear()
        self._queued = 0
        self._room.set()
        return piece

    def _close(self) -> None:
        self._is_over = True
        if self._is_whole and self._cut in _FROM_OUTSIDE:
            self._cut = None  # everything had come before
        self._room.set()

    # -- afterwards ---------------------------------------------------------------------------

    def take_stored(self, size: int) -> list[bytes]:
        """The next `size` bytes of those handed out, as the frames in which they came."""
        stored: list[bytes] = []
        while size > 0 and self._given:
            frame = self._given.popleft()
            if len(frame) > size:
                self._given.appendleft(frame[size:])
                frame = frame[:size]
            size -= len(frame)
            stored.append(frame)
        return stored


class NoBody:
    """Nothing at all, for what only states a length."""

    end = BodyEnd.WHOLE

    def trailing_checksum(self) -> Checksum:
        """None can come."""
        raise InvalidChecksumError("Upload-Checksum", "there is none", "no checksum")

    def cut(self, why: BodyEnd) -> None:
        """There is nothing to be cut."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """No piece."""
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:
            yield piece
