"""What is known of an upload, and what a request brings: bytes in a variable."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from tusd_py.core.checksums import Checksum, Promised
from tusd_py.core.errors import (
    ChecksumMismatchError,
    InvalidChecksumError,
    TusdError,
    UnsupportedChecksumError,
)
from tusd_py.core.model import UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from tusd_py.core.intents import StatedChecksum

MAX_SIZE = 48
ALGORITHMS = ("sha1", "sha256", "sha512", "md5", "crc32")

Refusal: TypeAlias = type[TusdError] | None
"""What a request has to raise; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An upload as it has to be. Of an expired one there are no bytes."""

    name: str
    length: int | None
    data: bytes = b""
    state: UploadState = UploadState.OPEN
    kind: UploadKind = UploadKind.REGULAR
    parts: tuple[str, ...] = ()
    expires_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """It consists of others."""
        return self.kind is UploadKind.FINAL

    @property
    def is_public(self) -> bool:
        """The world can see it."""
        return self.state is UploadState.COMPLETE and self.kind is not UploadKind.PARTIAL

    @property
    def awaits_completion(self) -> bool:
        """Every byte is there, in a final's case with its partials, and nobody has been told."""
        has_all = self.state is UploadState.OPEN and not self.is_final and len(self.data) == self.length
        return has_all or self.state is UploadState.COMPLETING


class Truth(Enum):
    """What a checksum is worth."""

    RIGHT = auto()
    WRONG = auto()
    SHORT = auto()
    """Its digest has too few bytes."""
    UNKNOWN = auto()
    """Nobody has heard of its algorithm."""
    MISSING = auto()
    """It was announced for the trailer, and none came."""


REFUSALS: dict[Truth, Refusal] = {
    Truth.RIGHT: None,
    Truth.WRONG: ChecksumMismatchError,
    Truth.SHORT: InvalidChecksumError,
    Truth.UNKNOWN: UnsupportedChecksumError,
    Truth.MISSING: InvalidChecksumError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What the client says its body sums up to, before the body or behind it."""

    algorithm: str
    truth: Truth
    in_trailer: bool

    @property
    def refusal(self) -> Refusal:
        """What has to come of it once the body is there."""
        return REFUSALS[self.truth]

    @property
    def early_refusal(self) -> Refusal:
        """What has to come of it before a byte is read."""
        is_malformed = self.truth in {Truth.SHORT, Truth.UNKNOWN}
        return self.refusal if is_malformed and not self.in_trailer else None

    def of(self, data: bytes) -> Checksum | None:
        """The checksum that is sent."""
        digest = _digest(self.algorithm, data)
        match self.truth:
            case Truth.RIGHT:
                return Checksum(algorithm=self.algorithm, digest=digest)
            case Truth.WRONG:
                return Checksum(algorithm=self.algorithm, digest=bytes(byte ^ 1 for byte in digest))
            case Truth.SHORT:
                return Checksum(algorithm=self.algorithm, digest=digest[:-1])
            case Truth.UNKNOWN:
                return Checksum(algorithm="sum", digest=digest)
            case Truth.MISSING:
                return None


def _digest(algorithm: str, data: bytes) -> bytes:
    if algorithm == "crc32":
        return zlib.crc32(data).to_bytes(4, "big")
    return hashlib.new(algorithm, data).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A body: its pieces, how it ends after them, the size announced for it (None: none was), its sum."""

    pieces: tuple[bytes, ...]
    end: BodyEnd = BodyEnd.WHOLE
    announced: int | None = None
    stated: Stated | None = None

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)

    @property
    def checksum(self) -> StatedChecksum:
        """What the head says of the sum."""
        if self.stated is None:
            return None
        return Promised.IN_TRAILER if self.stated.in_trailer else self.stated.of(self.data)

    @property
    def trailer(self) -> Checksum | None:
        """What follows the body."""
        return self.stated.of(self.data) if self.stated and self.stated.in_trailer else None
