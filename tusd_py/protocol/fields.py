"""Header field syntax of tus 1.0.0, strictly: what Python's int() would wave through is refused here."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from datetime import UTC, datetime
from email.utils import format_datetime

from tusd_py.core.checksums import Checksum
from tusd_py.core.errors import (
    AmbiguousLengthError,
    InvalidChecksumError,
    InvalidContentTypeError,
    InvalidDeferLengthError,
    InvalidLengthError,
    InvalidOffsetError,
    InvalidUploadMetadataError,
)
from tusd_py.core.model import InvalidMetadataError, Metadata

CHUNK_TYPE = "application/offset+octet-stream"
_NUMBER = re.compile(r"[0-9]{1,19}")  # 19 digits hold 2^63 - 1, the largest file there can be
_LARGEST = 2**63 - 1
_CHECKSUM = re.compile(r"([a-z0-9-]{1,32}) ([A-Za-z0-9+/]+={0,2})")
_BYTES = "a decimal number of bytes, 0 to 9223372036854775807"


def parse_bytes(text: str) -> int | None:
    """A non-negative decimal integer of ASCII digits up to 2^63 - 1, or None."""
    number = int(text) if _NUMBER.fullmatch(text) else None
    return number if number is not None and number <= _LARGEST else None


def parse_offset(text: str | None) -> int:
    """Upload-Offset of a request. Raises InvalidOffsetError."""
    if text is None:
        raise InvalidOffsetError("Upload-Offset", "it is missing", _BYTES)
    offset = parse_bytes(text)
    if offset is None:
        raise InvalidOffsetError("Upload-Offset", "it is not a number of bytes", _BYTES)
    return offset


def parse_declared_length(text: str | None) -> int | None:
    """Upload-Length of a PATCH, None where there is none. Raises InvalidLengthError."""
    if text is None:
        return None
    length = parse_bytes(text)
    if length is None:
        raise InvalidLengthError("Upload-Length", "it is not a number of bytes", _BYTES)
    return length


def parse_creation_length(length: str | None, deferred: str | None) -> int | None:
    """The new upload's length in bytes, None if it is deferred.

    tus 1.0.0, Creation: Upload-Length, or Upload-Defer-Length with the value 1; exactly one of them.
    """
    if deferred is not None and deferred != "1":
        raise InvalidDeferLengthError("Upload-Defer-Length", "its value is unknown", "1")
    if deferred is not None and length is not None:
        raise AmbiguousLengthError("Upload-Length", "Upload-Defer-Length came as well", "one of the two")
    if deferred is None and length is None:
        raise InvalidLengthError("Upload-Length", "it is missing", f"{_BYTES}, or Upload-Defer-Length: 1")
    return parse_declared_length(length)


def parse_metadata(text: str | None) -> Metadata:
    """Upload-Metadata; a missing and an empty header both mean none. Raises InvalidUploadMetadataError."""
    try:
        return Metadata.parse(text or "")
    except InvalidMetadataError as error:
        raise InvalidUploadMetadataError(
            "Upload-Metadata",
            str(error),
            "unique ASCII keys, each with a Base64 value: key value,key value",
        ) from None


def parse_checksum(text: str) -> Checksum:
    """Upload-Checksum: the algorithm, one blank, the digest in Base64. Raises InvalidChecksumError.

    Whether the algorithm is offered is not looked at here.
    """
    match = _CHECKSUM.fullmatch(text)
    try:
        digest = a2b_base64(match[2], strict_mode=True) if match else None
    except Base64Error:
        digest = None
    if match is None or digest is None:
        raise InvalidChecksumError(
            "Upload-Checksum", "it is not a checksum", "algorithm, one blank, digest in Base64"
        )
    return Checksum(algorithm=match[1], digest=digest)


def announces_checksum(trailer: str | None) -> bool:
    """Whether a Trailer field promises Upload-Checksum after the body (RFC 9110, 6.6.2)."""
    return "upload-checksum" in {name.strip().lower() for name in (trailer or "").split(",")}


def format_time(moment: datetime) -> str:
    """IMF-fixdate (RFC 9110, 5.6.7), rounded down to the second, in no language but the RFC's."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def is_chunk_type(text: str | None) -> bool:
    """Whether a Content-Type is the protocol's own; parameters are tolerated."""
    return (text or "").partition(";")[0].strip().lower() == CHUNK_TYPE


def check_chunk_type(text: str | None) -> None:
    """Raise InvalidContentTypeError unless the body is a chunk (tus 1.0.0, PATCH: 415)."""
    if not is_chunk_type(text):
        problem = "it is missing" if text is None else "it is not the type of a chunk"
        raise InvalidContentTypeError("Content-Type", problem, CHUNK_TYPE)
