"""A processor that never ends."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py import Upload


async def take(_upload: Upload, _chunks: AsyncIterator[bytes]) -> None:
    """Say so, and wait."""
    sys.stderr.write("slow processor\n")
    sys.stderr.flush()
    await asyncio.Event().wait()
