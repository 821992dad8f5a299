"""`tusd-py serve`: run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING

from tusd_py.app import ENGINE, SAMPLE, create_app
from tusd_py.cli import logs
from tusd_py.cli.exits import Exit
from tusd_py.cli.output import human_size
from tusd_py.locks.file import FileLocker
from tusd_py.settings import Settings, SettingsError, load_settings
from tusd_py.storage import place_of
from tusd_py.web.listening import Listening, share
from tusd_py.web.server import Accepting, Departure, serve
from tusd_py.web.tls import server_context
from tusd_py.workers.child import Recipe
from tusd_py.workers.folder import Folder
from tusd_py.workers.place import Place
from tusd_py.workers.supervisor import Supervisor
from tusd_py.workers.worker import Colleagues, Duties, Worker

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from tusd_py.metrics.sums import Snapshot


def run(argv: Sequence[str]) -> int:
    """Serve as `argv`, the environment and the file say. Raises SettingsError and ListenError.

    With several workers this process is their supervisor, and each of them comes here again, as one.
    """
    place = Place.take()
    settings = load_settings(argv)
    logs.configure(settings.log_format, settings.log_level, place.number if place else None)
    tls = _tls(settings)
    factory = _loop_factory(settings)
    listening = _listening(settings, tls, place)
    if place is None and settings.workers > 1:
        return asyncio.run(_supervise(settings, listening))
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_work(settings, listening, place) if place else _serve(settings, listening))
    return Exit.OK


def _listening(settings: Settings, tls: ssl.SSLContext | None, place: Place | None) -> Listening:
    return Listening(
        host=settings.host,
        port=settings.port,
        unix_socket=str(settings.unix_sock) if settings.unix_sock else None,
        tls=tls,
        idle_timeout=settings.network_timeout,
        shutdown_timeout=settings.shutdown_timeout,
        sockets=place.sockets if place else (),
    )


async def _serve(settings: Settings, listening: Listening) -> None:
    app = create_app(settings, trailers=True)

    def announce(accepting: Accepting) -> None:
        _announce(settings, accepting.origin)

    await serve(app, listening, announce=announce, stop=app[ENGINE].stop)


async def _supervise(settings: Settings, listening: Listening) -> int:
    sockets = await share(listening, settings.workers)
    origin = listening.origin([] if listening.unix_socket else [sockets[0][0].getsockname()[:2]])
    folder = Folder.make()
    try:
        return await Supervisor(
            # The command line that this process was started with: a worker comes by the same way.
            Recipe(command=[sys.executable, *sys.orig_argv[1:]], folder=folder),
            sockets,
            shutdown_timeout=settings.shutdown_timeout,
            announce=partial(_announce, settings, origin),
            counts=settings.expose_metrics,
        ).run()
    finally:
        folder.remove()


async def _work(settings: Settings, listening: Listening, place: Place) -> None:
    departure = Departure(settings.shutdown_timeout)
    worker = await Worker.take(place, departure)
    locker = FileLocker(place.folder)
    colleagues = Colleagues(locker=locker, sum_up=worker.sum_up, tell_partial=worker.tell_partial)
    app = create_app(settings, trailers=True, colleagues=colleagues)

    def announce(accepting: Accepting) -> None:
        worker.accept(_duties(app, accepting))

    await serve(app, listening, announce=announce, stop=app[ENGINE].stop, departure=departure)
    await worker.leave()
    await locker.close()


def _duties(app: web.Application, accepting: Accepting) -> Duties:
    engine, sample = app[ENGINE], app[SAMPLE]

    async def tell_sample() -> Snapshot:
        return await sample(accepting.count_connections()) if sample else {}

    return Duties(
        sample=tell_sample,
        see_to_finals=engine.completion.settle_finals_of,
        sweep=engine.deliveries.wants_sweep.set,
    )


def _announce(settings: Settings, origin: str) -> None:
    _say(f"You can now upload files to: {origin}{settings.base_path}")
    for line in _limits(settings):
        _say(line)


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
