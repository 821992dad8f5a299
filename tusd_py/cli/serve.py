"""`tusd-py serve`: run the server until it is told to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tusd_py.app import ENGINE, create_app
from tusd_py.cli import logs
from tusd_py.cli.exits import Exit
from tusd_py.cli.output import human_size
from tusd_py.settings import Settings, SettingsError, load_settings
from tusd_py.storage import place_of
from tusd_py.web.listening import Listening
from tusd_py.web.server import Accepting, serve
from tusd_py.web.tls import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence


def run(argv: Sequence[str]) -> int:
    """Serve as `argv`, the environment and the file say. Raises SettingsError and ListenError."""
    settings = load_settings(argv)
    logs.configure(settings.log_format, settings.log_level)
    tls = _tls(settings)
    with asyncio.Runner(loop_factory=_loop_factory(settings)) as runner:
        runner.run(_serve(settings, tls))
    return Exit.OK


async def _serve(settings: Settings, tls: ssl.SSLContext | None) -> None:
    app = create_app(settings, trailers=True)
    listening = Listening(
        host=settings.host,
        port=settings.port,
        unix_socket=str(settings.unix_sock) if settings.unix_sock else None,
        tls=tls,
        idle_timeout=settings.network_timeout,
        shutdown_timeout=settings.shutdown_timeout,
    )

    def announce(accepting: Accepting) -> None:
        _say(f"You can now upload files to: {accepting.origin}{settings.base_path}")
        for line in _limits(settings):
            _say(line)

    await serve(app, listening, announce=announce, stop=app[ENGINE].stop)


def _limits(settings: Settings) -> list[str]:
    size = settings.effective_max_size
    largest = "no limit" if size is None else f"{size} bytes ({human_size(size).replace('.0 ', ' ')})"
    return [
        f"Largest upload: {largest}{_reserve(settings)}",
        f"Stored in: {place_of(settings)}",
    ]


def _reserve(settings: Settings) -> str:
    if settings.s3_bucket is not None:
        return ""
    return f"; kept free on disk: {settings.min_free_space} bytes"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - scripts wait for these lines on stdout


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    try:
        return server_context(str(settings.tls_certificate), str(settings.tls_key), settings.tls_mode)
    except OSError as error:
        raise SettingsError(
            f"--tls-certificate: {settings.tls_certificate} and {settings.tls_key} cannot be used:"
            f" {error.strerror or error}; a PEM certificate and its private key"
        ) from error


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if settings.loop == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - optional: an extra, and not on every platform
    except ImportError:
        if settings.loop == "uvloop":
            raise SettingsError("--loop: uvloop is not installed; auto, asyncio") from None
        return None
    return uvloop.new_event_loop
