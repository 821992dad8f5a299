"""The server inside the test's process, on a real socket: for hooks, which the command line has none of."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.loop import BackgroundLoop
from tusd_py.app import create_app
from tusd_py.settings import Settings
from tusd_py.web.connection import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tusd_py.core.ports import Hook


@contextmanager
def embedded(
    upload_dir: Path, *hooks: Hook, **settings: Any
) -> Iterator[tuple[str, web.Application, BackgroundLoop]]:
    """Where to create uploads, the application behind it, and the loop it lives in.

    Among the settings, `processors` are functions by name.
    """
    processors = settings.pop("processors", None)
    chosen = Settings(upload_dir=upload_dir, min_free_space=0, **settings)
    app = create_app(chosen, hooks=hooks, processors=processors)
    runner = Runner(app, idle_timeout=30, shutdown_timeout=1)

    async def listen() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/files/"

    with BackgroundLoop() as loop:
        try:
            yield loop.run(listen()), app, loop
        finally:
            loop.run(runner.cleanup())
