"""What is remembered of unfinished uploads from one run to the next: which file goes to which address."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tusd_py.client.sources import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What makes two uploads the same one: the file's real path, where it goes, and its metadata."""

    path: str
    endpoint: str
    metadata: str

    @property
    def key(self) -> str:
        """A name for it that fits any file system."""
        return hashlib.sha256("\0".join((self.endpoint, self.path, self.metadata)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An unfinished upload: its address, and the file as it was when it was begun."""

    url: str
    version: Version


class Notebook:
    """Notes in a folder, one file each, replaced atomically and readable by their owner alone.

    A note is only a hint: the server says how far an upload is. One that cannot be read is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def at_home(cls) -> Self:
        """The one of this user, where the XDG Base Directory Specification wants it."""
        home = os.environ.get("XDG_STATE_HOME", "")
        state = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"  # noqa: PTH117 - may be ""
        return cls(state / "tusd-py" / "uploads")

    async def find(self, errand: Errand) -> Note | None:
        """The note about an errand, if there is one."""
        return await asyncio.to_thread(self._find, errand)

    async def write(self, errand: Errand, note: Note) -> None:
        """Put a note in the place of the one before. Raises OSError."""
        await asyncio.to_thread(self._write, errand, note)

    async def forget(self, errand: Errand) -> None:
        """Have no note about an errand any more. One that cannot be removed leads to what is finished."""
        with suppress(OSError):
            await asyncio.to_thread(self._path(errand).unlink)

    def _path(self, errand: Errand) -> Path:
        return self.folder / f"{errand.key}.json"

    def _find(self, errand: Errand) -> Note | None:
        try:
            fields = json.loads(self._path(errand).read_bytes())
            version = Version(size=int(fields["size"]), modified_ns=int(fields["modified_ns"]))
            return Note(url=str(fields["url"]), version=version)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, errand: Errand, note: Note) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fields = {
            "path": errand.path,
            "endpoint": errand.endpoint,
            "metadata": errand.metadata,
            "url": note.url,
            "size": note.version.size,
            "modified_ns": note.version.modified_ns,
        }
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".tmp")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(fields, file)
            os.replace(temporary, self._path(errand))  # noqa: PTH105 - a name from mkstemp
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - a name from mkstemp
            raise


class Memory:
    """The note about one errand, for a file as it is now."""

    def __init__(self, notebook: Notebook, errand: Errand, version: Version) -> None:
        self._notebook = notebook
        self._errand = errand
        self._version = version

    async def recall(self) -> str | None:
        """The address at which this file was begun; None if it never was, or has changed since."""
        note = await self._notebook.find(self._errand)
        return note.url if note is not None and note.version == self._version else None

    async def keep(self, url: str) -> None:
        """Remember the address. Raises OSError."""
        await self._notebook.write(self._errand, Note(url=url, version=self._version))

    async def forget(self) -> None:
        """The errand is done, or what is at the address is of no use."""
        await self._notebook.forget(self._errand)
