"""The composition root: settings in; store, locks, hooks, engine and application out."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tusd_py.core.deliveries import Retry
from tusd_py.core.measurements import StorageCalled
from tusd_py.core.model import Lifetime, Limits
from tusd_py.engine.assembly import Assembler
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.janitor import Housekeeping, Janitor, SweepReport
from tusd_py.engine.patience import Patience
from tusd_py.engine.processing import Processing
from tusd_py.engine.streams import Passage
from tusd_py.engine.uploads import UploadEngine
from tusd_py.journal import log_event, log_sweep
from tusd_py.locks.memory import MemoryLocker
from tusd_py.metrics.exposition import CONTENT_TYPE, Taken, render
from tusd_py.metrics.free_space import FreeSpace
from tusd_py.metrics.locker import MeasuredLocker
from tusd_py.metrics.prometheus import PrometheusMetrics, Readings
from tusd_py.processors import targets
from tusd_py.protocol.cors import CorsPolicy
from tusd_py.protocol.heads import Urls
from tusd_py.protocol.tus1 import Tus1
from tusd_py.settings import Settings, SettingsError
from tusd_py.storage import deferred_room, make_store
from tusd_py.web.application import make_application
from tusd_py.web.forms import FormEndpoint, FormOptions
from tusd_py.web.keys import PORTABLE
from tusd_py.web.live import LiveEndpoint
from tusd_py.web.live_session import Conditions
from tusd_py.web.metrics import Monitoring
from tusd_py.web.tally import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from tusd_py.core.events import Event
    from tusd_py.core.ports import EventSink, Hook, LiveProcessor, Locker, Processor
    from tusd_py.metrics.sums import Snapshot
    from tusd_py.workers.worker import Colleagues

    Sample = Callable[[int | None], Awaitable[Snapshot]]

ENGINE = web.AppKey("tusd_py.engine", UploadEngine)
"""Where the application keeps its engine."""

SAMPLE: web.AppKey[Sample | None] = web.AppKey("tusd_py.sample")
"""Where it keeps what tells its metrics, given the number of open connections; None without metrics."""

GRACE = 0.8
"""How much of the shutdown timeout running processors have; the rest is for putting that on record."""

_SHORTEST_BEAT = 0.05

_SETTINGS = web.AppKey("tusd_py.settings", Settings)
_FREE_SPACE = web.AppKey("tusd_py.free_space", FreeSpace)
_METRICS: web.AppKey[PrometheusMetrics | None] = web.AppKey("tusd_py.metrics")


def create_app(
    settings: Settings | None = None,
    *,
    hooks: Sequence[Hook] = (),
    processors: Mapping[str, Callable[..., Any]] | None = None,
    live_processor: LiveProcessor | None = None,
    trailers: bool = False,
    colleagues: Colleagues | None = None,
) -> web.Application:
    """The server as an aiohttp application, for `tusd-py serve` and for embedding.

    `processors` are added to those of the settings; their names are on record until they are done, so they
    have to stay the same. `live_processor` takes the place of that of the settings. `trailers`: it will be
    run by tusd_py.web.connection.Runner, so that checksums may come as trailers, which aiohttp's own drops.
    `colleagues`: other processes of its supervisor, on the same storage. Makes the storage's folders;
    SettingsError when they, or a processor, cannot be used.
    """
    settings = settings or Settings()
    metrics = PrometheusMetrics(_now) if settings.expose_metrics else None
    called = load_processors(settings, processors or {})
    engine = make_engine(settings, hooks=hooks, processors=called, metrics=metrics, colleagues=colleagues)
    free_space, tally, dialect = FreeSpace(engine.store), Tally(), _dialect(settings, trailers=trailers)
    sample = _sampling(engine, metrics, free_space, tally) if metrics else None
    app = make_application(
        engine,
        dialect=dialect,
        cors=None if settings.disable_cors else _cors_policy(settings),
        network_timeout=settings.network_timeout,
        behind_proxy=settings.behind_proxy,
        forms=_forms(settings, engine, dialect.urls),
        monitoring=_monitoring(settings, metrics, sample, colleagues) if metrics and sample else None,
        ui=settings.ui,
        live=_live(settings, engine, dialect, live_processor),
        media=_media_sources(settings),
        tally=tally,
    )
    app[ENGINE], app[SAMPLE], app[_SETTINGS] = engine, sample, settings
    app[_METRICS], app[_FREE_SPACE], app[PORTABLE] = metrics, free_space, settings.receive == "portable"
    app.cleanup_ctx.append(_life_of_the_engine)
    return app


def _dialect(settings: Settings, *, trailers: bool) -> Tus1:
    urls = Urls(
        base=settings.base_path,
        public=settings.public_path,
        form=settings.form_path,
        relative=settings.relative_location,
    )
    return Tus1(
        urls=urls,
        max_size=settings.effective_max_size,
        checksum_algorithms=settings.checksum_algorithms,
        trailers=trailers,
        concatenation=not settings.disable_concatenation,
        expiration=settings.expire_after is not None,
        termination=not settings.disable_termination,
        download=not settings.disable_download,
    )


def stream(
    source: web.Application | UploadEngine,
    upload_id: str,
    *,
    start: int = 0,
    stop: int | None = None,
    chunk_size: int = 65536,
    follow: bool = False,
    read_ahead: int = 4,
) -> AsyncGenerator[bytes, None]:
    """The bytes of an upload from `start` up to `stop` (None: the end), `chunk_size` at a time.

    Only the last piece may be shorter. At most `read_ahead` pieces are in memory before they are asked
    for. With `follow` it waits for what is still to come and ends when the upload is complete, else it
    ends at what is there. `source` is the application or its engine, in the event loop that runs it.
    See UploadEngine.stream for what the iteration raises; ValueError at once for numbers that make no
    sense.
    """
    engine = source if isinstance(source, UploadEngine) else source[ENGINE]
    passage = Passage(start=start, stop=stop, chunk_size=chunk_size, follow=follow, read_ahead=read_ahead)
    return engine.stream(upload_id, passage)


def load_processors(settings: Settings, more: Mapping[str, Callable[..., Any]]) -> dict[str, Processor]:
    """The processors of the settings and some `more`, by name. Raises SettingsError."""
    threads = settings.processor_concurrency
    try:
        given = {name: targets.adapt(name, target, threads=threads) for name, target in more.items()}
        return given | {name: targets.load_processor(name, threads=threads) for name in settings.processor}
    except targets.TargetError as error:
        raise SettingsError(f"--processor: {error}") from error


def make_engine(
    settings: Settings,
    *,
    hooks: Sequence[Hook] = (),
    processors: Mapping[str, Processor] | None = None,
    metrics: PrometheusMetrics | None = None,
    colleagues: Colleagues | None = None,
) -> UploadEngine:
    """The engine on the configured storage; `metrics` hears of what it does.

    Without `processors` it calls none, and puts on record that those of the settings are to be called.
    Raises SettingsError when the storage cannot be used.
    """
    locker: Locker = colleagues.locker if colleagues else MemoryLocker()
    return UploadEngine(
        store=make_store(settings, observe=_storage_observer(metrics) if metrics else None),
        locker=MeasuredLocker(locker, metrics.measure) if metrics else locker,
        limits=Limits(
            max_size=settings.effective_max_size,
            max_deferred=deferred_room(settings),
            reserved_space=settings.min_free_space,
            checksum_algorithms=settings.checksum_algorithms,
        ),
        clock=_now,
        new_id=_new_id,
        emit=_sink(metrics),
        hooks=Hookpoints(hooks),
        lifetime=Lifetime(
            unfinished=_span(settings.expire_after),
            sliding=settings.expiration == "sliding",
            finished=_span(settings.finished_retention),
        ),
        patience=Patience(
            lock_timeout=settings.acquire_lock_timeout, holder_silence=settings.holder_silence
        ),
        processing=_processing(settings, processors or {}),
        tell_partial=colleagues.tell_partial if colleagues else None,
    )


def _processing(settings: Settings, processors: Mapping[str, Processor]) -> Processing:
    return Processing(
        names=tuple(dict.fromkeys((*settings.processor, *processors))),
        processors=processors,
        abandoned=settings.processor_abandon,
        chunk_size=settings.processor_chunk_size,
        concurrency=settings.processor_concurrency,
        timeout=settings.processor_timeout,
        retry=Retry(
            first=settings.processor_retry,
            longest=settings.processor_retry_max,
            attempts=settings.processor_attempts,
        ),
    )


def _forms(settings: Settings, engine: UploadEngine, urls: Urls) -> FormEndpoint:
    options = FormOptions(
        urls=urls,
        max_size=settings.effective_max_size,
        chunk_size=settings.local_storage_chunk_size,
        network_timeout=settings.network_timeout,
        tokens=settings.form_tokens,
        chunked=settings.use_chunked_local_upload,
        download=not settings.disable_download,
    )
    assembler = Assembler(engine, new_token=secrets.token_urlsafe, tokens=settings.form_tokens)
    return FormEndpoint(engine, assembler, options, _new_id)


def make_janitor(
    settings: Settings, engine: UploadEngine, *, metrics: PrometheusMetrics | None = None
) -> Janitor:
    """The collector for the engine's storage; `metrics` hears of what it does."""
    return Janitor(
        store=engine.store,
        locker=engine.locker,
        completion=engine.completion,
        clock=_now,
        emit=_sink(metrics),
        housekeeping=Housekeeping(memory=timedelta(seconds=settings.remember_expired)),
    )


