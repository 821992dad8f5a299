"""The running server: what it says when it listens, and how it goes down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from tusd_py.web.connection import Runner
from tusd_py.web.listening import BACKLOG, remove_stale_socket
from tusd_py.web.signals import heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tusd_py.web.listening import Listening

log = structlog.get_logger(__name__)


class Departure:
    """When the server goes down. What has not ended `shutdown_timeout` seconds after `begin` is abandoned.

    Made within the event loop.
    """

    def __init__(self, shutdown_timeout: float) -> None:
        self._shutdown_timeout = shutdown_timeout
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()
        self._lingers = 0.0
        self.has_begun = False

    def begin(self, *, lingers: float = 0.0) -> None:
        """Go down. For the seconds `lingers` who is connected is still served, for one request each.

        May be called in any thread, also while the event loop hangs.
        """
        if self.has_begun:
            return
        self.has_begun = True
        self._lingers = lingers
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._begun.set)
        # A thread that hangs in a dead disk cannot be joined: then nothing but this ends the process.
        watchdog = threading.Timer(self._shutdown_timeout + lingers, os._exit, args=(0,))
        watchdog.daemon = True
        watchdog.start()
        # Last: whoever hangs may do so with the log in hand, which then cannot be written to.
        log.info("shutting down", within_seconds=self._shutdown_timeout)

    def hear(self, number: signal.Signals) -> None:
        """Begin at the first signal; end the process at the second one."""
        if self.has_begun:
            os._exit(128 + number)
        self.begin()

    async def wait(self) -> None:
        """Until `begin`."""
        await self._begun.wait()

    async def linger(self) -> None:
        """Until who is connected has had the time to send the request that was on its way."""
        if self._lingers:
            await asyncio.sleep(self._lingers)

    async def close_connection(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Behind this answer nothing more is read: its client connects anew, to somebody who stays."""
        if self.has_begun and self._lingers:
            response.force_close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepting:
    """A server that accepts connections: its origin, and how many it has."""

    origin: str
    count_connections: Callable[[], int]


async def serve(
    app: web.Application,
    listening: Listening,
    *,
    announce: Callable[[Accepting], None],
    stop: Callable[[], None],
    departure: Departure | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until `departure` begins where there is one.

    `announce` is called once connections are accepted. At the first signal no new connection is accepted
    and `stop` is called, which ends running bodies; what has not ended after the shutdown timeout is
    abandoned. A second signal exits at once. Raises ListenError.
    """
    with contextlib.ExitStack() as stack:
        if departure is None:
            departure = Departure(listening.shutdown_timeout)
            stack.enter_context(heard({signal.SIGTERM, signal.SIGINT}, departure.hear))
        await _serve(app, listening, departure, announce, stop)


async def _serve(
    app: web.Application,
    listening: Listening,
    departure: Departure,
    announce: Callable[[Accepting], None],
    stop: Callable[[], None],
) -> None:
    app.on_response_prepare.append(departure.close_connection)
    runner = Runner(app, idle_timeout=listening.idle_timeout, shutdown_timeout=listening.shutdown_timeout)
    await runner.setup()
    try:
        sites = await _listen(runner, listening)
        announce(_accepting(runner, listening))
        await departure.wait()
        for site in sites:
            await site.stop()
        await departure.linger()
        stop()
    finally:
        await runner.cleanup()


async def _listen(runner: Runner, listening: Listening) -> list[web.BaseSite]:
    sites: list[web.BaseSite]
    tls = listening.tls
    if listening.sockets:
        sites = [web.SockSite(runner, each, ssl_context=tls, backlog=BACKLOG) for each in listening.sockets]
    elif listening.unix_socket:
        remove_stale_socket(listening.unix_socket)
        sites = [web.UnixSite(runner, listening.unix_socket, ssl_context=tls)]
    else:
        sites = [web.TCPSite(runner, listening.host, listening.port, ssl_context=tls, backlog=BACKLOG)]
    try:
        for site in sites:
            await site.start()
    except OSError as error:
        raise listening.refusal(error) from error
    return sites


def _accepting(runner: Runner, listening: Listening) -> Accepting:
    def count_connections() -> int:
        return 0 if runner.server is None else len(runner.server.connections)

    addresses = [] if listening.unix_socket else [address[:2] for address in runner.addresses]
    return Accepting(origin=listening.origin(addresses), count_connections=count_connections)
