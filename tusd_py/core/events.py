"""Facts, told after the deed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


Event = UploadCreated | UploadFinished | UploadTerminated | UploadExpired | CompletionDelayed
