"""Every "may it?" of an upload, decided without touching anything. Time and space are arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tusd_py.core.errors import (
    InsufficientSpaceError,
    InvalidLengthError,
    LengthExceededError,
    MaxSizeExceededError,
    OffsetMismatchError,
    UploadError,
    UploadFailedError,
)
from tusd_py.core.model import Upload, UploadState

if TYPE_CHECKING:
    from datetime import datetime

    from tusd_py.core.intents import Append, Create
    from tusd_py.core.model import Limits, Metadata

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


def plan_create(
    intent: Create, limits: Limits, *, upload_id: str, now: datetime, free_space: int | None
) -> Upload:
    """The upload to put on record, or the reason why not. `free_space` in bytes, None if boundless."""
    length, body = intent.length, intent.body_length or 0
    # tus 1.0.0, Creation: a length above Tus-Max-Size is answered 413.
    if limits.max_size is not None and max(length or 0, body) > limits.max_size:
        raise MaxSizeExceededError(limits.max_size)
    if length is not None and body > length:
        raise LengthExceededError(upload_id, length)
    needed = body if length is None else length
    if free_space is not None:
        available = max(free_space - limits.reserved_space, 0)
        if needed > available or free_space < limits.reserved_space:
            raise InsufficientSpaceError(needed, available)
    return Upload(
        id=upload_id,
        name=public_name(upload_id, intent.metadata),
        created_at=now,
        length=length,
        metadata=intent.metadata,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendPlan:
    """A permitted append.

    `room` is how many bytes the body may bring (None: no limit known), `overrun` what to say when it
    brings more. `length_settled`: the upload's length is new and has to be put on record.
    """

    upload: Upload
    room: int | None
    overrun: UploadError
    length_settled: bool = False


def check_alive(upload: Upload) -> None:
    """Refuse what a pre-finish veto has refused for good."""
    if upload.state is UploadState.FAILED:
        raise UploadFailedError(upload.id)


def plan_append(upload: Upload, intent: Append, limits: Limits) -> AppendPlan:
    """Whether the body may be written, and how much of it."""
    check_alive(upload)
    # tus 1.0.0, PATCH: if the offsets differ, 409 without modifying the upload.
    if intent.offset != upload.offset:
        raise OffsetMismatchError(upload.id, expected=upload.offset, actual=intent.offset)
    settled = _settle_length(upload, intent.declared_length, limits)
    plan = _plan_room(settled, limits, length_settled=settled.length != upload.length)
    if plan.room is not None and (intent.body_length or 0) > plan.room:
        raise plan.overrun
    return plan


def plan_first_chunk(upload: Upload, limits: Limits) -> AppendPlan:
    """The body of the creating request; `plan_create` has already checked its announced size."""
    return _plan_room(upload, limits, length_settled=False)


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
    if limits.max_size is not None and declared > limits.max_size:
        raise MaxSizeExceededError(limits.max_size)
    return replace(upload, length=declared)


def _plan_room(upload: Upload, limits: Limits, *, length_settled: bool) -> AppendPlan:
    room: int | None = None
    overrun: UploadError = LengthExceededError(upload.id, upload.length or 0)
    if upload.length is not None:
        room = upload.length - upload.offset
    elif limits.max_size is not None:
        room = max(limits.max_size - upload.offset, 0)
        overrun = MaxSizeExceededError(limits.max_size)
    return AppendPlan(upload=upload, room=room, overrun=overrun, length_settled=length_settled)
