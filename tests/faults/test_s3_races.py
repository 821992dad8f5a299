"""Requests for one upload that meet: one after the other at one server, beside each other at two."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.faults.s3_travels import MIB, PART, Harbour, body_of, harbour, pieces_of
from tests.support import s3_faults
from tests.support.payload import Payload, make_bytes
from tests.support.s3_operations import Operation
from tests.support.s3_proxy import S3FaultProxy
from tusd_py.core.errors import (
    BodyInterruptedError,
    OffsetMismatchError,
    TusdError,
    UploadNotFoundError,
)
from tusd_py.core.intents import Append, Create, ReadOffset, Terminate
from tusd_py.core.model import Metadata, Upload, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.testing import ScriptedBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.faults import Fault
    from tests.support.seaweed import SeaweedProcess
    from tusd_py.engine.uploads import UploadEngine

FILE = Payload(size=2 * PART + 1_000, seed=3)


@dataclass(slots=True, kw_only=True)
class Meeting:
    """Two servers that share nothing but a bucket, and an upload of `FILE` that has just been created.

    Whatever the first server does goes through `proxy`.
    """

    place: Harbour
    proxy: S3FaultProxy
    first: UploadEngine
    second: UploadEngine
    upload: Upload

    async def append(
        self,
        engine: UploadEngine,
        offset: int = 0,
        data: bytes | None = None,
        body: ScriptedBody | None = None,
    ) -> Upload:
        """One PATCH with the rest of `FILE`, or with `data`."""
        data = FILE.data[offset:] if data is None else data
        intent = Append(upload_id=self.upload.id, offset=offset, body_length=len(data))
        return (await engine.append(intent, body or body_of(data))).upload

    async def begin_stalled(self, data: bytes = FILE.data) -> tuple[ScriptedBody, asyncio.Task[Upload]]:
        """A PATCH at the first server: its first part is held, and its client falls silent 1 MiB later."""
        self.proxy.script(s3_faults.hold(Operation.UPLOAD_PART))
        body = ScriptedBody([*pieces_of(data[: PART + MIB]), asyncio.Event()])
        running = asyncio.create_task(self.append(self.first, body=body))
        await self.struck()
        await body.paused.wait()
        return body, running

    async def inspect(self, engine: UploadEngine) -> Upload:
        """One HEAD."""
        return (await engine.inspect(ReadOffset(upload_id=self.upload.id))).upload

    async def struck(self, times: int = 1) -> None:
        """Wait until so many calls are held."""
        await asyncio.to_thread(self.proxy.wait, lambda it: len(it.fired) == times)

    async def release(self) -> None:
        """Let them go."""
        await asyncio.to_thread(self.proxy.release)

    async def resume(self, engine: UploadEngine) -> Upload:
        """Ask, send the rest, and see that the file is right."""
        upload = await self.inspect(engine)
        if upload.state is not UploadState.COMPLETE:
            upload = await self.append(engine, upload.offset)
        self.place.check_content(upload.id, FILE)
        return upload


@asynccontextmanager
async def meeting(seaweed: SeaweedProcess) -> AsyncIterator[Meeting]:
    """At the end, what is not a finished file has left nothing behind."""
    with S3FaultProxy("127.0.0.1", seaweed.port) as proxy:
        async with harbour(seaweed, proxy.origin) as place:
            first, second = place.server(), place.server(direct=True)
            created = await first.create(Create(length=FILE.size, metadata=Metadata()), body_of(b""))
            yield Meeting(place=place, proxy=proxy, first=first, second=second, upload=created.upload)
            await place.tidy_up()
            place.check_nothing_is_left([])


# -- at one server: the lock ------------------------------------------------------------------------


async def test_a_second_append_takes_over_from_one_whose_part_is_on_its_way(
    seaweed: SeaweedProcess,
) -> None:
    """The first keeps what it has sent; the second, which does not know of it, is told where that ends."""
    async with meeting(seaweed) as it:
        body, one = await it.begin_stalled()
        other = asyncio.create_task(it.append(it.first))
        await until(lambda: body.end is BodyEnd.SUPERSEDED)
        await it.release()
        ends = await asyncio.gather(one, other, return_exceptions=True)

        assert isinstance(ends[0], BodyInterruptedError)
        assert isinstance(ends[1], OffsetMismatchError)
        assert ends[0].offset == ends[1].expected == PART + MIB
        await it.resume(it.first)


async def test_a_termination_leaves_nothing_of_a_part_that_is_on_its_way(seaweed: SeaweedProcess) -> None:
    """The append ends first; whatever it had under way is gone with the upload, and stays gone."""
    async with meeting(seaweed) as it:
        body, one = await it.begin_stalled()
        other = asyncio.create_task(it.first.terminate(Terminate(upload_id=it.upload.id)))
        await until(lambda: body.end is BodyEnd.SUPERSEDED)
        await it.release()
        ends = await asyncio.gather(one, other, return_exceptions=True)

        assert isinstance(ends[0], BodyInterruptedError)
        assert not isinstance(ends[1], BaseException)
        with pytest.raises(UploadNotFoundError):
            await it.inspect(it.first)
        assert it.place.seaweed.objects(it.place.prefix) == {}
        assert it.place.seaweed.unfinished(it.place.prefix) == []


@pytest.mark.parametrize("hold", [s3_faults.hold, s3_faults.hold_response])
async def test_whoever_asks_during_the_completion_hears_of_the_end_alone(
    seaweed: SeaweedProcess, hold: Callable[[Operation], Fault]
) -> None:
    """HEAD and an empty PATCH wait for CompleteMultipartUpload; it is called once, and all are right."""
    async with meeting(seaweed) as it:
        it.proxy.script(hold(Operation.COMPLETE_MULTIPART_UPLOAD))
        one = asyncio.create_task(it.append(it.first))
        await it.struck()
        others = [
            asyncio.create_task(it.inspect(it.first)),
            asyncio.create_task(it.append(it.first, FILE.size)),
        ]
        done, _ = await asyncio.wait([one, *others], timeout=0.1)
        await it.release()
        uploads = await asyncio.gather(one, *others)

        assert not done
        assert {upload.state for upload in uploads} == {UploadState.COMPLETE}
        assert it.proxy.calls[Operation.COMPLETE_MULTIPART_UPLOAD] == 1
        it.place.check_content(it.upload.id, FILE)


# -- at two servers, neither of which knows of the other --------------------------------------------


async def test_a_completion_that_comes_late_finds_the_file_finished(seaweed: SeaweedProcess) -> None:
    """The call of one server stands still, the other one finishes: both report success, and are right."""
    async with meeting(seaweed) as it:
        it.proxy.script(s3_faults.hold(Operation.COMPLETE_MULTIPART_UPLOAD))
        late = asyncio.create_task(it.append(it.first))
        await it.struck()
        finished = await it.inspect(it.second)
        await it.release()

        assert finished.state is UploadState.COMPLETE
        assert (await late).state is UploadState.COMPLETE
        it.place.check_content(it.upload.id, FILE)


@pytest.mark.parametrize("offset", [PART, PART + 1, PART + MIB, FILE.size])
async def test_a_part_of_a_server_that_lost_the_upload_changes_no_byte(
    seaweed: SeaweedProcess, offset: int
) -> None:
    """It has other bytes, and arrives when the other server is at `offset`: what that one stored counts."""
    async with meeting(seaweed) as it:
        body, stale = await it.begin_stalled(make_bytes(FILE.size, seed=99))
        cut_short = ScriptedBody(pieces_of(FILE.data[:offset]), end=BodyEnd.DISCONNECTED)
        one = asyncio.create_task(it.append(it.second, body=cut_short))
        await asyncio.wait([one])
        await it.release()
        body.cut(BodyEnd.SUPERSEDED)
        await asyncio.wait([stale])
        told = await it.inspect(it.second)
        await it.resume(it.second)

        assert isinstance(stale.exception(), TusdError)
        assert told.offset == offset


async def test_a_removed_upload_does_not_come_back_by_a_late_part(seaweed: SeaweedProcess) -> None:
    """The part arrives after the termination at the other server: 404 for good, and nothing is left."""
    async with meeting(seaweed) as it:
        body, stale = await it.begin_stalled()
        await it.second.terminate(Terminate(upload_id=it.upload.id))
        await it.release()
        body.cut(BodyEnd.SUPERSEDED)
        with pytest.raises(TusdError):
            await stale

        for engine in (it.first, it.second):
            with pytest.raises(UploadNotFoundError):
                await it.inspect(engine)


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - a turn of the loop is all that is waited for
            await asyncio.sleep(0)