def _storage_observer(metrics: PrometheusMetrics) -> Callable[[str, float], None]:
    def observe(operation: str, seconds: float) -> None:
        metrics.measure(StorageCalled(operation=operation, seconds=seconds))

    return observe


def _sampling(
    engine: UploadEngine, metrics: PrometheusMetrics, free_space: FreeSpace, tally: Tally
) -> Sample:
    async def sample(open_connections: int | None) -> Snapshot:
        free = await free_space()
        activity = engine.activity
        readings = Readings(
            active_uploads=activity.running,
            received=activity.received,
            received_by=asdict(tally),
            waiting_completions=activity.waiting,
            pending_deliveries=activity.undelivered,
            open_connections=open_connections,
            free_space=free,
            storage_is_quick=getattr(engine.store, "is_quick", None),
        )
        return await metrics.take(readings)

    return sample


def _monitoring(
    settings: Settings, metrics: PrometheusMetrics, sample: Sample, colleagues: Colleagues | None
) -> Monitoring:
    async def show(open_connections: int | None) -> bytes:
        told = await (colleagues.sum_up() if colleagues else sample(open_connections))
        return await asyncio.to_thread(render, Taken(told))

    return Monitoring(
        path=settings.metrics_path, meter=metrics.measure, show=show, content_type=CONTENT_TYPE
    )


