"""Where a monitor finds what the server says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from tusd_py.web.connection import connections_beside

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tusd_py.core.ports import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """`meter` hears of every request. `path` answers with what `show` makes of the number of open
    connections (None: not known), which is of the type `content_type`. It may raise TimeoutError."""

    path: str
    meter: Meter
    show: Callable[[int | None], Awaitable[bytes]]
    content_type: str

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            text = await self.show(connections_beside(request))
        except TimeoutError:  # less than all would look as if counters had gone back
            return web.Response(status=503, text="the processes of this server cannot be asked\n")
        return web.Response(
            body=text, headers={"Content-Type": self.content_type, "Cache-Control": "no-store"}
        )
