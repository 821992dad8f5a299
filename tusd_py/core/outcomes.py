"""What came of a request, and how a body ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tusd_py.core.model import Upload


class BodyEnd(Enum):
    """How a request body ended. Everything but `WHOLE` is a cut: what arrived is kept all the same."""

    WHOLE = auto()
    DISCONNECTED = auto()
    """The peer went away, or closed before the announced length."""
    MALFORMED = auto()
    """The framing (chunked coding) is broken."""
    TIMED_OUT = auto()
    """Nothing came for the network timeout."""
    SUPERSEDED = auto()
    """A newer request took the upload over."""
    SHUTDOWN = auto()
    """The server is going down."""
    TOO_LONG = auto()
    """More came than there was room for."""
    STOPPED = auto()
    """A hook stopped the upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A new upload exists. `took_body`: the request's body counted as its first chunk."""

    upload: Upload
    took_body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The body is stored up to `upload.offset`."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """`upload` is as the store has it; its offset needs no resend."""

    upload: Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """Nothing of the upload is left."""

    upload_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What the server can do; the dialect knows the words."""


Outcome = Created | Appended | Inspected | Terminated | Discovered