def _sink(metrics: PrometheusMetrics | None) -> EventSink:
    """Who hears of events: the log, and the metrics where there are some."""

    def emit(event: Event) -> None:
        log_event(event)
        if metrics:
            metrics(event)

    return emit


def _live(
    settings: Settings, engine: UploadEngine, dialect: Tus1, processor: LiveProcessor | None
) -> dict[str, LiveEndpoint]:
    """Where live connections are taken, by path."""
    if settings.disable_live:
        return {}
    conditions = Conditions(
        urls=dialect.urls,
        max_frame=settings.live_max_frame,
        chunk_size=settings.live_chunk_size,
        idle_timeout=settings.network_timeout,
        # A HEAD takes over from who has been silent: who is there says so twice as often.
        beat=max(settings.holder_silence / 2, _SHORTEST_BEAT),
        processor=processor or _live_processor(settings.live_processor),
    )
    endpoint = LiveEndpoint(engine, conditions, dialect=dialect, origins=_cors_policy(settings))
    return {settings.live_path: endpoint}


def _live_processor(name: str | None) -> LiveProcessor | None:
    if name is None:
        return None
    try:
        return targets.load_live_processor(name)
    except targets.TargetError as error:
        raise SettingsError(f"--live-processor: {error}") from error


def _new_id() -> str:
    return uuid.uuid4().hex


def _now() -> datetime:
    return datetime.now(UTC)


def _span(seconds: float | None) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None


def _media_sources(settings: Settings) -> tuple[str, ...]:
    """Where browsers are sent for finished files, as a policy names it: boto3 chooses the very host."""
    if settings.s3_bucket is None or settings.s3_serve != "redirect":
        return ()
    return ("http:", "https:") if (settings.s3_endpoint or "").startswith("http:") else ("https:",)


def _cors_policy(settings: Settings) -> CorsPolicy:
    return CorsPolicy(
        allow_origin=settings.cors_allow_origin,
        allow_credentials=settings.cors_allow_credentials,
        methods=settings.cors_allow_methods,
        request_fields=settings.cors_allow_headers,
        response_fields=settings.cors_expose_headers,
        max_age=settings.cors_max_age,
    )


async def _life_of_the_engine(app: web.Application) -> AsyncIterator[None]:
    """Clean up, finish what was left unfinished, and deliver what is finished, while serving; close the
    storage at the end."""
    engine, settings, metrics = app[ENGINE], app[_SETTINGS], app[_METRICS]
    app.on_shutdown.append(_stop_bodies)

    def tell(report: SweepReport) -> None:
        log_sweep(report)
        if metrics:
            metrics.swept(len(report.failed))

    grace = settings.shutdown_timeout * GRACE
    delivering = asyncio.create_task(engine.deliveries.run(grace), name="deliveries")
    sweeping = make_janitor(settings, engine, metrics=metrics).run(settings.gc_interval, tell)
    cleaning = asyncio.create_task(sweeping, name="janitor")
    yield
    cleaning.cancel()
    await asyncio.wait([cleaning])
    await app[_FREE_SPACE].close()
    engine.stop()
    await asyncio.wait([delivering])  # however these ended, the storage is closed
    await engine.store.close()


async def _stop_bodies(app: web.Application) -> None:
    app[ENGINE].stop()
