"""Holds one call to a FakeS3 up, so that something else can happen before it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.stores.s3_fake import FakeS3

PATIENCE = 30.0
"""Seconds after which a call that nobody lets through goes on, and the test fails."""


class Gate:
    """Holds up the first call of `operation` to `server` from now on; all others pass."""

    def __init__(self, server: FakeS3, operation: str) -> None:
        self._operation = operation
        self._lock = threading.Lock()
        self._is_taken = False
        self._reached = threading.Event()
        self._opened = threading.Event()
        server.hold_up = self._hold_up

    def _hold_up(self, operation: str, _key: str) -> None:
        with self._lock:
            if operation != self._operation or self._is_taken:
                return
            self._is_taken = True
        self._reached.set()
        assert self._opened.wait(PATIENCE), "nobody opened the gate"

    async def reached(self) -> None:
        """Wait until the call is there."""
        assert await asyncio.to_thread(self._reached.wait, PATIENCE), f"no {self._operation}"

    def open(self) -> None:
        """Let it through."""
        self._opened.set()
