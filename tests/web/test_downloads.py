"""Sending stored bytes over a real socket, under asyncio and uvloop, from a file and from memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.web.download_scene import (
    CHANGED_TEXT,
    CONTENT,
    FINISHED,
    Client,
    FileReader,
    MemoryReader,
    Scene,
    serving,
)
from tusd_py.core.model import UploadState
from tusd_py.core.ports import Reader


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """Both event loops: one has sendfile(2), the other has not."""
    return str(request.param)


@pytest.fixture(params=["file", "memory"])
def client(request: pytest.FixtureRequest, loop: str, tmp_path: Path) -> Iterator[Client]:
    """A client of a server that shows CONTENT, finished, from a file or from memory."""
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        reader: Reader = (
            FileReader(file, len(CONTENT)) if request.param == "file" else MemoryReader(CONTENT)
        )
        with serving(Scene(reader), loop) as port, Client(port) as client:
            yield client


def test_a_get_brings_the_whole_content_and_says_what_it_is(client: Client) -> None:
    """RFC 9110, 9.3.1: 200, byte for byte, exact length, validators, the policy for strangers' files."""
    answer = client.ask()

    assert answer.status == 200
    assert sha256(answer.body).hexdigest() == sha256(CONTENT).hexdigest()
    assert (
        answer.fields.items()
        >= {
            "content-length": "300000",
            "content-type": "video/mp4",
            "content-disposition": 'inline; filename="Film.mp4"',
            "accept-ranges": "bytes",
            "etag": '"c0ffee"',
            "last-modified": CHANGED_TEXT,
            "cache-control": "private, no-cache",
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox; default-src 'none'; media-src 'self'",
            "cross-origin-resource-policy": "cross-origin",
        }.items()
    )
    assert "content-range" not in answer.fields
    assert client.is_kept()


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-200000", 1000, 200_001),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=-100000", 200_000, 300_000),
        ("bytes=0-999999", 0, 300_000),
        ("bytes=400000-,5-6", 5, 7),
    ],
)
def test_one_range_is_206_with_exactly_its_bytes(client: Client, asked: str, start: int, stop: int) -> None:
    """RFC 9110, 15.3.7.1: Content-Range in the head, never multipart for one range."""
    answer = client.ask(Range=asked)

    assert answer.status == 206
    assert answer.fields["content-range"] == f"bytes {start}-{stop - 1}/300000"
    assert answer.fields["content-length"] == str(stop - start)
    assert answer.fields["content-type"] == "video/mp4"
    assert answer.body == CONTENT[start:stop]
    assert client.is_kept()


def test_several_ranges_are_a_multipart_body_in_the_order_asked_for(client: Client) -> None:
    """RFC 9110, 15.3.7.2: every part has its own Content-Range, the head has none."""
    answer = client.ask(Range="bytes=100000-199999,0-4,-70000")

    assert answer.status == 206
    match = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-f]{32})", answer.fields["content-type"])
    assert match is not None
    assert "content-range" not in answer.fields
    assert answer.fields["content-length"] == str(len(answer.body))
    spans = [(100_000, 200_000), (0, 5), (230_000, 300_000)]
    mark = b"--" + match[1].encode()
    expected = b"\r\n".join(
        mark
        + f"\r\nContent-Type: video/mp4\r\nContent-Range: bytes {a}-{b - 1}/300000\r\n\r\n".encode()
        + CONTENT[a:b]
        for a, b in spans
    )
    assert answer.body == expected + b"\r\n" + mark + b"--\r\n"
    assert client.is_kept()


def test_boundaries_are_not_foreseeable(client: Client) -> None:
    """RFC 2046, 5.1.1: the boundary must not occur in the content, so no uploader may know it."""
    first = client.ask(Range="bytes=0-0,2-2").fields["content-type"]
    second = client.ask(Range="bytes=0-0,2-2").fields["content-type"]

    assert first != second


def test_a_range_beyond_the_content_is_416_with_its_size(client: Client) -> None:
    """RFC 9110, 15.5.17: Content-Range tells the current length."""
    answer = client.ask(Range="bytes=300000-")

    assert answer.status == 416
    assert answer.fields["content-range"] == "bytes */300000"
    assert answer.fields["content-type"] == "text/plain; charset=utf-8"
    assert answer.body == b"ERR_RANGE_NOT_SATISFIABLE: the file has 300000 bytes\n"
    assert "content-disposition" not in answer.fields
    assert client.is_kept()


@pytest.mark.parametrize("asked", ["bytes=5-1", "items=0-5", "bytes=0-,0-", "bytes=" + "0-0," * 17])
def test_a_range_that_is_to_be_ignored_brings_the_whole(client: Client, asked: str) -> None:
    """RFC 9110, 14.2 and 17.15: invalid, unknown and greedy fields."""
    answer = client.ask(Range=asked)

    assert answer.status == 200
    assert sha256(answer.body).hexdigest() == sha256(CONTENT).hexdigest()
    assert "content-range" not in answer.fields


