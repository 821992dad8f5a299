"""Engines on a folder, in process: what a restarted server would be, without its network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tusd_py.core.intents import Append, Create, ReadOffset
from tusd_py.core.model import Limits, Metadata, Upload
from tusd_py.core.ports import Hook
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.janitor import Janitor, SweepReport
from tusd_py.engine.uploads import UploadEngine
from tusd_py.locks.memory import MemoryLocker
from tusd_py.testing import ManualClock, RecordingSink, ScriptedBody

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tusd_py.core.ports import Store

ID = "one"
NOTHING = Metadata()


@dataclass
class Failing(Hook):
    """Fails by script when an upload is about to finish: an entry for each time it is asked."""

    script: list[Exception | None]
    asked: int = 0

    async def pre_finish(self, upload: Upload) -> None:
        """Raise what the script has for this time, if anything."""
        self.asked += 1
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error


@dataclass
class Client:
    """Speaks to one engine about one upload. Everything it is told of is in `events`."""

    store: Store
    hooks: Sequence[Hook] = ()
    upload_id: str = ID
    events: RecordingSink = field(default_factory=RecordingSink)
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.engine = UploadEngine(
            store=self.store,
            locker=MemoryLocker(),
            limits=Limits(),
            clock=self.clock,
            new_id=lambda: self.upload_id,
            emit=self.events,
            hooks=Hookpoints(self.hooks),
        )

    async def create(self, length: int | None) -> Upload:
        """A new upload without a body."""
        intent = Create(length=length, metadata=NOTHING)
        return (await self.engine.create(intent, ScriptedBody([]))).upload

    async def append(self, offset: int, data: bytes, *, length: int | None = None) -> Upload:
        """One PATCH; `length` declares a deferred one."""
        pieces = [data] if data else []
        intent = Append(
            upload_id=self.upload_id, offset=offset, body_length=len(data), declared_length=length
        )
        return (await self.engine.append(intent, ScriptedBody(pieces))).upload

    async def inspect(self) -> Upload:
        """One HEAD."""
        return (await self.engine.inspect(ReadOffset(upload_id=self.upload_id))).upload

    async def sweep(self) -> SweepReport:
        """What start-up does first, and the collector again and again."""
        janitor = Janitor(
            store=self.engine.store,
            locker=self.engine.locker,
            completion=self.engine.completion,
            clock=self.clock,
            emit=self.events,
        )
        return await janitor.sweep()
