"""Metrics for Prometheus, under tusd's names where tusd has one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, assert_never

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary

from tusd_py.core.errors import NameTakenError, RecordCorruptError, StorageFullError, StoreError
from tusd_py.core.events import (
    CompletionDelayed,
    DeliveryAbandoned,
    DeliveryFailed,
    DeliveryUnclaimed,
    Event,
    UploadCreated,
    UploadDelivered,
    UploadExpired,
    UploadFinished,
    UploadTerminated,
)
from tusd_py.core.measurements import (
    LockRefused,
    LockTaken,
    Measurement,
    RequestAnswered,
    StorageCalled,
)
from tusd_py.metrics.exposition import Families, render, runtime, take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Clock
    from tusd_py.metrics.sums import Snapshot

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST")
_OTHER_METHOD: Final = "other"

# From a HEAD on a fast disk to the PATCH that brings a film over a phone.
_REQUEST_SECONDS: Final = (
    0.001,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
    1800,
)
# From one request to the upload that is taken up again after the weekend.
_UPLOAD_SECONDS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400, 604800)
# A hand-over takes milliseconds; what takes a second waits for a disk.
_LOCK_SECONDS: Final = (0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 20, 60)

_STORAGE_ERRORS: Final[dict[type[StoreError], str]] = {
    StoreError: "failed",
    StorageFullError: "full",
    RecordCorruptError: "corrupt",
    NameTakenError: "name_taken",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is read when somebody asks, and not counted on the way; None is not known.

    `received` are the bytes of request bodies stored since the start, `active_uploads` the bodies that
    are being received, `waiting_completions` uploads that have all their bytes and could not be finished,
    `pending_deliveries` those of finished uploads that are still to be made. `received_by` are the bytes
    of request bodies by the way they took into the server. `storage_is_quick`: short calls to
    the storage are made in the event loop.
    """

    active_uploads: int
    received: int
    received_by: Mapping[str, int]
    waiting_completions: int
    pending_deliveries: int
    open_connections: int | None
    free_space: int | None
    storage_is_quick: bool | None = None


