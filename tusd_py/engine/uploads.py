"""The engine: every intent on uploads, carried out under the upload's lock."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tusd_py.core import rules
from tusd_py.core.errors import (
    BodyInterruptedError,
    ServerShutdownError,
    StoreError,
    TerminationRejectedError,
    UploadError,
    UploadGoneError,
    UploadLockedError,
    UploadNotFoundError,
    UploadRejectedError,
    UploadStoppedError,
)
from tusd_py.core.events import UploadCreated, UploadTerminated
from tusd_py.core.model import Limits, Upload, UploadState
from tusd_py.core.outcomes import Appended, BodyEnd, Created, Inspected, Terminated
from tusd_py.engine.completion import Completion
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.pump import pump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from tusd_py.core.intents import Append, Create, Malformed, Read, ReadOffset, Terminate
    from tusd_py.core.ports import Body, Clock, EventSink, Lock, Locker, Reader, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: how long a request waits for an upload's lock, how long a holder may be silent before
    a HEAD takes the upload over from it, and how often a running body asks the hooks."""

    lock_timeout: float = 20.0
    holder_silence: float = 1.0
    progress_interval: float = 1.0


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
        patience: Patience | None = None,
    ) -> None:
        self.store = store
        self._locker = locker
        self._limits = limits
        self._clock = clock
        self._new_id = new_id
        self._emit = emit
        self._hooks = hooks or Hookpoints()
        self._patience = patience or Patience()
        self._completion = Completion(store, self._hooks, emit)
        self._bodies: set[Body] = set()
        self._stopping = False

    # -- requests -----------------------------------------------------------------------------

    async def create(self, intent: Create, body: Body) -> Created:
        """Put an upload on record and take the first chunk, if the request brings one."""
        if self._stopping:
            raise ServerShutdownError
        planned = rules.plan_create(
            intent,
            self._limits,
            upload_id=self._new_id(),
            now=self._clock(),
            free_space=await self.store.free_space(),
        )
        await self._hooks.pre_create(planned)
        await self.store.create(planned)
        self._emit(UploadCreated(upload=planned))
        if not intent.has_body and not planned.has_all_bytes:
            return Created(upload=planned, took_body=False)
        async with self._receiving(planned.id, body) as lock:
            if intent.has_body:
                plan = rules.plan_first_chunk(planned, self._limits)
                upload = await self._receive(plan, body, lock)
            else:  # an empty upload is complete at once
                upload = await self._completion.settle(planned)
        return Created(upload=upload, took_body=intent.has_body)

    async def append(self, intent: Append, body: Body) -> Appended:
        """Store the body at its offset. A running holder of the upload lets go first."""
        async with self._receiving(intent.upload_id, body) as lock:
            upload = await self._completion.settle(await self.store.load(intent.upload_id))
            plan = rules.plan_append(upload, intent, self._limits)
            return Appended(upload=await self._receive(plan, body, lock))

    async def inspect(self, intent: ReadOffset) -> Inspected:
        """How far the upload is. A holder at work is not disturbed; a silent one is taken over from."""
        upload_id, patience = intent.upload_id, self._patience
        with contextlib.suppress(UploadLockedError):
            return await self._inspect_alone(upload_id, silence=patience.holder_silence)
        upload = await self.store.load(upload_id)
        if upload.awaits_completion:  # the holder is about to finish: its last byte is not news yet
            return await self._inspect_alone(upload_id, silence=None)
        rules.check_alive(upload)
        return Inspected(upload=upload)

    async def _inspect_alone(self, upload_id: str, *, silence: float | None) -> Inspected:
        async with self._locker.hold(upload_id, timeout=self._patience.lock_timeout, silence=silence):
            upload = await self._completion.settle(await self.store.load(upload_id))
            rules.check_alive(upload)
            return Inspected(upload=upload)

    async def terminate(self, intent: Terminate) -> Terminated:
        """Remove the upload; a running holder lets go first and cannot bring it back."""
        async with self._locker.hold(intent.upload_id, timeout=self._patience.lock_timeout):
            try:
                upload = await self.store.load(intent.upload_id)
            except UploadGoneError:  # nothing but its record is left
                await self.store.delete(intent.upload_id)
                return Terminated(upload_id=intent.upload_id)
            try:
                await self._hooks.pre_terminate(upload)
            except UploadRejectedError as veto:
                raise TerminationRejectedError(intent.upload_id) from veto
            await self._remove(upload)
        return Terminated(upload_id=intent.upload_id)

    async def refuse(self, intent: Malformed) -> UploadError:
        """What to say to a malformed request: that the upload does not exist, else the complaint."""
        rules.check_alive(await self.store.load(intent.upload_id))
        return intent.complaint

    @contextlib.asynccontextmanager
    async def read(self, intent: Read) -> AsyncIterator[tuple[Upload, Reader]]:
        """What is stored of the upload, finished or not. Takes no lock."""
        upload = await self.store.load(intent.upload_id)
        rules.check_alive(upload)
        async with self.store.open(upload) as reader:
            yield upload, reader

    @contextlib.asynccontextmanager
    async def read_published(self, name: str) -> AsyncIterator[tuple[Upload, Reader]]:
        """The finished file of that public name."""
        upload_id = name.partition(".")[0]
        upload = await self.store.load(upload_id)
        if upload.state is not UploadState.COMPLETE or upload.name != name:
            raise UploadNotFoundError(upload_id)
        async with self.store.open(upload) as reader:
            yield upload, reader

    # -- the server's life --------------------------------------------------------------------

    async def recover(self) -> None:
        """Drive every upload that an earlier process left on its last steps to the end.

        What cannot be finished now is left for the next request to it; events tell of it.
        """
        async for upload_id in self.store.list():
            with contextlib.suppress(UploadError, StoreError):
                if (await self.store.load(upload_id)).awaits_completion:
                    await self._inspect_alone(upload_id, silence=self._patience.holder_silence)

    def stop(self) -> None:
        """Let go of every running body, keeping its bytes, and take no new ones."""
        self._stopping = True
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

    @contextlib.asynccontextmanager
    async def _receiving(self, upload_id: str, body: Body) -> AsyncIterator[Lock]:
        if self._stopping:
            raise ServerShutdownError
        self._bodies.add(body)
        try:
            async with self._locker.hold(
                upload_id,
                timeout=self._patience.lock_timeout,
                on_takeover=partial(body.cut, BodyEnd.SUPERSEDED),
            ) as lock:
                yield lock
        finally:
            self._bodies.discard(body)

    async def _receive(self, plan: rules.AppendPlan, body: Body, lock: Lock) -> Upload:
        upload = plan.upload
        if upload.state is UploadState.COMPLETE:
            await self._expect_nothing(plan, body)
            return upload
        if plan.length_settled:
            await self.store.save(upload)
        async with self.store.append(upload) as appender:
            progress = _Progress(
                upload=upload,
                body=body,
                lock=lock,
                hooks=self._hooks,
                clock=self._clock,
                interval=self._patience.progress_interval,
                asked_at=self._clock(),
            )
            await pump(body, appender, room=plan.room, after_piece=progress)
            upload = replace(upload, offset=await appender.commit())
        if body.end is BodyEnd.STOPPED:
            await self._remove(upload)
            raise UploadStoppedError(upload.id)
        upload = await self._completion.settle(upload)
        if body.end is BodyEnd.TOO_LONG:
            raise plan.overrun
        if body.end is not BodyEnd.WHOLE and upload.state is not UploadState.COMPLETE:
            raise BodyInterruptedError(upload.id, body.end, upload.offset)
        return upload

    async def _expect_nothing(self, plan: rules.AppendPlan, body: Body) -> None:
        """A complete upload takes an empty chunk and nothing else."""
        async for _ in body.chunks():
            body.cut(BodyEnd.TOO_LONG)
        if body.end is BodyEnd.TOO_LONG:
            raise plan.overrun

    async def _remove(self, upload: Upload) -> None:
        await self.store.delete(upload.id)
        self._emit(UploadTerminated(upload=upload))


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Called after each stored piece: the lock hears of it, and the hooks once in a while."""

    upload: Upload
    body: Body
    lock: Lock
    hooks: Hookpoints
    clock: Clock
    interval: float
    asked_at: datetime

    async def __call__(self, received: int) -> None:
        self.lock.touch()
        if not self.hooks:
            return
        self.upload = replace(self.upload, offset=self.upload.offset + received)
        now = self.clock()
        if (now - self.asked_at).total_seconds() >= self.interval:
            self.asked_at = now
            try:
                await self.hooks.post_receive(self.upload)
            except UploadRejectedError:
                self.body.cut(BodyEnd.STOPPED)
