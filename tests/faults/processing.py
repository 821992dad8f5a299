"""Processors for the real server to call: what they do is written down in the folder TRY_PROCESSING."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.wire import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tusd_py.core.model import Upload


def _note(line: str) -> None:
    """Straight to the file: what was noted before a kill is there after it."""
    descriptor = os.open(_folder() / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def _folder() -> Path:
    return Path(os.environ["TRY_PROCESSING"])


async def digest(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
    """Note the sha256 of what it is given, once the gate is open."""
    _note(f"begun {upload.id}")
    sum_of_all = hashlib.sha256()
    async for piece in pieces:
        sum_of_all.update(piece)
    while not (_folder() / "gate").exists():  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(0.005)
    _note(f"done {upload.id} {sum_of_all.hexdigest()}")


def blocking(upload: Upload, pieces: Iterator[bytes]) -> None:
    """The same in a thread, and without a gate."""
    assert threading.current_thread() is not threading.main_thread()
    _note(f"done {upload.id} {hashlib.sha256(b''.join(pieces)).hexdigest()}")


_tried: defaultdict[str, int] = defaultdict(int)


async def flaky(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
    """Fail twice for each upload."""
    _tried[upload.id] += 1
    if _tried[upload.id] <= 2:
        raise OSError("the model is not there")
    await digest(upload, pieces)


@dataclass(frozen=True, slots=True)
class Notes:
    """What the processors did, seen from outside."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For the server's process."""
        return {"TRY_PROCESSING": str(self.folder)}

    def open_gate(self) -> None:
        """Let them end."""
        (self.folder / "gate").touch()

    def _lines(self, word: str) -> list[list[str]]:
        path = self.folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split()[1:] for line in lines if line.startswith(word)]

    def begun(self) -> list[str]:
        """The ids of uploads, one for each call."""
        return [upload_id for [upload_id] in self._lines("begun")]

    def done(self) -> list[tuple[str, str]]:
        """Ids, and the sha256 of what was given."""
        return [(upload_id, digest) for upload_id, digest in self._lines("done")]

    def wait_until_done(self, *upload_ids: str) -> dict[str, set[str]]:
        """Each of these was processed; the sha256 of what was given, of every call that ended."""
        wait_until(lambda: {*upload_ids} <= {upload_id for upload_id, _ in self.done()}, "not processed")
        digests: dict[str, set[str]] = {}
        for upload_id, digest in self.done():
            digests.setdefault(upload_id, set()).add(digest)
        return digests
