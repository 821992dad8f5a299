"""A real server tells Prometheus exactly what it did."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.docs.pages import ROOT, codes, read, rows
from tests.support.s3_server import S3ServerProcess
from tests.support.scrape import Scrape, parse, scrape
from tests.support.server import ServerProcess, fetch
from tests.wire.raw import Wire
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus
from tusd_py.app import create_app
from tusd_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

TUSD_COUNTERS = {
    "tusd_requests_total",
    "tusd_errors_total",
    "tusd_bytes_received",
    "tusd_uploads_created",
    "tusd_uploads_finished",
    "tusd_uploads_terminated",
}
"""tusd's own names, suffix or not, as its users have them in their dashboards."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that nobody has asked for anything yet."""
    with ServerProcess(tmp_path / "store") as process:
        yield process


@pytest.fixture
def tus(server: ServerProcess) -> Tus:
    """Its client."""
    return Tus.of(server)


def until(server: ServerProcess, holds: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape for which that holds; pytest's timeout ends the waiting."""
    while not holds(now := scrape(server.origin)):
        pass
    return now


def test_requests_and_uploads_are_counted_exactly(server: ServerProcess, tus: Tus) -> None:
    """Three uploads of which one is finished and one terminated: every counter says just that."""
    finished = tus.upload(b"hello", {"Upload-Metadata": "filename YS50eHQ="})
    tus.ask("DELETE", tus.create(10))
    unfinished = tus.create(10)
    tus.patch(unfinished, 0, b"1234")
    tus.head(unfinished)
    tus.ask("GET", finished)
    tus.ask("OPTIONS")

    now = scrape(server.origin)

    assert now.of("tusd_requests_total") == {
        '{method="POST"}': 3,
        '{method="PATCH"}': 2,
        '{method="DELETE"}': 1,
        '{method="HEAD"}': 1,
        '{method="GET"}': 1,
        '{method="OPTIONS"}': 1,
    }
    assert now.of("tusd_request_duration_seconds_count") == {
        f'{{method="{method}",status="2xx"}}': count
        for method, count in (
            ("POST", 3),
            ("PATCH", 2),
            ("DELETE", 1),
            ("HEAD", 1),
            ("GET", 1),
            ("OPTIONS", 1),
        )
    }
    assert now.of("tusd_errors_total") == {}
    assert now.values["tusd_bytes_received"] == 9
    assert now.values["tusd_uploads_created"] == 3
    assert now.values["tusd_uploads_finished"] == 1
    assert now.values["tusd_uploads_terminated"] == 1
    assert now.values["tusd_upload_duration_seconds_count"] == 1
    assert now.values["tusd_lock_wait_seconds_count"] == 4  # two PATCHes, a HEAD, a DELETE
    assert now.values["tusd_lock_refusals_total"] == 0
    assert now.values["tusd_uploads_active"] == 0
    assert now.values["tusd_completions_waiting"] == 0


def test_errors_are_counted_by_status_and_code(server: ServerProcess, tus: Tus) -> None:
    """Each answer of 400 and above has its row, also where the answer has no body to say its code."""
    path = tus.create(10)
    published = f"/uploads/{tus.upload(b'abc').rpartition('/')[2]}"
    tus.ask("POST", fields={"Upload-Length": "x"})
    tus.patch(path, 3, b"x")
    tus.patch(path, 4, b"x")
    tus.head(f"/files/{UNKNOWN}")
    tus.ask("GET", "/nowhere")
    tus.ask("GET", "/uploads/none")
    tus.ask("GET", published, {"Range": "bytes=9-"})
    tus.ask("GET", published, {"If-Match": '"x"'})
    tus.ask("PUT", path)

    now = scrape(server.origin)

    assert now.of("tusd_errors_total") == {
        '{code="ERR_INVALID_UPLOAD_LENGTH",status="400"}': 1,
        '{code="ERR_MISMATCHED_OFFSET",status="409"}': 2,
        '{code="ERR_UPLOAD_NOT_FOUND",status="404"}': 2,
        '{code="ERR_NOT_FOUND",status="404"}': 1,
        '{code="ERR_RANGE_NOT_SATISFIABLE",status="416"}': 1,
        '{code="ERR_PRECONDITION_FAILED",status="412"}': 1,
        '{code="ERR_METHOD_NOT_ALLOWED",status="405"}': 1,
    }
    assert now.of("tusd_request_duration_seconds_count")['{method="PATCH",status="4xx"}'] == 2
    assert now.of("tusd_storage_errors_total") == {}


def test_a_storage_that_fails_is_told_apart_from_clients_that_do(
    server: ServerProcess, tus: Tus, tmp_path: Path
) -> None:
    """With the folder gone a HEAD is 423 and a PATCH 500: both are failures of the storage."""
    path = tus.create(10)
    server.upload_dir.rename(tmp_path / "unmounted")
    tus.head(path)
    tus.patch(path, 0, b"x")

    now = scrape(server.origin)

    assert now.of("tusd_storage_errors_total") == {'{kind="failed"}': 2}
    assert now.of("tusd_errors_total") == {
        '{code="ERR_STORAGE",status="423"}': 1,
        '{code="ERR_STORAGE",status="500"}': 1,
    }
    assert "tusd_storage_free_bytes" not in now.names


def test_bytes_count_while_they_arrive(server: ServerProcess, tus: Tus) -> None:
    """A PATCH that is half there is an active upload with half its bytes, on an open connection."""
    path = tus.create(10)
    with Wire.to(server.port) as wire:
        wire.send(tus.patch_head(path, 0, 10) + b"12345")
        half = until(server, lambda now: now.values["tusd_bytes_received"] == 5)
        wire.send(b"67890")
        assert wire.read("PATCH").status == 204
        whole = scrape(server.origin)

    assert half.values["tusd_uploads_active"] == 1
    assert half.values["tusd_connections_open"] == 2  # and the one that asks
    assert half.values["tusd_uploads_finished"] == 0
    assert whole.values["tusd_bytes_received"] == 10
    assert whole.values["tusd_uploads_active"] == 0
    assert whole.values["tusd_uploads_finished"] == 1
    until(server, lambda now: now.values["tusd_connections_open"] == 1)


def test_a_body_that_breaks_off_is_an_error_and_its_bytes_count(server: ServerProcess, tus: Tus) -> None:
    """Whoever vanishes leaves bytes, no active upload, and one ERR_UNEXPECTED_EOF."""
    path = tus.create(10)
    with Wire.to(server.port) as wire:
        wire.send(tus.patch_head(path, 0, 10) + b"12345")
        until(server, lambda now: now.values["tusd_bytes_received"] == 5)

    gone = until(server, lambda now: now.values["tusd_uploads_active"] == 0)

    assert gone.of("tusd_errors_total") == {'{code="ERR_UNEXPECTED_EOF",status="500"}': 1}
    assert gone.values["tusd_bytes_received"] == 5


def test_clients_cannot_make_series(server: ServerProcess, tus: Tus) -> None:
    """Whatever methods, ids and names clients think of: the values of labels are ours."""
    for number in range(20):
        tus.ask("POST", fields={"X-HTTP-Method-Override": f"BREW{number}"})
        tus.ask(f"COFFEE{number}", "/files/")
        tus.ask("GET", f"/files/{number}")
        tus.ask("POST", f"/teapot/{number}")

    now = scrape(server.origin)

    assert now.of("tusd_requests_total") == {
        '{method="POST"}': 20,
        '{method="GET"}': 20,
        '{method="other"}': 20,
    }
    assert now.labels("method") == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "other"}
    assert now.labels("code") <= {
        codes(row[0])[0] for row in rows(read("docs/operations.md"), r"`ERR_\w+`")
    }
    assert now.labels("status") <= {"4xx", "404", "405", "400"}


