"""Streaming takes the memory of a few pieces, however large the file is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tusd_py.stores.local import LocalStore
from tusd_py.testing.kit import finish, make_upload

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
SIZE = 300 * MIB


async def put_large_file(folder: Path) -> None:
    """A finished upload of holes: large to whoever reads it, and made at once."""
    store = LocalStore(str(folder))
    await store.create(make_upload(length=SIZE))
    os.truncate(folder / "incoming" / "one", SIZE)
    await finish(store)
    await store.close()


def test_a_large_file_is_streamed_in_little_memory(tmp_path: Path) -> None:
    """300 MiB in pieces of 1 MiB: at most 32 MiB more at any time, and every byte came."""
    asyncio.run(put_large_file(tmp_path))

    command = [sys.executable, "-m", "tests.engine.streaming", str(tmp_path), "one", str(MIB)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)

    grown, size = map(int, ended.stdout.split())
    assert size == SIZE
    assert grown < 32 * MIB
