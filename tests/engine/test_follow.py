"""Following: a stream of an upload that is still arriving has every byte once, and ends with its last."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.scene import HOUR, Scene, sum_of
from tests.support.payload import cut_points, make_bytes
from tusd_py import stream
from tusd_py.core.errors import (
    BodyInterruptedError,
    ChecksumMismatchError,
    ServerShutdownError,
    StoreError,
    TusdError,
    UploadExpiredError,
    UploadFailedError,
    UploadNotFoundError,
    UploadRejectedError,
)
from tusd_py.core.intents import Append, Terminate
from tusd_py.core.model import Lifetime, Upload
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.ports import Hook
from tusd_py.engine.patience import Patience
from tusd_py.stores.local import LocalStore
from tusd_py.testing import ScriptedBody

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

CONTENT = make_bytes(20_000, seed=12)

NEVER = Patience(follow_interval=10**6)
"""Whoever follows hears of everything, or waits until the test is given up."""

AT_ONCE = Patience(follow_interval=0.001)
"""Whoever follows looks by itself."""


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(str(tmp_path), chunk_size=300)
    yield store
    await store.close()


class Follower:
    """Follows an upload in a task of its own; `data` is what it was given so far."""

    def __init__(self, scene: Scene, upload_id: str, **passage: Any) -> None:
        self.data = b""
        self.task = asyncio.create_task(self._take(stream(scene.engine, upload_id, follow=True, **passage)))

    async def _take(self, pieces: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(pieces):
            async for piece in pieces:
                self.data += piece

    async def has(self, size: int) -> None:
        """Wait until it was given so many bytes."""
        while len(self.data) < size:
            assert not self.task.done(), self.task
            await asyncio.sleep(0)


async def test_every_byte_of_a_slow_upload_comes_as_it_arrives(local: LocalStore) -> None:
    """Without a look at the storage in between, each chunk is handed on before the next one is sent."""
    scene = Scene(local, patience=NEVER)
    upload = await scene.create(len(CONTENT))
    follower = Follower(scene, upload.id, chunk_size=100)

    for start in range(0, len(CONTENT), 2000):
        await scene.append(upload.id, start, CONTENT[start : start + 2000])
        await follower.has(start + 2000)
    await follower.task

    assert follower.data == CONTENT


async def test_pieces_that_count_at_once_come_within_one_body(local: LocalStore) -> None:
    """A body whose every piece is committed, as a live one is: followers need not wait for its end."""
    scene = Scene(local, patience=NEVER)
    upload = await scene.create(None, CONTENT[:10])
    follower = Follower(scene, upload.id, chunk_size=10)
    gate, committed = asyncio.Event(), list[int]()
    intent = Append(upload_id=upload.id, offset=10, body_length=None, declared_length=len(CONTENT))
    body = ScriptedBody([CONTENT[10:3000], gate, CONTENT[3000:]])

    sending = asyncio.create_task(scene.engine.append(intent, body, on_commit=committed.append))
    await follower.has(3000)
    was_sending = not sending.done()
    gate.set()
    await asyncio.gather(sending, follower.task)

    assert was_sending
    assert committed == [3000, len(CONTENT)]
    assert follower.data == CONTENT


async def test_cuts_and_resumptions_do_not_show(local: LocalStore) -> None:
    """The client is cut again and again, in the middle of pieces, and goes on where the server says."""
    scene = Scene(local, patience=NEVER)
    upload = await scene.create(len(CONTENT))
    follower = Follower(scene, upload.id, chunk_size=512)

    offset = 0
    for end in cut_points(len(CONTENT), 12, seed=3):
        with pytest.raises(BodyInterruptedError):
            await scene.append(upload.id, offset, CONTENT[offset:end], end=BodyEnd.DISCONNECTED)
        offset = (await scene.head(upload.id)).offset
    await scene.append(upload.id, offset, CONTENT[offset:])
    await follower.task

    assert follower.data == CONTENT


async def test_what_is_discarded_is_never_seen(local: LocalStore) -> None:
    """tus 1.0.0, Checksum: the bytes of a chunk that does not sum up do not get into the stream."""
    scene = Scene(local, patience=AT_ONCE)
    upload = await scene.create(len(CONTENT), CONTENT[:500])
    follower = Follower(scene, upload.id, chunk_size=10)
    gate = asyncio.Event()

    wrong = asyncio.create_task(
        scene.append(upload.id, 500, b"x" * 700, gate, checksum=sum_of(CONTENT[500:1200]))
    )
    await follower.has(500)
    gate.set()
    with pytest.raises(ChecksumMismatchError):
        await wrong
    await scene.append(upload.id, 500, CONTENT[500:], checksum=sum_of(CONTENT[500:]))
    await follower.task

    assert follower.data == CONTENT


async def test_bytes_that_another_process_receives_are_seen(tmp_path: Path) -> None:
    """Another engine over another store on the same folder: nobody tells us, and nothing is missed."""
    async with AsyncExitStack() as stack:
        ours, theirs = (LocalStore(str(tmp_path)) for _ in range(2))
        for store in (ours, theirs):
            stack.push_async_callback(store.close)
        here, there = Scene(ours, patience=AT_ONCE), Scene(theirs)
        upload = await there.create(len(CONTENT))
        follower = Follower(here, upload.id, chunk_size=1000)

        for start in range(0, len(CONTENT), 5000):
            await there.append(upload.id, start, CONTENT[start : start + 5000])
            await follower.has(start + 5000)
        await follower.task

    assert follower.data == CONTENT


async def test_followers_do_not_disturb_each_other(local: LocalStore) -> None:
    """Several at once, each with its own pieces and its own pace, get the same bytes."""
    scene, source = Scene(local, patience=NEVER), random.Random(5)
    upload = await scene.create(len(CONTENT))
    followers = [Follower(scene, upload.id, chunk_size=source.randrange(1, 3000)) for _ in range(5)]

    for start in range(0, len(CONTENT), 1000):
        await scene.append(upload.id, start, CONTENT[start : start + 1000])
    await asyncio.gather(*(follower.task for follower in followers))

    assert [follower.data for follower in followers] == [CONTENT] * 5


async def test_it_ends_at_the_stop_without_waiting_for_the_rest() -> None:
    """What was asked for is there: nothing more is waited for."""
    scene = Scene(patience=NEVER)
    upload = await scene.create(len(CONTENT), CONTENT[:1000])

    follower = Follower(scene, upload.id, start=10, stop=900, chunk_size=99)
    await follower.task

    assert follower.data == CONTENT[10:900]


async def test_it_waits_for_a_beginning_that_is_to_come() -> None:
    """A start beyond the offset is one that has not arrived yet."""
    scene = Scene(patience=NEVER)
    upload = await scene.create(len(CONTENT), CONTENT[:1000])
    follower = Follower(scene, upload.id, start=15_000)

    await scene.append(upload.id, 1000, CONTENT[1000:])
    await follower.task

    assert follower.data == CONTENT[15_000:]


async def test_the_last_byte_is_not_the_end(local: LocalStore) -> None:
    """All bytes are there, but the upload could not be finished: the stream ends when it is."""
    scene = Scene(local, patience=AT_ONCE)
    upload = await scene.create(len(CONTENT))
    scene.script(complete=[StoreError("disk")])
    follower = Follower(scene, upload.id, chunk_size=1000)

    with pytest.raises(StoreError):
        await scene.append(upload.id, 0, CONTENT)
    await follower.has(len(CONTENT))
    was_waiting = not follower.task.done()
    await scene.head(upload.id)
    await follower.task

    assert was_waiting
    assert follower.data == CONTENT


async def test_a_deferred_length_ends_when_it_is_told() -> None:
    """Nobody knows how long it will be, until somebody does."""
    scene = Scene(patience=AT_ONCE)
    upload = await scene.create(None, CONTENT[:5000])
    follower = Follower(scene, upload.id, chunk_size=1000)
    await follower.has(5000)

    stored = await scene.store.load(upload.id)
    assert stored.length is None
    await scene.append(upload.id, 5000, CONTENT[5000:], length=len(CONTENT))
    await follower.task

    assert follower.data == CONTENT


async def test_a_final_is_given_when_it_is_joined(local: LocalStore) -> None:
    """tus 1.0.0, Concatenation: half a join is nobody's file; the parts come in their order."""
    scene = Scene(local, patience=AT_ONCE)
    first = await scene.part(CONTENT[:7000])
    second = await scene.create(len(CONTENT) - 7000, CONTENT[7000:9000], is_partial=True)
    final = await scene.join(first, second.id)
    follower = Follower(scene, final.id)

    await scene.append(second.id, 2000, CONTENT[9000:])
    await follower.task

    assert follower.data == CONTENT


