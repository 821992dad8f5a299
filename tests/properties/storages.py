"""Storage that outlives the stores over it, and can be looked at from behind."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from tusd_py.core.errors import UploadNotFoundError
from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing.kit import content

if TYPE_CHECKING:
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Store


class Storage(Protocol):
    """Where the bytes are, whatever store is open over it."""

    def open(self) -> Store:
        """A store over it, as a process that has just started would have."""
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

    def published(self) -> dict[str, bytes]:
        """See Storage."""
        return self._store.published

    def close(self) -> None:
        """See Storage."""


class LocalStorage:
    """A folder."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()

    def open(self) -> Store:
        """See Storage."""
        return LocalStore(self._folder.name, chunk_size=7)

    def published(self) -> dict[str, bytes]:
        """See Storage."""
        return {path.name: path.read_bytes() for path in (Path(self._folder.name) / "uploads").iterdir()}

    def close(self) -> None:
        """See Storage."""
        self._folder.cleanup()


async def look(store: Store, upload_id: str) -> tuple[Upload, bytes] | None:
    """The upload as stored, with its bytes; None where there is none."""
    try:
        return await store.load(upload_id), await content(store, upload_id)
    except UploadNotFoundError:
        return None
