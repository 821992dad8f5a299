"""What all workers have counted: they are asked, and those that have ended are remembered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from tusd_py.metrics.sums import Sums, combine, counter, gauge, pack, unpack
from tusd_py.workers.channel import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tusd_py.workers.channel import Message
    from tusd_py.workers.child import Child


class Survey:
    """Adds up what workers tell. Nothing of what only grows is ever less than it was told before."""

    PATIENCE: ClassVar = 2.0
    """Seconds that a worker may take for its answer."""

    INTERVAL: ClassVar = 5.0
    """Seconds between two surveys when nobody asks."""

    def __init__(self) -> None:
        self._sums = Sums()
        self._rounds = 0
        self._lost = 0
        self._news = asyncio.Event()

    def note(self, child: Child, message: Message) -> None:
        """A worker has answered, or says its last."""
        self._sums.note(child.serial, unpack(message["families"]))
        child.round = message["round"] or child.round
        self._tell_news()

    def leave(self, child: Child) -> None:
        """A worker has ended."""
        self._sums.leave(child.serial)
        self._tell_news()

    def note_loss(self) -> None:
        """A worker has ended that was not told to."""
        self._lost += 1

    async def hold(self, children: Sequence[Child]) -> list[Any]:
        """The sum, packed; of a silent worker, what it had counted when it was last heard of."""
        self._rounds += 1
        this, asked = self._rounds, [child for child in children if child.is_ready]
        for child in asked:
            child.say(SAMPLE, round=this)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.PATIENCE):
                while any(_owes(child, this) for child in asked):
                    await self._news.wait()
        silent = {child.serial for child in asked if _owes(child, this)}
        return pack(combine([self._sums.total(silent), *self._about(len(asked), len(silent))]))

    def _about(self, asked: int, silent: int) -> list[dict[str, Any]]:
        return [
            gauge("tusd_workers", "Processes that serve.", asked),
            gauge("tusd_workers_silent", "Of those, processes that did not say what they counted.", silent),
            counter("tusd_workers_lost", "Processes that died and were replaced.", self._lost),
        ]

    def _tell_news(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _owes(child: Child, this: int) -> bool:
    return child.round < this and not child.ended.is_set()
