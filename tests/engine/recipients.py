"""Processors to try, a scene that delivers to them, and an ear that can be waited for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.engine.scene import Scene
from tusd_py.core.deliveries import Retry
from tusd_py.engine.processing import Processing
from tusd_py.testing import RecordingSink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tusd_py.core.events import Event
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Processor, Store

RETRY = Retry(first=1, longest=10)


@dataclass
class Recipient:
    """A processor that keeps what it is given, whole; fails by script, an entry for each call.

    With a `gate` it waits in each call, after the bytes, until that is set.
    """

    script: list[BaseException | None] = field(default_factory=list)
    gate: asyncio.Event | None = None
    called: list[str] = field(default_factory=list)
    given: list[tuple[str, bytes]] = field(default_factory=list)
    is_called: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most: int = 0

    async def __call__(self, upload: Upload, pieces: AsyncIterator[bytes]) -> None:
        self.called.append(upload.id)
        self.is_called.set()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            data = b"".join([piece async for piece in pieces])
            if self.gate is not None:
                await self.gate.wait()
            error = self.script.pop(0) if self.script else None
            if error is not None:
                raise error
            self.given.append((upload.id, data))
        finally:
            self.running -= 1


class Ear(RecordingSink):
    """Keeps what it hears; whoever waits for something is woken."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        self._news.set()

    async def hear(self, kind: type[Any], count: int = 1) -> list[Any]:
        """The events of this kind, once there are so many of them."""
        while len(self.of(kind)) < count:
            self._news.clear()
            await self._news.wait()
        return self.of(kind)


class Delivery(Scene):
    """A scene whose finished uploads are delivered, within `delivering`."""

    def __init__(
        self,
        store: Store | None = None,
        processors: Mapping[str, Processor] | None = None,
        *,
        retry: Retry = RETRY,
        **more: Any,
    ) -> None:
        own = {name: more.pop(name) for name in ("timeout", "concurrency", "abandoned") if name in more}
        names = tuple(processors or {})
        processing = Processing(
            names=names, processors=processors or {}, retry=retry, chunk_size=100, **own
        )
        super().__init__(store, processing=processing, **more)

    def restart(self, store: Store | None = None) -> None:
        """See Scene; with an ear of its own."""
        self.sink = self.ear = Ear()
        super().restart(store)

    @asynccontextmanager
    async def delivering(self, grace: float = 60) -> AsyncIterator[None]:
        """The deliveries run; at the end they have `grace` seconds."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.engine.deliveries.run(grace))
            await asyncio.sleep(0)
            try:
                yield
            finally:
                self.engine.deliveries.stop()

    async def pass_time(self, seconds: float) -> None:
        """Time goes by, and a sweep looks at everything."""
        self.clock.advance(seconds)
        await self.sweep()
