"""Streams one upload in a process of its own: `python -m tests.engine.streaming FOLDER ID CHUNK_SIZE`.

Prints how much more memory that took at most than there was in use before, and how many bytes came.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.engine.scene import Scene
from tusd_py import stream
from tusd_py.stores.local import LocalStore


def peak() -> int:
    """The most memory this process ever had, in bytes (proc(5): VmHWM)."""
    status = Path("/proc/self/status").read_text()
    [found] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(found) * 1024


async def main(folder: str, upload_id: str, chunk_size: int) -> None:
    """Take every piece, and let the reading get ahead as far as it can before each."""
    store = LocalStore(folder, chunk_size=65536)
    before, size = peak(), 0
    async for piece in stream(Scene(store).engine, upload_id, chunk_size=chunk_size):
        size += len(piece)
    print(peak() - before, size)  # noqa: T201 - for the test that started us
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
