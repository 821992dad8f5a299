"""Storage that outlives the stores over it, and can be looked at from behind."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

from tests.properties.model import Known
from tusd_py.core.errors import UploadNotFoundError
from tusd_py.core.model import UploadState
from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import FaultyStore
from tusd_py.testing.kit import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tusd_py.core.ports import Store


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

    def published(self) -> dict[str, bytes]:
        """What the world can see: name to content."""
        ...

    def close(self) -> None:
        """Remove it all."""
        ...


class MemoryStorage:
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


class LocalStorage:
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


async def look(store: Store, upload_id: str) -> Known | None:
    """The upload as stored, with its bytes; None where there is none."""
    try:
        upload = await store.load(upload_id)
        is_expired = upload.state is UploadState.EXPIRED
        data = b"" if is_expired else await content(store, upload_id)
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
