"""Stored bytes of a live upload on their way to the operator's processor, which may be slow or wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from tusd_py.core.errors import LiveProcessorError
from tusd_py.web.live_body import FRAME_OVERHEAD, QUEUE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import LiveProcessor
    from tusd_py.web.live_news import News

log = structlog.get_logger(__name__)


class Processing:
    """Cuts frames into sub-chunks of `chunk_size` bytes at most and has `processor` take them, in order.

    Without a processor, and behind the end of one, they are counted. `patience` is in seconds: how long
    it may think about one of them. `on_room` is called when more can be taken again.
    """

    def __init__(
        self,
        processor: LiveProcessor | None,
        *,
        chunk_size: int,
        patience: float,
        news: News,
    ) -> None:
        self._processor = processor
        self._chunk_size = chunk_size
        self._patience = patience
        self._news = news
        self.on_room: Callable[[], None] = lambda: None
        self._backlog: deque[bytes] = deque()
        self._waiting = 0  # bytes of the backlog, as they are counted
        self._upload: Upload | None = None  # its offset is that of the next sub-chunk
        self._is_over = False
        self._is_given = False  # a sub-chunk that the processor has not come back from
        self._taken = 0  # sub-chunks since it was last called
        self._clock: asyncio.Timeout | None = None
        self._more = asyncio.Event()

    def has_room(self) -> bool:
        """Whether the backlog is short enough for more."""
        return self._waiting <= QUEUE_LIMIT

    def feed(self, frame: bytes) -> None:
        """Bytes that are stored now, behind those fed before."""
        starts = range(0, len(frame), self._chunk_size)
        if self._processor is None:
            self._news.processed += len(starts)
            return
        self._backlog.extend(frame[start : start + self._chunk_size] for start in starts)
        self._waiting += len(frame) + FRAME_OVERHEAD * len(starts)
        self._more.set()

    def finish(self) -> None:
        """Nothing more comes."""
        self._is_over = True
        self._more.set()

    def begin(self, upload: Upload) -> None:
        """What is fed belongs to `upload`, from its offset on."""
        self._upload = upload

    async def run(self) -> None:
        """Have everything processed until `finish`; never fails."""
        while self._processor is not None and await self._is_more() and self._upload is not None:
            upload, self._taken = self._upload, 0
            clock = self._clock = asyncio.timeout(self._patience)
            try:
                async with clock:
                    await self._process(self._processor, upload)
            except Exception as error:  # noqa: BLE001 - whatever the operator's code may raise
                await asyncio.to_thread(_report, error, upload)
                self._news.fail(LiveProcessorError())
                if clock.expired():  # the next piece would take as long
                    self._processor = None
            else:  # it wants no more
                self._processor = None
            self._clock = None
            self._go_past()

    async def _process(self, processor: LiveProcessor, upload: Upload) -> None:
        chunks = self._chunks()
        async with contextlib.aclosing(chunks):
            results = processor(upload, chunks)
            try:
                async for result in results:
                    self._give_time(None)  # the client may take its own
                    await self._news.add_result(result)
                    await asyncio.sleep(0)  # one that only talks leaves nobody else a turn
                    self._give_time(self._patience)
            finally:
                if isinstance(results, AsyncGenerator):
                    await results.aclose()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """The backlog as the processor sees it."""
        self._give_time(None)
        while await self._is_more():
            chunk = self._pop()
            self._is_given = True
            self._taken += 1
            self._give_time(self._patience)
            yield chunk
            self._give_time(None)
            self._come_back()
        self._give_time(self._patience)

    async def _is_more(self) -> bool:
        while not self._backlog and not self._is_over:
            self._more.clear()
            await self._more.wait()
        return bool(self._backlog)

    def _pop(self) -> bytes:
        chunk = self._backlog.popleft()
        self._waiting -= len(chunk) + FRAME_OVERHEAD
        if self._upload is not None:
            self._upload = replace(self._upload, offset=self._upload.offset + len(chunk))
        self.on_room()
        return chunk

    def _give_time(self, seconds: float | None) -> None:
        if self._clock is not None and not self._clock.expired():
            now = asyncio.get_running_loop().time()
            self._clock.reschedule(None if seconds is None else now + seconds)

    def _come_back(self) -> None:
        """The processor is done with the sub-chunk that it was given."""
        if self._is_given:
            self._is_given = False
            self._news.processed += 1
            if not self._backlog:
                self._news.acknowledge()

    def _go_past(self) -> None:
        """Nobody comes back to what the processor left: one sub-chunk if it failed, all if it is done."""
        self._come_back()
        while self._backlog and (self._processor is None or not self._taken):
            self._taken = 1
            self._pop()
            self._news.processed += 1
        if not self._backlog:
            self._news.acknowledge()


def _report(error: Exception, upload: Upload) -> None:
    """Writing a traceback reads the sources, so this is not for the event loop."""
    log.error("live processor failed", upload=upload.id, offset=upload.offset, exc_info=error)
