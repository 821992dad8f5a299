"""Uploads in an S3 bucket, nothing on our own disk (layout: s3_layout.py)."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tusd_py.core.errors import NameTakenError, StoreError, UploadGoneError
from tusd_py.core.model import UploadState
from tusd_py.stores.s3_appender import S3Appender
from tusd_py.stores.s3_calls import ConflictError, MissingError
from tusd_py.stores.s3_ending import JOINED_PART, Ending
from tusd_py.stores.s3_examination import examine, repair
from tusd_py.stores.s3_held import REMEMBERED_PARTS, Held, Remembered
from tusd_py.stores.s3_layout import Layout
from tusd_py.stores.s3_lead import Lease
from tusd_py.stores.s3_ledger import Account, Ledger, Present
from tusd_py.stores.s3_memory import Budget, Rope
from tusd_py.stores.s3_reader import AT_ONCE, S3Reader, plan_extents
from tusd_py.stores.s3_sending import Sending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from tusd_py.core.findings import Finding
    from tusd_py.core.model import Upload
    from tusd_py.stores.s3_calls import Bucket

PUT_AWAY = 8
"""Uploads whose bytes are put away at once when memory is needed."""

IDLE = 1.0
"""Seconds without a byte after which an upload's memory may be needed elsewhere."""

ADDRESS_SECONDS = 3600
"""How long the address of a finished file is good for that a client is sent to."""


