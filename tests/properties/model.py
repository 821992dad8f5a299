"""What has to become of an upload, said a second time and as simply as possible: bytes in a variable.

It shares no code with the rules it is there to check.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tusd_py.core.errors import (
    BodyInterruptedError,
    InvalidLengthError,
    LengthExceededError,
    MaxSizeExceededError,
    OffsetMismatchError,
    TusdError,
    UploadFailedError,
    UploadNotFoundError,
    UploadRejectedError,
    UploadStoppedError,
)
from tusd_py.core.model import UploadState
from tusd_py.core.outcomes import BodyEnd

MAX_SIZE = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An upload as it has to be."""

    name: str
    length: int | None
    data: bytes = b""
    state: UploadState = UploadState.OPEN

    @property
    def awaits_completion(self) -> bool:
        """Every byte is there and nobody has been told."""
        waiting = {UploadState.OPEN, UploadState.COMPLETING}
        return self.state in waiting and len(self.data) == self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A body: its pieces, how it ends after them, and the size announced for it (None: none was)."""

    pieces: tuple[bytes, ...]
    end: BodyEnd
    announced: int | None

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What has to come of a request: the error it raises, or none; and the upload then, None if gone."""

    raises: type[TusdError] | None
    upload: Known | None


def settle(upload: Known, *, veto: bool) -> Expected:
    """An upload with all its bytes is finished before anything else happens to it."""
    if not upload.awaits_completion:
        return Expected(raises=None, upload=upload)
    if veto:
        return Expected(raises=UploadRejectedError, upload=replace(upload, state=UploadState.FAILED))
    return Expected(raises=None, upload=replace(upload, state=UploadState.COMPLETE))


def inspect(upload: Known | None, *, veto: bool) -> Expected:
    """What HEAD has to find."""
    if upload is None:
        return Expected(raises=UploadNotFoundError, upload=None)
    settled = settle(upload, veto=veto)
    if settled.raises is None and upload.state is UploadState.FAILED:
        return Expected(raises=UploadFailedError, upload=upload)
    return settled


def create(fresh: Known, sent: Sent | None, *, veto: bool) -> Expected:
    """What POST has to do; `fresh` is the upload it asks for, `sent` its first chunk."""
    announced = sent.announced or 0 if sent else 0
    if max(fresh.length or 0, announced) > MAX_SIZE:
        return Expected(raises=MaxSizeExceededError, upload=None)
    if fresh.length is not None and announced > fresh.length:
        return Expected(raises=LengthExceededError, upload=None)
    return settle(fresh, veto=veto) if sent is None else receive(fresh, sent, veto=veto)


def append(upload: Known | None, offset: int, sent: Sent, declared: int | None, *, veto: bool) -> Expected:
    """What PATCH has to do."""
    found = inspect(upload, veto=veto)
    if found.raises or found.upload is None:
        return found
    upload = found.upload
    if offset != len(upload.data):
        return Expected(raises=OffsetMismatchError, upload=upload)
    if declared not in {None, upload.length}:
        if upload.length is not None or (declared or 0) < offset:
            return Expected(raises=InvalidLengthError, upload=upload)
        if (declared or 0) > MAX_SIZE:
            return Expected(raises=MaxSizeExceededError, upload=upload)
        longer = replace(upload, length=declared)
    else:
        longer = upload
    if sent.announced is not None and sent.announced > room_of(longer):
        return Expected(raises=overrun_of(longer), upload=upload)
    return receive(longer, sent, veto=veto)


def receive(upload: Known, sent: Sent, *, veto: bool) -> Expected:
    """What becomes of a body that may come."""
    room = room_of(upload)
    if upload.state is UploadState.COMPLETE:
        return Expected(raises=LengthExceededError if sent.data else None, upload=upload)
    fuller = replace(upload, data=upload.data + sent.data[:room])
    if len(sent.data) <= room and sent.end is BodyEnd.STOPPED:
        return Expected(raises=UploadStoppedError, upload=None)
    settled = settle(fuller, veto=veto)
    if settled.raises or settled.upload is None:
        return settled
    if len(sent.data) > room:
        return Expected(raises=overrun_of(upload), upload=settled.upload)
    if sent.end is not BodyEnd.WHOLE and settled.upload.state is not UploadState.COMPLETE:
        return Expected(raises=BodyInterruptedError, upload=settled.upload)
    return settled


def room_of(upload: Known) -> int:
    """How many bytes may still come."""
    return (MAX_SIZE if upload.length is None else upload.length) - len(upload.data)


def overrun_of(upload: Known) -> type[TusdError]:
    """What to say to one byte more."""
    return MaxSizeExceededError if upload.length is None else LengthExceededError
