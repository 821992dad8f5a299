"""Stand-ins that do what a test tells them: time, bodies, failing storage, ears for events."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from tusd_py.core.errors import InvalidChecksumError
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO, Protocol

    from tusd_py.core.checksums import Checksum
    from tusd_py.core.events import Event
    from tusd_py.core.findings import Finding
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Appender, DirectWriter, Reader, Store

    class Scripted(Protocol):
        """Carries out what the script has for the next call of this name."""

        def __call__(self, call: str) -> AbstractContextManager[None]: ...


T = TypeVar("T")


class ManualClock:
    """The Clock port; time moves only by `advance`."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now

    def __call__(self) -> datetime:
        """The time it was set to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += timedelta(seconds=seconds)


class RecordingSink:
    """The EventSink port; keeps what it hears, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep `event`."""
        self.events.append(event)

    def of(self, kind: type[T]) -> list[T]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


class ScriptedBody:
    """The Body port, from a script: bytes are handed out, an asyncio.Event is waited for.

    Without a cut the body ends as `end` after the last piece. A cut ends it at the next piece, or at
    once while it waits. `paused` is set as long as it waits; `given` counts the bytes handed out.
    `trailer` is the checksum that follows the bytes; None: none came.
    """

    def __init__(
        self,
        script: Iterable[bytes | asyncio.Event],
        end: BodyEnd = BodyEnd.WHOLE,
        *,
        trailer: Checksum | None = None,
    ) -> None:
        self.paused = asyncio.Event()
        self.given = 0
        self._script = tuple(script)
        self._scripted_end = end
        self._trailer = trailer
        self._over = False
        self._end = BodyEnd.WHOLE
        self._cut = asyncio.Event()

    @property
    def end(self) -> BodyEnd:
        """How it ended; `WHOLE` until then."""
        return self._end

    def trailing_checksum(self) -> Checksum:
        """The scripted one; InvalidChecksumError without."""
        if self._trailer is None:
            raise InvalidChecksumError("Upload-Checksum", "the trailer is missing", "a checksum")
        return self._trailer

    def cut(self, why: BodyEnd) -> None:
        """End it, unless it has ended or was cut before."""
        if not self._over:
            self._finish(why)
            self._cut.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Play the script."""
        for item in self._script:
            if isinstance(item, asyncio.Event):
                await self._pause(item)
            if self._over:
                return
            if isinstance(item, bytes):
                self.given += len(item)
                yield item
        if not self._over:
            self._finish(self._scripted_end)

    def _finish(self, end: BodyEnd) -> None:
        self._over = True
        self._end = end

    async def _pause(self, gate: asyncio.Event) -> None:
        self.paused.set()
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(event.wait()) for event in (gate, self._cut)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        self.paused.clear()


@dataclass(frozen=True, slots=True)
class After:
    """A fault that strikes when the real call has done its work: the answer is lost, the deed is not."""

    error: BaseException


Fault = BaseException | After | None

CALLS = (
    "create",
    "load",
    "save",
    "append",
    "write",
    "commit",
    "concatenate",
    "complete",
    "discard",
    "open",
    "read",
    "delete",
    "list",
    "examine",
    "repair",
    "lead",
    "free_space",
    "check",
    "close",
)


