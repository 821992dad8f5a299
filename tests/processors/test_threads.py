"""Processors that block: in threads of their own, with the same bytes, and never two on one upload."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.recipients import Delivery
from tests.support.payload import make_bytes
from tusd_py.core.events import DeliveryFailed, UploadDelivered
from tusd_py.processors.threads import GivenUpError, Threaded
from tusd_py.testing.kit import make_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tusd_py.core.model import Upload

CONTENT = make_bytes(3_000, seed=31)
UPLOAD = make_upload(length=9)


async def some(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_blocking_processor_gets_the_same_bytes() -> None:
    """In pieces to be iterated over, in a thread that is not the loop's."""
    given: list[tuple[str, bytes, bool]] = []

    def blocks(upload: Upload, pieces: Iterator[bytes]) -> None:
        in_loop = threading.current_thread() is threading.main_thread()
        given.append((upload.id, b"".join(pieces), in_loop))

    scene = Delivery(None, {"blocks": Threaded(blocks, name="blocks", threads=1)})

    async with scene.delivering():
        upload = await scene.create(len(CONTENT), CONTENT)
        await scene.ear.hear(UploadDelivered)

    assert given == [(upload.id, CONTENT, False)]


async def test_its_errors_are_failed_attempts() -> None:
    """Whatever it raises, also what no future can hold."""
    errors: list[BaseException] = [StopIteration(), SystemExit(1), OSError("disk")]

    def fails(upload: Upload, pieces: Iterator[bytes]) -> None:
        raise errors.pop(0)

    scene = Delivery(None, {"fails": Threaded(fails, name="fails", threads=1)})

    async with scene.delivering():
        await scene.create(len(CONTENT), CONTENT)
        for attempt in (1, 2, 3):
            failed = await scene.ear.hear(DeliveryFailed, attempt)
            await scene.pass_time(600 if attempt < 3 else 0)

    assert [type(event.error) for event in failed] == [RuntimeError, SystemExit, OSError]


async def test_one_that_is_cut_short_hears_of_it_at_the_next_piece() -> None:
    """The call does not end before the function has, so that no other attempt begins beside it."""
    asked, answer = threading.Event(), threading.Event()
    heard: list[type[BaseException]] = []

    def works(upload: Upload, pieces: Iterator[bytes]) -> None:
        next(pieces)
        asked.set()
        answer.wait(30)
        try:
            next(pieces)
        except GivenUpError as error:
            heard.append(type(error))
            raise

    calling = asyncio.create_task(Threaded(works, name="works", threads=1)(UPLOAD, some(b"one", b"two")))
    await asyncio.to_thread(asked.wait, 30)
    calling.cancel()
    await asyncio.sleep(0)
    calling.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    was_waiting = not calling.done()
    answer.set()
    with pytest.raises(asyncio.CancelledError):
        await calling

    assert was_waiting
    assert heard == [GivenUpError]


async def test_a_coroutine_function_in_disguise_is_no_success() -> None:
    """Nobody awaited what it returned: nothing was done."""

    async def works(upload: Upload, pieces: Any) -> None: ...

    disguised = Threaded(works, name="works", threads=1)

    with pytest.raises(TypeError, match="async def"):
        await disguised(UPLOAD, some())
