"""Every call to S3 of an upload, struck by every fault: the client goes on, nothing is wrong or left."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.engine.scene import HOUR, Scene, sum_of
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FAULTS, FakeS3, Fault, Strike
from tusd_py.core.errors import TusdError
from tusd_py.core.model import UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.engine.janitor import Housekeeping
from tusd_py.testing.kit import sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tusd_py.core.model import Upload
    from tusd_py.stores.s3 import S3Store

DATA = sample(3500, 4)
TRIES = 6


@dataclass
class Client:
    """Uploads as clients do: after any failure it asks how far it is, and goes on there.

    `moves`: it finds another server then, which knows only what is stored. What it was told counts:
    offsets that do not go back, and no last byte before the file is there.
    """

    server: FakeS3
    moves: bool
    told: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scene = Scene(self._open(), housekeeping=Housekeeping(litter_age=timedelta(0)))

    def _open(self) -> S3Store:
        return make_fake_store(self.server, concurrency=2, joined_part=1500)

    async def insist(self, request: Callable[[], Awaitable[Upload]]) -> Upload:
        """Repeat what does not depend on an offset until it is answered."""
        for _ in range(TRIES):
            try:
                return self._note(await request())
            except TusdError:
                self._fail()
        raise AssertionError("the server does not recover")

    async def send(
        self,
        upload_id: str,
        data: bytes,
        stop: int,
        *,
        summed: bool = False,
        end: BodyEnd = BodyEnd.WHOLE,
        length: int | None = None,
    ) -> None:
        """PATCH until the upload is at `stop`; a body that ends in another way than WHOLE once."""
        offset = self.told.get(upload_id, 0)
        for _ in range(TRIES):
            chunk = data[offset:stop]
            checksum = sum_of(chunk) if summed else None
            pieces = [chunk[at : at + 450] for at in range(0, len(chunk), 450)]
            try:
                upload = await self.scene.append(
                    upload_id, offset, *pieces, checksum=checksum, end=end, length=length
                )
                self._note(upload)
            except TusdError:
                end = BodyEnd.WHOLE
                self._fail()
            offset = (await self.insist(lambda: self.scene.head(upload_id))).offset
            if offset >= stop:
                return
        raise AssertionError(f"at {offset} of {stop} after {TRIES} tries")

    def _fail(self) -> None:
        if self.moves:
            self.scene.restart(self._open())

    def _note(self, upload: Upload) -> Upload:
        assert upload.offset >= self.told.get(upload.id, 0), "an acknowledged offset went back"
        if upload.offset == upload.length:
            assert upload.state is UploadState.COMPLETE, "the last byte was told too early"
        self.told[upload.id] = upload.offset
        return upload

    async def finish(self, upload_id: str, data: bytes) -> None:
        """The upload is complete and right, and when all else is removed nothing else is left."""
        upload = await self.insist(lambda: self.scene.head(upload_id))
        assert (upload.state, upload.offset) == (UploadState.COMPLETE, len(data))
        self.server.strike = lambda _operation, _number: None
        assert self.server.objects[f"ours/uploads/{upload.name}"].data == data
        self.scene.restart(self._open())
        self.scene.clock.advance(1000 * HOUR)
        async for other in self.scene.store.list():
            if other != upload_id:
                await self.scene.store.delete(other)
        await self.scene.janitor.sweep()
        await self.scene.janitor.sweep()
        assert self.server.uploads == {}, "a multipart upload is orphaned"
        assert sorted(self.server.objects) == [
            f"ours/state/{upload_id}.json",
            f"ours/uploads/{upload.name}",
        ]


async def in_chunks(client: Client) -> None:
    """A known length, chunks that end within parts and on their boundaries."""
    upload = await client.insist(lambda: client.scene.create(len(DATA)))
    for stop in (700, 2000, 2500, 3500):
        await client.send(upload.id, DATA, stop)
    await client.finish(upload.id, DATA)


async def at_once(client: Client) -> None:
    """Less than a part, with the creation."""
    upload = await client.insist(lambda: client.scene.create(500, DATA[:500]))
    await client.finish(upload.id, DATA[:500])


async def small_in_chunks(client: Client) -> None:
    """Less than a part, in two requests."""
    upload = await client.insist(lambda: client.scene.create(900))
    for stop in (300, 900):
        await client.send(upload.id, DATA[:900], stop)
    await client.finish(upload.id, DATA[:900])


async def with_sums(client: Client) -> None:
    """Chunks with checksums: within a part, over several, a whole one; one of them breaks off."""
    upload = await client.insist(lambda: client.scene.create(len(DATA)))
    await client.send(upload.id, DATA, 400, summed=True)
    await client.send(upload.id, DATA, 2500, summed=True, end=BodyEnd.DISCONNECTED)
    for stop in (3000, 3500):
        await client.send(upload.id, DATA, stop, summed=True)
    await client.finish(upload.id, DATA)


async def of_deferred_length(client: Client) -> None:
    """The length comes with the last chunk."""
    upload = await client.insist(lambda: client.scene.create(None))
    for stop in (700, 2200):
        await client.send(upload.id, DATA, stop)
    await client.send(upload.id, DATA, 3500, length=3500)
    await client.finish(upload.id, DATA)


async def with_cuts(client: Client) -> None:
    """Connections that break within a chunk: what came is kept."""
    upload = await client.insist(lambda: client.scene.create(len(DATA)))
    await client.send(upload.id, DATA, 1700, end=BodyEnd.DISCONNECTED)
    await client.send(upload.id, DATA, 3500, end=BodyEnd.DISCONNECTED)
    await client.finish(upload.id, DATA)


async def in_parallel(client: Client) -> None:
    """Two partials joined: parts that can be copied, and one that lies in both."""
    halves = {}
    for size in (2100, 1400):
        data = sample(size, size)
        part = await client.insist(partial(client.scene.create, size, is_partial=True))
        await client.send(part.id, data, size)
        halves[part.id] = data
    final = await client.insist(lambda: client.scene.join(*halves))
    await client.finish(final.id, b"".join(halves.values()))


SESSIONS = (
    in_chunks,
    at_once,
    small_in_chunks,
    with_sums,
    of_deferred_length,
    with_cuts,
    in_parallel,
)


def strike(fault: Fault, *numbers: int) -> Strike:
    """What makes these calls fail, counted from 1."""
    return lambda _operation, number: fault if number in numbers else None


@pytest.mark.parametrize("moves", [False, True], ids=["the same server", "another server"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.__name__)
async def test_a_fault_at_any_call_costs_nothing(
    session: Callable[[Client], Awaitable[None]], fault: Fault, *, moves: bool
) -> None:
    """Whatever call fails, in whatever way: every byte is there once, in its place, and nothing is left."""
    undisturbed = FakeS3()
    await session(Client(undisturbed, moves=moves))

    for struck in range(1, len(undisturbed.log) + 1):
        server = FakeS3()
        server.strike = strike(fault, struck)
        try:
            await session(Client(server, moves=moves))
        except Exception as error:
            where = server.log[struck - 1] if struck <= len(server.log) else "none"
            raise AssertionError(f"{fault} at call {struck} ({where}): {error!r}") from error


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.__name__)
async def test_an_outage_of_some_calls_costs_nothing(
    session: Callable[[Client], Awaitable[None]],
) -> None:
    """Two calls in a row are refused, from any call on: the client finds its way just as well."""
    undisturbed = FakeS3()
    await session(Client(undisturbed, moves=False))

    for struck in range(1, len(undisturbed.log) + 1):
        server = FakeS3()
        server.strike = strike("slow down", struck, struck + 1)
        try:
            await session(Client(server, moves=False))
        except Exception as error:
            raise AssertionError(f"from call {struck} ({server.log[struck - 1]}): {error!r}") from error
