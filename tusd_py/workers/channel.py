"""What a supervisor and a worker tell each other: lines of JSON over a pair of sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

_LONGEST = 16 * 1024 * 1024

Message: TypeAlias = dict[str, Any]
"""Its `topic` and what there is to say."""

READY = "ready"
"""From a worker: it accepts connections."""
RETIRE = "retire"
"""To a worker: another one accepts in its place, so that it can go down."""
SAMPLE = "sample"
"""To a worker: what has it counted? From a worker: that, of the same `round`; None is on its own."""
TOTAL = "total"
"""From a worker: what have all counted? To a worker: that, with the same `number`."""
PARTIAL = "partial"
"""From a worker, and on to the others: the partial `upload_id` is complete."""
SWEEP = "sweep"
"""To a worker: another one has ended, and may have left something to do."""


class Channel:
    """One end. Whatever happens to the other process, this side reads to the end and nothing more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """Talk over this socket, which is the channel's from now on."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_LONGEST))

    def say(self, topic: str, **content: Any) -> None:
        """Tell the other side, if it is still there."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps({"topic": topic, **content}).encode() + b"\n")

    async def hear(self) -> AsyncIterator[Message]:
        """What the other side says, until it has gone."""
        with suppress(ConnectionError):
            while (line := await self._reader.readline()).endswith(b"\n"):
                yield json.loads(line)

    async def close(self) -> None:
        """Say what is still to be said, and no more."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