class FaultyStore:
    """A Store that fails by script: the k-th call of a name meets the k-th entry of its list.

    In `FaultyStore(store, save=[None, StoreError("disk")], complete=[After(StoreError("late"))])` None
    lets the call pass, an exception is raised in its place, `After(exception)` once it was carried
    out. Beyond the end of a list everything passes. Names are those of the Store port, with `write` and
    `commit` of the appender, `read` of the reader's chunks; `append`, `open` and `lead` are the entering.
    `calls` has the names of all calls so far; `left` what the script still holds.
    """

    def __init__(self, store: Store, **faults: Sequence[Fault]) -> None:
        unknown = sorted(set(faults) - set(CALLS))
        if unknown:
            raise TypeError(f"a store has no call named {', '.join(unknown)}")
        self.calls: list[str] = []
        self._store = store
        self._faults = {call: list(entries) for call, entries in faults.items()}

    @property
    def left(self) -> dict[str, list[Fault]]:
        """What the script holds for calls that have not come yet."""
        return {call: list(entries) for call, entries in self._faults.items() if entries}

    @contextmanager
    def _scripted(self, call: str) -> Iterator[None]:
        self.calls.append(call)
        entries = self._faults.get(call)
        fault = entries.pop(0) if entries else None
        if isinstance(fault, BaseException):
            raise fault
        yield
        if fault is not None:
            raise fault.error

    async def create(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store, as every method here."""
        with self._scripted("create"):
            await self._store.create(upload)

    async def load(self, upload_id: str) -> Upload:
        """As scripted."""
        with self._scripted("load"):
            return await self._store.load(upload_id)

    async def save(self, upload: Upload) -> None:
        """As scripted."""
        with self._scripted("save"):
            await self._store.save(upload)

    @asynccontextmanager
    async def append(self, upload: Upload, *, atomic: bool = False) -> AsyncIterator[Appender]:
        """As scripted, on entering."""
        async with AsyncExitStack() as stack:
            with self._scripted("append"):
                appender = await stack.enter_async_context(self._store.append(upload, atomic=atomic))
            yield _FaultyAppender(appender, self._scripted)

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        """As scripted."""
        with self._scripted("concatenate"):
            await self._store.concatenate(upload, parts)

    async def complete(self, upload: Upload) -> None:
        """As scripted."""
        with self._scripted("complete"):
            await self._store.complete(upload)

    def place(self, name: str) -> str:
        """Never fails: nothing is touched."""
        return self._store.place(name)

    async def discard(self, upload: Upload) -> None:
        """As scripted."""
        with self._scripted("discard"):
            await self._store.discard(upload)

    @asynccontextmanager
    async def open(self, upload: Upload) -> AsyncIterator[Reader]:
        """As scripted, on entering."""
        async with AsyncExitStack() as stack:
            with self._scripted("open"):
                reader = await stack.enter_async_context(self._store.open(upload))
            yield _FaultyReader(reader, self._scripted)

    @property
    def marks_by_publishing(self) -> bool:
        """As the store does."""
        return self._store.marks_by_publishing

    async def address(self, upload: Upload, method: str) -> str | None:
        """As scripted."""
        with self._scripted("address"):
            return await self._store.address(upload, method)

    async def delete(self, upload_id: str) -> None:
        """As scripted."""
        with self._scripted("delete"):
            await self._store.delete(upload_id)

    async def list(self) -> AsyncIterator[str]:
        """As scripted: a fault strikes before the first id, `After` behind the last."""
        with self._scripted("list"):
            async for upload_id in self._store.list():
                yield upload_id

    def is_settled(self, upload_id: str) -> bool:
        """As the store knows."""
        return self._store.is_settled(upload_id)

    async def examine(self) -> AsyncIterator[Finding]:
        """As scripted: a fault strikes before the first finding, `After` behind the last."""
        with self._scripted("examine"):
            async for finding in self._store.examine():
                yield finding

    async def repair(self, finding: Finding) -> None:
        """As scripted."""
        with self._scripted("repair"):
            await self._store.repair(finding)

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[bool]:
        """As scripted, on entering."""
        async with AsyncExitStack() as stack:
            with self._scripted("lead"):
                leads = await stack.enter_async_context(self._store.lead())
            yield leads

    async def free_space(self) -> int | None:
        """As scripted."""
        with self._scripted("free_space"):
            return await self._store.free_space()

    async def check(self) -> None:
        """As scripted."""
        with self._scripted("check"):
            await self._store.check()

    async def close(self) -> None:
        """As scripted."""
        with self._scripted("close"):
            await self._store.close()


class _FaultyAppender:
    def __init__(self, appender: Appender, scripted: Scripted) -> None:
        self._appender = appender
        self._scripted = scripted
        direct = appender.direct
        self.direct = None if direct is None else _FaultyDirectWriter(direct, scripted)

    async def write(self, data: bytes) -> None:
        with self._scripted("write"):
            await self._appender.write(data)

    async def commit(self, *, completes: bool = False) -> int:
        with self._scripted("commit"):
            return await self._appender.commit(completes=completes)


class _FaultyDirectWriter:
    def __init__(self, direct: DirectWriter, scripted: Scripted) -> None:
        self._direct = direct
        self._scripted = scripted

    @property
    def is_quick(self) -> bool:
        return self._direct.is_quick

    def __call__(self, data: memoryview) -> None:
        with self._scripted("write"):
            self._direct(data)


class _FaultyReader:
    def __init__(self, reader: Reader, scripted: Scripted) -> None:
        self.size = reader.size
        self.modified_at = reader.modified_at
        self.file: BinaryIO | None = reader.file
        self._reader = reader
        self._scripted = scripted

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        with self._scripted("read"):
            async for piece in self._reader.chunks(start, stop):
                yield piece
