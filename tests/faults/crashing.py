"""Dies at every step on the disk: `python -m tests.faults.crashing FOLDER DURABILITY [--again]`.

For every k a child process uploads a file into `FOLDER/k`, with real calls of the operating system, and
is gone before its k-th one (writes count twice: they are torn in the middle). With `--again` each of them
is followed by a second process that goes on where the first one died, and dies in turn before its j-th
call, in `FOLDER/k-j`. What the client was told before the end is in `FOLDER/k.journal`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.engines import Client
from tests.support.payload import make_bytes
from tusd_py.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = make_bytes(2_000, seed=77)
PIECE = 1_000
CRASHED = 77
CALLS = ("open", "ftruncate", "link", "unlink", "rename", "replace", "fsync", "fdatasync")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a client knows: the id of its upload once that was answered, and the last offset."""

    upload_id: str | None = None
    offset: int = 0


def read_journal(path: Path) -> Told:
    """What the client was told before its server died."""
    lines = path.read_text().splitlines() if path.exists() else []
    told = Told()
    for line in lines:
        word, value = line.split()
        told = (
            Told(upload_id=value)
            if word == "created"
            else Told(upload_id=told.upload_id, offset=int(value))
        )
    return told


class _Journal:
    """Written through a descriptor opened before anything is watched, so that it takes no step."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._write = os.write

    def note(self, word: str, value: object) -> None:
        self._write(self._descriptor, f"{word} {value}\n".encode())


def _watch(step: Callable[[], None]) -> None:
    """Call `step` before every call that changes the disk, and in the middle of every write."""

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))
    write_at = os.pwrite

    def torn_pwrite(descriptor: int, data: Any, position: int) -> int:
        step()
        half = write_at(descriptor, data[: len(data) // 2], position)
        step()
        return half + write_at(descriptor, data[half:], position + half)

    write = os.write

    def torn_write(descriptor: int, data: Any) -> int:
        step()
        half = write(descriptor, data[: len(data) // 2])
        step()
        return half + write(descriptor, data[half:])

    os.pwrite, os.write = torn_pwrite, torn_write


def _die_after(steps: int) -> Callable[[], None]:
    taken = count(1)

    def step() -> None:
        if next(taken) == steps:
            os._exit(CRASHED)

    return step


async def _upload(root: Path, durability: str, told: Told, attempt: int, journal: _Journal) -> None:
    """Create or go on; send piece after piece, and the length with the last one."""
    store = LocalStore(str(root), durability=durability)
    on_record = told.upload_id or next(iter([known async for known in store.list()]), None)
    client = Client(store, upload_id=on_record or f"upload{attempt}")
    if on_record is None:
        await client.create(None)
    journal.note("created", client.upload_id)
    offset = (await client.inspect()).offset
    journal.note("offset", offset)
    while offset < len(CONTENT):
        length = len(CONTENT) if offset >= PIECE else None
        piece = CONTENT[offset : offset + PIECE]
        offset = (await client.append(offset, piece, length=length)).offset
        journal.note("offset", offset)
    await store.close()


def _run(folder: Path, durability: str, *, attempt: int, steps: int) -> bool:
    """Upload in a child process that dies before its step number `steps`; whether it came to that."""
    child = os.fork()
    if child:
        exit_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert exit_code in {0, CRASHED}, f"{folder}: exit code {exit_code}"
        return exit_code == CRASHED
    try:
        path = folder.with_name(f"{folder.name}.journal")
        journal, told = _Journal(path), read_journal(path)
        folder.mkdir(exist_ok=True)
        _watch(_die_after(steps))
        asyncio.run(_upload(folder, durability, told, attempt, journal))
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - a forked child must not go on with its parent's work
        print(f"{folder}: {error!r}", file=sys.stderr, flush=True)  # noqa: T201 - the parent's test shows it
        os._exit(1)


def main(root: Path, durability: str, *, again: bool) -> None:
    """Crash everywhere once, or everywhere twice."""
    for first in count(1):
        if not again:
            if not _run(root / f"{first}", durability, attempt=1, steps=first):
                return
            continue
        for second in count(1):
            folder = root / f"{first}-{second}"
            if not _run(folder, durability, attempt=1, steps=first):
                return
            if not _run(folder, durability, attempt=2, steps=second):
                break


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], again="--again" in sys.argv)