class Refusing(Hook):
    """Lets nothing finish."""

    async def pre_finish(self, upload: Upload) -> None:
        raise UploadRejectedError


async def vetoed(scene: Scene, upload_id: str) -> None:
    with pytest.raises(UploadRejectedError):
        await scene.append(upload_id, 3, CONTENT[3:])


async def terminated(scene: Scene, upload_id: str) -> None:
    await scene.engine.terminate(Terminate(upload_id=upload_id))


async def expired(scene: Scene, upload_id: str) -> None:
    scene.clock.advance(2 * HOUR)


async def stopped(scene: Scene, upload_id: str) -> None:
    scene.engine.stop()


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (vetoed, UploadFailedError),
        (terminated, UploadNotFoundError),
        (expired, UploadExpiredError),
        (stopped, ServerShutdownError),
    ],
)
async def test_an_upload_that_does_not_get_to_its_end_is_an_error(end: Any, error: type[TusdError]) -> None:
    """Not an end like another: whoever takes the pieces must not think that these were all."""
    scene = Scene(
        hooks=[Refusing()],
        lifetime=Lifetime(unfinished=timedelta(hours=1)),
        patience=AT_ONCE,
    )
    upload = await scene.create(len(CONTENT), CONTENT[:3])
    follower = Follower(scene, upload.id, chunk_size=1)
    await follower.has(3)

    await end(scene, upload.id)

    with pytest.raises(error):
        await follower.task


async def test_nobody_is_remembered_who_does_not_follow_any_more() -> None:
    """The list of followers does not grow with the uploads that were followed."""
    scene = Scene(patience=NEVER)
    for _ in range(3):
        upload = await scene.create(3, b"abc")
        await Follower(scene, upload.id).task

    assert scene.engine._arrivals._followers == {}
