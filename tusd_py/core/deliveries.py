"""Who still has to be given a finished upload, and when to try again. Pure: the record is the outbox."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tusd_py.core.model import Delivery, Upload

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_DOUBLINGS = 40
"""More would be more than any pause that anybody waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How long to wait after a failed attempt: `first` seconds, then twice as long each time, up to
    `longest`. After `attempts` (0: no limit) it is given up."""

    first: float = 1.0
    longest: float = 600.0
    attempts: int = 0

    def pause_after(self, attempt: int) -> timedelta:
        """The pause that follows the attempt of this number, counted from 1."""
        return timedelta(seconds=min(self.longest, self.first * 2 ** min(attempt - 1, _DOUBLINGS)))

    def is_last(self, attempt: int) -> bool:
        """Whether nothing is tried any more after this attempt."""
        return 0 < self.attempts <= attempt


def expecting(upload: Upload, names: Iterable[str]) -> Upload:
    """The upload that has to be given to everybody of these names once it is complete."""
    return replace(upload, deliveries=tuple(Delivery(name=name) for name in names))


def find(upload: Upload, name: str) -> Delivery | None:
    """The delivery to `name` that is still to be made; None where there is none, or not yet."""
    if not upload.awaits_delivery:
        return None
    return next((delivery for delivery in upload.deliveries if delivery.name == name), None)


def is_due(delivery: Delivery, now: datetime) -> bool:
    """Whether it may be tried."""
    return delivery.due_at is None or delivery.due_at <= now


def begun(delivery: Delivery, now: datetime, retry: Retry) -> Delivery:
    """What is put on record before an attempt: if the process dies in it, the pause holds all the same."""
    attempt = delivery.attempts + 1
    return replace(delivery, attempts=attempt, due_at=now + retry.pause_after(attempt))


def postponed(delivery: Delivery, now: datetime, retry: Retry) -> Delivery:
    """The same after its attempt has failed."""
    return replace(delivery, due_at=now + retry.pause_after(delivery.attempts))


def with_delivery(upload: Upload, name: str, delivery: Delivery | None) -> Upload:
    """The upload with this in place of what it has to deliver to `name`; None: nothing any more."""
    kept = (delivery if each.name == name else each for each in upload.deliveries)
    return replace(upload, deliveries=tuple(each for each in kept if each is not None))
