"""The end of an upload in S3: parts joined, the object published. Every step may be repeated."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from tusd_py.core.errors import NameTakenError, StoreError, UploadGoneError
from tusd_py.core.model import UploadState
from tusd_py.stores import s3_parts
from tusd_py.stores.s3_body import PartBody
from tusd_py.stores.s3_calls import ConflictError, InvalidPartError, MissingError, NoSuchMultipartError
from tusd_py.stores.s3_parts import MIB, Part, Segment, plan_join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tusd_py.core.model import Upload
    from tusd_py.stores.s3_held import Held
    from tusd_py.stores.s3_ledger import Account, Ledger
    from tusd_py.stores.s3_parts import Span
    from tusd_py.stores.s3_sending import Sending

JOINED_PART = 16 * MIB
"""Bytes of a joined object's parts, at least: few calls, and little to put together at the seams."""


class Ending:
    """Publishes and joins. The caller has the lock of what is held of the upload."""

    def __init__(self, ledger: Ledger, sending: Sending, *, joined_part: int = JOINED_PART) -> None:
        self._joined_part = joined_part
        self._ledger = ledger
        self._sending = sending
        self._calls = sending.calls
        self._layout = ledger.layout

    async def settle_pending(self, held: Held) -> None:
        """Put what is in memory alone into a segment, so that it counts."""
        account, rope = held.account, held.rope
        key = self._layout.tail(account.upload.id, account.offset, account.note.epoch)
        pieces = rope.between(account.offset, rope.stop)
        await self._calls.run(self._ledger.bucket.put, key, pieces)
        segment = Segment(
            start=account.offset,
            size=rope.stop - account.offset,
            epoch=account.note.epoch,
            key=key,
        )
        account.segments.append(segment)
        account.recount()
        held.is_pending = False

    # -- publishing ---------------------------------------------------------------------------

    async def publish(self, held: Held, upload: Upload) -> None:
        """Make the object, unless it is there."""
        account = held.account
        if account.is_published or account.upload.state is UploadState.COMPLETE:
            return
        if account.note.multipart is None:
            await self._publish_small(held, upload)
        else:
            await self._send_last(held, upload)
            await self._calls.run(self._complete_multipart, account, upload)
        held.is_pending = False
        account.publish(upload.length or 0)
        self._sending.budget.release(held.rope.clear())
        await self._calls.run(self._tidy, account)

    def _tidy(self, account: Account) -> None:
        """The segments are in the object now. What is left of them, the collector removes."""
        keys = [*account.strays, *(segment.key for segment in account.segments)]
        try:
            self._ledger.remove(keys)
        except StoreError:
            return
        account.strays, account.segments = [], []

    async def _publish_small(self, held: Held, upload: Upload) -> None:
        account, rope = held.account, held.rope
        if rope.start == 0 and rope.stop == upload.length:
            await self._calls.run(self._put, account, upload, rope.between(0, rope.stop))
            return
        async with self._sending.refetching:
            pieces = [await self._read(segment.key, 0, segment.size) for segment in account.segments]
            await self._calls.run(self._put, account, upload, pieces)

    async def _read(self, key: str, start: int, stop: int) -> bytes:
        return await self._sending.reads.run(self._ledger.bucket.read, key, start, stop)

    def _put(self, account: Account, upload: Upload, pieces: Sequence[bytes | memoryview]) -> None:
        size = sum(len(piece) for piece in pieces)
        if size != upload.length:
            raise StoreError(f"{size} bytes are stored of {upload.length}")
        try:
            self._ledger.bucket.publish(account.note.key, pieces, self._ledger.shown(upload))
        except ConflictError as error:
            self._find_own(account, upload, error)

    async def _send_last(self, held: Held, upload: Upload) -> None:
        """What lies behind the last whole part becomes the last part."""
        account, rope, whole = held.account, held.rope, held.account.whole
        if whole == upload.length:
            return
        linked = account.recount()
        if account.offset != upload.length:
            raise StoreError(f"{account.offset} bytes are stored of {upload.length}")
        if rope.start <= whole and rope.stop == upload.length:
            part = await self._send_part(account, whole, rope.between(whole, rope.stop))
        else:
            async with self._sending.refetching:
                pieces = [await self._read(segment.key, 0, segment.size) for segment in linked]
                part = await self._send_part(account, whole, pieces)
        account.parts[part.number] = part
        await self._pin(account, [part])

    async def _send_part(self, account: Account, start: int, pieces: Sequence[bytes | memoryview]) -> Part:
        note, number = account.note, s3_parts.number_at(start, account.note.part_size)
        return await self._sending.send(note.key, note.multipart or "", number, PartBody(pieces))

    async def _pin(self, account: Account, parts: Sequence[Part]) -> None:
        first = account.note.suspect_from
        suspects = {part.number: part.etag for part in parts if first is not None and part.number >= first}
        if suspects:
            pins = tuple(sorted((dict(account.note.pins) | suspects).items()))
            await self._calls.run(partial(self._ledger.write, account, pins=pins))

    def _complete_multipart(self, account: Account, upload: Upload) -> None:
        note, counted = account.note, account.counted
        last = -(-(upload.length or 0) // note.part_size)
        parts = [counted[number] for number in range(1, last + 1)]
        try:
            self._ledger.bucket.complete_multipart(note.key, note.multipart or "", parts)
        except (ConflictError, NoSuchMultipartError, MissingError, InvalidPartError) as error:
            # Ours, if only the answer to an earlier try was lost.
            self._find_own(account, upload, error)

    def _find_own(self, account: Account, upload: Upload, error: StoreError) -> None:
        stored = self._ledger.bucket.head(account.note.key)
        if stored is not None and stored.owner == upload.id and stored.size == upload.length:
            account.published = stored
        elif stored is not None and isinstance(error, ConflictError):
            raise NameTakenError(f"{account.note.key} is taken") from error
        else:
            raise error

    # -- joining ------------------------------------------------------------------------------

    async def join(self, held: Held, upload: Upload, parts: Sequence[Upload]) -> None:
        """Make the bytes of the final out of those of its parts, from the start whatever is there."""
        account = held.account
        if account.is_published or account.upload.state is UploadState.COMPLETE:
            return
        sources = [self._layout.data(part) for part in parts]
        sizes = [part.length or 0 for part in parts]
        if sum(sizes) != upload.length:
            raise StoreError(f"the parts have {sum(sizes)} bytes, not {upload.length}")
        try:
            await self._join(account, sources, sizes)
        except MissingError as error:
            raise UploadGoneError(upload.id) from error
        account.recount()

    async def _join(self, account: Account, sources: Sequence[str], sizes: Sequence[int]) -> None:
        length = sum(sizes)
        preferred = max(account.note.part_size, self._joined_part)
        if account.note.multipart is None and length <= preferred:
            await self._join_small(account, sources, sizes)
            return
        if account.note.multipart is None:
            size = s3_parts.plan_part_size(length, preferred=preferred)
            await self._calls.run(self._begin_multipart, account, size)
        plan = plan_join(sizes, account.note.part_size)
        limit = asyncio.Semaphore(self._sending.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for number, spans in enumerate(plan, 1):
                    group.create_task(self._join_part(account, number, spans, sources, limit))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    def _begin_multipart(self, account: Account, part_size: int) -> None:
        shown = self._ledger.shown(account.upload)
        multipart = self._ledger.bucket.create_multipart(account.note.key, shown)
        self._ledger.write(account, multipart=multipart, part_size=part_size)

    async def _join_small(self, account: Account, sources: Sequence[str], sizes: Sequence[int]) -> None:
        """Less than a part: put together here, in one segment."""
        async with self._sending.refetching:
            pieces = [
                await self._read(source, 0, size) if size else b""
                for source, size in zip(sources, sizes, strict=True)
            ]
            key = self._layout.tail(account.upload.id, 0, account.note.epoch)
            if any(pieces):
                await self._calls.run(self._ledger.bucket.put, key, pieces)
                size = sum(map(len, pieces))
                account.segments = [Segment(start=0, size=size, epoch=account.note.epoch, key=key)]

    async def _join_part(
        self,
        account: Account,
        number: int,
        spans: Sequence[Span],
        sources: Sequence[str],
        limit: asyncio.Semaphore,
    ) -> None:
        note, multipart = account.note, account.note.multipart or ""
        async with limit:
            if len(spans) == 1:
                span = spans[0]
                account.parts[number] = await self._calls.run(
                    self._ledger.bucket.copy_part, note.key, multipart, number, sources[span.source], span
                )
                return
            async with self._sending.refetching:
                pieces = [await self._read(sources[span.source], span.start, span.stop) for span in spans]
                part = await self._sending.send(note.key, multipart, number, PartBody(pieces))
                account.parts[number] = part
