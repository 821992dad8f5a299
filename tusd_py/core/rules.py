"""Every "may it?" of an upload, decided without touching anything. Time and space are arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tusd_py.core.checksums import Checksum, check_algorithm
from tusd_py.core.errors import (
    FinalNotModifiableError,
    InsufficientSpaceError,
    InvalidConcatError,
    InvalidLengthError,
    LengthExceededError,
    MaxSizeExceededError,
    OffsetMismatchError,
    UploadError,
    UploadExpiredError,
    UploadFailedError,
    UploadNotFoundError,
)
from tusd_py.core.intents import Concatenate
from tusd_py.core.model import Upload, UploadKind, UploadState, is_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from tusd_py.core.intents import Append, Create, Intent, StatedChecksum
    from tusd_py.core.model import Lifetime, Limits, Metadata

EXTENSIONS = {
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/webm": ".webm",
    "audio/x-m4a": ".m4a",
    "audio/x-wav": ".wav",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/webp": ".webp",
    "text/csv": ".csv",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
    "video/ogg": ".ogv",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
}
_SUFFIX = re.compile(r"[A-Za-z0-9]{1,16}")


def public_name(upload_id: str, metadata: Metadata) -> str:
    """`<id><.ext>`: the extension is the suffix of `filename`, else the usual one of `filetype`.

    Only ASCII letters and digits get through, so nothing in the metadata can choose a folder or
    another upload's name.
    """
    _, dot, suffix = (metadata.text("filename") or "").rpartition(".")
    if dot and _SUFFIX.fullmatch(suffix):
        return f"{upload_id}.{suffix.lower()}"
    media_type = (metadata.text("filetype") or "").partition(";")[0].strip().lower()
    return upload_id + EXTENSIONS.get(media_type, "")


def extension_of(media_type: str) -> str:
    """The extension that people expect of a media type: the usual one, else the name of its subtype.

    `audio/x-amr` is `.amr`; "" where the subtype is no extension, as that of application/octet-stream.
    """
    essence = media_type.partition(";")[0].strip().lower()
    subtype = essence.rpartition("/")[2].removeprefix("x-")
    return EXTENSIONS.get(essence) or (f".{subtype}" if _SUFFIX.fullmatch(subtype) else "")


def check_addressable(intent: Intent) -> None:
    """Raise UploadNotFoundError where a request names a part of the server's own."""
    named = intent.parts if isinstance(intent, Concatenate) else (getattr(intent, "upload_id", None),)
    for upload_id in named:
        if upload_id is not None and is_private(upload_id):
            raise UploadNotFoundError(upload_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a new upload meets: its id, the time, and the storage's free bytes (None: boundless)."""

    upload_id: str
    now: datetime
    free_space: int | None


def plan_create(intent: Create, limits: Limits, lifetime: Lifetime, here: Circumstances) -> Upload:
    """The upload to put on record, or the reason why not."""
    length, body = intent.length, intent.body_length or 0
    check_size(max(length or 0, body), limits)
    if length is not None and body > length:
        raise LengthExceededError(here.upload_id, length)
    _check_space(body if length is None else length, limits, here.free_space)
    _check_checksum(intent.checksum, limits)
    return Upload(
        id=here.upload_id,
        name=public_name(here.upload_id, intent.metadata),
        created_at=here.now,
        length=length,
        metadata=intent.metadata,
        kind=UploadKind.PARTIAL if intent.is_partial else UploadKind.REGULAR,
        concat="partial" if intent.is_partial else "",
        expires_at=_after(here.now, lifetime.unfinished or intent.unfinished),
        secret=intent.secret,
    )


def plan_concatenate(
    intent: Concatenate,
    parts: Sequence[Upload],
    limits: Limits,
    lifetime: Lifetime,
    here: Circumstances,
) -> Upload:
    """The final to put on record. Whether it can be joined yet is looked at when it is settled."""
    for part in parts:
        if part.kind is not UploadKind.PARTIAL:
            raise InvalidConcatError(
                "Upload-Concat", "it names an upload that is not partial", "partial uploads only"
            )
        check_alive(part, here.now)
    length = joined_length(parts)
    check_size(sum(part.length or 0 for part in parts), limits)
    _check_space(length or 0, limits, here.free_space)
    return Upload(
        id=here.upload_id,
        name=public_name(here.upload_id, intent.metadata),
        created_at=here.now,
        length=length,
        metadata=intent.metadata,
        kind=UploadKind.FINAL,
        concat=intent.concat,
        parts=intent.parts,
        expires_at=_after(here.now, lifetime.unfinished),
        secret=intent.secret,
    )


def joined_length(parts: Sequence[Upload]) -> int | None:
    """tus 1.0.0, Concatenation: the sum of the partials' lengths; None while one of them is deferred."""
    lengths = [part.length for part in parts if part.length is not None]
    return sum(lengths) if len(lengths) == len(parts) else None


def are_complete(parts: Sequence[Upload]) -> bool:
    """Whether the join can begin."""
    return all(part.state is UploadState.COMPLETE for part in parts)


def check_size(size: int, limits: Limits) -> None:
    """Raise MaxSizeExceededError for a whole upload of more bytes than are taken."""
    # tus 1.0.0, Creation: a length above Tus-Max-Size is answered 413.
    if limits.max_size is not None and size > limits.max_size:
        raise MaxSizeExceededError(limits.max_size)


def largest_deferred(limits: Limits) -> int | None:
    """How many bytes may come as long as nobody has said how many it will be; None: no limit."""
    known = [limit for limit in (limits.max_size, limits.max_deferred) if limit is not None]
    return min(known, default=None)


def _check_space(needed: int, limits: Limits, free_space: int | None) -> None:
    if free_space is not None:
        available = max(free_space - limits.reserved_space, 0)
        if needed > available or free_space < limits.reserved_space:
            raise InsufficientSpaceError(needed, available)


def _check_checksum(checksum: StatedChecksum, limits: Limits) -> None:
    if isinstance(checksum, Checksum):
        check_algorithm(checksum, limits.checksum_algorithms)


def _after(now: datetime, span: timedelta | None) -> datetime | None:
    return None if span is None else now + span


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendPlan:
    """A permitted append.

    `room` is how many bytes the body may bring (None: no limit known), `overrun` what to say when it
    brings more. `length_settled`: the upload's length is new and has to be put on record. `is_whole`:
    the body is all of the upload, so its end settles the length.
    """

    upload: Upload
    room: int | None
    overrun: UploadError
    length_settled: bool = False
    is_whole: bool = False

    @property
    def discarded(self) -> Upload:
        """tus 1.0.0, Checksum: the upload without the append: its offset and its length did not move."""
        return replace(self.upload, length=None) if self.length_settled else self.upload


def check_alive(upload: Upload, now: datetime) -> None:
    """Refuse what has expired and what a pre-finish veto has refused for good."""
    if upload.state is UploadState.FAILED:
        raise UploadFailedError(upload.id)
    if is_expired(upload, now):
        raise UploadExpiredError(upload.id)


def is_expired(upload: Upload, now: datetime) -> bool:
    """Whether its time is over, swept or not. What has all its bytes gets to its end first, and what is
    finished to everybody it is to be delivered to."""
    if upload.state is UploadState.EXPIRED:
        return True
    is_over = upload.expires_at is not None and now >= upload.expires_at
    return is_over and not upload.awaits_completion and not upload.awaits_delivery


def after_append(upload: Upload, lifetime: Lifetime, now: datetime) -> Upload:
    """tus 1.0.0, Expiration: the time may move; with sliding expiry every append moves it."""
    if lifetime.unfinished is None or not lifetime.sliding:
        return upload
    return replace(upload, expires_at=_after(now, lifetime.unfinished))


def expiry_lags(on_record: Upload, upload: Upload, lifetime: Lifetime) -> bool:
    """Whether `upload`'s expiry has moved so far that it has to be put on record while bytes come in.

    A quarter of the lifetime: seldom enough to cost nothing, and three quarters are left after a crash.
    """
    if lifetime.unfinished is None or on_record.expires_at is None or upload.expires_at is None:
        return False
    return upload.expires_at - on_record.expires_at >= lifetime.unfinished / 4


def after_partials(final: Upload, parts: Sequence[Upload], lifetime: Lifetime) -> Upload:
    """A waiting final has at least the time of the partials it waits for."""
    moments = [part.expires_at for part in (final, *parts) if part.expires_at is not None]
    if final.expires_at is None or not lifetime.sliding:
        return final
    return replace(final, expires_at=max(moments))


def after_completion(upload: Upload, lifetime: Lifetime, now: datetime) -> Upload:
    """The complete upload: it stays, unless finished ones have a time of their own; a partial keeps its."""
    expires_at = upload.expires_at
    if upload.kind is not UploadKind.PARTIAL:
        expires_at = _after(now, lifetime.finished)
    return replace(upload, state=UploadState.COMPLETE, expires_at=expires_at)


def check_modifiable(upload: Upload) -> None:
    """tus 1.0.0, Concatenation: a PATCH against a final upload is answered 403 and changes nothing."""
    if upload.kind is UploadKind.FINAL:
        raise FinalNotModifiableError


def plan_append(upload: Upload, intent: Append, limits: Limits, now: datetime) -> AppendPlan:
    """Whether the body may be written, and how much of it."""
    check_alive(upload, now)
    check_modifiable(upload)
    # tus 1.0.0, PATCH: if the offsets differ, 409 without modifying the upload.
    if intent.offset != upload.offset:
        raise OffsetMismatchError(upload.id, expected=upload.offset, actual=intent.offset)
    settled = _settle_length(upload, intent.declared_length, limits)
    plan = _plan_room(settled, limits, length_settled=settled.length != upload.length)
    if plan.room is not None and (intent.body_length or 0) > plan.room:
        raise plan.overrun
    _check_checksum(intent.checksum, limits)
    return plan


def plan_first_chunk(upload: Upload, limits: Limits, *, is_whole: bool = False) -> AppendPlan:
    """The body of the creating request; `plan_create` has already checked its announced size."""
    return replace(_plan_room(upload, limits, length_settled=False), is_whole=is_whole)


def _settle_length(upload: Upload, declared: int | None, limits: Limits) -> Upload:
    if declared is None or declared == upload.length:  # a retry repeats it
        return upload
    # tus 1.0.0, Creation: once set, the length MUST NOT be changed.
    if upload.length is not None:
        raise InvalidLengthError(
            "Upload-Length", f"{declared} contradicts the upload's length", f"{upload.length}"
        )
    if declared < upload.offset:
        raise InvalidLengthError(
            "Upload-Length", f"{declared} is below the offset", f"{upload.offset} or more"
        )
    most = largest_deferred(limits)  # where the parts have a size since its creation, that cannot grow
    if most is not None and declared > most:
        raise MaxSizeExceededError(most)
    return replace(upload, length=declared)


def _plan_room(upload: Upload, limits: Limits, *, length_settled: bool) -> AppendPlan:
    room: int | None = None
    overrun: UploadError = LengthExceededError(upload.id, upload.length or 0)
    if upload.length is not None:
        room = upload.length - upload.offset
    elif (most := largest_deferred(limits)) is not None:
        room = max(most - upload.offset, 0)
        overrun = MaxSizeExceededError(most)
    return AppendPlan(upload=upload, room=room, overrun=overrun, length_settled=length_settled)