def test_monitors_do_not_count_themselves(server: ServerProcess) -> None:
    """Health checks and scrapes are no requests for uploads: they would drown those."""
    for path in ("/healthz", "/readyz", "/metrics"):
        fetch(f"{server.origin}{path}")

    assert scrape(server.origin).of("tusd_requests_total") == {}


def test_the_names_are_those_of_tusd(server: ServerProcess, tus: Tus) -> None:
    """A dashboard made for tusd shows a server of ours: same names, with and without _total, same types."""
    tus.head(f"/files/{UNKNOWN}")
    now = scrape(server.origin)

    assert {name for name, kind in now.types.items() if kind == "counter"} >= TUSD_COUNTERS
    assert now.types["tusd_connections_open"] == "gauge"
    assert now.names >= {*TUSD_COUNTERS, "tusd_connections_open", "process_open_fds", "python_info"}
    assert not {name for name in now.names if name.endswith("_created")} - {"tusd_uploads_created"}


def test_every_metric_is_in_the_manual_and_no_other(server: ServerProcess) -> None:
    """docs/operations.md, Metrics: the table has the families of a scrape, with their types."""
    section = read("docs/operations.md").partition("## Metrics\n")[2].partition("\n## ")[0]
    table = rows(section, r"`tusd_\w+`")
    families = {name: kind for name, kind in scrape(server.origin).types.items() if "tusd_" in name}

    assert {codes(row[0])[0]: row[1] for row in table} == families


