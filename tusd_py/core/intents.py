"""What a request asks for, in the core's words. A dialect makes them, the engine carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

    from tusd_py.core.checksums import Checksum, Promised
    from tusd_py.core.errors import UploadError
    from tusd_py.core.model import Metadata

StatedChecksum: TypeAlias = "Checksum | Promised | None"
"""The sum of a request's body, if the client states one: in the head, or after the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make an upload. `length` is in bytes, None when deferred.

    `has_body` says that the request's body is the first chunk; `body_length` is its announced size in
    bytes, None where the framing tells only at the end. `upload_id` is chosen by who asks, who makes
    sure that it is free; None leaves it to the server.

    `is_whole`: the body is the whole upload. Its end settles the length, and where it breaks off nothing
    is left, since nobody was told of the upload. `unfinished` is how long the upload may stay unfinished
    on a server where others have no time of their own: what a crash leaves of it.
    """

    length: int | None
    metadata: Metadata
    has_body: bool = False
    body_length: int | None = None
    checksum: StatedChecksum = None
    is_partial: bool = False
    upload_id: str | None = None
    is_whole: bool = False
    unfinished: timedelta | None = None
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concatenate:
    """Join the partials with the ids `parts`, in this order; `concat` is the text that asked for it.

    `upload_id` is chosen by who asks, who makes sure that it is free; None leaves it to the server.
    """

    parts: tuple[str, ...]
    concat: str
    metadata: Metadata
    upload_id: str | None = None
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Write the body at `offset`. `declared_length` settles a deferred length, in bytes."""

    upload_id: str
    offset: int
    body_length: int | None
    declared_length: int | None = None
    checksum: StatedChecksum = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOffset:
    """Tell how far the upload is."""

    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Give back what is stored."""

    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """Remove the upload and everything it holds."""

    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discover:
    """Tell what the server can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A request to an upload that cannot be obeyed as it is written.

    Whether the upload exists is told first (404 before 415 and 400), so the complaint travels with
    the request instead of being raised where it was found.
    """

    upload_id: str
    complaint: UploadError


Intent = Create | Concatenate | Append | ReadOffset | Read | Terminate | Discover | Malformed
