"""For load balancers and monitors: is the process alive, can it take uploads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from tusd_py.core.errors import StoreError

if TYPE_CHECKING:
    from tusd_py.engine.uploads import UploadEngine

CHECK_TIMEOUT = 5.0
"""Seconds a storage may take for its check; a hanging disk is not ready."""


class Health:
    """`/healthz` says that the event loop turns, `/readyz` that the storage takes uploads."""

    def __init__(self, engine: UploadEngine) -> None:
        self._engine = engine

    async def live(self, _request: web.Request) -> web.Response:
        """200 as long as anything is answered at all."""
        return _answer(200, {"status": "ok"})

    async def ready(self, _request: web.Request) -> web.Response:
        """200 with the free bytes, or 503 with the reason."""
        if self._engine.is_stopping:
            return _answer(503, {"status": "unavailable", "code": "ERR_SERVER_SHUTDOWN"})
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                free = await self._engine.check()
        except (StoreError, TimeoutError):
            return _answer(503, {"status": "unavailable", "code": "ERR_STORAGE"})
        if free == 0:
            return _answer(503, {"status": "unavailable", "code": "ERR_INSUFFICIENT_STORAGE"})
        return _answer(200, {"status": "ok", "free_bytes": free})


def _answer(status: int, content: dict[str, object]) -> web.Response:
    return web.json_response(content, status=status, headers={"Cache-Control": "no-store"})
