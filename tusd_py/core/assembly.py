"""A file that comes in chunks: each is a partial of the server's own until somebody asks for the whole.

The chunks of a file, and what is known of them together, are uploads with ids made from the file's id:
whoever has the id finds them, on any server of the storage.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tusd_py.core.errors import ChunkCountMismatchError, RecordCorruptError, WrongTokenError
from tusd_py.core.model import PRIVATE, Metadata, Upload, UploadState
from tusd_py.core.rules import is_expired

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MAX_CHUNKS = 10_000
"""Chunks of one file at most: as many as S3 joins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutChunk:
    """Take the body as chunk `index`, from 0, of the `total` chunks of the file `file_id`.

    `token` is what the caller knows of the file, or wants to be asked for later; `file_type` its media
    type, for hooks; `body_length` is how many bytes the body has at least.
    """

    file_id: str
    index: int
    total: int
    file_type: str
    token: str | None = None
    body_length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assemble:
    """Make the file `file_id`, described by `metadata`, of its chunks."""

    file_id: str
    metadata: Metadata
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What is known of a file that comes in chunks: their number, its media type, the bytes that came.

    `received` may be too large after a chunk was replaced; it is counted anew before it decides.
    """

    total: int
    file_type: str
    received: int = 0

    @classmethod
    def of(cls, upload: Upload) -> Assembly:
        """Read it from its record. Raises RecordCorruptError."""
        try:
            total, received = (int(upload.metadata.text(key) or "") for key in ("total", "received"))
        except ValueError:
            raise RecordCorruptError(f"the record of {upload.id} does not describe chunks") from None
        return cls(total=total, file_type=upload.metadata.text("filetype") or "", received=received)

    @property
    def metadata(self) -> Metadata:
        """For its record."""
        return Metadata.of(filetype=self.file_type, total=str(self.total), received=str(self.received))


def assembly_id(file_id: str) -> str:
    """The id of the record that the chunks have in common."""
    return f"{PRIVATE}{file_id}"


def chunk_id(file_id: str, index: int) -> str:
    """The id of a chunk."""
    return f"{PRIVATE}{file_id}-{index}"


def chunk_ids(file_id: str, total: int) -> tuple[str, ...]:
    """The ids of all chunks, in order."""
    return tuple(chunk_id(file_id, index) for index in range(total))


def gate_of(upload_id: str) -> str:
    """The lock to hold while looking whether an id is taken, and taking it."""
    return f"{upload_id}-gate"


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_token(file_id: str, secret: str, token: str | None) -> None:
    """Raise WrongTokenError unless `token` is the one that `secret` was made of."""
    if token is None or not hmac.compare_digest(digest_of(token), secret):
        raise WrongTokenError(file_id)


def check_total(file_id: str, assembly: Assembly, total: int) -> None:
    """Raise ChunkCountMismatchError unless every chunk says the same."""
    if total != assembly.total:
        raise ChunkCountMismatchError(file_id, expected=assembly.total, actual=total)


def is_whole(chunk: Upload | None, secret: str, now: datetime) -> bool:
    """Whether a chunk came whole, belongs to this file and not to an earlier one, and still counts."""
    return (
        chunk is not None
        and chunk.state is UploadState.COMPLETE
        and chunk.secret == secret
        and not is_expired(chunk, now)
    )


def find_missing(chunks: Sequence[Upload | None], secret: str, now: datetime) -> tuple[int, ...]:
    """The numbers of the chunks that have to be sent, or sent again."""
    return tuple(index for index, chunk in enumerate(chunks) if not is_whole(chunk, secret, now))
