"""The running server: where it listens, what it says when it does, and how it goes down."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from tusd_py.core.errors import TusdError
from tusd_py.web.connection import Runner

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

log = structlog.get_logger(__name__)


class ListenError(TusdError):
    """The server cannot listen where it was told to; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen (`unix_socket` wins over `host` and `port`) and for how long to wait, in seconds."""

    host: str
    port: int
    unix_socket: str | None
    tls: ssl.SSLContext | None
    idle_timeout: float
    shutdown_timeout: float


async def serve(
    app: web.Application,
    listening: Listening,
    *,
    announce: Callable[[str], None],
    stop: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT.

    `announce` gets the server's origin once connections are accepted. At the first signal no new
    connection is accepted and `stop` is called, which ends running bodies; what has not ended after
    the shutdown timeout is abandoned. A second signal exits at once. Raises ListenError.
    """
    stopping = _watch_signals(listening.shutdown_timeout)
    runner = Runner(app, idle_timeout=listening.idle_timeout, shutdown_timeout=listening.shutdown_timeout)
    await runner.setup()
    try:
        site = await _listen(runner, listening)
        announce(_origin(runner, listening))
        await stopping.wait()
        log.info("shutting down", within_seconds=listening.shutdown_timeout)
        await site.stop()
        stop()
    finally:
        await runner.cleanup()


def _watch_signals(shutdown_timeout: float) -> asyncio.Event:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()
        # A thread that hangs in a dead disk cannot be joined: then nothing but this ends the process.
        watchdog = threading.Timer(shutdown_timeout, os._exit, args=(0,))
        watchdog.daemon = True
        watchdog.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stopping


async def _listen(runner: Runner, listening: Listening) -> web.BaseSite:
    site: web.BaseSite
    if listening.unix_socket:
        _remove_stale_socket(listening.unix_socket)
        site = web.UnixSite(runner, listening.unix_socket, ssl_context=listening.tls)
    else:
        site = web.TCPSite(runner, listening.host, listening.port, ssl_context=listening.tls, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        where = listening.unix_socket or f"{listening.host}:{listening.port}"
        raise ListenError(f"cannot listen on {where}: {error.strerror or error}") from error
    return site


def _remove_stale_socket(path: str) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise ListenError(f"cannot listen on {path}: it exists and is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise ListenError(f"cannot listen on {path}: another server does")
        Path(path).unlink()


def _origin(runner: Runner, listening: Listening) -> str:
    scheme = "https" if listening.tls else "http"
    if listening.unix_socket:
        return f"{scheme}+unix://{listening.unix_socket}"
    host, port = runner.addresses[0][:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
