"""What the engine is at, for those who watch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sized


@dataclass(slots=True)
class Activity:
    """The engine now: `received` are the bytes of bodies that it has stored since it was made."""

    bodies: Sized
    delayed: Sized
    deliveries: Sized
    received: int = 0

    @property
    def running(self) -> int:
        """Bodies that are being received, or wait for their upload's lock."""
        return len(self.bodies)

    @property
    def waiting(self) -> int:
        """Uploads that have all their bytes and could not be finished yet."""
        return len(self.delayed)

    @property
    def undelivered(self) -> int:
        """Deliveries of finished uploads that are under way or planned."""
        return len(self.deliveries)
