"""Stored bytes as a stream of equal pieces, read ahead of whoever takes them; also while they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tusd_py.core import rules
from tusd_py.core.errors import ServerShutdownError, StoreError, UploadIncompleteError
from tusd_py.core.model import Upload, UploadKind, UploadState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.core.ports import Clock, Store
    from tusd_py.engine.arrivals import Arrivals

Pieces = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What to read: bytes `start` up to but not including `stop` (None: the end), `chunk_size` at a time.

    `follow`: wait for what has not arrived yet. `read_ahead`: how many pieces may be in memory before
    they are asked for. Raises ValueError for what makes no sense.
    """

    start: int = 0
    stop: int | None = None
    chunk_size: int = 65536
    follow: bool = False
    read_ahead: int = 4

    def __post_init__(self) -> None:
        if self.start < 0 or (self.stop is not None and self.stop < 0):
            raise ValueError("start and stop are offsets in bytes, from 0 on")
        if self.chunk_size < 1 or self.read_ahead < 1:
            raise ValueError("chunk_size and read_ahead are 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Opens streams of one storage. `interval`: seconds between two looks at an upload that is followed."""

    store: Store
    clock: Clock
    arrivals: Arrivals
    interval: float

    def open(self, upload_id: str, passage: Passage) -> Pieces:
        """See UploadEngine.stream."""
        stored = self._follow(upload_id, passage) if passage.follow else self._read(upload_id, passage)
        return _read_ahead(_regroup(stored, passage.chunk_size), passage.read_ahead)

    async def _read(self, upload_id: str, passage: Passage) -> Pieces:
        """What is there now."""
        upload = await self._load(upload_id)
        stop = upload.offset if passage.stop is None else min(passage.stop, upload.offset)
        position = passage.start
        while position < stop:
            async with aclosing(self._read_once(upload, position, stop)) as chunks:
                async for chunk in chunks:
                    position += len(chunk)
                    yield chunk

    async def _follow(self, upload_id: str, passage: Passage) -> Pieces:
        """What is there and what comes, until the upload is complete."""
        position = passage.start
        with self.arrivals.watch(upload_id) as news:
            while passage.stop is None or position < passage.stop:
                news.clear()  # before the look: what changes after it is news
                upload = await self._load(upload_id)
                if passage.start < position > upload.offset:  # a loss of power took back what was there
                    raise StoreError(f"upload {upload_id}: of {position} bytes {upload.offset} are left")
                stop = upload.offset if passage.stop is None else min(passage.stop, upload.offset)
                if position < stop:
                    try:
                        async with aclosing(self._read_once(upload, position, stop)) as chunks:
                            async for chunk in chunks:
                                position += len(chunk)
                                yield chunk
                    except UploadIncompleteError:  # its storage gives these back when all are there
                        await self._pause(news)
                elif upload.state is UploadState.COMPLETE:
                    return
                else:
                    await self._pause(news)

    async def _load(self, upload_id: str) -> Upload:
        upload = await self.store.load(upload_id)
        rules.check_alive(upload, self.clock())
        if upload.kind is UploadKind.FINAL and upload.state is not UploadState.COMPLETE:
            return replace(upload, offset=0)  # half a join may be begun anew
        return upload

    async def _read_once(self, upload: Upload, start: int, stop: int) -> Pieces:
        """Some of the bytes, at least one: what breaks off after that can be taken up by the next call."""
        position = start
        try:
            async with (
                self.store.open(upload) as reader,
                _closing(reader.chunks(start, min(stop, reader.size))) as chunks,
            ):
                async for chunk in chunks:
                    position += len(chunk)
                    yield chunk
        except StoreError:
            if position == start:
                raise
        if position == start:
            raise StoreError(f"upload {upload.id}: no byte at {start}, where {stop} are stored")

    async def _pause(self, news: asyncio.Event) -> None:
        if self.arrivals.is_over:
            raise ServerShutdownError
        with suppress(TimeoutError):
            async with asyncio.timeout(self.interval):
                await news.wait()


async def _regroup(stored: Pieces, size: int) -> Pieces:
    """The same bytes in pieces of `size`; the last one may be shorter."""
    held = bytearray()
    async with aclosing(stored):
        async for chunk in stored:
            held += chunk
            while len(held) >= size:
                yield bytes(memoryview(held)[:size])
                del held[:size]
    if held:
        yield bytes(held)


async def _read_ahead(source: Pieces, pieces: int) -> Pieces:
    """What `source` gives, up to `pieces` of it fetched before they are asked for, and never more.

    The source is read and closed by one task, which ends with this iteration, however that ends.
    """
    room = asyncio.Semaphore(pieces)
    fetched: asyncio.Queue[bytes] = asyncio.Queue()

    async def fetch() -> None:
        try:
            async with aclosing(source):
                await room.acquire()
                async for piece in source:
                    fetched.put_nowait(piece)
                    await room.acquire()
        finally:
            fetched.put_nowait(b"")  # no piece is empty: this is the end, be it good or bad

    fetching = asyncio.create_task(fetch(), name="read-ahead")
    try:
        while piece := await fetched.get():
            room.release()
            yield piece
        await fetching  # raises what ended it
    finally:
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)


@asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Let a reader's chunks let go of what they are read from."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
