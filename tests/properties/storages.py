"""Storage that outlives the stores over it, and can be looked at from behind."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol, cast

from tests.properties.model import Known
from tests.stores.s3_bench import make_fake_store, present
from tests.stores.s3_fake import FakeS3
from tusd_py.core.errors import UploadIncompleteError, UploadNotFoundError
from tusd_py.core.model import UploadState
from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore
from tusd_py.stores.s3_calls import Bucket
from tusd_py.stores.s3_layout import Layout
from tusd_py.stores.s3_ledger import Ledger
from tusd_py.testing import FaultyStore
from tusd_py.testing.kit import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_boto3_s3 import S3Client

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Store

PART = 8
"""Bytes of a part in S3Storage."""


class CrashError(BaseException):
    """The process ends here."""


class Storage(Protocol):
    """Where the bytes are, whatever store is open over it."""

    def open(self) -> Store:
        """A store over it, as a process that has just started would have."""
        ...

    def freeze(self) -> None:
        """The process ends now: what it does from here on is lost."""
        ...

    async def content(self, store: Store, upload: Upload) -> bytes:
        """The bytes of an upload that count, also where `store` cannot give them back yet."""
        ...

    def hides(self, known: Known) -> bool:
        """Whether a store may refuse to give this upload's bytes back until it is complete."""
        ...

    def published(self) -> dict[str, bytes]:
        """What the world can see: name to content."""
        ...

    def close(self) -> None:
        """Remove it all."""
        ...


class Legible:
    """Storage whose stores give back what they have at any time."""

    async def content(self, store: Store, upload: Upload) -> bytes:
        """See Storage."""
        return await content(store, upload.id)

    def hides(self, known: Known) -> bool:
        """See Storage."""
        return False


class MemoryStorage(Legible):
    """One MemoryStore is both."""

    def __init__(self) -> None:
        self._store = MemoryStore(chunk_size=7)

    def open(self) -> Store:
        """See Storage."""
        return self._store

    def freeze(self) -> None:
        """It has no life of its own: a request that ends leaves it as it should."""

    def published(self) -> dict[str, bytes]:
        """See Storage."""
        return self._store.published

    def close(self) -> None:
        """See Storage."""


class LocalStorage(Legible):
    """A folder; after a crash, a copy of what it was at that moment."""

    def __init__(self) -> None:
        self._home = TemporaryDirectory()
        self._folder = Path(self._home.name) / "0"
        self._frozen: Path | None = None

    def open(self) -> Store:
        """See Storage."""
        if self._frozen is not None:
            shutil.rmtree(self._folder)
            self._folder, self._frozen = self._frozen, None
        return LocalStore(str(self._folder), chunk_size=20)

    def freeze(self) -> None:
        """See Storage."""
        if self._frozen is None:
            self._frozen = self._folder.with_name(f"{int(self._folder.name) + 1}")
            # Hard links would tie it to what the dying process still does; a copy does not.
            shutil.copytree(self._folder, self._frozen)

    def published(self) -> dict[str, bytes]:
        """See Storage."""
        return {path.name: path.read_bytes() for path in (self._folder / "uploads").iterdir()}

    def close(self) -> None:
        """See Storage."""
        self._home.cleanup()


class S3Storage:
    """A bucket in memory, with parts of so few bytes that most uploads have several; after a crash, a copy
    of what it was at that moment."""

    def __init__(self) -> None:
        self._server = FakeS3()
        self._frozen: FakeS3 | None = None

    def open(self) -> Store:
        """See Storage."""
        if self._frozen is not None:
            self._server, self._frozen = self._frozen, None
        return make_fake_store(
            self._server, part_size=PART, joined_part=12, concurrency=2, memory_budget=20, chunk_size=7
        )

    def freeze(self) -> None:
        """See Storage."""
        if self._frozen is None:
            self._frozen = self._server.copy()

    async def content(self, store: Store, upload: Upload) -> bytes:
        """See Storage: from behind, as far as the bytes lie in parts."""
        try:
            return await content(store, upload.id)
        except UploadIncompleteError:
            return await asyncio.to_thread(self._gather, upload)

    def _gather(self, upload: Upload) -> bytes:
        layout = Layout("ours")
        bucket = Bucket(cast("S3Client", self._server.client()), "bucket", checksums=True, extra={})
        ledger = Ledger(bucket, layout, part_size=PART, room=None, present=present)
        account = ledger.load(upload.id)
        whole = self._server.assemble(account.note.multipart or "", account.counted)[: account.whole]
        return whole + b"".join(self._server.objects[segment.key].data for segment in account.segments)

    def hides(self, known: Known) -> bool:
        """See Storage."""
        is_small = known.length is not None and known.length <= PART
        return known.state is not UploadState.COMPLETE and len(known.data) >= PART and not is_small

    def published(self) -> dict[str, bytes]:
        """See Storage."""
        where = "ours/uploads/"
        objects = self._server.objects.items()
        return {key.removeprefix(where): it.data for key, it in objects if key.startswith(where)}

    def close(self) -> None:
        """See Storage."""


class MortalStore(FaultyStore):
    """Fails by script; with a CrashError the storage stays as it is at that moment.

    Without that, what a dying request does on its way out would still reach the disk.
    """

    def __init__(self, storage: Storage, store: Store, **faults: Any) -> None:
        super().__init__(store, **faults)
        self._storage = storage

    @contextmanager
    def _scripted(self, call: str) -> Iterator[None]:
        try:
            with super()._scripted(call):
                yield
        except CrashError:
            self._storage.freeze()
            raise


async def look(storage: Storage, store: Store, upload_id: str) -> Known | None:
    """The upload as stored, with its bytes; None where there is none."""
    try:
        upload = await store.load(upload_id)
        is_expired = upload.state is UploadState.EXPIRED
        data = b"" if is_expired else await storage.content(store, upload)
    except UploadNotFoundError:
        return None
    assert upload.offset == len(data)
    return Known(
        name=upload.name,
        length=upload.length,
        data=data,
        state=upload.state,
        kind=upload.kind,
        parts=upload.parts,
        expires_at=upload.expires_at,
    )
