"""A processor that puts down whom it was called for, by whom."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py import Upload


async def take(upload: Upload, chunks: AsyncIterator[bytes]) -> None:
    """One line for each call in the file that RECORD names; where HOLD names a file, wait for that."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
    with Path(os.environ["RECORD"]).open("a") as record:  # noqa: ASYNC230 - a line of a test
        record.write(f"{upload.id} {size}\n")
    while not Path(os.environ["HOLD"]).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.01)
