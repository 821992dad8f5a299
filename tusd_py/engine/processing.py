"""Calling the operator's processors: code that is given each finished upload, piece by piece."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tusd_py.core.deliveries import Retry
from tusd_py.core.errors import TusdError
from tusd_py.engine.deliveries import Deliveries
from tusd_py.engine.streams import Passage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Clock, EventSink, Locker, Processor, Store
    from tusd_py.engine.deliveries import Receiver

    Pieces = AsyncGenerator[bytes, None]
    OpenStream = Callable[[str, Passage], Pieces]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """What becomes of finished uploads.

    `names` are put on the record of each; `processors` are called here, by name, `concurrency` times
    at once each, for `timeout` seconds (None: no limit), with pieces of `chunk_size` bytes. What is
    pending for the names `abandoned` is given up.
    """

    names: tuple[str, ...] = ()
    processors: Mapping[str, Processor] = field(default_factory=dict)
    abandoned: tuple[str, ...] = ()
    chunk_size: int = 65536
    concurrency: int = 2
    timeout: float | None = 3600.0
    retry: Retry = field(default_factory=Retry)

    def deliveries(
        self,
        *,
        store: Store,
        locker: Locker,
        clock: Clock,
        emit: EventSink,
        stream: OpenStream,
        lock_timeout: float,
    ) -> Deliveries:
        """What gives the uploads of one storage to the processors. `lock_timeout` in seconds."""
        return Deliveries(
            store=store,
            locker=locker,
            clock=clock,
            emit=emit,
            receivers=self.receivers(stream),
            abandoned=self.abandoned,
            retry=self.retry,
            width=self.concurrency,
            lock_timeout=lock_timeout,
        )

    def receivers(self, stream: OpenStream) -> dict[str, Receiver]:
        """The processors as the deliveries know them."""
        return {name: self._receiver(each, stream) for name, each in self.processors.items()}

    def _receiver(self, processor: Processor, stream: OpenStream) -> Receiver:
        passage = Passage(chunk_size=self.chunk_size)

        async def receive(upload: Upload) -> None:
            broken: list[TusdError] = []
            try:
                async with (
                    asyncio.timeout(self.timeout) as limit,
                    aclosing(_noting(stream(upload.id, passage), broken)) as pieces,
                ):
                    await processor(upload, pieces)
            except TimeoutError as error:
                if limit.expired():
                    raise TimeoutError(f"no end after {self.timeout} seconds") from error
                raise
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                raise RuntimeError("the processor cancelled itself") from error
            if broken:  # it may have taken what came before for the whole file
                raise broken[0]

        return receive


async def _noting(
    pieces: AsyncGenerator[bytes, None], broken: list[TusdError]
) -> AsyncGenerator[bytes, None]:
    """The pieces; an error among them is kept, whatever the one who takes them makes of it."""
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                yield piece
        except TusdError as error:
            broken.append(error)
            raise
