"""Stores and lockers that break one promise each, the way real ones do."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tusd_py.core.errors import NameTakenError
from tusd_py.locks.memory import MemoryLocker
from tusd_py.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Appender, Lock


class AppendMode(MemoryStore):
    """Writes at the end of what is there, as a file opened with `a` does."""

    @asynccontextmanager
    async def append(self, upload: Upload) -> AsyncIterator[Appender]:
        async with super().append(await self.load(upload.id)) as appender:
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
    async def append(self, upload: Upload) -> AsyncIterator[Appender]:
        async with super().append(upload) as appender:
            yield appender
        measured = await super().load(upload.id)
        self._records[upload.id] = replace(self._records[upload.id], offset=measured.offset)


class Forgetful(MemoryStore):
    """Has nothing more of an upload once it is published."""

    async def complete(self, upload: Upload) -> None:
        await super().complete(upload)
        del self._records[upload.id]


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
