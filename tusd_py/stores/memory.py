"""Uploads in memory: for tests, examples and embedding. Nothing survives the process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tusd_py.core.errors import (
    NameTakenError,
    StorageFullError,
    StoreError,
    UploadGoneError,
    UploadNotFoundError,
)
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.core.model import Upload, UploadKind, UploadState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from typing import BinaryIO

    from tusd_py.core.ports import Appender, DirectWriter, Reader


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _File:
    """The bytes of the upload `owner`. `staged` is what an atomic append has not committed."""

    owner: str
    data: bytearray = field(default_factory=bytearray)
    staged: bytearray = field(default_factory=bytearray)
    modified_at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MemoryReader:
    """A copy made when it was opened, so nothing that happens later can change it."""

    data: bytes
    modified_at: datetime
    chunk_size: int
    file: BinaryIO | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        for position in range(start, stop, self.chunk_size):
            yield self.data[position : min(position + self.chunk_size, stop)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MemoryAppender:
    stored: _File
    target: bytearray
    fitting: Callable[[int], int]
    is_quick = True

    @property
    def direct(self) -> DirectWriter:
        return self

    async def write(self, data: bytes) -> None:
        self(data)

    def __call__(self, data: bytes | memoryview) -> None:
        fitting = self.fitting(len(data))
        self.target.extend(data[:fitting])
        self.stored.modified_at = _now()
        if fitting < len(data):
            raise StorageFullError(f"{len(data) - fitting} bytes did not fit")

    async def commit(self, *, completes: bool = False) -> int:  # noqa: ARG002 - nothing is kept back
        self.stored.data += self.stored.staged
        self.stored.staged.clear()
        return len(self.stored.data)


class MemoryStore:
    """The Store port without a disk: keeps every promise that does not need one.

    Reading hands out pieces of `chunk_size` bytes. With a `capacity` (bytes of all uploads together,
    published ones included) a write stores exactly what fits and raises StorageFullError.
    """

    marks_by_publishing = False

    def __init__(self, *, chunk_size: int = 65536, capacity: int | None = None) -> None:
        self._chunk_size = chunk_size
        self._capacity = capacity
        self._records: dict[str, Upload] = {}
        self._incoming: dict[str, _File] = {}
        self._published: dict[str, _File] = {}
        self._is_led = False

    @property
    def published(self) -> dict[str, bytes]:
        """A copy of what is published: name to content."""
        return {name: bytes(stored.data) for name, stored in self._published.items()}

    async def create(self, upload: Upload) -> None:
        """Put a new upload on record; NameTakenError when its id is in use."""
        if upload.id in self._records:
            raise NameTakenError(f"upload {upload.id} exists already")
        self._records[upload.id] = upload
        self._incoming[upload.id] = _File(upload.id)

    async def load(self, upload_id: str) -> Upload:
        """The record with the size of the data as its offset."""
        record = self._record(upload_id)
        if record.state is UploadState.EXPIRED:
            return replace(record, offset=0)
        return replace(record, offset=len(self._find(record).data))

    async def save(self, upload: Upload) -> None:
        """Replace the record; UploadNotFoundError when there is none to replace."""
        self._record(upload.id)
        self._records[upload.id] = upload

    @asynccontextmanager
    async def append(self, upload: Upload, *, atomic: bool = False) -> AsyncIterator[Appender]:
        """Write from `upload.offset` on; StoreError where that would leave a hole, or is published."""
        self._record(upload.id)
        stored = self._incoming.get(upload.id)
        if stored is None:
            raise StoreError(f"upload {upload.id} is published, nothing can be added")
        if upload.offset > len(stored.data):
            raise StoreError(f"upload {upload.id} holds {len(stored.data)} bytes, not {upload.offset}")
        if upload.offset < len(stored.data):
            del stored.data[upload.offset :]
            stored.modified_at = _now()
        target = stored.staged if atomic else stored.data
        try:
            yield _MemoryAppender(stored=stored, target=target, fitting=self._fitting)
        finally:
            stored.staged.clear()

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        """Replace the data by that of the parts; after `complete` there is nothing left to do."""
        self._record(upload.id)
        stored = self._incoming.get(upload.id)
        if stored is None:
            return
        if any(part.id not in self._incoming for part in parts):
            raise UploadGoneError(upload.id)
        joined = b"".join(self._incoming[part.id].data for part in parts)
        stored.data.clear()
        if self._fitting(len(joined)) < len(joined):
            raise StorageFullError(f"{len(joined)} bytes do not fit")
        stored.data += joined
        stored.modified_at = _now()

    async def complete(self, upload: Upload) -> None:
        """Move the data under `upload.name`; a repetition finds it there and changes nothing."""
        self._record(upload.id)
        if upload.id not in self._incoming or upload.kind is UploadKind.PARTIAL:
            return
        if upload.name in self._published:
            raise NameTakenError(f"{upload.name} belongs to another upload")
        self._published[upload.name] = self._incoming.pop(upload.id)

    def place(self, name: str) -> str:
        """Its key in `published`."""
        return name

    async def discard(self, upload: Upload) -> None:
        """Forget the bytes; what another upload published under its name stays."""
        self._incoming.pop(upload.id, None)
        published = self._published.get(upload.name)
        if published is not None and published.owner == upload.id:
            del self._published[upload.name]

    @asynccontextmanager
    async def open(self, upload: Upload) -> AsyncIterator[Reader]:
        """A copy of the bytes stored now."""
        stored = self._find(self._record(upload.id))
        yield _MemoryReader(
            data=bytes(stored.data), modified_at=stored.modified_at, chunk_size=self._chunk_size
        )

    async def address(self, upload: Upload, method: str) -> str | None:  # noqa: ARG002
        """None: nobody else has what is in memory."""
        return None

    async def delete(self, upload_id: str) -> None:
        """Forget the upload; what another upload published under its name stays."""
        await self.discard(self._record(upload_id))
        del self._records[upload_id]

    async def list(self) -> AsyncIterator[str]:
        """The ids as they are when the listing begins."""
        for upload_id in tuple(self._records):
            yield upload_id

    def is_settled(self, upload_id: str) -> bool:  # noqa: ARG002
        """Never: looking costs little here."""
        return False

    async def examine(self) -> AsyncIterator[Finding]:
        """Without a disk little can go wrong: bytes may be lost, and a completion interrupted."""
        for record in tuple(self._records.values()):
            finding = self._examine(record)
            if finding is not None:
                yield finding

    async def repair(self, finding: Finding) -> None:
        """Forget an open upload that has no bytes any more; the rest the engine finishes."""
        lost = finding.kind is FindingKind.RECORD_WITHOUT_DATA and finding.is_repairable
        if lost and finding.subject not in self._incoming:
            self._records.pop(finding.subject, None)

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[bool]:
        """One at a time leads this object."""
        if self._is_led:
            yield False
            return
        self._is_led = True
        try:
            yield True
        finally:
            self._is_led = False

    async def free_space(self) -> int | None:
        """What is left of the capacity, in bytes; None without one."""
        return None if self._capacity is None else self._capacity - self._used()

    async def check(self) -> None:
        """Raises StorageFullError when not a single byte fits."""
        if not self._fitting(1):
            raise StorageFullError("no byte is left of the capacity")

    async def close(self) -> None:
        """Nothing to let go of: the uploads live as long as the object."""

    def _record(self, upload_id: str) -> Upload:
        record = self._records.get(upload_id)
        if record is None:
            raise UploadNotFoundError(upload_id)
        return record

    def _find(self, record: Upload) -> _File:
        # The data is in exactly one of the two places, so what is not incoming has been published.
        stored = self._incoming.get(record.id) or self._published.get(record.name)
        if stored is None or stored.owner != record.id:
            raise UploadGoneError(record.id)
        return stored

    def _examine(self, record: Upload) -> Finding | None:
        if record.state is UploadState.EXPIRED:
            return None
        try:
            stored = self._find(record)
        except UploadGoneError:
            return Finding(
                kind=FindingKind.RECORD_WITHOUT_DATA,
                subject=record.id,
                detail=f"the bytes of the {record.state} upload are gone",
                is_repairable=record.state is UploadState.OPEN,
                since=record.created_at,
            )
        if record.state is not UploadState.COMPLETING:
            return None
        return Finding(
            kind=FindingKind.STUCK_COMPLETING,
            subject=record.id,
            detail="all bytes are stored, but it is not finished",
            is_repairable=True,
            since=stored.modified_at,
        )

    def _used(self) -> int:
        files = (*self._incoming.values(), *self._published.values())
        return sum(len(stored.data) + len(stored.staged) for stored in files)

    def _fitting(self, size: int) -> int:
        return size if self._capacity is None else min(size, self._capacity - self._used())
