"""Frames as a body: in order, bounded, alive, and whole before it ends."""

from __future__ import annotations

import asyncio

import pytest

from tusd_py.core.outcomes import BodyEnd
from tusd_py.web.live_body import QUEUE_LIMIT, FrameBody

FRAMES = [b"one", b"two", b"", b"three"]


def body(*, may_go_on: bool = True, beat: float = 60.0) -> FrameBody:
    """A body that nothing has come to."""
    return FrameBody(beat=beat, may_go_on=lambda: may_go_on)


async def drain(frames: FrameBody) -> bytes:
    """Everything that is handed out."""
    return b"".join([piece async for piece in frames.chunks()])


async def first_piece(frames: FrameBody) -> bytes:
    """What is handed out first."""
    return await anext(frames.chunks())


async def fill(frames: FrameBody) -> None:
    """Put all of FRAMES."""
    for frame in FRAMES:
        await frames.put(frame)


@pytest.mark.parametrize("why", [None, BodyEnd.DISCONNECTED, BodyEnd.SUPERSEDED, BodyEnd.MALFORMED])
async def test_whatever_came_is_handed_out_before_the_end(why: BodyEnd | None) -> None:
    """Also when nobody may go on: at the end every frame counts, in order (Body.chunks)."""
    frames = body(may_go_on=False)
    await fill(frames)
    frames.finish() if why is None else frames.cut(why)

    assert await drain(frames) == b"onetwothree"
    assert frames.end is (why or BodyEnd.WHOLE)


@pytest.mark.parametrize("why", [BodyEnd.TOO_LONG, BodyEnd.STOPPED])
async def test_a_cut_of_the_engine_ends_at_once(why: BodyEnd) -> None:
    """What does not fit, or is not wanted, is not handed out again and again, finished or not."""
    frames = body()
    await fill(frames)
    frames.finish()
    frames.cut(why)

    assert await drain(frames) == b""
    assert frames.end is why


@pytest.mark.parametrize("why", [BodyEnd.SUPERSEDED, BodyEnd.SHUTDOWN])
async def test_who_is_cut_when_everything_had_come_is_whole(why: BodyEnd) -> None:
    """The client had said its last word, so nothing of it is missing."""
    frames = body()
    await fill(frames)
    frames.finish()
    frames.cut(why)

    assert (await drain(frames), frames.end) == (b"onetwothree", BodyEnd.WHOLE)


async def test_the_first_reason_stays() -> None:
    """A later cut does not replace an earlier one, and none comes after the end (Body.cut)."""
    frames, over = body(), body()
    frames.cut(BodyEnd.TIMED_OUT)
    frames.cut(BodyEnd.SHUTDOWN)
    over.finish()
    await drain(over)
    over.cut(BodyEnd.SHUTDOWN)

    assert (frames.end, over.end) == (BodyEnd.TIMED_OUT, BodyEnd.WHOLE)


async def test_a_cut_ends_the_waiting() -> None:
    """A body that waits for a frame ends in that moment."""
    frames = body()

    async with asyncio.TaskGroup() as group:
        draining = group.create_task(drain(frames))
        await frames.started.wait()
        frames.cut(BodyEnd.SUPERSEDED)

    assert (draining.result(), frames.end) == (b"", BodyEnd.SUPERSEDED)


async def test_a_silent_body_shows_that_it_is_there() -> None:
    """While nothing comes, or nobody may go on, there is an empty piece every beat."""
    silent, held_up = body(beat=0.001), body(beat=0.001, may_go_on=False)
    await held_up.put(b"abc")

    for frames in (silent, held_up):
        pieces = frames.chunks()
        assert [await anext(pieces), await anext(pieces)] == [b"", b""]


async def test_frames_wait_until_they_may_go_on() -> None:
    """A processor that is behind holds the body up; `wake` makes it look again."""
    allowed = False
    frames = FrameBody(beat=60.0, may_go_on=lambda: allowed)
    await frames.put(b"one")

    async with asyncio.TaskGroup() as group:
        draining = group.create_task(first_piece(frames))
        await frames.started.wait()
        is_waiting = not draining.done()
        allowed = True
        frames.wake()

    assert (is_waiting, draining.result()) == (True, b"one")


@pytest.mark.parametrize("size", [0, 1, 1000, QUEUE_LIMIT, 2 * QUEUE_LIMIT])
async def test_only_so_much_is_taken_ahead(size: int) -> None:
    """Who sends waits when the queue is full, by bytes or by frames, and goes on when it is not."""
    frames, put = body(), 0

    async def send() -> None:
        nonlocal put
        for _ in range(5000):
            await frames.put(bytes(size))
            put += 1

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send())
        for _ in range(3):
            await asyncio.sleep(0)
        taken_ahead = put
        pieces = frames.chunks()
        piece = await anext(pieces)
        while put == taken_ahead:  # noqa: ASYNC110 - nothing else tells how far the sender is
            await asyncio.sleep(0)
        frames.cut(BodyEnd.TOO_LONG)
        await drain(frames)
        sending.cancel()

    assert taken_ahead * (size + 128) <= QUEUE_LIMIT
    assert len(piece) == (taken_ahead + 1) * size


async def test_what_is_stored_is_told_frame_by_frame() -> None:
    """As far as it is stored, across the pieces in which it was handed out."""
    frames = body()
    await frames.put(b"abc")
    await frames.put(b"defg")
    pieces = frames.chunks()
    first = await anext(pieces)
    await frames.put(b"hi")
    frames.finish()

    assert (first, await anext(pieces)) == (b"abcdefg", b"hi")
    assert frames.take_stored(5) == [b"abc", b"de"]
    assert frames.take_stored(0) == []
    assert frames.take_stored(4) == [b"fg", b"hi"]
