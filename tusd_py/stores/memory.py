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
    UploadNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import BinaryIO

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Appender, Reader


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _File:
    data: bytearray = field(default_factory=bytearray)
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
    fitting: Callable[[int], int]

    async def write(self, data: bytes) -> None:
        fitting = self.fitting(len(data))
        self.stored.data += data[:fitting]
        self.stored.modified_at = _now()
        if fitting < len(data):
            raise StorageFullError(f"{len(data) - fitting} bytes did not fit")

    async def commit(self) -> int:
        return len(self.stored.data)


class MemoryStore:
    """The Store port without a disk: keeps every promise that does not need one.

    Reading hands out pieces of `chunk_size` bytes. With a `capacity` (bytes of all uploads together,
    published ones included) a write stores exactly what fits and raises StorageFullError.
    """

    def __init__(self, *, chunk_size: int = 65536, capacity: int | None = None) -> None:
        self._chunk_size = chunk_size
        self._capacity = capacity
        self._records: dict[str, Upload] = {}
        self._incoming: dict[str, _File] = {}
        self._published: dict[str, _File] = {}

    @property
    def published(self) -> dict[str, bytes]:
        """A copy of what is published: name to content."""
        return {name: bytes(stored.data) for name, stored in self._published.items()}

    async def create(self, upload: Upload) -> None:
        """Put a new upload on record; StoreError when its id is in use."""
        if upload.id in self._records:
            raise StoreError(f"upload {upload.id} exists already")
        self._records[upload.id] = upload
        self._incoming[upload.id] = _File()

    async def load(self, upload_id: str) -> Upload:
        """The record with the size of the data as its offset."""
        record = self._record(upload_id)
        return replace(record, offset=len(self._find(record).data))

    async def save(self, upload: Upload) -> None:
        """Replace the record; UploadNotFoundError when there is none to replace."""
        self._record(upload.id)
        self._records[upload.id] = upload

    @asynccontextmanager
    async def append(self, upload: Upload) -> AsyncIterator[Appender]:
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
        yield _MemoryAppender(stored=stored, fitting=self._fitting)

    async def complete(self, upload: Upload) -> None:
        """Move the data under `upload.name`; a repetition finds it there and changes nothing."""
        self._record(upload.id)
        if upload.id not in self._incoming:
            return
        if upload.name in self._published:
            raise NameTakenError(f"{upload.name} belongs to another upload")
        self._published[upload.name] = self._incoming.pop(upload.id)

    @asynccontextmanager
    async def open(self, upload: Upload) -> AsyncIterator[Reader]:
        """A copy of the bytes stored now."""
        stored = self._find(self._record(upload.id))
        yield _MemoryReader(
            data=bytes(stored.data), modified_at=stored.modified_at, chunk_size=self._chunk_size
        )

    async def delete(self, upload_id: str) -> None:
        """Forget the upload; what another upload published under its name stays."""
        record = self._record(upload_id)
        if self._incoming.pop(upload_id, None) is None:
            del self._published[record.name]
        del self._records[upload_id]

    async def list(self) -> AsyncIterator[str]:
        """The ids as they are when the listing begins."""
        for upload_id in tuple(self._records):
            yield upload_id

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
        return self._incoming.get(record.id) or self._published[record.name]

    def _used(self) -> int:
        files = (*self._incoming.values(), *self._published.values())
        return sum(len(stored.data) for stored in files)

    def _fitting(self, size: int) -> int:
        return size if self._capacity is None else min(size, self._capacity - self._used())
