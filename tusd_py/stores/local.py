"""Uploads in a folder of the local disk (layout: storage/README.md)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from aiofiles.threadpool import wrap

from tusd_py.core.errors import StoreError
from tusd_py.stores.files import translated
from tusd_py.stores.local_examination import examine, repair
from tusd_py.stores.local_files import Durability, LocalFiles
from tusd_py.stores.local_layout import PUBLISHED
from tusd_py.stores.offload import Offload
from tusd_py.stores.pace import Pace, is_remote
from tusd_py.stores.write_back import WriteBack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import BinaryIO

    from tusd_py.core.findings import Finding
    from tusd_py.core.model import Upload

THREADS = 16


class LocalAppender:
    """Writes at the offset with pwrite(2), never in append mode: a stray byte cannot shift the rest."""

    def __init__(
        self, descriptor: int, upload: Upload, files: LocalFiles, offload: Offload, *, atomic: bool
    ) -> None:
        self._descriptor = descriptor
        self._upload = upload
        self._position = upload.offset
        self._files = files
        self._offload = offload
        self._pace = offload.pace
        is_forced = files.durability is not Durability.OS
        self.write_back = WriteBack(descriptor, upload.offset, offload.pool) if is_forced else None
        self.is_pending = atomic
        """An atomic append that is not committed."""

    @property
    def direct(self) -> LocalAppender:
        """See tusd_py.core.ports.Appender.direct."""
        return self

    @property
    def is_quick(self) -> bool:
        """See tusd_py.core.ports.DirectWriter.is_quick."""
        return self._pace.is_quick

    async def write(self, data: bytes) -> None:
        """See tusd_py.core.ports.Appender.write."""
        await self._offload.brief(self._write, data)

    def __call__(self, data: bytes | memoryview) -> None:
        """See tusd_py.core.ports.DirectWriter."""
        begun = time.perf_counter()
        try:
            self._write(data)
        finally:
            self._pace.note(time.perf_counter() - begun)

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        with translated():
            while left:
                written = os.pwrite(self._descriptor, left, self._position)
                self._position += written
                left = left[written:]
        if self.write_back is not None:
            self.write_back.reached(self._position)

    async def commit(self, *, completes: bool = False) -> int:  # noqa: ARG002 - nothing is kept back
        """See tusd_py.core.ports.Appender.commit."""
        if self._files.durability is Durability.COMMIT:
            await self._offload.run(self._accept if self.is_pending else self._force)
        elif self.is_pending:
            await self._offload.brief(self._accept)
        return self._position

    def _accept(self) -> None:
        # In the thread: what counts stays, also when the one who waits for it is cancelled.
        self._files.accept(self._descriptor, self._upload.id)
        self.is_pending = False

    def _force(self) -> None:
        with translated():
            os.fdatasync(self._descriptor)


class _Append:
    """What `LocalStore.append` gives, to be entered once. A generator would be felt by short bodies."""

    def __init__(self, upload: Upload, files: LocalFiles, offload: Offload, *, atomic: bool) -> None:
        self._upload = upload
        self._files = files
        self._offload = offload
        self._atomic = atomic

    async def __aenter__(self) -> LocalAppender:
        upload, offload = self._upload, self._offload
        opening = partial(self._files.open_at, upload, atomic=self._atomic)
        forces = self._files.durability is Durability.COMMIT
        acquire = offload.acquire if forces else offload.acquire_briefly
        self._descriptor = await acquire(opening, release=os.close)
        self._appender = LocalAppender(self._descriptor, upload, self._files, offload, atomic=self._atomic)
        return self._appender

    async def __aexit__(self, *_: object) -> None:
        # To give back what was written can take long.
        takes_long = self._appender.is_pending or self._appender.write_back
        await (self._offload.run if takes_long else self._offload.brief)(self._leave)

    def _leave(self) -> None:
        try:
            if self._appender.write_back:
                self._appender.write_back.settle()
            if self._appender.is_pending:
                with contextlib.suppress(StoreError):  # the mark still says that nothing of it counts
                    self._files.revoke(self._descriptor, self._upload)
        finally:
            os.close(self._descriptor)


class LocalReader:
    """An open file, read no further than it was when it was opened."""

    def __init__(self, file: BinaryIO, size: int, chunk_size: int, offload: Offload) -> None:
        self.file = file
        self.size = size
        self.modified_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        self._chunk_size = chunk_size
        self._offload = offload

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """See tusd_py.core.ports.Reader.chunks."""
        file = wrap(self.file, loop=asyncio.get_running_loop(), executor=self._offload.pool)
        with translated():
            await file.seek(start)
            while start < stop:
                piece = await file.read(min(self._chunk_size, stop - start))
                if not piece:
                    raise OSError(None, "the file ends early")
                start += len(piece)
                yield piece


class LocalStore:
    """Keeps uploads under `root`; see tusd_py.core.ports.Store for what it promises.

    `chunk_size` is the size in bytes of the pieces in which stored files are read back. Creates the
    folders it needs and raises StoreError when it cannot.
    """

    marks_by_publishing = False

    def __init__(
        self, root: str, *, durability: Durability | str = Durability.OS, chunk_size: int = 8192
    ) -> None:
        self._root = root
        self._durability = Durability(durability)
        self._files = LocalFiles(root, self._durability)
        self._chunk_size = chunk_size
        self._pace = Pace(is_remote=is_remote(root))
        self._offload = Offload(THREADS, "tusd-py-disk", self._pace)

    @property
    def is_quick(self) -> bool:
        """Whether short calls are made in the event loop now, and not in threads."""
        return self._pace.is_quick

    async def create(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.create."""
        call = self._offload.run if self._files.forces(upload) else self._offload.brief
        await call(self._files.create, upload)

    async def load(self, upload_id: str) -> Upload:
        """See tusd_py.core.ports.Store.load."""
        # What is told has to be safe then: see LocalFiles._measure.
        call = self._offload.run if self._durability is Durability.COMMIT else self._offload.brief
        return await call(self._files.load, upload_id)

    async def save(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.save."""
        call = self._offload.run if self._files.forces(upload) else self._offload.brief
        await call(self._files.save, upload)

    def append(self, upload: Upload, *, atomic: bool = False) -> _Append:
        """See tusd_py.core.ports.Store.append."""
        return _Append(upload, self._files, self._offload, atomic=atomic)

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        """See tusd_py.core.ports.Store.concatenate."""
        await self._offload.run(self._files.concatenate, upload, parts)

    async def discard(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.discard."""
        await self._offload.run(self._files.discard, upload)

    async def complete(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Store.complete."""
        call = self._offload.brief if self._durability is Durability.OS else self._offload.run
        await call(self._files.publish, upload)

    def place(self, name: str) -> str:
        """See tusd_py.core.ports.Store.place."""
        return os.path.join(self._root, PUBLISHED, os.path.basename(name))

    @contextlib.asynccontextmanager
    async def open(self, upload: Upload) -> AsyncIterator[LocalReader]:
        """See tusd_py.core.ports.Store.open."""
        opening = partial(self._files.open_for_reading, upload)
        file = await self._offload.acquire_briefly(opening, release=lambda file: file.close())
        try:
            yield LocalReader(file, upload.offset, self._chunk_size, self._offload)
        finally:
            await self._offload.brief(file.close)

    async def address(self, upload: Upload, method: str) -> str | None:  # noqa: ARG002
        """None: the server sends what lies on its disk."""
        return None

    async def delete(self, upload_id: str) -> None:
        """See tusd_py.core.ports.Store.delete."""
        await self._offload.run(self._files.delete, upload_id)

    async def list(self) -> AsyncIterator[str]:
        """See tusd_py.core.ports.Store.list."""
        for upload_id in await self._offload.run(self._files.list):
            yield upload_id

    def is_settled(self, upload_id: str) -> bool:  # noqa: ARG002
        """Never: looking costs little here."""
        return False

    async def examine(self) -> AsyncIterator[Finding]:
        """See tusd_py.core.ports.Store.examine."""
        for finding in await self._offload.run(examine, self._files):
            yield finding

    async def repair(self, finding: Finding) -> None:
        """See tusd_py.core.ports.Store.repair."""
        await self._offload.run(repair, self._files, finding)

    @contextlib.asynccontextmanager
    async def lead(self) -> AsyncIterator[bool]:
        """See tusd_py.core.ports.Store.lead. A lock on a file: a killed leader's is free at once."""
        with translated():
            file = await self._offload.acquire(
                partial(open, self._files.layout.leadership, "ab"), release=lambda file: file.close()
            )
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            yield False
        else:
            try:
                yield True
            finally:
                file.close()

    async def free_space(self) -> int | None:
        """See tusd_py.core.ports.Store.free_space."""
        return await self._offload.brief(self._files.free_space)

    async def check(self) -> None:
        """See tusd_py.core.ports.Store.check."""
        await self._offload.run(self._files.check)

    async def close(self) -> None:
        """See tusd_py.core.ports.Store.close."""
        self._offload.close()