class PrometheusMetrics:
    """Counts what it is told, and writes it down for Prometheus.

    One for each application: nothing here is shared by a process. Values of labels come from short
    lists of ours, never from a client.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._created = self._finished = self._terminated = 0
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("tusd_requests", "Requests answered.", ["method"], registry=registry)
        self._errors = Counter(
            "tusd_errors", "Answers that were errors.", ["status", "code"], registry=registry
        )
        self._request_seconds = Histogram(
            "tusd_request_duration_seconds",
            "From a request's head to its answer, the body included.",
            ["method", "status"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._series: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._upload_seconds = Histogram(
            "tusd_upload_duration_seconds",
            "From an upload's creation to its published file.",
            buckets=_UPLOAD_SECONDS,
            registry=registry,
        )
        self._expired = Counter("tusd_uploads_expired", "Uploads whose time was over.", registry=registry)
        self._count_trouble(registry)
        self._begin_at_zero()

    def _count_trouble(self, registry: CollectorRegistry) -> None:
        """What tells how the server fares with its storage, its locks and its processors."""
        self._lock_seconds = Histogram(
            "tusd_lock_wait_seconds",
            "How long requests waited for an upload's lock that they got.",
            buckets=_LOCK_SECONDS,
            registry=registry,
        )
        self._lock_refusals = Counter(
            "tusd_lock_refusals", "Requests that did not get an upload's lock in time.", registry=registry
        )
        self._storage_errors = Counter(
            "tusd_storage_errors", "Requests that the storage failed.", ["kind"], registry=registry
        )
        self._delayed = Counter(
            "tusd_completions_delayed", "Attempts to finish an upload that failed.", registry=registry
        )
        self._deliveries = Counter(
            "tusd_deliveries", "Deliveries of finished uploads tried.", ["outcome"], registry=registry
        )
        self._sweep_failures = Counter(
            "tusd_sweep_failures", "Things that the collector could not read or change.", registry=registry
        )
        self._s3_milliseconds = Summary(
            "tusd_s3_request_duration_ms",
            "How long calls to S3 took, in milliseconds, boto3's own repetitions included.",
            ["operation"],
            registry=registry,
        )

    def _begin_at_zero(self) -> None:
        """A series that begins with its first event hides that event from rate()."""
        for method in (*_METHODS, _OTHER_METHOD):
            self._requests.labels(method)
        for outcome in ("delivered", "failed", "abandoned"):
            self._deliveries.labels(outcome)
        for kind in _STORAGE_ERRORS.values():
            self._storage_errors.labels(kind)

    # -- what it is told ----------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """See tusd_py.core.ports.EventSink."""
        match event:
            case UploadCreated():
                self._created += 1
            case UploadFinished(upload=upload):
                self._finished += 1
                self._upload_seconds.observe(self._age(upload))
            case UploadTerminated():
                self._terminated += 1
            case UploadExpired():
                self._expired.inc()
            case CompletionDelayed():
                self._delayed.inc()
            case UploadDelivered():
                self._deliveries.labels("delivered").inc()
            case DeliveryFailed():
                self._deliveries.labels("failed").inc()
            case DeliveryAbandoned():
                self._deliveries.labels("abandoned").inc()
            case DeliveryUnclaimed():  # a matter of the settings: the log has it
                return
            case _:
                assert_never(event)

    def measure(self, measurement: Measurement) -> None:
        """See tusd_py.core.ports.Meter."""
        match measurement:
            case RequestAnswered():
                self._take_request(measurement)
            case LockTaken(seconds=seconds):
                self._lock_seconds.observe(seconds)
            case LockRefused():
                self._lock_refusals.inc()
            case StorageCalled(operation=operation, seconds=seconds):
                self._s3_milliseconds.labels(operation).observe(seconds * 1000)
            case _:
                assert_never(measurement)

    def swept(self, failures: int) -> None:
        """The collector has been through the storage, and could not deal with so many things."""
        self._sweep_failures.inc(failures)

    def _take_request(self, answered: RequestAnswered) -> None:
        method = answered.method if answered.method in _METHODS else _OTHER_METHOD
        count, seconds = self._series_of(method, answered.status // 100)
        count.inc()
        seconds.observe(answered.seconds)
        if answered.status >= 400:
            self._errors.labels(str(answered.status), answered.code).inc()
        if isinstance(answered.failure, StoreError):
            self._storage_errors.labels(_kind_of(answered.failure)).inc()

    def _series_of(self, method: str, status_class: int) -> tuple[Counter, Histogram]:
        """What counts requests of that kind: looked up once, for the library takes its time."""
        series = self._series.get((method, status_class))
        if series is None:
            seconds = self._request_seconds.labels(method, f"{status_class}xx")
            series = self._series[method, status_class] = (self._requests.labels(method), seconds)
        return series

    def _age(self, upload: Upload) -> float:
        return max(0.0, (self._clock() - upload.created_at).total_seconds())

    # -- what it shows ------------------------------------------------------------------------

    async def expose(self, readings: Readings) -> bytes:
        """Everything, in the text format of Prometheus (exposition.CONTENT_TYPE)."""
        own = self._families(readings)
        return await asyncio.to_thread(lambda: render(own, self._registry, self._runtime))

    async def take(self, readings: Readings) -> Snapshot:
        """Everything, to be added to what other processes have to tell."""
        own = self._families(readings)
        return await asyncio.to_thread(lambda: take(own, self._registry, self._runtime))

    @cached_property
    def _runtime(self) -> CollectorRegistry:
        return runtime()

    def _families(self, readings: Readings) -> Families:
        families = Families()
        families.counter("tusd_bytes_received", "Bytes of uploads received.", readings.received)
        families.counters(
            "tusd_body_bytes", "Bytes of request bodies received.", "tier", readings.received_by
        )
        families.counter("tusd_uploads_created", "Uploads created.", self._created)
        families.counter("tusd_uploads_finished", "Uploads complete and published.", self._finished)
        families.counter("tusd_uploads_terminated", "Uploads removed by request.", self._terminated)
        families.gauge("tusd_connections_open", "Open client connections.", readings.open_connections)
        families.gauge(
            "tusd_uploads_active", "Request bodies that are being received.", readings.active_uploads
        )
        families.gauge(
            "tusd_completions_waiting",
            "Uploads that have all their bytes and could not be finished yet.",
            readings.waiting_completions,
        )
        families.gauge(
            "tusd_deliveries_pending",
            "Deliveries of finished uploads that are still to be made.",
            readings.pending_deliveries,
        )
        families.gauge(
            "tusd_storage_quick", "Whether the storage answers at once.", readings.storage_is_quick
        )
        families.gauge("tusd_storage_free_bytes", "Bytes the storage has left.", readings.free_space)
        return families


def _kind_of(failure: StoreError) -> str:
    """The row of `failure`: its own, else that of its nearest ancestor."""
    return next(
        _STORAGE_ERRORS[ancestor] for ancestor in type(failure).__mro__ if ancestor in _STORAGE_ERRORS
    )
