"""Bodies that last: every piece counts as soon as it is stored, and a sign of life holds the upload."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.scene import Crash, Scene, sum_of
from tusd_py.core.errors import BodyInterruptedError, LengthExceededError
from tusd_py.core.intents import Append
from tusd_py.core.model import Lifetime, Upload
from tusd_py.core.outcomes import BodyEnd
from tusd_py.locks.memory import MemoryLocker
from tusd_py.testing import ScriptedBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tusd_py.core.checksums import Checksum
    from tusd_py.core.ports import Lock

MINUTE = 60.0


async def receive(
    scene: Scene, upload_id: str, body: ScriptedBody, told: list[int], checksum: Checksum | None = None
) -> Upload:
    """Append `body` at the beginning; `told` gets what `on_commit` hears."""
    intent = Append(upload_id=upload_id, offset=0, body_length=None, checksum=checksum)
    return (await scene.engine.append(intent, body, on_commit=told.append)).upload


async def test_each_offset_that_is_told_counts_already() -> None:
    """While the body goes on, the store has every byte whose offset was told."""
    scene, gate, told = Scene(), asyncio.Event(), list[int]()
    upload = await scene.create(None)
    body = ScriptedBody([b"a" * 10, b"b" * 5, gate, b"c" * 7])

    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(receive(scene, upload.id, body, told))
        await body.paused.wait()
        seen, told_by_then = await scene.store.load(upload.id), list(told)
        gate.set()

    assert (seen.offset, told_by_then) == (15, [10, 15])
    assert (receiving.result().offset, told) == (22, [10, 15, 22])
    assert await scene.stored(upload.id) == b"a" * 10 + b"b" * 5 + b"c" * 7


async def test_a_crash_takes_nothing_back_that_was_told() -> None:
    """The process dies in the middle of a write: what was told before is there after it."""
    scene, told = Scene(), list[int]()
    upload = await scene.create(None)
    scene.script(write=[None, None, Crash()])

    with pytest.raises(Crash):
        await receive(scene, upload.id, ScriptedBody([b"a" * 10, b"b" * 5, b"c" * 7]), told)
    scene.restart()

    assert told == [10, 15]
    assert (await scene.head(upload.id)).offset >= 15


async def test_a_body_that_breaks_off_keeps_what_was_told() -> None:
    """However it ends, the last offset that was told is the upload's."""
    scene, told = Scene(), list[int]()
    upload = await scene.create(None)

    with pytest.raises(BodyInterruptedError) as caught:
        await receive(scene, upload.id, ScriptedBody([b"a" * 9], BodyEnd.DISCONNECTED), told)

    assert (told, caught.value.offset, (await scene.head(upload.id)).offset) == ([9], 9, 9)


async def test_a_chunk_with_a_checksum_tells_nothing_before_it_is_verified() -> None:
    """tus 1.0.0, Checksum: such a chunk counts whole or not at all, so nothing is told on the way."""
    scene, told = Scene(), list[int]()
    upload = await scene.create(None)

    body = ScriptedBody([b"ab", b"cd"])
    appended = await receive(scene, upload.id, body, told, checksum=sum_of(b"abcd"))

    assert (appended.offset, told) == (4, [])


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "not told"])
@pytest.mark.parametrize("minutes", [[20, 20, 20, 20], [14] * 10, [1] * 90])
async def test_an_upload_does_not_expire_by_a_crash_within_a_long_body(
    minutes: list[int], *, is_told: bool
) -> None:
    """Bytes came until a moment ago, so three quarters of the lifetime are left after the crash."""
    scene, told = Scene(lifetime=Lifetime(unfinished=timedelta(hours=1))), list[int]()
    upload = await scene.create(None)
    begun = scene.clock()

    class Lasting(ScriptedBody):
        async def chunks(self) -> AsyncIterator[bytes]:
            for pause in minutes:
                scene.clock.advance(pause * MINUTE)
                yield b"x"
            raise Crash

    body = Lasting([])
    receiving = receive(scene, upload.id, body, told) if is_told else scene.append(upload.id, 0, body=body)
    with pytest.raises(Crash):
        await receiving
    scene.restart()
    on_record = await scene.store.load(upload.id)

    assert scene.clock() - begun >= timedelta(minutes=80)
    assert on_record.expires_at is not None
    assert on_record.expires_at - scene.clock() > timedelta(minutes=45)
    assert (await scene.head(upload.id)).offset == len(minutes)
    assert told == (list(range(1, len(minutes) + 1)) if is_told else [])


class _AttentiveLocker:
    """A locker that counts how often holders made progress."""

    def __init__(self) -> None:
        self.touches = 0
        self._inner = MemoryLocker()

    @asynccontextmanager
    async def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[Lock]:
        outer = self

        class Counting:
            def touch(self) -> None:
                outer.touches += 1
                lock.touch()

        holding = self._inner.hold(upload_id, timeout=timeout, on_takeover=on_takeover, silence=silence)
        async with holding as lock:
            yield Counting()


async def test_an_empty_piece_is_a_sign_of_life() -> None:
    """It says to the lock that the holder is there, and changes nothing else."""
    scene, told = Scene(), list[int]()
    scene.engine.locker = locker = _AttentiveLocker()
    upload = await scene.create(None)

    appended = await receive(scene, upload.id, ScriptedBody([b"", b"", b"abc", b""]), told)

    assert (locker.touches, told, appended.offset) == (4, [3], 3)


async def test_a_complete_upload_takes_a_sign_of_life_and_no_byte() -> None:
    """An empty piece is not a byte too many; one byte is."""
    scene = Scene()
    upload = await scene.create(3, b"abc")

    appended = await scene.append(upload.id, 3, b"", b"")
    with pytest.raises(LengthExceededError):
        await scene.append(upload.id, 3, b"", b"d")

    assert appended.offset == 3
