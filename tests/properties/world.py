"""What has to become of uploads, said a second time and as simply as possible.

It shares no code with the rules it is there to check. Each request changes the world and gives back what
it has to raise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.properties.model import MAX_SIZE, Known, Refusal, Sent
from tusd_py.core.errors import (
    BodyInterruptedError,
    FinalNotModifiableError,
    InvalidConcatError,
    InvalidLengthError,
    LengthExceededError,
    MaxSizeExceededError,
    OffsetMismatchError,
    UploadExpiredError,
    UploadFailedError,
    UploadGoneError,
    UploadNotFoundError,
    UploadRejectedError,
    UploadStoppedError,
)
from tusd_py.core.model import Lifetime, UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd

MEMORY = timedelta(seconds=50)
"""How long an expired upload is remembered."""


@dataclass(slots=True, kw_only=True)
class Swept:
    """The ids of what a sweep does, by what it does to them."""

    finished: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class World:
    """All uploads at a time. `veto`: nothing may finish; `waiting`: finals that this process looked at
    and that lacked a partial."""

    now: datetime
    lifetime: Lifetime
    veto: bool = False
    uploads: dict[str, Known] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)

    def copy(self, now: datetime, *, veto: bool) -> World:
        """The same, at another time."""
        return replace(self, now=now, veto=veto, uploads=dict(self.uploads), waiting=set(self.waiting))

    # -- requests -----------------------------------------------------------------------------

    def fresh(self, name: str, length: int | None, kind: UploadKind) -> Known:
        """An upload as it begins."""
        return Known(name=name, length=length, kind=kind, expires_at=self.after(self.lifetime.unfinished))

    def create(self, key: str, fresh: Known, sent: Sent | None) -> Refusal:
        """POST; `sent` is the first chunk."""
        announced = sent.announced or 0 if sent else 0
        if max(fresh.length or 0, announced) > MAX_SIZE:
            return MaxSizeExceededError
        if fresh.length is not None and announced > fresh.length:
            return LengthExceededError
        if sent and sent.stated and sent.stated.early_refusal:
            return sent.stated.early_refusal
        self.uploads[key] = fresh
        if sent is None:
            return self.settle(key)
        refusal = self.receive(key, fresh, sent)
        if sent.stated and refusal in {sent.stated.refusal} - {None}:
            del self.uploads[key]  # nobody ever heard of it
        return refusal

    def append(self, key: str, offset: int, sent: Sent, declared: int | None) -> Refusal:
        """PATCH."""
        if key in self.uploads and self.uploads[key].awaits_completion:
            refusal = self.complete(key)
            if refusal:
                return refusal
        refusal = self.refuse(key)
        if refusal:
            return refusal
        upload = self.uploads[key]
        if upload.is_final:
            return FinalNotModifiableError
        if offset != len(upload.data):
            return OffsetMismatchError
        longer = replace(upload, length=upload.length if declared is None else declared)
        if upload.length not in {None, longer.length} or (declared is not None and declared < offset):
            return InvalidLengthError
        if (longer.length or 0) > MAX_SIZE and upload.length is None:
            return MaxSizeExceededError
        if sent.announced is not None and sent.announced > room_of(longer):
            return overrun_of(longer)
        if sent.stated and sent.stated.early_refusal:
            return sent.stated.early_refusal
        return self.receive(key, longer, sent)

    def receive(self, key: str, longer: Known, sent: Sent) -> Refusal:
        """A body that may come; `longer` is the upload with the length that is declared for it."""
        room, is_whole = room_of(longer), sent.end is BodyEnd.WHOLE
        fits = len(sent.data) <= room
        if longer.state is UploadState.COMPLETE:
            if sent.data:
                return LengthExceededError
            return sent.stated.refusal if sent.stated and is_whole else None
        if sent.stated is None:
            data = longer.data + sent.data[:room]
            self.uploads[key] = replace(longer, data=data, expires_at=self.slid(longer))
        elif fits and is_whole:
            if sent.stated.refusal:
                return sent.stated.refusal
            data = longer.data + sent.data
            self.uploads[key] = replace(longer, data=data, expires_at=self.slid(longer))
        if fits and sent.end is BodyEnd.STOPPED:
            del self.uploads[key]
            return UploadStoppedError
        refusal = self.settle(key)
        if refusal:
            return refusal
        if not fits:
            return overrun_of(longer)
        is_complete = self.uploads[key].state is UploadState.COMPLETE
        return None if is_whole or is_complete else BodyInterruptedError

    def concatenate(self, key: str, name: str, parts: tuple[str, ...]) -> Refusal:
        """POST of a final."""
        if not set(parts) <= set(self.uploads):
            return UploadNotFoundError
        for part in parts:
            if self.uploads[part].kind is not UploadKind.PARTIAL:
                return InvalidConcatError
            refusal = self.refuse(part)
            if refusal:
                return refusal
        if sum(self.uploads[part].length or 0 for part in parts) > MAX_SIZE:
            return MaxSizeExceededError
        self.uploads[key] = self.fresh_final(name, parts)
        refusal = self.settle(key)
        if refusal:
            del self.uploads[key]  # nobody ever heard of it
        return refusal

    def fresh_final(self, name: str, parts: tuple[str, ...]) -> Known:
        """A final as it begins; its parts are known."""
        return replace(self.fresh(name, self.joined_length(parts), UploadKind.FINAL), parts=parts)

    def inspect(self, key: str) -> Refusal:
        """HEAD."""
        return self.refuse(key) or self.settle(key)

    def terminate(self, key: str) -> Refusal:
        """DELETE."""
        if key not in self.uploads:
            return UploadNotFoundError
        if self.is_over(self.uploads[key]):
            return UploadExpiredError
        del self.uploads[key]
        return None

    def sweep(self) -> Swept:
        """The collector: first everything that can get to its end does."""
        over = {key for key, upload in self.uploads.items() if self.is_over(upload)}
        swept = Swept()
        unfinished = [
            key
            for key, upload in self.uploads.items()
            if key not in over and upload.state is not UploadState.COMPLETE
        ]
        for key in sorted(unfinished, key=lambda key: self.uploads[key].is_final):
            self.settle(key)
        swept.finished = {key for key in unfinished if self.uploads[key].state is UploadState.COMPLETE}
        for key in over:
            upload = self.uploads[key]
            if upload.state is not UploadState.EXPIRED:
                self.uploads[key] = replace(upload, state=UploadState.EXPIRED, data=b"")
                swept.expired.add(key)
            elif upload.expires_at is None or self.now >= upload.expires_at + MEMORY:
                del self.uploads[key]
                swept.forgotten.add(key)
        return swept

    # -- the end ------------------------------------------------------------------------------

    def settle(self, key: str) -> Refusal:
        """What has all its bytes is finished before anything else happens to it."""
        upload = self.uploads[key]
        if upload.awaits_completion:
            return self.complete(key)
        if not upload.is_final or upload.state is not UploadState.OPEN:
            return None
        return UploadGoneError if self.lacks_part(upload) else self.settle_final(key)

    def settle_final(self, key: str) -> Refusal:
        """Joined, or too large for good, or in want of a partial, with as much time as that has."""
        final = self.uploads[key]
        length = self.joined_length(final.parts)
        if final.length is None and (length or 0) > MAX_SIZE:
            self.uploads[key] = replace(final, state=UploadState.FAILED)
            return MaxSizeExceededError
        parts = [self.uploads[part] for part in final.parts]
        if all(part.state is UploadState.COMPLETE for part in parts):
            return self.complete(key)
        self.waiting.add(key)
        times = [upload.expires_at for upload in (final, *parts) if upload.expires_at is not None]
        if self.lifetime.sliding and times and max(times) != final.expires_at:
            self.uploads[key] = replace(final, length=length, expires_at=max(times))
        return None

    def complete(self, key: str) -> Refusal:
        """To the end, or to a veto, which is asked for once; a final that is not joined and lacks a
        partial has no end."""
        upload = self.uploads[key]
        asks = upload.state is UploadState.OPEN and upload.kind is not UploadKind.PARTIAL
        if upload.is_final and not self.lacks_part(upload):
            upload = replace(upload, length=self.joined_length(upload.parts))
        if self.veto and asks:
            self.uploads[key] = replace(upload, state=UploadState.FAILED)
            return UploadRejectedError
        if upload.is_final and not self.lacks_part(upload):
            upload = replace(upload, data=b"".join(self.uploads[part].data for part in upload.parts))
        elif len(upload.data) != upload.length:
            self.uploads[key] = replace(upload, state=UploadState.FAILED)
            return UploadGoneError
        is_partial = upload.kind is UploadKind.PARTIAL
        expires_at = upload.expires_at if is_partial else self.after(self.lifetime.finished)
        self.uploads[key] = replace(upload, state=UploadState.COMPLETE, expires_at=expires_at)
        if is_partial:
            self.settle_finals_of(key)
        return None

    def settle_finals_of(self, part: str) -> None:
        """The finals that waited for it, unless their time is over; what comes of them is theirs."""
        for key in self.waiting & set(self.uploads):
            if part in self.uploads[key].parts and not self.is_over(self.uploads[key]):
                self.settle(key)

    # -- what is known ------------------------------------------------------------------------

    @property
    def expired(self) -> set[str]:
        """Of whom nothing but their record is left."""
        return {key for key, upload in self.uploads.items() if upload.state is UploadState.EXPIRED}

    def refuse(self, key: str) -> Refusal:
        """What every request to it has to hear."""
        if key not in self.uploads:
            return UploadNotFoundError
        if self.uploads[key].state is UploadState.FAILED:
            return UploadFailedError
        return UploadExpiredError if self.is_over(self.uploads[key]) else None

    def is_over(self, upload: Known) -> bool:
        """Its time, that is."""
        is_late = upload.expires_at is not None and self.now >= upload.expires_at
        return upload.state is UploadState.EXPIRED or (is_late and not upload.awaits_completion)

    def lacks_part(self, final: Known) -> bool:
        """Some partial is no more."""
        parts = [self.uploads.get(part) for part in final.parts]
        return any(part is None or part.state is UploadState.EXPIRED for part in parts)

    def joined_length(self, parts: tuple[str, ...]) -> int | None:
        """Of a final over these; None while it is open."""
        lengths = [self.uploads[part].length for part in parts]
        return None if None in lengths else sum(length or 0 for length in lengths)

    def after(self, span: timedelta | None) -> datetime | None:
        """So long from now."""
        return None if span is None else self.now + span

    def slid(self, upload: Known) -> datetime | None:
        """When it expires once bytes came."""
        moves = self.lifetime.sliding and self.lifetime.unfinished is not None
        return self.after(self.lifetime.unfinished) if moves else upload.expires_at


def room_of(upload: Known) -> int:
    """How many bytes may still come."""
    return (MAX_SIZE if upload.length is None else upload.length) - len(upload.data)


def overrun_of(upload: Known) -> Refusal:
    """What to say to one byte more."""
    return MaxSizeExceededError if upload.length is None else LengthExceededError
