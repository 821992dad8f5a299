"""From the last byte to the published file, so that no crash, fault or veto in between is lost."""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tusd_py.core import rules
from tusd_py.core.deliveries import expecting
from tusd_py.core.errors import (
    MaxSizeExceededError,
    StoreError,
    UploadError,
    UploadGoneError,
    UploadRejectedError,
)
from tusd_py.core.events import CompletionDelayed, UploadFinished, UploadTerminated
from tusd_py.core.model import Lifetime, Limits, Upload, UploadKind, UploadState, is_private

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tusd_py.core.ports import Clock, EventSink, Locker, Store
    from tusd_py.engine.deliveries import Deliveries
    from tusd_py.engine.hookpoints import Hookpoints

NEVER_DISTURB = math.inf
"""As a lock's `silence`: enter only where nobody is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """Drives uploads whose bytes are all there to their end. The caller holds the upload's lock."""

    store: Store
    locker: Locker
    hooks: Hookpoints
    emit: EventSink
    clock: Clock
    lifetime: Lifetime
    limits: Limits
    deliveries: Deliveries
    recipients: tuple[str, ...] = ()
    """Whom a finished upload is to be delivered to."""
    tell_partial: Callable[[str], None] | None = None
    """Tells other processes of a partial that is complete: finals may wait for it there."""
    delayed: set[str] = field(default_factory=set)
    """Uploads that could not be finished when it was tried last. For those who watch, not for us."""
    _waiting: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Finals by the partial they wait for. It saves time, not data: HEAD, start-up and the janitor
    look at the partials themselves."""

    async def settle(self, upload: Upload) -> Upload:
        """`upload` as it may be reported: driven to its end if it was waiting for that."""
        if upload.awaits_completion:
            return await self.complete(upload)
        if upload.is_waiting_final:
            return await self._settle_final(upload)
        if upload.holds_own_parts:
            return await self._drop_own_parts(upload)
        return upload

    async def would_settle(self, upload: Upload, finished: Collection[str] = ()) -> bool:
        """Whether `settle` would complete it once the uploads `finished` are; nothing changes.

        What a hook will say nobody knows. Raises UploadGoneError when a final lacks a partial, and
        MaxSizeExceededError when it turns out too large.
        """
        if upload.kind is not UploadKind.FINAL or upload.holds_own_parts:
            return upload.awaits_completion or upload.holds_own_parts
        if upload.awaits_completion and upload.offset == upload.length:
            return True  # joined before an interruption
        parts = await self.parts_of(upload)
        if upload.length is None:
            rules.check_size(rules.joined_length(parts) or 0, self.limits)
        return all(part.state is UploadState.COMPLETE or part.id in finished for part in parts)

    async def complete(self, upload: Upload) -> Upload:
        """The complete upload, published.

        Every step may be repeated. On StoreError the upload keeps what it has reached and is tried again
        by the next request to it, the janitor and the next start. A hook's veto makes it `failed`, for
        good, and raises UploadRejectedError.
        """
        try:
            upload = await self._prepare(upload)
            await self.store.complete(upload)
            upload = await self._record_end(upload)
        except (UploadRejectedError, UploadGoneError):
            # Vetoed, or a partial was removed: there is no way to the end.
            await self.store.save(replace(upload, state=UploadState.FAILED, deliveries=()))
            self.delayed.discard(upload.id)
            raise
        except StoreError as error:
            await self._mark_late(upload)
            self.delayed.add(upload.id)
            self.emit(CompletionDelayed(upload=upload, error=error))
            raise
        self.delayed.discard(upload.id)
        if upload.kind is UploadKind.PARTIAL:
            # tus 1.0.0, Concatenation: a partial is not processed by itself.
            await self.settle_finals_of(upload.id)
            if self.tell_partial is not None:
                self.tell_partial(upload.id)
        else:
            self.emit(UploadFinished(upload=upload))
            self.deliveries.expect(upload)
        if upload.holds_own_parts:
            with suppress(StoreError):  # the file is finished; HEAD and the janitor come back to it
                upload = await self._drop_own_parts(upload)
        return upload

    async def review_delayed(self) -> None:
        """Forget those among the delayed that somebody else has finished, or removed."""
        for upload_id in tuple(self.delayed):
            with suppress(StoreError):
                try:
                    upload = await self.store.load(upload_id)
                except UploadError:
                    self.delayed.discard(upload_id)
                else:
                    if not upload.awaits_completion:
                        self.delayed.discard(upload_id)

    async def _mark_late(self, upload: Upload) -> None:
        """What marks itself by being published may be public soon, though its storage has not said so:
        the hooks must not be asked again."""
        if upload.state is UploadState.COMPLETING and self.store.marks_by_publishing:
            with suppress(StoreError, UploadError):
                await self.store.save(upload)

    async def _record_end(self, upload: Upload) -> Upload:
        """Put `complete` on record. If that fails, look: it may have been done and only not been told."""
        upload = rules.after_completion(upload, self.lifetime, self.clock())
        try:
            await self.store.save(upload)
        except StoreError:
            if (await self.store.load(upload.id)).state is not UploadState.COMPLETE:
                raise
        return upload

    async def _prepare(self, upload: Upload) -> Upload:
        """On its way: whoever could object has agreed, and that is on record before anything is public,
        with those who have to be given the upload.

        The hooks are not asked again after that: a veto must not come when the file is already out.
        """
        is_public = upload.kind is not UploadKind.PARTIAL
        marks = upload.kind is UploadKind.FINAL or not self.store.marks_by_publishing
        was_marked = upload.state is UploadState.COMPLETING
        if is_public and not was_marked:
            await self.hooks.pre_finish(upload)
        if is_public and not (was_marked and marks):  # what marks itself has not said to whom
            upload = expecting(upload, self.recipients)
        upload = replace(upload, state=UploadState.COMPLETING)
        if marks and not was_marked:
            await self.store.save(upload)
        if upload.kind is UploadKind.FINAL:
            return await self._join(upload)
        return upload

    async def _join(self, final: Upload) -> Upload:
        try:
            parts = await self.parts_of(final)
        except UploadGoneError:
            if final.offset != final.length:
                raise
            return final  # joined before an interruption, it needs its partials no more
        await self.store.concatenate(final, parts)
        return replace(final, offset=final.length or 0)

    # -- finals -------------------------------------------------------------------------------

    async def parts_of(self, final: Upload) -> list[Upload]:
        """The partials of a final, in order. Raises UploadGoneError when one of them is no more."""
        parts: dict[str, Upload] = {}
        for part_id in final.parts:
            if part_id not in parts:
                parts[part_id] = await self._load_part(final, part_id)
        return [parts[part_id] for part_id in final.parts]

    async def _load_part(self, final: Upload, part_id: str) -> Upload:
        try:
            part = await self.store.load(part_id)
        except UploadError as error:
            raise UploadGoneError(final.id) from error
        if part.state is UploadState.EXPIRED:
            raise UploadGoneError(final.id)
        return part

    async def _settle_final(self, final: Upload) -> Upload:
        """Join if every partial is complete, else remember whom to wait for."""
        parts = await self.parts_of(final)
        # tus 1.0.0, Concatenation: Upload-Length as soon as it can be computed.
        if final.length is None:
            final = replace(final, length=await self._check_joined_length(final, parts))
        if rules.are_complete(parts):
            return await self.complete(final)
        extended = rules.after_partials(final, parts, self.lifetime)
        if extended.expires_at != final.expires_at:
            await self.store.save(extended)
        for part in parts:
            if part.state is not UploadState.COMPLETE:
                self._waiting[part.id].add(final.id)
        return extended

    async def _check_joined_length(self, final: Upload, parts: list[Upload]) -> int | None:
        """The length that was not known at the creation: too large now is too large for good."""
        length = rules.joined_length(parts)
        try:
            rules.check_size(length or 0, self.limits)
        except MaxSizeExceededError:
            await self.store.save(replace(final, state=UploadState.FAILED))
            raise
        return length

    async def _drop_own_parts(self, final: Upload) -> Upload:
        """Remove what nobody but this finished final could use; the last step says that it is done."""
        for part_id in final.parts:
            if is_private(part_id):
                with suppress(UploadError):  # gone before an interruption
                    await self._drop_part(part_id)
        kept = tuple(part_id for part_id in final.parts if not is_private(part_id))
        final = replace(final, parts=kept)
        await self.store.save(final)
        return final

    async def _drop_part(self, part_id: str) -> None:
        try:
            part = await self.store.load(part_id)
        except UploadGoneError:  # a crash came between its bytes and its record
            await self.store.delete(part_id)
            return
        await self.store.delete(part_id)
        self.emit(UploadTerminated(upload=part))

    async def settle_finals_of(self, part_id: str) -> None:
        """Join what waits in this process for that partial, which is complete."""
        for final_id in self._waiting.pop(part_id, ()):
            with suppress(UploadError, StoreError):  # told by events, tried again by HEAD and janitor
                async with self.locker.hold(final_id, timeout=0, silence=NEVER_DISTURB):
                    final = await self.store.load(final_id)
                    if not rules.is_expired(final, self.clock()):  # nobody is told of it any more
                        await self.settle(final)