class S3Store:
    """Keeps uploads in a bucket; see tusd_py.core.ports.Store for what it promises.

    Sizes in bytes: `part_size` as long as an upload's length allows it, `room` for uploads of deferred
    length, `memory_budget` for all bytes on their way, `chunk_size` for reading back. `present` tells the
    Content-Type and Content-Disposition that a finished object is stored with; with `redirects` clients
    are sent to it. `joined_part` is the least size of the parts that a join copies, `remembered_parts` how
    many parts of unfinished uploads are remembered.
    """

    marks_by_publishing = True

    def __init__(
        self,
        bucket: Bucket,
        *,
        prefix: str = "",
        part_size: int,
        room: int | None = None,
        concurrency: int = 8,
        memory_budget: int,
        chunk_size: int = 256 * 1024,
        present: Present,
        redirects: bool = False,
        joined_part: int = JOINED_PART,
        remembered_parts: int = REMEMBERED_PARTS,
    ) -> None:
        self._bucket = bucket
        self._layout = Layout(prefix)
        self._ledger = Ledger(self._bucket, self._layout, part_size=part_size, room=room, present=present)
        self._sending = Sending(
            bucket=self._bucket,
            budget=Budget(memory_budget, self._reclaim),
            concurrency=concurrency,
        )
        self._calls = self._sending.calls
        self._ending = Ending(self._ledger, self._sending, joined_part=joined_part)
        self._chunk_size = chunk_size
        self._redirects = redirects
        self._held = Remembered(self._sending.budget, writer=self._ledger.writer, parts=remembered_parts)

    @property
    def memory_in_use(self) -> int:
        """Bytes of the memory budget that uploads hold."""
        return self._sending.budget.size - self._sending.budget.free

    # -- records ------------------------------------------------------------------------------

    async def create(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.create."""
        self._held.add(await self._calls.run(self._ledger.create, upload))

    async def load(self, upload_id: str) -> Upload:
        """See tusd_py.core.ports.Store.load.

        The record is read each time: as long as it is the one that this process knows, nobody else has
        written to the upload, and what is remembered of its bytes holds.
        """
        held = self._held.get(upload_id)
        if held is not None and held.is_pending and held.appender is None:
            await self._flush(held)
        return (await self._account(upload_id)).told()

    async def _account(self, upload_id: str) -> Account:
        found = await self._calls.run(self._ledger.read, upload_id)
        known = self._held.by_record(found)
        if known is None:
            with self._held.looking(upload_id) as note:
                found = await self._calls.run(self._ledger.settle, found)
                known = self._held.by_record(found)
                if known is None:
                    note(found)
        self._ledger.settled.note(known or found)
        return known or found

    async def _known(self, upload_id: str) -> Held:
        """What is remembered, else looked up. Whoever writes by it finds out if it holds no more."""
        held = self._held.get(upload_id)
        if held is None:
            held = self._held.add(await self._calls.run(self._ledger.load, upload_id))
        return held

    async def save(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.save."""
        held = self._held.get(upload.id)
        if held is not None and held.is_pending and upload.state is not UploadState.COMPLETE:
            await self._flush(held)
        if held is None or not await self._write_known(held, upload):
            account = await self._calls.run(self._ledger.read, upload.id)
            if held is not None and account.note.epoch != held.account.note.epoch:
                self._held.forget(upload.id)
                raise StoreError(f"others write to {upload.id} now")
            if not await self._write_record(account, upload):
                raise StoreError(f"the record of {upload.id} is written by others")
            if held is None or held.appender is None:
                self._held.forget(upload.id)  # its bytes were not measured

    async def _write_known(self, held: Held, upload: Upload) -> bool:
        """See `_write_record`. An append whose bytes have to make room may be at the record, too."""
        async with held.lock:
            return await self._write_record(held.account, upload)

    async def _write_record(self, account: Account, upload: Upload) -> bool:
        """Whether the record was still the one that is known."""
        try:
            await self._calls.run(partial(self._ledger.write, account, upload=upload))
        except ConflictError:
            return False
        if account.is_open_ended and not account.is_published:
            account.recount()  # parts may have come while the record was written
        return True

    # -- bytes --------------------------------------------------------------------------------

    @asynccontextmanager
    async def append(self, upload: Upload, *, atomic: bool = False) -> AsyncIterator[S3Appender]:
        """See tusd_py.core.ports.Store.append."""
        held = await self._begin(upload)
        appender = S3Appender(held, upload, self._ledger, self._sending, atomic=atomic)
        held.appender = appender
        failed = True
        try:
            yield appender
            failed = False
        finally:
            try:
                holds = await appender.leave(failed=failed)
            except asyncio.CancelledError:
                holds = False
                raise
            finally:
                held.appender = None
                if not holds and self._held.get(upload.id) is held:
                    self._held.forget(upload.id)

    async def _begin(self, upload: Upload) -> Held:
        held = await self._known(upload.id)
        try:
            async with held.lock:
                held.is_pending = False  # what nobody was told of gives way to what comes now
                if held.rope.stop != upload.offset:
                    self._sending.budget.release(held.rope.clear())
                    held.rope = Rope(upload.offset)
                await self._calls.run(self._ledger.prepare, held.account, upload.offset)
        except (StoreError, asyncio.CancelledError):
            self._held.forget(upload.id)
            raise
        return held

    async def _flush(self, held: Held) -> None:
        """Bytes that were kept back for a completion that did not come, or failed, count from now on."""
        async with held.lock:
            if held.is_pending:
                await self._ending.settle_pending(held)
                self._held.forget(held.account.upload.id)  # what the completion reached has to be looked up

    async def _reclaim(self, needed: int) -> int:
        """Make room for `needed` bytes: forget what can be read back, put away what waits for a client."""
        freed = 0
        for held in self._held.by_use():
            if freed >= needed:
                return freed
            if not held.is_busy:
                size = held.rope.clear()
                self._sending.budget.release(size)
                freed += size
        waiting = self._waiting_for_clients()
        for first in range(0, len(waiting), PUT_AWAY):
            if freed >= needed:
                break
            some = waiting[first : first + PUT_AWAY]
            freed += sum(await asyncio.gather(*(self._put_away(held) for held in some)))
        return freed

    def _waiting_for_clients(self) -> list[Held]:
        """Whose memory may be needed elsewhere, the largest first; as long as parts are on their way, which
        give back theirs, only those that have been silent for a while."""
        now, in_flight = time.monotonic(), self._sending.in_flight
        found = [
            held
            for held in self._held.by_use()
            if held.rope and not held.lock.locked() and (now - held.used_at >= IDLE or not in_flight)
        ]
        return sorted(found, key=lambda held: -len(held.rope))

    async def _put_away(self, held: Held) -> int:
        """How much memory that freed: what fails keeps its own, and the others are to give more."""
        size = len(held.rope)
        with suppress(StoreError):  # the append it belongs to finds out by itself
            if held.appender is not None:
                await held.appender.spill()
            elif held.is_pending:
                await self._flush(held)
        return size - len(held.rope)

    # -- the end ------------------------------------------------------------------------------

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        """See tusd_py.core.ports.Store.concatenate."""
        await self._ended(upload, lambda held: self._ending.join(held, upload, parts))

    async def complete(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.complete."""
        await self._ended(upload, lambda held: self._ending.publish(held, upload))

    async def _ended(self, upload: Upload, step: Callable[[Held], Awaitable[None]]) -> None:
        """Take a step by what is remembered; if that holds no more, by what is there."""
        held = self._held.get(upload.id)
        if held is not None:
            try:
                async with held.lock:
                    await step(held)
            except StoreError as error:
                await self._flush(held)
                if isinstance(error, NameTakenError):
                    raise
            else:
                return
        self._held.forget(upload.id)
        held = await self._known(upload.id)
        try:
            async with held.lock:
                await step(held)
        except BaseException:
            self._held.forget(upload.id)  # it may have been done and only not been told
            raise

    def place(self, name: str) -> str:
        """See tusd_py.core.ports.Store.place."""
        return self._layout.public(name)

    async def discard(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.discard."""
        self._held.forget(upload.id)
        await self._calls.run(self._discard, upload.id)

    def _discard(self, upload_id: str) -> None:
        account = self._ledger.read(upload_id)
        self._ledger.discard(account)
        if account.upload.state is not UploadState.EXPIRED:
            self._ledger.write(account, is_discarded=True)

    async def delete(self, upload_id: str) -> None:
        """See tusd_py.core.ports.Store.delete."""
        self._held.forget(upload_id)
        await self._calls.run(lambda: self._ledger.delete(self._ledger.read(upload_id)))

    # -- reading ------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(self, upload: Upload) -> AsyncIterator[S3Reader]:
        """See tusd_py.core.ports.Store.open.

        UploadIncompleteError as long as its bytes lie in parts, which S3 does not give back.
        """
        try:
            reader = await self._open((await self._known(upload.id)).account)
        except MissingError:  # removed or published since this process looked
            reader = await self._open(await self._calls.run(self._ledger.load, upload.id))
        yield reader

    async def _open(self, account: Account) -> S3Reader:
        if account.upload.state is UploadState.EXPIRED:
            raise UploadGoneError(account.upload.id)
        if account.is_published and account.published is None:
            await self._calls.run(self._ledger.find_published, account)
        extents = plan_extents(account)
        reader = S3Reader(
            extents=extents,
            modified_at=account.modified_at,
            chunk_size=self._chunk_size,
            sending=self._sending,
            fallback=account.note.key,
        )
        if reader.size > AT_ONCE:
            return reader
        pieces = [
            await self._sending.reads.run(self._bucket.read, extent.key, 0, extent.stop - extent.start)
            for extent in extents
        ]
        return replace(reader, held=b"".join(pieces))

    async def address(self, upload: Upload, method: str) -> str | None:
        """See tusd_py.core.ports.Store.address."""
        if not self._redirects:
            return None
        key = self._layout.data(upload)
        return await self._calls.run(self._bucket.sign, key, method, ADDRESS_SECONDS)

    # -- the whole ----------------------------------------------------------------------------

    async def list(self) -> AsyncIterator[str]:
        """See tusd_py.core.ports.Store.list."""
        after: str | None = None
        while True:
            page, after = await self._calls.run(self._bucket.list_page, self._layout.state, after)
            for key, stored in page:
                upload_id = self._layout.recorded(key)
                if upload_id is not None:
                    self._ledger.settled.meet(upload_id, stored.etag)
                    yield upload_id
            if after is None:
                return

    def is_settled(self, upload_id: str) -> bool:
        """See tusd_py.core.ports.Store.is_settled."""
        return upload_id in self._ledger.settled

    async def examine(self) -> AsyncIterator[Finding]:
        """See tusd_py.core.ports.Store.examine."""
        steps = examine(self._ledger)
        while (found := await self._calls.run(lambda: next(steps, None))) is not None:
            for finding in found:
                yield finding

    async def repair(self, finding: Finding) -> None:
        """See tusd_py.core.ports.Store.repair."""
        self._held.forget(finding.subject)
        await self._calls.run(repair, self._ledger, finding)

    def lead(self) -> AbstractAsyncContextManager[bool]:
        """See tusd_py.core.ports.Store.lead."""
        return Lease(self._bucket, self._layout.leadership, self._calls).held()

    async def free_space(self) -> int | None:
        """A bucket has no end."""
        return None

    async def check(self) -> None:
        """See tusd_py.core.ports.Store.check."""
        await self._calls.run(self._check)

    def _check(self) -> None:
        self._bucket.put(self._layout.trial, [b"\0"])
        self._bucket.delete(self._layout.trial)

    async def close(self) -> None:
        """See tusd_py.core.ports.Store.close."""
        for held in self._held.by_use():
            if held.is_pending:
                with suppress(StoreError):
                    await self._flush(held)
        await self._sending.close()
        self._bucket.close()
