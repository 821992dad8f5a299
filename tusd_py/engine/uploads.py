"""The engine: every intent on uploads, carried out under the upload's lock."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from tusd_py.core import rules
from tusd_py.core.checksums import digests_for
from tusd_py.core.errors import (
    BodyInterruptedError,
    ChecksumMismatchError,
    InvalidChecksumError,
    ServerShutdownError,
    StoreError,
    TerminationRejectedError,
    UnsupportedChecksumError,
    UploadError,
    UploadExpiredError,
    UploadGoneError,
    UploadLockedError,
    UploadNotFoundError,
    UploadRejectedError,
    UploadStoppedError,
    concerning,
)
from tusd_py.core.events import UploadCreated, UploadTerminated
from tusd_py.core.model import Lifetime, Limits, Upload, UploadState
from tusd_py.core.outcomes import Appended, BodyEnd, Created, Inspected, Terminated
from tusd_py.engine.activity import Activity
from tusd_py.engine.arrivals import Arrivals
from tusd_py.engine.completion import Completion
from tusd_py.engine.holding import Holding
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.patience import Patience
from tusd_py.engine.processing import Processing
from tusd_py.engine.progress import Progress
from tusd_py.engine.pump import expect_nothing, pump, verify
from tusd_py.engine.streams import Passage, Streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from tusd_py.core.intents import (
        Append,
        Concatenate,
        Create,
        Malformed,
        Read,
        ReadOffset,
        StatedChecksum,
        Terminate,
    )
    from tusd_py.core.ports import Body, Clock, EventSink, Lock, Locker, Reader, Store
    from tusd_py.core.rules import AppendPlan
    from tusd_py.engine.progress import OnCommit


class UploadEngine:
    """Creates, fills, finishes, reads and removes uploads.

    Raises UploadError when a request is refused and StoreError when our side fails; in both cases
    every byte acknowledged before is still there.
    """

    def __init__(
        self,
        *,
        store: Store,
        locker: Locker,
        limits: Limits,
        clock: Clock,
        new_id: Callable[[], str],
        emit: EventSink,
        hooks: Hookpoints | None = None,
        lifetime: Lifetime | None = None,
        patience: Patience | None = None,
        processing: Processing | None = None,
        tell_partial: Callable[[str], None] | None = None,
    ) -> None:
        self.store, self.locker = store, locker
        self._limits = limits
        self._clock = clock
        self._new_id = new_id
        self._emit = emit
        self._hooks = hooks or Hookpoints()
        self._lifetime = lifetime or Lifetime()
        self._patience = patience or Patience()
        self._arrivals = Arrivals()
        self._streams = Streams(
            store=store, clock=clock, arrivals=self._arrivals, interval=self._patience.follow_interval
        )
        processing = processing or Processing()
        self.deliveries = processing.deliveries(
            store=store,
            locker=locker,
            clock=clock,
            emit=emit,
            stream=self.stream,
            lock_timeout=self._patience.lock_timeout,
        )
        self.completion = self._make_completion(processing, tell_partial)
        self._bodies: set[Body] = set()
        self.activity = Activity(self._bodies, self.completion.delayed, self.deliveries)
        self._stopping = False

    def _make_completion(
        self, processing: Processing, tell_partial: Callable[[str], None] | None
    ) -> Completion:
        return Completion(
            store=self.store,
            locker=self.locker,
            hooks=self._hooks,
            emit=self._emit,
            clock=self._clock,
            lifetime=self._lifetime,
            limits=self._limits,
            deliveries=self.deliveries,
            recipients=processing.names,
            tell_partial=tell_partial,
        )

    # -- requests -----------------------------------------------------------------------------

    async def create(self, intent: Create, body: Body | None = None) -> Created:
        """Put an upload on record and take the first chunk, if the request brings one.

        Nothing is left when that chunk's checksum is wrong, or when it was to be the whole upload and
        broke off: the client never heard of the upload.
        """
        here = await self._look_around(intent.upload_id)
        planned = rules.plan_create(intent, self._limits, self._lifetime, here)
        await self._put_on_record(planned)
        if not intent.has_body and not planned.has_all_bytes:
            return Created(upload=planned, took_body=False)
        async with self.hold(planned.id, body) as lock:
            if intent.has_body and body is not None:
                upload = await self._receive_first(planned, intent, body, lock)
            else:  # an empty upload is complete at once
                upload = await self.completion.settle(planned)
        return Created(upload=upload, took_body=intent.has_body)

    async def _receive_first(self, planned: Upload, intent: Create, body: Body, lock: Lock) -> Upload:
        plan = rules.plan_first_chunk(planned, self._limits, is_whole=intent.is_whole)
        try:
            return await self._receive(plan, body, lock, intent.checksum)
        except (ChecksumMismatchError, InvalidChecksumError, UnsupportedChecksumError):
            await self._remove(planned)
            raise
        except (UploadError, StoreError):
            if intent.is_whole:
                with contextlib.suppress(UploadError, StoreError):  # what is left then will expire
                    await self._remove(planned)
            raise

    async def concatenate(self, intent: Concatenate) -> Created:
        """Put a final on record and join its partials, now if all are complete, else when they are."""
        here = await self._look_around(intent.upload_id)
        parts = {part_id: await self.store.load(part_id) for part_id in intent.parts}
        ordered = [parts[part_id] for part_id in intent.parts]
        planned = rules.plan_concatenate(intent, ordered, self._limits, self._lifetime, here)
        await self._put_on_record(planned)
        async with self.locker.hold(planned.id, timeout=self._patience.lock_timeout):
            try:
                final = await self.completion.settle(planned)
            except (UploadError, StoreError):  # nobody knows the final, the partials are untouched
                await self._remove(planned)
                raise
        return Created(upload=final, took_body=False)

    async def append(self, intent: Append, body: Body, *, on_commit: OnCommit = None) -> Appended:
        """Store the body at its offset. A running holder of the upload lets go first.

        With `on_commit` every piece of a body without a checksum counts as soon as it is stored, and it
        hears the new offset in bytes, which nothing takes back.
        """
        async with self.hold(intent.upload_id, body) as lock:
            upload = await self.store.load(intent.upload_id)
            with concerning(upload):
                if upload.awaits_completion:
                    upload = await self.completion.complete(upload)
                plan = rules.plan_append(upload, intent, self._limits, self._clock())
                tell = on_commit and self._arrivals.telling(upload.id, on_commit)
                received = await self._receive(plan, body, lock, intent.checksum, tell)
                return Appended(upload=received)

    async def _look_around(self, chosen_id: str | None) -> rules.Circumstances:
        if self._stopping:
            raise ServerShutdownError
        upload_id, free_space = chosen_id or self._new_id(), await self.store.free_space()
        return rules.Circumstances(upload_id=upload_id, now=self._clock(), free_space=free_space)

    async def _put_on_record(self, planned: Upload) -> None:
        await self._hooks.pre_create(planned)
        await self.store.create(planned)
        self._emit(UploadCreated(upload=planned))

    async def inspect(self, intent: ReadOffset) -> Inspected:
        """How far the upload is. A holder at work is not disturbed; a silent one is taken over from."""
        upload_id, patience = intent.upload_id, self._patience
        with contextlib.suppress(UploadLockedError):
            return await self._inspect_alone(upload_id, silence=patience.holder_silence)
        upload = await self.store.load(upload_id)
        if upload.awaits_completion:  # the holder is about to finish: its last byte is not news yet
            return await self._inspect_alone(upload_id, silence=None)
        now = self._clock()
        upload = rules.after_append(upload, self._lifetime, now)  # bytes are coming
        rules.check_alive(upload, now)
        return Inspected(upload=upload)

    async def _inspect_alone(self, upload_id: str, *, silence: float | None) -> Inspected:
        async with self.locker.hold(upload_id, timeout=self._patience.lock_timeout, silence=silence):
            upload = await self.store.load(upload_id)
            rules.check_alive(upload, self._clock())
            return Inspected(upload=await self.completion.settle(upload))

    async def terminate(self, intent: Terminate) -> Terminated:
        """Remove the upload; a running holder lets go first and cannot bring it back."""
        async with self.locker.hold(intent.upload_id, timeout=self._patience.lock_timeout):
            try:
                upload = await self.store.load(intent.upload_id)
            except UploadGoneError:  # nothing but its record is left
                await self.store.delete(intent.upload_id)
                return Terminated(upload_id=intent.upload_id)
            if rules.is_expired(upload, self._clock()):
                raise UploadExpiredError(upload.id)
            try:
                await self._hooks.pre_terminate(upload)
            except UploadRejectedError as veto:
                raise TerminationRejectedError(intent.upload_id) from veto
            await self._remove(upload)
        return Terminated(upload_id=intent.upload_id)

    async def abandon(self, upload_id: str) -> None:
        """Remove what nobody was told of; nobody is asked. Does no harm where there is nothing."""
        async with self.locker.hold(upload_id, timeout=self._patience.lock_timeout):
            try:
                await self._remove(await self.store.load(upload_id))
            except UploadNotFoundError:
                return
            except UploadGoneError:  # nothing but its record is left
                await self.store.delete(upload_id)

    async def refuse(self, intent: Malformed) -> NoReturn:
        """Raise what there is to say: that the upload does not exist, else what is malformed."""
        upload = await self.store.load(intent.upload_id)
        with concerning(upload):
            rules.check_alive(upload, self._clock())
            rules.check_modifiable(upload)
            raise intent.complaint

    @contextlib.asynccontextmanager
    async def read(self, intent: Read) -> AsyncIterator[tuple[Upload, Reader]]:
        """What is stored of the upload, finished or not. Takes no lock."""
        upload = await self.store.load(intent.upload_id)
        rules.check_alive(upload, self._clock())
        async with self.store.open(upload) as reader:
            yield upload, reader

    @contextlib.asynccontextmanager
    async def read_published(self, name: str, method: str) -> AsyncIterator[tuple[Upload, Reader | str]]:
        """The finished file of that public name, or a URL that has it for a GET or HEAD (`method`)."""
        upload_id = name.partition(".")[0]
        upload = await self.store.load(upload_id)
        if not upload.is_published or upload.name != name:
            raise UploadNotFoundError(upload_id)
        rules.check_alive(upload, self._clock())
        address = await self.store.address(upload, method)
        if address is not None:
            yield upload, address
            return
        async with self.store.open(upload) as reader:
            yield upload, reader

    def stream(self, upload_id: str, passage: Passage) -> AsyncGenerator[bytes, None]:
        """The upload's bytes, finished or still arriving, in pieces. Close it, or iterate to the end.

        The iteration raises what a read would, also when an upload that is followed is removed, fails or
        expires; ServerShutdownError when nothing more can come. Every piece before that was right.
        """
        return self._streams.open(upload_id, passage)

    # -- the server's life --------------------------------------------------------------------

    def stop(self) -> None:
        """Let go of every running body, keeping its bytes; take no new ones, and begin no delivery."""
        self._stopping = True
        self._arrivals.end()
        self.deliveries.stop()
        for body in self._bodies:
            body.cut(BodyEnd.SHUTDOWN)

    @property
    def is_stopping(self) -> bool:
        """`stop` was called."""
        return self._stopping

    async def check(self) -> int | None:
        """Whether uploads can be taken: raises StoreError if not.

        Returns the bytes that new uploads can still fill (None: no limit known).
        """
        free = await self.store.free_space()
        if free is not None and free <= self._limits.reserved_space:
            return 0
        await self.store.check()
        return None if free is None else free - self._limits.reserved_space

    # -- the one write path -------------------------------------------------------------------

    def hold(self, upload_id: str, body: Body | None = None) -> Holding:
        """The upload's lock. `body` is cut when a newer request wants the lock, or the server stops.

        Raises ServerShutdownError once the engine stops.
        """
        if self._stopping:
            raise ServerShutdownError
        cut = None if body is None else partial(body.cut, BodyEnd.SUPERSEDED)
        claim = self.locker.hold(upload_id, timeout=self._patience.lock_timeout, on_takeover=cut)
        return Holding(upload_id, claim, body, self._bodies, self._arrivals)

    async def _receive(
        self, plan: AppendPlan, body: Body, lock: Lock, checksum: StatedChecksum, on_commit: OnCommit = None
    ) -> Upload:
        upload = plan.upload
        if upload.state is UploadState.COMPLETE:
            await expect_nothing(plan, body, checksum, self._limits.checksum_algorithms)
            return upload
        upload = await self._write(plan, body, lock, checksum, on_commit)
        if plan.is_whole and body.end is BodyEnd.WHOLE:
            upload = replace(upload, length=upload.offset)
            await self.store.save(upload)
        with concerning(upload):
            return await self._conclude(plan, upload, body)

    async def _write(
        self, plan: AppendPlan, body: Body, lock: Lock, checksum: StatedChecksum, on_commit: OnCommit
    ) -> Upload:
        """The upload with what of the body counts: all that came, or with a checksum all or nothing."""
        upload, digests = plan.upload, digests_for(checksum, self._limits.checksum_algorithms)
        if digests is None and plan.length_settled:
            await self.store.save(plan.upload)
        async with self.store.append(upload, atomic=digests is not None) as appender:
            # What counts whole or not at all moves no expiry before it counts.
            lifetime = self._lifetime if digests is None else Lifetime()
            after_piece = self._after_piece(upload, body, lock, lifetime)
            if on_commit is not None and digests is None:
                after_piece = after_piece.committing(appender, on_commit)
            written = await pump(body, appender, room=plan.room, digests=digests, after_piece=after_piece)
            if digests is not None:
                if body.end is not BodyEnd.WHOLE:
                    return plan.discarded
                # tus 1.0.0, Checksum: verified after the entire request has been received.
                verify(upload.id, body, digests, checksum, self._limits.checksum_algorithms)
                if plan.length_settled:
                    await self.store.save(plan.upload)
            # A hook that stopped the upload has it removed, not completed.
            completes = upload.offset + written == upload.length and body.end is not BodyEnd.STOPPED
            upload = replace(upload, offset=await appender.commit(completes=completes))
        return rules.after_append(upload, self._lifetime, self._clock())

    def _after_piece(self, upload: Upload, body: Body, lock: Lock, lifetime: Lifetime) -> Progress:
        return Progress(
            upload=upload,
            body=body,
            lock=lock,
            hooks=self._hooks,
            clock=self._clock,
            interval=self._patience.progress_interval,
            asked_at=self._clock(),
            activity=self.activity,
            store=self.store,
            lifetime=lifetime,
        )

    async def _conclude(self, plan: AppendPlan, upload: Upload, body: Body) -> Upload:
        """What follows from how the body ended."""
        if body.end is BodyEnd.STOPPED:
            await self._remove(upload)
            raise UploadStoppedError(upload.id)
        if not upload.awaits_completion and upload.expires_at != plan.upload.expires_at:
            await self.store.save(upload)
        upload = await self.completion.settle(upload)
        if body.end is BodyEnd.TOO_LONG:
            raise plan.overrun
        if body.end is not BodyEnd.WHOLE and upload.state is not UploadState.COMPLETE:
            raise BodyInterruptedError(upload.id, body.end, upload.offset)
        return upload

    async def _remove(self, upload: Upload) -> None:
        await self.store.delete(upload.id)
        self._arrivals.note(upload.id)
        self.completion.delayed.discard(upload.id)
        self._emit(UploadTerminated(upload=upload))
