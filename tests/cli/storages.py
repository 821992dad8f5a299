"""Storages to look after, made with the local store itself and, where a crash is meant, by hand."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tusd_py.core.model import Upload, UploadState
from tusd_py.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

NOW = datetime.now(UTC)
LONG_AGO = timedelta(hours=3)
"""Older than what a crash may have left a moment ago."""


def ago(**units: float) -> datetime:
    """A moment before this process began."""
    return NOW - timedelta(**units)


class Storage:
    """One storage folder under construction, and the command line to look at it with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.published = root / "uploads"
        asyncio.run(self._close_new())

    async def _close_new(self) -> None:
        async with self.store():
            pass

    @asynccontextmanager
    async def store(self) -> AsyncIterator[LocalStore]:
        """A store of its own, as another process would have it."""
        store = LocalStore(str(self.root))
        try:
            yield store
        finally:
            await store.close()

    def put(self, upload_id: str, data: bytes = b"", **fields: Any) -> Upload:
        """An upload with `data` stored; `fields` as in Upload. A complete one is published."""
        return asyncio.run(self._put(upload_id, data, fields))

    async def _put(self, upload_id: str, data: bytes, fields: dict[str, Any]) -> Upload:
        plain = Upload(id=upload_id, name=upload_id, created_at=ago(days=1))
        wanted = replace(plain, **fields)
        async with self.store() as store:
            await store.create(replace(wanted, state=UploadState.OPEN))
            async with store.append(wanted) as appender:
                await appender.write(data)
                await appender.commit()
            if wanted.state is UploadState.COMPLETE:
                await store.complete(wanted)
            await store.save(wanted)
            if wanted.state is UploadState.EXPIRED:
                await store.discard(wanted)
            return await store.load(upload_id)

    def file(self, name: str, content: bytes, age: timedelta = timedelta()) -> Path:
        """A file by hand, below the root, last written `age` before now."""
        path = self.root / name
        path.write_bytes(content)
        os.utime(path, ((NOW - age).timestamp(),) * 2)
        return path

    def load(self, upload_id: str) -> Upload:
        """The upload as the store has it now."""
        return asyncio.run(self._load(upload_id))

    async def _load(self, upload_id: str) -> Upload:
        async with self.store() as store:
            return await store.load(upload_id)

    def traces(self) -> dict[str, tuple[str, int]]:
        """Everything below the root: sha256 of each file's content, and when it was written (ns)."""
        return {
            str(path.relative_to(self.root)): (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder",
                path.stat().st_mtime_ns,
            )
            for path in sorted(self.root.rglob("*"))
        }

    def names(self) -> set[str]:
        """Every file below the root, but the lock of whoever cleaned up last."""
        found = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}
        return found - {".janitor.lock"}


def own_environment(**more: str) -> dict[str, str]:
    """This process's environment without anybody's settings."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TUSD_PY_")}
    return mine | more


def run(command: str, storage: Path | Storage, *argv: str) -> subprocess.CompletedProcess[str]:
    """`tusd-py COMMAND --upload-dir STORAGE ...` in a process of its own."""
    return finish([sys.executable, "-m", "tusd_py", command, *where(storage), *argv])


def where(storage: Path | Storage) -> list[str]:
    """The flags that name a storage."""
    return ["--upload-dir", str(storage.root if isinstance(storage, Storage) else storage)]


def finish(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, within a minute."""
    return subprocess.run(argv, env=own_environment(), capture_output=True, text=True, timeout=60)


def run_json(command: str, storage: Storage, *argv: str) -> tuple[int, Any]:
    """The exit code and what `--json` printed; nothing may be said beside it."""
    ended = run(command, storage, "--json", *argv)
    assert ended.stderr == ""
    return ended.returncode, json.loads(ended.stdout)
