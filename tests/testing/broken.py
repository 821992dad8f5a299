"""Stores and lockers that break one promise each, the way real ones do."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tusd_py.core.errors import NameTakenError
from tusd_py.core.model import UploadKind
from tusd_py.locks.memory import MemoryLocker
from tusd_py.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Appender, DirectWriter, Lock


class AppendMode(MemoryStore):
    """Writes at the end of what is there, as a file opened with `a` does."""

    @asynccontextmanager
    async def append(self, upload: Upload, *, atomic: bool = False) -> AsyncIterator[Appender]:
        async with super().append(await self.load(upload.id), atomic=atomic) as appender:
            yield appender


class Replacing(MemoryStore):
    """Publishes as a bare rename does: whatever had the name is gone."""

    async def complete(self, upload: Upload) -> None:
        try:
            await super().complete(upload)
        except NameTakenError:
            self._published.pop(upload.name)
            await super().complete(upload)


class Believing(MemoryStore):
    """Takes the offset from the record, and keeps the record in step with what it acknowledges."""

    async def load(self, upload_id: str) -> Upload:
        await super().load(upload_id)
        return self._records[upload_id]

    @asynccontextmanager
    async def append(self, upload: Upload, *, atomic: bool = False) -> AsyncIterator[Appender]:
        async with super().append(upload, atomic=atomic) as appender:
            yield appender
        measured = await super().load(upload.id)
        self._records[upload.id] = replace(self._records[upload.id], offset=measured.offset)


class Undelivering(MemoryStore):
    """Has columns for everything in a record but for what is to be delivered."""

    async def save(self, upload: Upload) -> None:
        await super().save(replace(upload, deliveries=()))


class Forgetful(MemoryStore):
    """Has nothing more of an upload once it is published."""

    async def complete(self, upload: Upload) -> None:
        await super().complete(upload)
        del self._records[upload.id]


class Eager(MemoryStore):
    """Writes through, whatever was said about the whole chunk."""

    @asynccontextmanager
    async def append(self, upload: Upload, *, atomic: bool = False) -> AsyncIterator[Appender]:
        async with super().append(upload) as appender:
            yield appender


class Lazy(MemoryStore):
    """Keeps what it is given directly, to write it when there is more."""

    @asynccontextmanager
    async def append(self, upload: Upload, *, atomic: bool = False) -> AsyncIterator[Appender]:
        async with super().append(upload, atomic=atomic) as appender:
            yield _LazyAppender(appender)


class _LazyAppender:
    is_quick = True

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self._kept: list[memoryview] = []

    @property
    def direct(self) -> DirectWriter:
        return self

    def __call__(self, data: memoryview) -> None:
        self._kept.append(data)

    async def write(self, data: bytes) -> None:
        await self._appender.write(data)

    async def commit(self, *, completes: bool = False) -> int:
        for piece in self._kept:
            await self._appender.write(bytes(piece))
        return await self._appender.commit(completes=completes)


class Unordered(MemoryStore):
    """Joins each part once, in the order of their ids."""

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        once = {part.id: part for part in parts}
        await super().concatenate(upload, [once[part_id] for part_id in sorted(once)])


class Greedy(MemoryStore):
    """Takes the parts along, to save room."""

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        await super().concatenate(upload, parts)
        for part_id in {part.id for part in parts}:
            await self.delete(part_id)


class Showy(MemoryStore):
    """Publishes partials like any other upload."""

    async def complete(self, upload: Upload) -> None:
        await super().complete(replace(upload, kind=UploadKind.REGULAR))


class Hoarding(MemoryStore):
    """Leaves everything where it is."""

    async def discard(self, upload: Upload) -> None:
        await self.load(upload.id)


class Leaderless(MemoryStore):
    """Everybody leads."""

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[bool]:
        yield True


class Open:
    """Lets everybody in."""

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AbstractAsyncContextManager[Lock]:
        return MemoryLocker().hold(upload_id, timeout=timeout)


class Mute:
    """Never asks the holder."""

    def __init__(self) -> None:
        self._locker = MemoryLocker()

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AbstractAsyncContextManager[Lock]:
        return self._locker.hold(upload_id, timeout=timeout, silence=silence)


class Rude:
    """Takes a probe for anybody: asks a holder at work."""

    def __init__(self) -> None:
        self._locker = MemoryLocker()

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AbstractAsyncContextManager[Lock]:
        return self._locker.hold(upload_id, timeout=timeout, on_takeover=on_takeover)
