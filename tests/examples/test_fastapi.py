"""examples/fastapi: it works on each recording that was announced once that has arrived, and loses none."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.application import Application
from tests.support.payload import Payload, sha256
from tests.support.server import Answer, ServerProcess, fetch, upload_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TUS = {"Tus-Resumable": "1.0.0"}
METADATA = {"Upload-Metadata": "filename c3BlZWNoLndlYm0="}
NOBODY = "0" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The tus server that the application stands beside."""
    with ServerProcess(tmp_path_factory.mktemp("fastapi") / "storage") as process:
        yield process


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application's own folder."""
    return tmp_path_factory.mktemp("fastapi") / "results"


@pytest.fixture(scope="module")
def application(server: ServerProcess, results: Path) -> Iterator[Application]:
    """The application, for all tests here."""
    with Application(server, results) as it:
        yield it


def create(server: ServerProcess, payload: Payload) -> str:
    """An upload without a byte; its address."""
    fields = TUS | METADATA | {"Upload-Length": str(payload.size)}
    return fetch(server.url, "POST", fields).headers["location"]


def append(url: str, payload: Payload, start: int, stop: int) -> None:
    """Send a part of the payload."""
    fields = TUS | {"Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
    assert fetch(url, "PATCH", fields, payload.data[start:stop]).status == 204


def announce(application: Application, upload: str) -> Answer:
    """Tell the application about an upload."""
    body = json.dumps({"upload": upload}).encode()
    return fetch(f"{application.origin}/recordings", "POST", {"Content-Type": "application/json"}, body)


def read(application: Application, upload: str, *, wait: bool = False) -> Any:
    """What the application says of it."""
    return json.loads(fetch(f"{application.origin}/recordings/{upload}?wait={str(wait).lower()}").body)


def test_a_recording_is_worked_on_once_it_has_arrived(
    server: ServerProcess, application: Application
) -> None:
    """Announced with its first bytes, arriving until its last; then it was read whole, and it plays."""
    payload = Payload(size=600_001, seed=70)
    url = create(server, payload)
    upload = upload_id(url)
    append(url, payload, 0, 200_000)
    announced = announce(application, upload)
    arriving = read(application, upload)
    nothing = fetch(f"{application.origin}/recordings/{upload}/audio")
    append(url, payload, 200_000, payload.size)
    done = read(application, upload, wait=True)
    audio = fetch(f"{application.origin}/recordings/{upload}/audio")

    assert (announced.status, announced.headers["location"]) == (202, f"/recordings/{upload}")
    assert json.loads(announced.body) == arriving == {"id": upload, "state": "arriving"}
    assert nothing.status == 404
    assert done == {
        "id": upload,
        "state": "done",
        "name": f"{upload}.webm",
        "size": payload.size,
        "sha256": payload.sha256,
    }
    assert audio.status == 307
    assert sha256(fetch(audio.headers["location"]).body) == payload.sha256


def test_what_arrives_while_the_application_is_away_is_not_lost(
    server: ServerProcess, application: Application
) -> None:
    """Killed after the announcement, started after the last byte: it takes the recording up."""
    payload = Payload(size=300_000, seed=71)
    url = create(server, payload)
    upload = upload_id(url)
    announce(application, upload)
    application.end(signal.SIGKILL)
    append(url, payload, 0, payload.size)
    application.start()

    assert read(application, upload, wait=True)["sha256"] == payload.sha256


def test_it_stops_at_once_and_leaves_the_rest_to_the_next_start(
    server: ServerProcess, application: Application
) -> None:
    """SIGTERM, with an upload that has not arrived: nobody waits for it, and it is not forgotten."""
    payload = Payload(size=10, seed=72)
    url = create(server, payload)
    announce(application, upload_id(url))
    application.end(signal.SIGTERM)
    application.start()
    append(url, payload, 0, 10)

    assert read(application, upload_id(url), wait=True)["state"] == "done"


def test_a_recording_that_is_terminated_fails(server: ServerProcess, application: Application) -> None:
    """It will never arrive, and whoever asks hears that."""
    url = create(server, Payload(size=10))
    announce(application, upload_id(url))
    assert fetch(url, "DELETE", TUS).status == 204

    assert read(application, upload_id(url), wait=True)["state"] == "failed"


def test_twice_announced_is_worked_on_once(
    server: ServerProcess, application: Application, results: Path
) -> None:
    """Clients that repeat themselves change nothing, also when all is over."""
    payload = Payload(size=1000, seed=73)
    url = create(server, payload)
    upload = upload_id(url)
    append(url, payload, 0, payload.size)
    announce(application, upload)
    first = read(application, upload, wait=True)
    written = (results / f"{upload}.json").stat().st_mtime_ns
    again = announce(application, upload)

    assert (again.status, json.loads(again.body)) == (202, first)
    assert (results / f"{upload}.json").stat().st_mtime_ns == written


def test_what_is_no_recording_is_refused(server: ServerProcess, application: Application) -> None:
    """No such upload, a part of one, and what is no id at all: 404, or 422 in FastAPI's own words."""
    part = fetch(server.url, "POST", TUS | {"Upload-Length": "5", "Upload-Concat": "partial"})
    strangers = (NOBODY, upload_id(part.headers["location"]), "../../etc/passwd", "")

    assert [announce(application, upload).status for upload in strangers] == [404, 404, 422, 422]
    assert fetch(f"{application.origin}/recordings/{NOBODY}").status == 404
