"""What a live client is still to be told: at most one of each kind, however slowly it reads."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from tusd_py.protocol.live import format_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_RESULTS = 64
"""Results of a processor that wait for the client, before the processor does."""


class News:
    """Collects what there is to say; `messages` hands it out as soon as somebody listens.

    An acknowledgement that was not said yet is replaced by the next. `with_results`: every
    acknowledgement has the results of a processor.
    """

    def __init__(self, *, with_results: bool) -> None:
        self.offset = 0
        self.processed = 0
        self._with_results = with_results
        self._said: deque[dict[str, Any]] = deque()
        self._results: list[object] = []
        self._error: Exception | None = None
        self._is_due = False
        self._is_deaf = False
        self._is_over = False
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    def say(self, message: dict[str, Any]) -> None:
        """A message of its own, behind everything that was to be said before it."""
        self._said.extend(self._take())
        self._said.append(message)
        self._changed.set()

    def acknowledge(self, offset: int | None = None) -> None:
        """Say how far everything is; with `offset`, bytes up to there are stored for good."""
        self.offset = self.offset if offset is None else offset
        self._is_due = True
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """A processor failed; of several failures the last one is told."""
        self._error = error
        self._changed.set()

    async def add_result(self, result: object) -> None:
        """A processor's result, as it is now; waits while too many are not told.

        Raises TypeError or ValueError for what cannot be JSON.
        """
        result = json.loads(json.dumps(result, allow_nan=False))
        while len(self._results) >= MAX_RESULTS and not self._is_deaf:
            self._taken.clear()
            await self._taken.wait()
        if not self._is_deaf:
            self._results.append(result)
            self.acknowledge()

    def stop_listening(self) -> None:
        """The client is gone: nothing needs to be kept for it."""
        self._is_deaf = True
        self._taken.set()

    def end(self) -> None:
        """Nothing will be added any more."""
        self._is_over = True
        self._changed.set()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What there is to say, in order, until `end`."""
        while True:
            for message in self._take():
                yield message
            if self._said or self._is_due or self._error:
                continue
            if self._is_over:
                return
            self._changed.clear()
            await self._changed.wait()

    def _take(self) -> list[dict[str, Any]]:
        messages = list(self._said)
        self._said.clear()
        if self._is_due:
            messages.append(self._acknowledgement())
        if self._error is not None:
            messages.append(format_error(self._error))
        self._is_due, self._error = False, None
        return messages

    def _acknowledgement(self) -> dict[str, Any]:
        message: dict[str, Any] = {"offset": self.offset, "chunks_processed": self.processed}
        if self._with_results:
            message["results"] = self._results
            self._results = []
            self._taken.set()
        return message
