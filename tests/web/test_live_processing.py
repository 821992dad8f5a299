"""A live processor gets what is stored, in order and in pieces; what it does wrong costs nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tusd_py.core.model import Upload
from tusd_py.web.live_body import QUEUE_LIMIT
from tusd_py.web.live_news import News
from tusd_py.web.live_processing import Processing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.core.ports import LiveProcessor

UPLOAD = Upload(id="c0ffee", name="c0ffee.webm", created_at=datetime(2026, 1, 1, tzinfo=UTC), offset=100)
Given = list[tuple[int, bytes]]


class Stage:
    """A processing with its news, and what its processor was given: where it began, and each piece."""

    def __init__(self, processor: LiveProcessor | None, *, patience: float = 60.0) -> None:
        self.news = News(with_results=processor is not None)
        self.processing = Processing(processor, chunk_size=4, patience=patience, news=self.news)
        self.processing.begin(UPLOAD)

    async def run(self, *frames: bytes) -> list[dict[str, Any]]:
        """Feed the frames, let everything be processed; what the client is told."""
        for frame in frames:
            self.processing.feed(frame)
        self.processing.finish()
        await self.processing.run()
        self.news.end()
        return [message async for message in self.news.messages()]


async def echo(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
    """Tells every piece, and where the run began."""
    async for chunk in chunks:
        yield [upload.offset, chunk.decode()]


async def test_frames_come_in_pieces_and_in_order() -> None:
    """Each frame is cut by itself into pieces of the chunk size, so that none waits for the next."""
    said = await Stage(echo).run(b"abcdefghij", b"k", b"lmno")

    results = [result for message in said for result in message["results"]]
    assert results == [[100, text] for text in ("abcd", "efgh", "ij", "k", "lmno")]
    assert said[-1]["chunks_processed"] == 5


async def test_without_a_processor_pieces_are_counted() -> None:
    """They count as processed when they are stored, and no results are spoken of."""
    stage = Stage(None)
    stage.processing.feed(b"abcde")
    stage.news.acknowledge(5)

    assert await stage.run() == [{"offset": 5, "chunks_processed": 2}]


async def test_a_processor_may_have_last_words() -> None:
    """Its iteration ends with the connection, and what it yields then is told as well."""

    async def total(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        size = sum([len(chunk) async for chunk in chunks])
        yield size

    said = await Stage(total).run(b"abcdefghij", b"klm")

    assert said[-1]["results"] == [13]


async def test_a_processor_that_fails_is_called_again_behind_the_piece() -> None:
    """The client is told, the piece counts, and nothing is given twice."""
    given: Given = []

    async def failing(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        async for chunk in chunks:
            given.append((upload.offset, chunk))
            if chunk == b"efgh":
                raise RuntimeError("no")
            yield len(chunk)

    said = await Stage(failing).run(b"abcdefghij", b"kl")

    assert given == [(100, b"abcd"), (100, b"efgh"), (108, b"ij"), (108, b"kl")]
    assert [message["error"]["code"] for message in said if "error" in message] == ["ERR_LIVE_PROCESSOR"]
    assert [result for message in said for result in message.get("results", ())] == [4, 2, 2]
    assert said[-1].get("chunks_processed", 4) == 4
    assert "no" not in str(said)


class _Broken:
    def __init__(self, kind: str) -> None:
        self.calls = 0
        self._kind = kind

    def __call__(self, upload: Upload, chunks: AsyncIterator[bytes]) -> Any:
        self.calls += 1
        if self._kind == "raises":
            raise ValueError
        return 3 if self._kind == "no iterator" else self._results()

    async def _results(self) -> AsyncIterator[object]:
        if self._kind == "raises before it takes":
            raise ValueError
        yield object()


@pytest.mark.parametrize(
    "kind", ["raises", "no iterator", "raises before it takes", "yields what is no JSON"]
)
async def test_a_processor_that_never_takes_a_piece_is_gone_past(kind: str) -> None:
    """Each failure costs it one piece, so that it ends; the bytes are stored all the same."""
    processor = _Broken(kind)
    stage = Stage(processor)
    said = await stage.run(b"abcdefghij")

    assert (processor.calls, stage.news.processed) == (3, 3)
    assert "error" in said[-1]


async def test_a_processor_that_has_seen_enough_gets_no_more() -> None:
    """Returning is no failure: the rest is counted and not given."""
    given: Given = []

    async def first_only(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        async for chunk in chunks:
            given.append((upload.offset, chunk))
            yield "enough"
            return

    stage = Stage(first_only)
    said = await stage.run(b"abcdefghij")
    stage.processing.feed(b"klmno")

    assert given == [(100, b"abcd")]
    assert (stage.news.processed, stage.processing.has_room()) == (5, True)
    assert all("error" not in message for message in said)


@pytest.mark.parametrize("takes", [True, False])
async def test_a_processor_that_hangs_is_given_up(takes: bool) -> None:
    """Over a piece, or before it takes one: it would hold up its client for as long again and again."""
    given: Given = []

    async def hanging(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        if takes:
            given.append((upload.offset, await anext(chunks)))
        await asyncio.Event().wait()
        yield None

    stage = Stage(hanging, patience=0.001)
    said = await stage.run(b"abcdefgh", b"ij")
    stage.processing.feed(b"klmno")

    assert given == ([(100, b"abcd")] if takes else [])
    assert [message["error"]["code"] for message in said if "error" in message] == ["ERR_LIVE_PROCESSOR"]
    assert (stage.news.processed, stage.processing.has_room()) == (5, True)


async def test_a_timeout_of_the_processor_s_own_is_a_failure_like_others() -> None:
    """It was not us who lost patience, so it is called again."""
    given: Given = []

    async def impatient(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        async for chunk in chunks:
            given.append((upload.offset, chunk))
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
            yield None

    await Stage(impatient).run(b"abcdefgh")

    assert given == [(100, b"abcd"), (104, b"efgh")]


async def test_a_processor_has_all_the_time_when_nothing_is_asked_of_it() -> None:
    """Waiting for the next piece is no hanging, not even for one that has no time at all for a piece."""
    stage = Stage(echo, patience=0)

    async with asyncio.TaskGroup() as group:
        group.create_task(stage.processing.run())
        for count, frame in enumerate((b"ab", b"cd"), start=1):
            stage.processing.feed(frame)
            while stage.news.processed < count:  # noqa: ASYNC110 - the loop's timers get their turns
                await asyncio.sleep(0)
            await asyncio.to_thread(str)
        stage.processing.finish()
    said = await stage.run()

    assert said == [{"offset": 0, "chunks_processed": 2, "results": [[100, "ab"], [100, "cd"]]}]


async def test_a_processor_that_takes_nothing_fills_a_bounded_backlog() -> None:
    """There is no room beyond the limit; room is announced when a piece is taken."""
    gate, told_of_room = asyncio.Event(), 0

    async def waiting(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        await gate.wait()
        async for chunk in chunks:
            if not chunk:  # it never is, so there are no results
                yield None

    def on_room() -> None:
        nonlocal told_of_room
        told_of_room += 1

    stage = Stage(waiting)
    stage.processing.on_room = on_room
    fed = 0
    while stage.processing.has_room():
        stage.processing.feed(b"abcd")
        fed += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(stage.run())
        gate.set()

    assert (fed - 1) * (4 + 128) <= QUEUE_LIMIT
    assert (told_of_room, stage.news.processed) == (fed, fed)


async def test_the_position_moves_with_what_is_taken() -> None:
    """A run that begins later is told where: the upload's offset is that of its first piece."""
    begun: list[int] = []

    async def one_each(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        begun.append(upload.offset)
        yield (await anext(chunks)).decode()
        raise RuntimeError

    stage = Stage(one_each)
    stage.processing.begin(replace(UPLOAD, offset=1000))
    await stage.run(b"abcdefghij")

    assert begun == [1000, 1004, 1008]
