"""The upload and what is known about it."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class UploadState(StrEnum):
    """Where an upload stands. Stored, never computed from offset == length.

    The step from all bytes to `COMPLETE` goes through `COMPLETING`, which is durable before anything
    is published: a crash in between is found and driven to its end, never forgotten.
    """

    OPEN = "open"
    COMPLETING = "completing"
    COMPLETE = "complete"
    FAILED = "failed"
    EXPIRED = "expired"
    """Its time is over: only the record is left, to remember that it was there."""


class UploadKind(StrEnum):
    """What an upload is for (tus 1.0.0, Concatenation)."""

    REGULAR = "regular"
    PARTIAL = "partial"
    """A part of finals to come; never published by itself."""
    FINAL = "final"
    """Consists of partials, joined; takes no bytes itself."""


PRIVATE = "form-"


def is_private(upload_id: str) -> bool:
    """Whether it is a part that the server made for one file of its own: no protocol names it, and it
    goes when that file is finished."""
    return upload_id.startswith(PRIVATE)


class InvalidMetadataError(ValueError):
    """The text is not an Upload-Metadata value; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Upload-Metadata: the header's text kept as it came, and its pairs in order.

    `raw` is what HEAD gives back (tus 1.0.0, Upload-Metadata: the value given at creation), so it is
    never rebuilt from the pairs.
    """

    raw: str = ""
    pairs: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def parse(cls, raw: str) -> Metadata:
        """Read a header value; blanks around the commas are tolerated, as tusd does.

        Raises InvalidMetadataError for anything that is not a list of unique keys with Base64 values.
        """
        if not raw.strip():
            return cls()
        pairs = tuple(_parse_pair(item) for item in raw.split(","))
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:  # tus 1.0.0, Upload-Metadata: all keys MUST be unique.
                raise InvalidMetadataError(f"key {key!r} appears more than once")
            seen.add(key)
        return cls(raw=raw.strip(), pairs=pairs)

    @classmethod
    def of(cls, **texts: str) -> Metadata:
        """What a client would have written to say these texts."""
        pairs = tuple((key, text.encode()) for key, text in texts.items())
        raw = ",".join(f"{key} {b2a_base64(value, newline=False).decode()}" for key, value in pairs)
        return cls(raw=raw, pairs=pairs)

    def get(self, key: str) -> bytes | None:
        """The value of `key` as the client's bytes, or None."""
        return next((value for name, value in self.pairs if name == key), None)

    def text(self, key: str) -> str | None:
        """The value of `key` as text, or None where it is absent, empty or not UTF-8."""
        value = self.get(key)
        try:
            return value.decode() if value else None
        except UnicodeDecodeError:
            return None


def _parse_pair(item: str) -> tuple[str, bytes]:
    key, blank, encoded = item.strip(" \t").partition(" ")
    if not key:
        raise InvalidMetadataError("an entry has no key")
    if not key.isascii() or not key.isprintable():
        raise InvalidMetadataError("keys are printable ASCII")
    if blank and not encoded.isascii():
        raise InvalidMetadataError(f"the value of {key!r} is not Base64")
    try:
        return key, a2b_base64(encoded, strict_mode=True) if encoded else b""
    except Base64Error:
        raise InvalidMetadataError(f"the value of {key!r} is not Base64") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Somebody, by name, who still has to be given a finished upload.

    `attempts` is how often that was begun, `due_at` when it may be tried again (None: at once).
    """

    name: str
    attempts: int = 0
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload as it stands.

    `offset` is in bytes and always measured by the store; `length` in bytes, None while it is
    deferred; `name` is what it is published under once it is complete. `concat` is the text of
    Upload-Concat as it came; `parts` are the ids of a final's partials in order, perhaps repeated.
    `expires_at` is None for what stays. `deliveries` are on record from `completing` on, each until it
    was made. `secret` is the digest of what a caller has to know to go on with it; nobody is ever shown
    it.
    """

    id: str
    name: str
    created_at: datetime
    offset: int = 0
    length: int | None = None
    state: UploadState = UploadState.OPEN
    metadata: Metadata = Metadata()
    kind: UploadKind = UploadKind.REGULAR
    concat: str = ""
    parts: tuple[str, ...] = ()
    expires_at: datetime | None = None
    deliveries: tuple[Delivery, ...] = ()
    secret: str = ""

    @property
    def has_all_bytes(self) -> bool:
        """Every byte was received. That alone does not make it complete."""
        return self.kind is not UploadKind.FINAL and self.offset == self.length

    @property
    def is_waiting_final(self) -> bool:
        """A final that is not on its way to completion yet: some partial may be unfinished."""
        return self.kind is UploadKind.FINAL and self.state is UploadState.OPEN

    @property
    def is_published(self) -> bool:
        """It is complete and can be had under its public name."""
        return self.state is UploadState.COMPLETE and self.kind is not UploadKind.PARTIAL

    @property
    def holds_own_parts(self) -> bool:
        """It is complete, and still has parts of its own: they are to go."""
        is_finished = self.kind is UploadKind.FINAL and self.state is UploadState.COMPLETE
        return is_finished and any(is_private(part) for part in self.parts)

    @property
    def awaits_completion(self) -> bool:
        """Somebody has to drive it to the end before anyone is told of its last byte."""
        return self.state is UploadState.COMPLETING or (
            self.state is UploadState.OPEN and self.has_all_bytes
        )

    @property
    def is_settled(self) -> bool:
        """It is complete and stays, and nobody has anything left to do with it."""
        is_waited_for = self.deliveries or self.holds_own_parts or self.expires_at is not None
        return self.state is UploadState.COMPLETE and not is_waited_for

    @property
    def awaits_delivery(self) -> bool:
        """It is complete, and somebody still has to be given it."""
        return self.state is UploadState.COMPLETE and bool(self.deliveries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this server takes: `max_size` bytes a whole upload (None: no limit), `max_deferred` bytes as
    long as its length is not known, how many bytes of the storage stay free (`reserved_space`), and the
    checksum algorithms it verifies."""

    max_size: int | None = None
    max_deferred: int | None = None
    reserved_space: int = 0
    checksum_algorithms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long uploads live (None: for good).

    An unfinished upload or partial expires `unfinished` after its creation, or with `sliding` after
    the last bytes that came. A finished one stays unless `finished` says otherwise.
    """

    unfinished: timedelta | None = None
    sliding: bool = True
    finished: timedelta | None = None
