"""Live processors for servers under test: `--live-processor tests.support.live_processors:NAME`."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.core.model import Upload


async def digests(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
    """The size of each piece, where it lies, and at the end the sum of all."""
    total, position = hashlib.sha256(), upload.offset
    async for chunk in chunks:
        total.update(chunk)
        yield [position, len(chunk)]
        position += len(chunk)
    yield total.hexdigest()


async def failing(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
    """Fails over every second piece."""
    async for chunk in chunks:
        yield len(chunk)
        break
    async for chunk in chunks:
        raise RuntimeError(f"{len(chunk)} bytes too many")


async def nothing(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
    """Takes nothing."""
    await asyncio.Event().wait()
    yield chunks


not_callable = "text"


async def no_generator(upload: Upload, chunks: AsyncIterator[bytes]) -> object:
    """Has one result instead of many."""
    return upload, chunks


async def without_arguments() -> AsyncIterator[object]:
    """Takes neither an upload nor its pieces."""
    yield None
