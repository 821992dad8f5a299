"""/metrics of a crew: whoever is asked tells of all, and no counter goes back."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.docs.pages import codes, read, rows
from tests.faults.wire import create, wait_until
from tests.support.scrape import Scrape, parse, scrape
from tests.support.server import fetch
from tests.wire.tus import Tus
from tests.workers.crew import Crew
from tusd_py.workers.survey import Survey

if TYPE_CHECKING:
    from tests.wire.raw import Wire

GROWING = {"counter", "histogram", "summary"}


def growing(told: Scrape) -> dict[str, float]:
    """Every series of ours that may only grow."""
    families = {name for name, kind in told.types.items() if kind in GROWING and name.startswith("tusd_")}
    return {
        series: value
        for series, value in told.values.items()
        if any(series.startswith(family) for family in families)
    }


def assert_nothing_goes_back(scrapes: list[Scrape]) -> None:
    """Each of them tells as much as the one before, or more."""
    for earlier, later in pairwise(scrapes):
        now = growing(later)
        assert {
            series for series, value in growing(earlier).items() if now.get(series, -1) < value
        } == set()


def asked(tus: Tus, wire: Wire) -> Scrape:
    """What the worker tells that has this connection."""
    wire.send(tus.head_of("GET", "/metrics"))
    answer = wire.read("GET")
    assert answer.status == 200, answer
    return parse(answer.body.decode())


def test_every_worker_tells_of_all(crew: Crew, two: tuple[int, int]) -> None:
    """Requests that came to both count, and each connection once, at whichever of them it is asked."""
    tus = Tus.of(crew)
    with crew.connect(two[0]) as one, crew.connect(two[1]) as other:
        for wire in (one, other, other):
            wire.send(tus.head_of("OPTIONS", tus.base))
            assert wire.read("OPTIONS").status == 204
        told = [asked(tus, wire) for wire in (one, other)]

    for each in told:
        assert each.of("tusd_requests_total") == {'{method="OPTIONS"}': 3}
        assert each.values['tusd_request_duration_seconds_count{method="OPTIONS",status="2xx"}'] == 3
        assert each.values["tusd_connections_open"] == 2
        assert (each.values["tusd_workers"], each.values["tusd_workers_silent"]) == (2, 0)
        assert each.values["tusd_storage_free_bytes"] > 0


def test_no_counter_goes_back_when_workers_are_renewed(crew: Crew) -> None:
    """What a worker that is no more has counted stays in the sum."""
    told = []
    for _ in range(2):
        create(crew.url, 5)
        told.append(scrape(crew.origin))
        crew.renew()
        told.append(scrape(crew.origin))

    assert_nothing_goes_back(told)
    assert [each.values["tusd_uploads_created"] for each in told] == [1, 1, 2, 2]
    assert told[-1].values["tusd_workers_lost_total"] == 0


def test_no_counter_goes_back_when_a_worker_is_killed(crew: Crew, two: tuple[int, int]) -> None:
    """What it had told stays; the loss of the worker is counted itself."""
    for _ in range(6):
        create(crew.url, 5)
    told = [scrape(crew.origin)]
    for worker in two:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(crew.workers() - set(two)) == 2, "they are not replaced")
    told.append(scrape(crew.origin))

    assert_nothing_goes_back(told)
    assert told[1].values["tusd_uploads_created"] == 6
    assert told[1].values["tusd_workers_lost_total"] == 2


def test_a_worker_that_does_not_answer_is_told_of(crew: Crew, two: tuple[int, int]) -> None:
    """Its counters stay as they were told, its gauges are left out, and that is a metric."""
    tus = Tus.of(crew)
    with crew.connect(two[0]) as one, crew.connect(two[1]) as other:
        for wire in (one, other):
            wire.send(tus.head_of("OPTIONS", tus.base))
            assert wire.read("OPTIONS").status == 204
        before = asked(tus, one)
        os.kill(two[1], signal.SIGSTOP)
        during = asked(tus, one)
        os.kill(two[1], signal.SIGCONT)
        after = asked(tus, one)

    assert_nothing_goes_back([before, during, after])
    silent = [each.values["tusd_workers_silent"] for each in (before, during, after)]
    connections = [each.values["tusd_connections_open"] for each in (before, during, after)]
    assert (silent, connections) == ([0, 1, 0], [2, 1, 2])


def test_a_scrape_without_the_supervisor_is_no_scrape(crew: Crew, two: tuple[int, int]) -> None:
    """Less than all would look as if counters had gone back: 503, and Prometheus asks again."""
    with crew.connect(two[0]) as wire:
        os.kill(crew.pid, signal.SIGSTOP)
        try:
            wire.send(Tus.of(crew).head_of("GET", "/metrics"))
            answer = wire.read("GET")
        finally:
            os.kill(crew.pid, signal.SIGCONT)

    assert answer.status == 503
    assert fetch(f"{crew.origin}/metrics").status == 200


def test_the_metrics_of_a_crew_are_in_the_manual(crew: Crew) -> None:
    """docs/operations.md, Several processes: the table has what a crew tells beyond a single process."""
    section = read("docs/operations.md").partition("## Several processes\n")[2].partition("\n## ")[0]
    table = {codes(row[0])[0]: row[1] for row in rows(section, r"`tusd_\w+`")}
    told = {
        name: kind for name, kind in scrape(crew.origin).types.items() if name.startswith("tusd_workers")
    }

    assert table == told
    assert Survey.INTERVAL == 5
