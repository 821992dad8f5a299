"""The server did it and the client never heard of it: asking again shows the truth, once and for all."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import (
    CHUNK,
    VERSION,
    Exchange,
    code,
    create,
    delete,
    offset_of,
    patch,
    published_digest,
    resume,
    wait_until,
)
from tests.support import faults
from tests.support.payload import Payload
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess, fetch, head, upload_id

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Payload(size=60_000, seed=9)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that nothing happens to."""
    with ServerProcess(tmp_path_factory.mktemp("lost") / "storage") as it:
        yield it


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[FaultProxy]:
    """The network that loses answers."""
    with FaultProxy("127.0.0.1", server.port) as it:
        yield it


def lose_answer_to_patch(proxy: FaultProxy, url: str, offset: int, data: bytes) -> None:
    """A PATCH that is carried out and never answered."""
    proxy.script(faults.lose_response("PATCH"))
    with pytest.raises(ConnectionError):
        patch(proxy.via(url), offset, data)


def test_a_lost_answer_in_the_middle_costs_a_question(server: ServerProcess, proxy: FaultProxy) -> None:
    """HEAD tells the new offset; the same PATCH again is 409 with the offset, and changes nothing."""
    url = create(server.url, FILE.size)
    patch(url, 0, FILE.data[:10_000])
    lose_answer_to_patch(proxy, url, 10_000, FILE.data[10_000:40_000])

    repeated = patch(url, 10_000, FILE.data[10_000:40_000])

    assert code(repeated) == (409, "ERR_MISMATCHED_OFFSET")
    assert repeated.headers["upload-offset"] == "40000"
    assert resume(url, FILE.data) == 40_000
    assert published_digest(server, url) == FILE.sha256


def test_a_lost_last_answer_finds_the_upload_finished(server: ServerProcess, proxy: FaultProxy) -> None:
    """HEAD tells the whole length and where the file is; a repeated PATCH is 409, an empty one 204."""
    url = create(server.url, FILE.size)
    patch(url, 0, FILE.data[:50_000])
    lose_answer_to_patch(proxy, url, 50_000, FILE.data[50_000:])

    probe = head(url)
    repeated = patch(url, 50_000, FILE.data[50_000:])
    empty = [patch(url, FILE.size, b"") for _ in range(2)]
    beyond = patch(url, FILE.size, b"x")

    assert (probe.status, probe.headers["upload-offset"]) == (200, "60000")
    assert probe.headers["content-location"] == server.public_url(url)
    assert code(repeated) == (409, "ERR_MISMATCHED_OFFSET")
    assert repeated.headers["upload-offset"] == "60000"
    assert [(answer.status, answer.headers["upload-offset"]) for answer in empty] == [(204, "60000")] * 2
    assert code(beyond) == (413, "ERR_UPLOAD_SIZE_EXCEEDED")
    assert published_digest(server, url) == FILE.sha256
    assert len(server.traces(url)) == 2  # the file and its record


def test_a_lost_last_answer_of_a_declared_length_is_found_too(
    server: ServerProcess, proxy: FaultProxy
) -> None:
    """The length came with the last PATCH; repeating both at the end is a success."""
    url = create(server.url, None)
    proxy.script(faults.lose_response("PATCH"))
    with pytest.raises(ConnectionError):
        patch(proxy.via(url), 0, FILE.data, {"Upload-Length": "60000"})

    probe = head(url)
    again = patch(url, 60_000, b"", {"Upload-Length": "60000"})
    contradiction = patch(url, 60_000, b"", {"Upload-Length": "60001"})

    assert (probe.headers["upload-offset"], probe.headers["upload-length"]) == ("60000", "60000")
    assert again.status == 204
    assert code(contradiction) == (400, "ERR_INVALID_UPLOAD_LENGTH")
    assert published_digest(server, url) == FILE.sha256


@pytest.mark.parametrize("with_body", [False, True])
def test_a_lost_creation_leaves_its_upload_and_disturbs_no_other(
    server: ServerProcess, proxy: FaultProxy, with_body: bool
) -> None:
    """The client cannot know the URL and creates another one; each is whole and by itself."""
    mark = f"mark {b64encode(repr(with_body).encode()).decode()}"
    announced = {"Upload-Length": str(FILE.size), "Upload-Metadata": mark}
    fields, body = (CHUNK, FILE.data) if with_body else (VERSION, b"")
    proxy.script(faults.lose_response("POST"))
    with pytest.raises(ConnectionError):
        fetch(proxy.via(server.url), "POST", fields | announced, body)
    (lost,) = [
        path.stem for path in (server.upload_dir / "incoming").glob("*.json") if mark in path.read_text()
    ]

    second = create(server.url, FILE.size)
    resume(second, FILE.data)

    assert upload_id(second) != lost
    assert offset_of(server.url + lost) == len(body)
    resume(server.url + lost, FILE.data)
    assert published_digest(server, lost) == published_digest(server, second) == FILE.sha256


def test_a_lost_answer_to_a_termination_leaves_nothing_to_do(
    server: ServerProcess, proxy: FaultProxy
) -> None:
    """tus 1.0.0, Termination: repeated, it is 404, which says the same: it is gone."""
    url = create(server.url, FILE.size)
    patch(url, 0, FILE.data[:10_000])
    proxy.script(faults.lose_response("DELETE"))
    with pytest.raises(ConnectionError):
        delete(proxy.via(url))

    assert delete(url).status == head(url).status == 404
    assert server.traces(url) == []


def test_a_client_that_leaves_after_the_last_byte_finds_the_upload_finished(server: ServerProcess) -> None:
    """RST right behind the body, before any answer can be written: the file is published all the same."""
    url = create(server.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as request:
        request.send(FILE.data)
        request.reset()
    wait_until(lambda: not (server.upload_dir / "incoming" / upload_id(url)).exists())

    assert offset_of(url) == FILE.size
    assert published_digest(server, url) == FILE.sha256


def test_every_answer_of_an_upload_may_be_lost_once(server: ServerProcess, proxy: FaultProxy) -> None:
    """Twelve PATCHes, each answer lost: HEAD after each one, and the file is right."""
    url = create(server.url, FILE.size)
    told = []
    for offset in range(0, FILE.size, 5_000):
        lose_answer_to_patch(proxy, url, offset, FILE.data[offset : offset + 5_000])
        told.append(offset_of(url))

    assert told == list(range(5_000, FILE.size + 1, 5_000))
    assert published_digest(server, url) == FILE.sha256
