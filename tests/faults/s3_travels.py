"""Clients that bring a file to S3 whatever happens on the way, and hold the server to what it told them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from itertools import count, cycle
from typing import TYPE_CHECKING

from tests.support.payload import Payload
from tusd_py.core.checksums import Checksum
from tusd_py.core.errors import StoreError
from tusd_py.core.intents import Append, Create, ReadOffset
from tusd_py.core.model import Lifetime, Limits, Metadata, Upload, UploadState
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.janitor import Janitor
from tusd_py.engine.uploads import UploadEngine
from tusd_py.locks.memory import MemoryLocker
from tusd_py.stores.s3 import S3Store
from tusd_py.stores.s3_calls import Bucket
from tusd_py.testing import RecordingSink, ScriptedBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.seaweed import SeaweedProcess

MIB = 1024 * 1024
PART = 5 * MIB  # S3's least
PIECE = 256 * 1024  # in which bytes come from the network
PATIENCE = 20
"""How many requests a client makes for one file before it is taken for stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """How a file of `size` bytes is sent: `chunk` bytes a PATCH (None: all that is left), with a checksum
    each or not, with its length known from the start or with the last bytes, `with_body` the first chunk in
    the creation."""

    size: int
    chunk: int | None = None
    checksum: bool = False
    deferred: bool = False
    with_body: bool = False


@dataclass(slots=True)
class Clock:
    """The Clock port; the real time, and what it was advanced by."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(slots=True)
class Harbour:
    """Servers, each with a memory of its own, on one prefix of a bucket; all reach it at `endpoint`."""

    seaweed: SeaweedProcess
    prefix: str
    endpoint: str
    attempts: int = 1
    clock: Clock = field(default_factory=Clock)
    ids: count[int] = field(default_factory=count)
    stores: list[S3Store] = field(default_factory=list)

    def server(self, *, direct: bool = False) -> UploadEngine:
        """One more of them; `direct`: it reaches the bucket past every fault."""
        endpoint = self.seaweed.endpoint if direct else self.endpoint
        client = self.seaweed.client_of(endpoint, attempts=self.attempts)
        bucket = Bucket(client, self.seaweed.bucket, checksums=True, extra={})
        store = S3Store(
            bucket,
            prefix=self.prefix,
            part_size=PART,
            memory_budget=64 * MIB,
            present=lambda upload: ("application/octet-stream", "attachment"),
        )
        self.stores.append(store)
        return UploadEngine(
            store=store,
            locker=MemoryLocker(),
            limits=Limits(checksum_algorithms=("sha1",)),
            clock=self.clock,
            new_id=lambda: f"upload{next(self.ids)}",
            emit=RecordingSink(),
            hooks=Hookpoints(()),
            lifetime=Lifetime(unfinished=timedelta(hours=1)),
        )

    async def tidy_up(self) -> None:
        """Let everything unfinished expire, be collected, and be forgotten."""
        engine = self.server(direct=True)
        janitor = Janitor(
            store=engine.store,
            locker=engine.locker,
            completion=engine.completion,
            clock=self.clock,
            emit=RecordingSink(),
        )
        for ahead in (timedelta(hours=3), timedelta(days=3)):
            self.clock.ahead = ahead
            report = await janitor.sweep()
            assert not report.failed, report

    async def close(self) -> None:
        """Let go of all that the servers hold."""
        for store in self.stores:
            await store.close()

    def forget_leader(self) -> None:
        """Remove what a killed server leaves for some minutes: that it is the one who cleans up."""
        key = f"{self.prefix}state/leader"
        self.seaweed.client().delete_object(Bucket=self.seaweed.bucket, Key=key)

    def check_content(self, upload_id: str, payload: Payload) -> None:
        """The object is there and has exactly these bytes."""
        assert self.seaweed.digest(f"{self.prefix}uploads/{upload_id}") == payload.sha256

    def check_nothing_is_left(self, uploads: Sequence[Upload]) -> None:
        """Beside finished files and their records, among them these uploads', there is nothing."""
        keys = set(self.seaweed.objects(self.prefix))
        records = {key for key in keys if key.endswith(".json")}
        ids = {record.removeprefix(f"{self.prefix}state/").removesuffix(".json") for record in records}
        assert ids >= {upload.id for upload in uploads}
        files = {f"{self.prefix}uploads/{upload_id}" for upload_id in ids}
        assert (keys - records - files, files - keys) == (set(), set())
        assert self.seaweed.unfinished(self.prefix) == []


@asynccontextmanager
async def harbour(
    seaweed: SeaweedProcess, endpoint: str | None = None, *, attempts: int = 1
) -> AsyncIterator[Harbour]:
    """Servers on a fresh prefix. `attempts`: how often each call to S3 is tried."""
    place = Harbour(seaweed, seaweed.fresh_prefix(), endpoint or seaweed.endpoint, attempts)
    try:
        yield place
    finally:
        await place.close()


@dataclass
class Traveller:
    """A client that creates, sends, asks and goes on, at the next of `engines` after each failure.

    What it checks at every answer: no offset falls below one that it was told, and whoever is told of the
    last byte finds the file.
    """

    harbour: Harbour
    engines: Sequence[UploadEngine]
    trip: Trip
    payload: Payload
    failures: int = 0
    acknowledged: int = 0

    def __post_init__(self) -> None:
        self._turns = cycle(self.engines)
        self._engine = next(self._turns)

    async def arrive(self) -> Upload:
        """The complete upload. UploadError, which no fault of S3 may cause, is not caught."""
        upload: Upload | None = None
        for _ in range(PATIENCE):
            try:
                upload = await (self._create() if upload is None else self._go_on(upload))
            except StoreError:
                self.failures += 1
                self._engine = next(self._turns)
                continue
            if upload.state is UploadState.COMPLETE:
                return upload
        raise AssertionError(f"stuck at {self.acknowledged} after {self.failures} failures")

    async def _create(self) -> Upload:
        length = None if self.trip.deferred else self.trip.size
        data = self.payload.data[: self.trip.chunk] if self.trip.with_body else b""
        with_body = self.trip.with_body
        intent = Create(length=length, metadata=Metadata(), has_body=with_body, body_length=len(data))
        self.acknowledged = 0
        return self._told((await self._engine.create(intent, body_of(data))).upload)

    async def _go_on(self, upload: Upload) -> Upload:
        asked = (await self._engine.inspect(ReadOffset(upload_id=upload.id))).upload
        offset = self._told(asked).offset
        if asked.state is UploadState.COMPLETE:
            return asked
        data = self.payload.data[offset:][: self.trip.chunk]
        declares = self.trip.deferred and offset + len(data) == self.trip.size
        intent = Append(
            upload_id=upload.id,
            offset=offset,
            body_length=len(data),
            declared_length=self.trip.size if declares else None,
            checksum=Checksum(algorithm="sha1", digest=sha1(data).digest()) if self.trip.checksum else None,
        )
        appended = self._told((await self._engine.append(intent, body_of(data))).upload)
        assert appended.offset == offset + len(data)
        return appended

    def _told(self, upload: Upload) -> Upload:
        assert upload.offset >= self.acknowledged, f"{self.acknowledged} bytes were acknowledged"
        self.acknowledged = upload.offset
        if upload.offset == upload.length:
            assert upload.state is UploadState.COMPLETE
            self.harbour.check_content(upload.id, self.payload)
        return upload


def body_of(data: bytes) -> ScriptedBody:
    """As it comes from the network."""
    return ScriptedBody(pieces_of(data))


def pieces_of(data: bytes) -> list[bytes]:
    """In the size in which the network brings them."""
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
