"""Reading back from S3: a finished object, or what of an unfinished upload lies in objects of its own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tusd_py.core.errors import StoreError, UploadIncompleteError
from tusd_py.stores.s3_calls import MissingError, translated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from datetime import datetime
    from typing import BinaryIO

    from botocore.response import StreamingBody

    from tusd_py.stores.s3_ledger import Account
    from tusd_py.stores.s3_sending import Sending

AT_ONCE = 128 * 1024
"""Bytes up to which an object is read when it is opened: then nothing that follows can disturb."""

TRIES = 4
"""How often in a row a reading that breaks off is taken up again without a byte of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Bytes `start` up to but not including `stop` of the upload, in the object of that key and ETag."""

    start: int
    stop: int
    key: str
    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Reader:
    """Reads the extents; a broken connection is taken up again where it broke, from the same object."""

    extents: Sequence[Extent]
    modified_at: datetime
    chunk_size: int
    sending: Sending
    fallback: str
    """The key of the finished object: where the bytes of segments go when the upload is completed."""
    held: bytes | None = None
    file: BinaryIO | None = None

    @property
    def size(self) -> int:
        """See tusd_py.core.ports.Reader.size."""
        return self.extents[-1].stop if self.extents else 0

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """See tusd_py.core.ports.Reader.chunks."""
        if self.held is not None:
            for position in range(start, stop, self.chunk_size):
                yield self.held[position : min(position + self.chunk_size, stop)]
            return
        for extent in self.extents:
            first, last = max(start, extent.start), min(stop, extent.stop)
            if first < last:
                async with contextlib.aclosing(self._read(extent, first, last)) as pieces:
                    async for piece in pieces:
                        yield piece

    async def _read(self, extent: Extent, position: int, stop: int) -> AsyncGenerator[bytes]:
        tries = 0
        while position < stop:
            before = position
            try:
                async with contextlib.aclosing(self._stream(extent, position, stop)) as pieces:
                    async for piece in pieces:
                        position += len(piece)
                        yield piece
            except MissingError:
                if extent.key == self.fallback:
                    raise
                extent = Extent(start=0, stop=extent.stop, key=self.fallback)
            except StoreError:
                tries = 1 if position > before else tries + 1
                if tries >= TRIES:
                    raise

    async def _stream(self, extent: Extent, position: int, stop: int) -> AsyncGenerator[bytes]:
        reads, bucket = self.sending.reads, self.sending.bucket
        first, last = position - extent.start, stop - extent.start
        body = await reads.acquire(
            lambda: bucket.stream(extent.key, first, last, etag=extent.etag), release=lambda it: it.close()
        )
        try:
            while first < last:
                piece = await reads.run(_next_piece, body, min(self.chunk_size, last - first))
                first += len(piece)
                yield piece
        finally:
            body.close()


def _next_piece(body: StreamingBody, size: int) -> bytes:
    with translated("get_object"):
        piece: bytes = body.read(size)
    if not piece:
        raise StoreError("get_object: the answer ended early")
    return piece


def plan_extents(account: Account) -> list[Extent]:
    """Where an upload's bytes can be read; UploadIncompleteError where they cannot yet.

    S3 gives parts back only as the object that they have become.
    """
    if account.published is not None:
        stored = account.published
        extent = Extent(start=0, stop=stored.size, key=account.note.key, etag=stored.etag)
        return [extent] if stored.size else []
    if account.whole:
        raise UploadIncompleteError(account.upload.id)
    return [Extent(start=segment.start, stop=segment.stop, key=segment.key) for segment in account.segments]
