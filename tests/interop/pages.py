"""A web site of its own origin with the uploading page and the files that the page uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aiohttp import web

from tests.interop.clients import HERE
from tests.support.loop import BackgroundLoop

if TYPE_CHECKING:
    from tests.support.payload import Payload

_TUS = HERE / "node_modules" / "tus-js-client" / "dist" / "tus.js"
_FILES = {
    "/page.html": HERE / "page.html",
    "/page.mjs": HERE / "page.mjs",
    "/form.html": HERE / "form.html",
    "/form.mjs": HERE / "form.mjs",
    "/driver.mjs": HERE / "driver.mjs",
    "/tus.js": _TUS,
}


class PageServer:
    """Serves on a free port of 127.0.0.1, in a thread of its own."""

    def __init__(self) -> None:
        self._loop = BackgroundLoop()
        self._payloads: dict[str, Payload] = {}
        app = web.Application()
        app.router.add_get("/payloads/{name}", self._send_payload)
        for path in _FILES:
            app.router.add_get(path, self._send_file)
        self._runner = web.AppRunner(app)

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self.origin = f"http://127.0.0.1:{self._loop.run(self._start())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._runner.cleanup())
        self._loop.__exit__()

    def offer(self, payload: Payload) -> str:
        """The path under which the page can get `payload`."""
        name = f"{payload.seed}-{payload.size}"
        self._payloads[name] = payload
        return f"/payloads/{name}"

    async def _start(self) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _send_payload(self, request: web.Request) -> web.Response:
        return web.Response(body=self._payloads[request.match_info["name"]].data)

    async def _send_file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(_FILES[request.path], headers={"Cache-Control": "no-store"})
