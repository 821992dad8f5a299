"""The stage for engine tests: real parts, a clock to be moved, and short words for requests."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import TYPE_CHECKING

from tusd_py.core.checksums import ALGORITHMS, Checksum
from tusd_py.core.intents import Append, Concatenate, Create, ReadOffset
from tusd_py.core.model import Lifetime, Limits, Metadata, Upload
from tusd_py.core.outcomes import BodyEnd
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.janitor import Housekeeping, Janitor, SweepReport
from tusd_py.engine.patience import Patience
from tusd_py.engine.processing import Processing
from tusd_py.engine.uploads import UploadEngine
from tusd_py.locks.memory import MemoryLocker
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import After, FaultyStore, ManualClock, RecordingSink, ScriptedBody
from tusd_py.testing.kit import content

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from tusd_py.core.intents import StatedChecksum
    from tusd_py.core.ports import Hook, Store

LIMITS = Limits(checksum_algorithms=tuple(ALGORITHMS))

HOUR = 3600.0


class Crash(BaseException):
    """The process dies here: nothing catches it."""


def sum_of(data: bytes, algorithm: str = "sha1") -> Checksum:
    """The checksum of `data`, computed apart from the code under test."""
    return Checksum(algorithm=algorithm, digest=hashlib.new(algorithm, data).digest())


def crashes(calls: Sequence[str]) -> Iterator[dict[str, list[Crash | After | None]]]:
    """Scripts for a FaultyStore that crash before and behind each of these calls, one at a time."""
    for position, name in enumerate(calls):
        passing: list[Crash | After | None] = [None] * calls[:position].count(name)
        yield {name: [*passing, Crash()]}
        yield {name: [*passing, After(Crash())]}


class Scene:
    """An engine over `store`. `restart` makes a new one, as another process would have it."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        lifetime: Lifetime | None = None,
        limits: Limits = LIMITS,
        hooks: Sequence[Hook] = (),
        housekeeping: Housekeeping | None = None,
        patience: Patience | None = None,
        processing: Processing | None = None,
    ) -> None:
        self.store: Store = store if store is not None else MemoryStore()
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self._ids = (f"id-{number}" for number in count(1))
        self._lifetime = lifetime
        self._limits = limits
        self._hooks = hooks
        self._housekeeping = housekeeping
        self._patience = patience
        self.processing = processing
        self.restart()

    def restart(self, store: Store | None = None) -> None:
        """A new engine that knows nothing but what is stored."""
        self.store = store if store is not None else self.store
        self.locker = MemoryLocker()
        self.engine = UploadEngine(
            store=self.store,
            locker=self.locker,
            limits=self._limits,
            clock=self.clock,
            new_id=lambda: next(self._ids),
            emit=self.sink,
            hooks=Hookpoints(self._hooks),
            lifetime=self._lifetime,
            patience=self._patience,
            processing=self.processing,
        )
        self.janitor = Janitor(
            store=self.store,
            locker=self.locker,
            completion=self.engine.completion,
            clock=self.clock,
            emit=self.sink,
            housekeeping=self._housekeeping,
        )

    def script(self, **faults: Sequence[BaseException | After | None]) -> FaultyStore:
        """Restart over the same storage, failing by script from now on."""
        faulty = FaultyStore(self.store, **faults)
        self.restart(faulty)
        return faulty

    # -- requests -----------------------------------------------------------------------------

    async def create(
        self,
        length: int | None,
        *pieces: bytes,
        is_partial: bool = False,
        checksum: StatedChecksum = None,
        body: ScriptedBody | None = None,
    ) -> Upload:
        """POST, with the pieces as the first chunk."""
        intent = Create(
            length=length,
            metadata=Metadata(),
            has_body=bool(pieces) or body is not None,
            body_length=None if body else sum(map(len, pieces)),
            checksum=checksum,
            is_partial=is_partial,
        )
        return (await self.engine.create(intent, body or ScriptedBody(pieces))).upload

    async def part(self, data: bytes) -> str:
        """The id of a complete partial upload."""
        return (await self.create(len(data), *([data] if data else []), is_partial=True)).id

    async def join(self, *parts: str) -> Upload:
        """POST of a final."""
        concat = "final;" + " ".join(f"/files/{part}" for part in parts)
        intent = Concatenate(parts=parts, concat=concat, metadata=Metadata())
        return (await self.engine.concatenate(intent)).upload

    async def append(
        self,
        upload_id: str,
        offset: int,
        *script: bytes | asyncio.Event,
        checksum: StatedChecksum = None,
        end: BodyEnd = BodyEnd.WHOLE,
        trailer: Checksum | None = None,
        length: int | None = None,
        body: ScriptedBody | None = None,
    ) -> Upload:
        """PATCH with the pieces as its body, of a size not announced; `length` is the whole upload's."""
        intent = Append(
            upload_id=upload_id,
            offset=offset,
            body_length=None,
            declared_length=length,
            checksum=checksum,
        )
        body = body or ScriptedBody(script, end, trailer=trailer)
        return (await self.engine.append(intent, body)).upload

    async def head(self, upload_id: str) -> Upload:
        """HEAD."""
        return (await self.engine.inspect(ReadOffset(upload_id=upload_id))).upload

    async def sweep(self, *, is_dry_run: bool = False) -> SweepReport:
        """One pass of the collector."""
        return await self.janitor.sweep(is_dry_run=is_dry_run)

    async def stored(self, upload_id: str) -> bytes:
        """Every byte that counts."""
        return await content(self.store, upload_id)
