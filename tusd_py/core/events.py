"""Facts, told after the deed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from tusd_py.core.errors import TusdError
    from tusd_py.core.model import Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadCreated:
    """A new upload is on record."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFinished:
    """The upload is complete and published."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTerminated:
    """The upload and its bytes are removed."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadExpired:
    """The upload's time was over; its bytes are removed."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionDelayed:
    """All bytes are stored but finishing failed; it will be tried again."""

    upload: Upload
    error: TusdError


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadDelivered:
    """The finished upload was given to `name`, at the attempt of this number."""

    upload: Upload
    name: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFailed:
    """Giving the finished upload to `name` failed; it will be tried again, not before `retry_at`."""

    upload: Upload
    name: str
    attempt: int
    retry_at: datetime
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAbandoned:
    """The finished upload will not be given to `name` any more: the operator's settings say so."""

    upload: Upload
    name: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryUnclaimed:
    """The finished upload, the first one met, is to be given to `name`, whom nobody here knows."""

    upload: Upload
    name: str


Event = (
    UploadCreated
    | UploadFinished
    | UploadTerminated
    | UploadExpired
    | CompletionDelayed
    | UploadDelivered
    | DeliveryFailed
    | DeliveryAbandoned
    | DeliveryUnclaimed
)
