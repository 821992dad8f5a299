"""What several processes have counted is told as one, and never goes back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.support.scrape import Scrape, parse
from tusd_py.core.events import UploadCreated
from tusd_py.core.measurements import LockTaken, RequestAnswered
from tusd_py.core.model import Upload
from tusd_py.metrics.exposition import Taken, render
from tusd_py.metrics.prometheus import PrometheusMetrics, Readings
from tusd_py.metrics.sums import Snapshot, Sums, combine, counter, gauge, pack, unpack
from tusd_py.testing import ManualClock

BEGUN = datetime(2026, 11, 5, 12, tzinfo=UTC)
UPLOAD = Upload(id="a", name="a", created_at=BEGUN)


def shown(snapshot: Snapshot) -> Scrape:
    """A snapshot as Prometheus reads it."""
    return parse(render(Taken(snapshot)).decode())


async def process(*, requests: int, connections: int, free_space: int | None) -> Snapshot:
    """What a process tells that has answered some requests, each after waiting 3 ms for a lock."""
    metrics = PrometheusMetrics(ManualClock(BEGUN))
    metrics(UploadCreated(upload=UPLOAD))
    for _ in range(requests):
        metrics.measure(RequestAnswered(method="HEAD", status=200, code="", seconds=0.1, failure=None))
        metrics.measure(LockTaken(seconds=0.003))
    readings = Readings(
        active_uploads=1,
        received=100,
        received_by={},
        waiting_completions=0,
        pending_deliveries=0,
        open_connections=connections,
        free_space=free_space,
    )
    return unpack(json.loads(json.dumps(pack(await metrics.take(readings)))))


@pytest.fixture
async def two() -> tuple[Snapshot, Snapshot]:
    """Two processes on one disk."""
    return (
        await process(requests=2, connections=3, free_space=5000),
        await process(requests=5, connections=4, free_space=4096),
    )


async def test_counters_histograms_and_gauges_are_added(two: tuple[Snapshot, Snapshot]) -> None:
    """Each request, byte and connection counts once, whichever process it came to."""
    total = shown(combine(two))

    assert total.values['tusd_requests_total{method="HEAD"}'] == 7
    assert total.values['tusd_lock_wait_seconds_bucket{le="0.001"}'] == 0
    assert total.values['tusd_lock_wait_seconds_bucket{le="0.005"}'] == 7
    assert total.values["tusd_lock_wait_seconds_count"] == 7
    assert total.values["tusd_bytes_received"] == 200
    assert total.values["tusd_uploads_created"] == 2
    assert total.values["tusd_connections_open"] == 7
    assert total.types["tusd_bytes_received"] == "counter"


async def test_what_is_the_same_for_all_counts_once(two: tuple[Snapshot, Snapshot]) -> None:
    """They share a disk and a Python; of what differs for a moment, the smaller one is told."""
    total = shown(combine(two))

    assert total.values["tusd_storage_free_bytes"] == 4096
    assert set(total.of("python_info").values()) == {1}
    assert total.values["process_start_time_seconds"] < datetime.now(UTC).timestamp()


async def test_a_number_that_one_process_does_not_know_is_that_of_the_others() -> None:
    """A disk that does not answer one of them has answered another."""
    known, unknown = [await process(requests=0, connections=1, free_space=free) for free in (77, None)]

    assert shown(combine([unknown, known])).values["tusd_storage_free_bytes"] == 77


async def test_what_an_ended_process_has_counted_stays(two: tuple[Snapshot, Snapshot]) -> None:
    """Counters and histograms outlive it, gauges do not; a successor begins at 0 beside them."""
    sums = Sums()
    sums.note(1, two[0])
    sums.note(2, two[1])
    sums.leave(1)
    sums.note(3, await process(requests=0, connections=1, free_space=None))

    total = shown(sums.total())

    assert total.values['tusd_requests_total{method="HEAD"}'] == 7
    assert total.values["tusd_lock_wait_seconds_count"] == 7
    assert total.values["tusd_uploads_created"] == 3
    assert total.values["tusd_connections_open"] == 5
    assert total.values["tusd_storage_free_bytes"] == 4096


async def test_a_silent_process_counts_with_what_it_last_said(two: tuple[Snapshot, Snapshot]) -> None:
    """Without it the counters would go back; what it is at now nobody knows."""
    sums = Sums()
    sums.note(1, two[0])
    sums.note(2, two[1])

    total = shown(sums.total(silent={2}))

    assert total.values['tusd_requests_total{method="HEAD"}'] == 7
    assert total.values["tusd_connections_open"] == 3


def test_adding_up_changes_no_part_of_the_sum() -> None:
    """The same snapshots give the same sum again and again."""
    parts = [gauge("g", "A gauge.", 1), gauge("g", "A gauge.", 2), counter("c", "A counter.", 4)]

    assert combine(parts) == combine(parts)
    assert shown(combine(parts)).values == {"g": 3, "c_total": 4}


def test_who_left_without_a_word_leaves_nothing() -> None:
    """A process that is killed before it has told anything was never there."""
    sums = Sums()
    sums.leave(1)

    assert sums.total() == {}