def test_the_dashboard_shows_what_there_is(
    server: ServerProcess, seaweed: SeaweedProcess, tmp_path: Path
) -> None:
    """examples/grafana: every metric and label in a query is in a scrape, on a disk or in S3."""
    with S3ServerProcess(seaweed, tmp_path / "s3") as in_s3:
        for tus in (Tus.of(server), Tus.of(in_s3)):
            tus.upload(b"hello")
            tus.head(f"/files/{UNKNOWN}")
        told = [scrape(each.origin) for each in (server, in_s3)]
    board = json.loads((ROOT / "examples" / "grafana" / "tusd-py.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    variables = [variable["definition"] for variable in board["templating"]["list"][1:]]

    text = " ".join(queries + variables)
    named = set(re.findall(r"\b(?:tusd|process|python)_\w+", text))
    grouped = {label for found in re.findall(r"by \(([^)]*)\)", text) for label in found.split(", ")}

    assert len(queries) >= 20
    assert named - told[0].names - told[1].names == set()
    assert [label for label in grouped - {"instance"} if not any(now.labels(label) for now in told)] == []


def test_the_path_can_be_chosen_and_goes_before_uploads(tmp_path: Path) -> None:
    """--metrics-path: at the root of the uploads the page is still the page, and /metrics an upload's."""
    with ServerProcess(
        tmp_path / "store", "--base-path", "/", "--metrics-path", "/internal/stats/"
    ) as server:
        tus = Tus.of(server)
        tus.upload(b"abc")
        now = scrape(server.origin, "/internal/stats")
        elsewhere = tus.ask("GET", "/metrics")

    assert now.values["tusd_uploads_finished"] == 1
    assert (elsewhere.status, elsewhere.body) == (404, b"ERR_UPLOAD_NOT_FOUND: there is no such upload\n")


def test_metrics_can_be_switched_off(tmp_path: Path) -> None:
    """--expose-metrics=false: nothing has that address, and uploads go on."""
    with ServerProcess(tmp_path / "store", "--expose-metrics=false") as server:
        tus = Tus.of(server)
        path = tus.upload(b"abc")
        answer = fetch(f"{server.origin}/metrics")

        assert tus.offset(path) == 3
    assert answer.status == 404


def test_a_post_to_the_page_is_refused(server: ServerProcess) -> None:
    """The page can be read and nothing else."""
    answer = fetch(f"{server.origin}/metrics", "POST", {"Content-Type": CHUNK_TYPE}, b"")

    assert answer.status == 405
    assert set(answer.headers["allow"].split(",")) == {"GET", "HEAD"}


async def test_two_applications_in_one_process_count_for_themselves(tmp_path: Path) -> None:
    """Whoever embeds the server twice has two sets of numbers; under another runner none of connections."""
    apps = [create_app(Settings(upload_dir=tmp_path / name)) for name in ("one", "other")]
    async with TestClient(TestServer(apps[0])) as one, TestClient(TestServer(apps[1])) as other:
        await one.post("/files/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "3"})
        told = [parse(await (await client.get("/metrics")).text()) for client in (one, other)]

    assert [now.values["tusd_uploads_created"] for now in told] == [1, 0]
    assert [now.of("tusd_requests_total") for now in told] == [{'{method="POST"}': 1}, {}]
    assert "tusd_connections_open" not in told[0].names
