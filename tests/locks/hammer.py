"""A process that enters a few uploads again and again: `python -m tests.locks.hammer FOLDER SEED`.

Whoever is inside locks a byte of a file of its own. If that is locked, somebody else is inside, too.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import sys
from pathlib import Path

from tusd_py.core.errors import UploadLockedError
from tusd_py.locks.file import FileLocker

_NAMES = "abc"


class Marks:
    """Who is inside. Made before the locker: a process that dies closes its descriptors in their order."""

    def __init__(self, folder: Path) -> None:
        self._inside: set[str] = set()
        self._file = os.open(folder / "marks", os.O_RDWR | os.O_CREAT)

    def enter(self, name: str) -> None:
        assert name not in self._inside
        self._inside.add(name)
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _NAMES.index(name))

    def leave(self, name: str) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _NAMES.index(name))
        self._inside.remove(name)


async def visit(locker: FileLocker, marks: Marks, chance: random.Random) -> None:
    """Go in once; now and then give up waiting."""
    name = chance.choice(_NAMES)
    hold = locker.hold(name, timeout=60)
    if chance.random() < 0.2:
        hold.timeout = chance.random() / 100
    try:
        async with hold:
            marks.enter(name)
            await asyncio.sleep(chance.random() / 500)
            marks.leave(name)
    except UploadLockedError:
        if hold.timeout == 60:
            raise


async def hammer(folder: Path, seed: int) -> None:
    """Ten rounds of five at a time."""
    marks, chance = Marks(folder), random.Random(seed)
    locker = FileLocker(str(folder))
    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(visit(locker, marks, chance))
    assert len(locker) == 0
    await locker.close()


if __name__ == "__main__":
    asyncio.run(hammer(Path(sys.argv[1]), int(sys.argv[2])))
