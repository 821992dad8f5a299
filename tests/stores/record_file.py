"""The file with the record of the upload "one", and what two processes read in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tusd_py.stores.local import LocalStore

if TYPE_CHECKING:
    from pathlib import Path

    from tusd_py.core.model import Upload


class RecordFile:
    """Below the storage folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = root / "incoming" / "one.json"

    def read(self) -> bytes:
        return self._path.read_bytes()

    def write(self, content: bytes) -> None:
        self._path.write_bytes(content)

    def break_lines(self, end: bytes) -> None:
        """Write the record as somebody does who has mended it by hand."""
        self.write(self.read().strip().replace(b", ", b",\n ").replace(b"{", b"{\n ") + end)

    @property
    def inode(self) -> int:
        return self._path.stat().st_ino

    def neighbours(self) -> list[str]:
        """The names of all files in its folder."""
        return sorted(path.name for path in self._path.parent.iterdir())

    async def load(self, store: LocalStore) -> Upload:
        """What a process of its own finds, and `store`, which may know it from before, finds too."""
        other = LocalStore(str(self.root))
        try:
            upload = await other.load("one")
        finally:
            await other.close()
        assert await store.load("one") == upload
        return upload
