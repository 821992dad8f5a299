"""What the metrics make of what they are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.scrape import Scrape, parse
from tusd_py.core import errors
from tusd_py.core.errors import StorageFullError, StoreError, UploadNotFoundError
from tusd_py.core.events import (
    CompletionDelayed,
    DeliveryAbandoned,
    DeliveryFailed,
    DeliveryUnclaimed,
    UploadCreated,
    UploadDelivered,
    UploadExpired,
    UploadFinished,
)
from tusd_py.core.measurements import LockRefused, LockTaken, RequestAnswered
from tusd_py.core.model import Upload
from tusd_py.metrics.prometheus import PrometheusMetrics, Readings
from tusd_py.testing import ManualClock

if TYPE_CHECKING:
    from tusd_py.core.errors import TusdError

NOTHING = Readings(
    active_uploads=0,
    received=0,
    received_by={"stream": 0, "protocol": 0, "worker": 0},
    waiting_completions=0,
    pending_deliveries=0,
    open_connections=None,
    free_space=None,
)
BEGUN = datetime(2026, 11, 5, 12, tzinfo=UTC)
UPLOAD = Upload(id="a", name="a", created_at=BEGUN)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is moved by hand."""
    return ManualClock(BEGUN)


@pytest.fixture
def metrics(clock: ManualClock) -> PrometheusMetrics:
    """Metrics that have not heard of anything yet."""
    return PrometheusMetrics(clock)


async def shown(metrics: PrometheusMetrics, readings: Readings = NOTHING) -> Scrape:
    """What they show."""
    return parse((await metrics.expose(readings)).decode())


def answered(status: int, failure: TusdError | None = None) -> RequestAnswered:
    """A PATCH and its answer, after a second and a half."""
    return RequestAnswered(method="PATCH", status=status, code="", seconds=1.5, failure=failure)


async def test_an_upload_takes_as_long_as_from_its_creation_to_its_end(
    metrics: PrometheusMetrics, clock: ManualClock
) -> None:
    """An upload that was taken up again after two minutes took two minutes."""
    metrics(UploadCreated(upload=UPLOAD))
    clock.advance(120)
    metrics(UploadFinished(upload=UPLOAD))

    now = await shown(metrics)

    assert now.values['tusd_upload_duration_seconds_bucket{le="60.0"}'] == 0
    assert now.values['tusd_upload_duration_seconds_bucket{le="300.0"}'] == 1
    assert now.values["tusd_upload_duration_seconds_sum"] == 120


async def test_a_request_is_filed_by_method_status_and_time(metrics: PrometheusMetrics) -> None:
    """1.5 seconds are more than one and not more than two and a half."""
    metrics.measure(answered(204))

    buckets = (await shown(metrics)).of("tusd_request_duration_seconds_bucket")

    assert '{le="1.0",method="PATCH",status="2xx"}' not in buckets
    assert buckets['{le="2.5",method="PATCH",status="2xx"}'] == 1


@pytest.mark.parametrize("kind", [StoreError, *StoreError.__subclasses__()])
async def test_every_error_of_a_storage_has_a_kind(
    metrics: PrometheusMetrics, kind: type[StoreError]
) -> None:
    """Each class of core.errors has a series of its own; one that is derived counts as its nearest."""
    derived = type("DerivedError", (kind,), {})

    metrics.measure(answered(500, kind("x")))
    metrics.measure(answered(500, derived("x")))

    assert list((await shown(metrics)).of("tusd_storage_errors_total").values()) == [2]


async def test_refusals_are_no_errors_of_the_storage(metrics: PrometheusMetrics) -> None:
    """A 404 is an error of the request alone."""
    metrics.measure(answered(404, UploadNotFoundError("a")))

    now = await shown(metrics)

    assert now.of("tusd_storage_errors_total") == {}
    assert now.of("tusd_errors_total") == {'{code="",status="404"}': 1}


async def test_what_happens_out_of_sight_is_counted(metrics: PrometheusMetrics) -> None:
    """Expiry, completions put off, deliveries, locks, and what the collector could not do."""
    metrics(UploadExpired(upload=UPLOAD))
    metrics(CompletionDelayed(upload=UPLOAD, error=StorageFullError("x")))
    metrics(UploadDelivered(upload=UPLOAD, name="p", attempt=1))
    for attempt in (1, 2):
        error = ValueError("no")
        failed = DeliveryFailed(upload=UPLOAD, name="p", attempt=attempt, retry_at=BEGUN, error=error)
        metrics(failed)
    metrics(DeliveryAbandoned(upload=UPLOAD, name="p", attempts=3))
    metrics(DeliveryUnclaimed(upload=UPLOAD, name="q"))
    metrics.measure(LockTaken(seconds=0.02))
    metrics.measure(LockRefused())
    metrics.swept(2)

    now = await shown(metrics)

    assert now.values["tusd_uploads_expired_total"] == 1
    assert now.values["tusd_completions_delayed_total"] == 1
    assert now.of("tusd_deliveries_total") == {
        '{outcome="delivered"}': 1,
        '{outcome="failed"}': 2,
        '{outcome="abandoned"}': 1,
    }
    assert now.values["tusd_lock_wait_seconds_sum"] == 0.02
    assert now.values["tusd_lock_refusals_total"] == 1
    assert now.values["tusd_sweep_failures_total"] == 2


async def test_readings_are_shown_as_they_are_and_left_out_where_unknown(
    metrics: PrometheusMetrics,
) -> None:
    """No number is better than one that is made up."""
    known = Readings(
        active_uploads=1,
        received=2,
        received_by={"stream": 7, "protocol": 0, "worker": 2**40},
        waiting_completions=3,
        pending_deliveries=5,
        open_connections=4,
        free_space=2**53,
    )

    now = await shown(metrics, known)
    unknown = await shown(metrics)

    assert now.values["tusd_uploads_active"] == 1
    assert now.values["tusd_bytes_received"] == 2
    assert now.of("tusd_body_bytes_total") == {'{tier="stream"}': 7, '{tier="worker"}': 2**40}
    assert now.values["tusd_completions_waiting"] == 3
    assert now.values["tusd_deliveries_pending"] == 5
    assert now.values["tusd_connections_open"] == 4
    assert now.values["tusd_storage_free_bytes"] == 2**53
    assert now.names - unknown.names == {"tusd_connections_open", "tusd_storage_free_bytes"}


async def test_two_in_one_process_do_not_know_each_other(clock: ManualClock) -> None:
    """Each application has numbers of its own."""
    one, other = PrometheusMetrics(clock), PrometheusMetrics(clock)
    one(UploadCreated(upload=UPLOAD))
    one.measure(answered(204))

    now = await shown(other)

    assert now.values["tusd_uploads_created"] == 0
    assert now.of("tusd_requests_total") == {}


def test_the_errors_of_a_storage_are_all_direct_children() -> None:
    """So that the test above meets every one of them."""
    found = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, StoreError)
    ]

    assert {StoreError, *StoreError.__subclasses__()} >= set(found)
