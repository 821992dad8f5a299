"""How long things took and how they ended: for those who watch the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tusd_py.core.errors import TusdError


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswered:
    """A request has its answer, whether anybody is left to hear it or not.

    `method` is the effective one as the client wrote it, so it may be anything. `code` names the error
    that clients are told, "" where there is none; `failure` is what was raised, where something was.
    `seconds` are from the head to the answer, the body included.
    """

    method: str
    status: int
    code: str
    seconds: float
    failure: TusdError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTaken:
    """Somebody got an upload's lock, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRefused:
    """Somebody who needed an upload's lock did not get it in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCalled:
    """A storage that is elsewhere has answered a call, or failed to, after so many seconds.

    `operation` is the storage's own word for it; there are few.
    """

    operation: str
    seconds: float


Measurement = RequestAnswered | LockTaken | LockRefused | StorageCalled