@pytest.mark.parametrize(
    ("name", "value"),
    [("If-None-Match", '"c0ffee"'), ("If-None-Match", "*"), ("If-Modified-Since", CHANGED_TEXT)],
)
def test_a_client_that_has_the_content_gets_304_without_it(client: Client, name: str, value: str) -> None:
    """RFC 9110, 15.4.5: no body, no length, the fields a cache needs."""
    answer = client.ask(**{name: value, "Range": "bytes=0-5"})

    assert (answer.status, answer.body) == (304, b"")
    assert answer.fields["etag"] == '"c0ffee"'
    assert answer.fields["cache-control"] == "private, no-cache"
    assert not answer.fields.keys() & {
        "content-length",
        "content-type",
        "transfer-encoding",
        "content-range",
    }
    assert client.is_kept()


@pytest.mark.parametrize(
    ("name", "value"),
    [("If-Match", '"other"'), ("If-Unmodified-Since", "Thu, 05 Nov 2026 11:59:59 GMT")],
)
def test_a_failed_precondition_is_412(client: Client, name: str, value: str) -> None:
    """RFC 9110, 15.5.13: refused before the range is looked at."""
    answer = client.ask(**{name: value, "Range": "bytes=900000-"})

    assert answer.status == 412
    assert answer.fields["content-type"] == "text/plain; charset=utf-8"
    assert answer.body == b"ERR_PRECONDITION_FAILED: the file is not in the state asked for\n"
    assert client.is_kept()


@pytest.mark.parametrize(
    ("if_range", "status"),
    [('"c0ffee"', 206), (CHANGED_TEXT, 206), ('"other"', 200), ('W/"c0ffee"', 200), ("garbage", 200)],
)
def test_if_range_decides_between_the_part_and_the_whole(
    client: Client, if_range: str, status: int
) -> None:
    """RFC 9110, 13.1.5: a part only of the very state the client has."""
    answer = client.ask(Range="bytes=10-19", If_Range=if_range)

    assert answer.status == status
    assert answer.body == (CONTENT[10:20] if status == 206 else CONTENT)


def test_repeated_lines_of_a_field_are_one_list(client: Client) -> None:
    """RFC 9110, 5.3: If-None-Match may come in several lines."""
    answer = client.ask(If_None_Match=('"other"', '"c0ffee"'))

    assert answer.status == 304
    assert client.is_kept()


def test_a_head_tells_the_same_without_the_body_and_ignores_range(client: Client) -> None:
    """RFC 9110, 9.3.2 and 14.2: the length of the whole; Range has a meaning for GET alone."""
    whole = client.ask("GET").fields
    answer = client.ask("HEAD", Range="bytes=0-5")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.fields["content-length"] == "300000"
    assert answer.fields.keys() == whole.keys()
    assert client.is_kept()


def test_a_refused_head_has_no_body(client: Client) -> None:
    """RFC 9110, 9.3.2: no content in any answer to HEAD."""
    answer = client.ask("HEAD", If_Match='"other"')

    assert (answer.status, answer.body) == (412, b"")
    assert client.is_kept()


@pytest.mark.parametrize(("precondition", "status"), [("*", 200), ('"other"', 412)])
def test_a_get_overridden_to_head_announces_no_body(client: Client, precondition: str, status: int) -> None:
    """RFC 9112, 6.3: the client frames by the method it sent, so the length is that of no body."""
    answer = client.ask("GET", X_HTTP_Method_Override="HEAD", If_Match=precondition)

    assert (answer.status, answer.body) == (status, b"")
    assert answer.fields["content-length"] == "0"
    assert client.is_kept()


def test_a_head_overridden_to_get_still_has_no_body(client: Client) -> None:
    """RFC 9112, 6.3: the answer to a real HEAD ends with its head, also when it is one part."""
    answer = client.ask("HEAD", X_HTTP_Method_Override="GET", Range="bytes=0-9")

    assert (answer.status, answer.body) == (206, b"")
    assert answer.fields["content-length"] == "10"
    assert client.is_kept()


def test_pipelined_requests_are_answered_one_after_the_other(client: Client) -> None:
    """RFC 9112, 9.3.2: what is behind a request is not disturbed by a body that is being sent."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-\r\n%s\r\n"
    client.socket.sendall(request % (1, b"") + request % (2, b"") + request % (3, b"Connection: close\r\n"))

    bodies = [client.read_answer().body for _ in range(3)]

    assert bodies == [CONTENT[1:], CONTENT[2:], CONTENT[3:]]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_empty_file_is_200_with_nothing(loop: str, method: str) -> None:
    """RFC 9110, 8.6: a length of 0 is a length."""
    with serving(Scene(MemoryReader(b"")), loop) as port, Client(port) as client:
        answers = [client.ask(method), client.ask(method, Range="bytes=-5")]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"")] * 2
    assert [answer.fields["content-length"] for answer in answers] == ["0", "0"]


def test_a_running_upload_shows_its_prefix_and_is_not_cached(loop: str) -> None:
    """The prefix is tagged by its size as it was opened, and has no date."""
    running = replace(FINISHED, state=UploadState.OPEN, offset=3)
    scene = Scene(MemoryReader(b"prefix"), running)
    with serving(scene, loop) as port, Client(port) as client:
        answer = client.ask()
        known = client.ask(If_None_Match='"c0ffee-6"')
        older = client.ask(If_Range='"c0ffee-5"', Range="bytes=5-")

    assert (answer.status, answer.body) == (200, b"prefix")
    assert (answer.fields["etag"], answer.fields["cache-control"]) == ('"c0ffee-6"', "no-store")
    assert "last-modified" not in answer.fields
    assert known.status == 304
    assert (older.status, older.body) == (200, b"prefix")
