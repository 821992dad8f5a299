"""Writing one body to one upload in S3: parts as they fill, the rest in segments."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tusd_py.core.errors import MaxSizeExceededError, StoreError
from tusd_py.stores import s3_parts
from tusd_py.stores.offload import outlast
from tusd_py.stores.s3_body import CancelledSendingError, PartBody
from tusd_py.stores.s3_calls import ConflictError
from tusd_py.stores.s3_memory import Rope
from tusd_py.stores.s3_parts import MAX_PARTS, Part, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tusd_py.core.model import Upload
    from tusd_py.stores.s3_held import Held
    from tusd_py.stores.s3_ledger import Ledger
    from tusd_py.stores.s3_sending import Sending


class S3Appender:
    """Sends a part as soon as it is full, several at once; `commit` puts the rest into a segment.

    An atomic one keeps what is not verified from counting: its first durable byte comes after a note
    in the record, and its commit is one write. What fits into one write needs no note.
    """

    def __init__(
        self, held: Held, upload: Upload, ledger: Ledger, sending: Sending, *, atomic: bool
    ) -> None:
        self._held = held
        self._account = held.account
        self._upload = upload
        self._ledger = ledger
        self._sending = sending
        self._is_atomic = atomic
        self._stage = ""
        self._staged: list[Segment] = []
        self._sent: dict[int, Part] = {}
        self._tasks: dict[asyncio.Task[None], PartBody | None] = {}
        self._failure: BaseException | None = None
        # Behind the last part that is stored: the open one may be full and still in segments.
        self._number = s3_parts.number_at(self._account.whole, self._size)
        self.position = upload.offset
        """The offset behind everything written."""
        self.durable = upload.offset
        """The offset up to which the open part's bytes are in segments."""
        self.written_at = time.monotonic()

    # -- writing ------------------------------------------------------------------------------

    @property
    def direct(self) -> None:
        """None: writing may have to wait for S3."""
        return None

    async def write(self, data: bytes) -> None:
        """See tusd_py.core.ports.Appender.write."""
        while data:
            self._check()
            if self.position == self._upload.length:
                raise StoreError(f"upload {self._upload.id} has all its {self._upload.length} bytes")
            if not self._room:
                await self._turn_over()
            piece = data[: self._room]
            await self._hold(piece)
            data = data[len(piece) :]
        if not self._room and not self._is_atomic and not self._is_small:
            await self._turn_over()

    async def _hold(self, piece: bytes) -> None:
        await self._sending.budget.take(len(piece))
        try:
            async with self._held.lock:
                self._held.rope.append(piece)
        except BaseException:
            self._sending.budget.release(len(piece))
            raise
        self.position += len(piece)
        self.written_at = self._held.used_at = time.monotonic()

    @property
    def _size(self) -> int:
        return self._account.note.part_size

    @property
    def _room(self) -> int:
        """Bytes that the open part still takes."""
        size = s3_parts.size_of(self._number, self._size, self._upload.length)
        return s3_parts.start_of(self._number, self._size) + size - self.position

    @property
    def _is_small(self) -> bool:
        """It becomes one object at once, without parts."""
        length = self._upload.length
        return self._account.note.multipart is None and length is not None and length <= self._size

    async def _turn_over(self) -> None:
        """Send the full part, and begin the next one."""
        if self._number > MAX_PARTS:
            raise MaxSizeExceededError(MAX_PARTS * self._size)
        while len(self._tasks) >= self._sending.concurrency:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        async with self._held.lock:
            if self._is_atomic:
                await self._hide()
            await self._begin_multipart()
            self._dispatch()

    def _dispatch(self) -> None:
        rope, number = self._held.rope, self._number
        self._held.rope = Rope(self.position)
        self.durable = self.position
        self._number += 1
        task = asyncio.create_task(self._send(number, rope), name=f"s3-part-{number}")
        self._tasks[task] = None
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is not None and self._failure is None:
            self._failure = failure
            self._cancel_sending()  # what lies behind the failed part cannot count

    def _cancel_sending(self) -> None:
        for body in self._tasks.values():
            if body is not None:
                body.is_cancelled = True

    def _check(self) -> None:
        if self._failure is not None:
            raise StoreError("a part could not be stored") from self._failure

    async def _begin_multipart(self) -> None:
        if self._account.note.multipart is None:
            await self._sending.calls.run(self._record_multipart)

    def _record_multipart(self) -> None:
        note = self._account.note
        shown = self._ledger.shown(self._account.upload)
        multipart = self._ledger.bucket.create_multipart(note.key, shown)
        self._ledger.write(self._account, multipart=multipart)

    # -- parts --------------------------------------------------------------------------------

    async def _send(self, number: int, rope: Rope) -> None:
        try:
            start = s3_parts.start_of(number, self._size)
            before = self._segments_of(number, rope.start)
            if rope.start > start:
                async with self._sending.refetching:
                    pieces = await self._refetch(before, start, rope.start)
                    await self._send_pieces(number, [*pieces, *rope.between(rope.start, rope.stop)])
            else:
                await self._send_pieces(number, rope.between(start, rope.stop))
        finally:
            self._sending.budget.release(rope.clear())
        if number in self._account.counted:
            await self._drop(self._segments_of(number))

    def _segments_of(self, number: int, stop: int | None = None) -> list[Segment]:
        """What of a part is in segments, in order; up to `stop`."""
        start = s3_parts.start_of(number, self._size)
        end = start + self._size if stop is None else stop
        return [s for s in (*self._account.segments, *self._staged) if start <= s.start < end]

    async def _refetch(self, segments: Sequence[Segment], start: int, stop: int) -> list[bytes]:
        """Read back what had to make room, or came with an earlier request."""
        bucket, pieces = self._ledger.bucket, list[bytes]()
        for segment in segments:
            size = min(segment.stop, stop) - segment.start
            pieces.append(await self._sending.reads.run(bucket.read, segment.key, 0, size))
        if sum(map(len, pieces)) != stop - start:
            raise StoreError(f"not all bytes from {start} to {stop} are left")
        return pieces

    async def _send_pieces(self, number: int, pieces: Sequence[bytes | memoryview]) -> None:
        note, body, task = self._account.note, PartBody(pieces), asyncio.current_task()
        if task is not None and task in self._tasks:
            self._tasks[task] = body
        body.is_cancelled = self._failure is not None
        multipart = note.multipart or ""
        try:
            part = await self._sending.send(note.key, multipart, number, body)
        except CancelledSendingError:
            raise StoreError("the request of this part has ended") from None
        self._sent[number] = self._account.parts[number] = part
        self._account.recount()

    async def _drop(self, segments: Sequence[Segment]) -> None:
        """Remove segments whose part is stored. If that fails, the completion or the collector does."""
        keys = [segment.key for segment in segments]
        if keys:
            self._account.segments = [s for s in self._account.segments if s.key not in keys]
            with suppress(StoreError):
                await self._sending.calls.run(self._ledger.remove, keys)

    # -- all or nothing -----------------------------------------------------------------------

    async def _hide(self) -> None:
        """What this append makes durable from now on does not count until it is on record."""
        if self._stage:
            return
        first = self._account.note.suspect_from
        if first is None or first > self._number:
            await self._sending.calls.run(self._write_note, suspect_from=self._number)
        self._stage = uuid.uuid4().hex[:12]

    def _write_note(self, **changes: Any) -> None:
        self._ledger.write(self._account, **changes)

    async def _record_sent(self) -> None:
        """Let the parts of this append count, and what was staged: one write, all or nothing."""
        note = self._account.note
        suspects = {n: p.etag for n, p in self._sent.items() if n >= (note.suspect_from or n + 1)}
        if suspects or self._stage:
            pins = tuple(sorted((dict(note.pins) | suspects).items()))
            tails = (*note.tails, *(segment.key for segment in self._staged))
            await self._sending.calls.run(self._write_note, pins=pins, tails=tails)
        self._account.segments += self._staged
        self._account.recount()
        for number in self._sent:
            await self._drop(self._segments_of(number))
        self._sent, self._staged, self._stage = {}, [], ""

    # -- commit -------------------------------------------------------------------------------

    async def commit(self, *, completes: bool = False) -> int:
        """See tusd_py.core.ports.Appender.commit."""
        await self._wait()
        async with self._held.lock:
            if completes and self._is_small and not self._stage and not self._room:
                self._held.is_pending = True
                return self.position
            if not self._room and not self._is_small and self._held.rope.stop > self.durable:
                await self._begin_multipart()
                self._dispatch()
                await self._wait()
            await self._flush()
            await self._record_sent()
            self._is_atomic = False
            if self._account.offset != self.position:
                raise StoreError(f"{self._account.offset} bytes are stored of {self.position}")
        return self.position

    async def _wait(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._check()

    async def _flush(self) -> None:
        """Put what is in memory alone into a segment."""
        rope = self._held.rope
        if rope.stop == self.durable:
            return
        epoch, upload_id = self._account.note.epoch, self._upload.id
        key = self._ledger.layout.tail(upload_id, self.durable, epoch, stage=self._stage)
        pieces = rope.between(self.durable, rope.stop)
        await self._sending.calls.run(self._ledger.bucket.put, key, pieces)
        segment = Segment(
            start=self.durable,
            size=rope.stop - self.durable,
            epoch=epoch,
            key=key,
            is_staged=bool(self._stage),
        )
        (self._staged if self._stage else self._account.segments).append(segment)
        self.durable = segment.stop

    async def spill(self) -> None:
        """Make room: what is in memory goes into a segment, and out of memory.

        Behind a failed part it cannot count, and just goes. When this append is over, nothing happens.
        """
        async with self._held.lock:
            if self._held.appender is not self or self._held.is_pending:
                return
            if self._failure is None:
                try:
                    await self._put_away()
                except ConflictError as error:  # never again: what we know is not on record any more
                    self._failure = error
            self._sending.budget.release(self._held.rope.clear())

    async def _put_away(self) -> None:
        if self._is_atomic and self._held.rope.stop > self.durable:
            await self._hide()
        await self._flush()
        if not self._stage:
            self._account.recount()

    async def leave(self, *, failed: bool) -> bool:
        """Wait for what is on its way; whether what is remembered of the upload is still right."""
        if failed:
            self._cancel_sending()
        await outlast(list(self._tasks))
        async with self._held.lock:
            if self._staged:
                with suppress(StoreError):  # not on record, so they do not count
                    await self._sending.calls.run(self._ledger.remove, [s.key for s in self._staged])
            if not self._held.is_pending and self._held.rope.stop > self._account.offset:
                self._sending.budget.release(self._held.rope.clear())
                self._held.rope = Rope(self._account.offset)
        return not failed and self._failure is None and not self._stage and not self._sent
