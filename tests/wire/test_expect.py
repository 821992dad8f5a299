"""RFC 9110, 10.1.1: 100 Continue is sent once the head has been accepted, and an error instead of it."""

from __future__ import annotations

import pytest

from tests.wire.conftest import MAX_SIZE
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus, path_of

EXPECT = {"Expect": "100-continue"}


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_an_accepted_patch_is_told_to_go_on(tus: Tus, chunked: bool, expectation: str) -> None:
    """tus 1.0.0, PATCH, with Expect: the 100 comes before the body, the 204 after it (T-076)."""
    path = tus.create(10)
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": "5"}
    fields = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Expect": expectation, **framing}
    with tus.connect() as wire:
        wire.send(tus.head_of("PATCH", path, fields))
        interim = wire.read_interim()
        wire.send(b"5\r\n12345\r\n0\r\n\r\n" if chunked else b"12345")
        answer = wire.read("PATCH")

    assert interim == 100
    assert (answer.status, answer.get("Upload-Offset"), answer.interim) == (204, "5", ())


def test_an_accepted_creation_is_told_to_go_on(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload, with Expect: 100, then 201 (T-076)."""
    fields = {"Upload-Length": "10", "Content-Type": CHUNK_TYPE, "Content-Length": "5", **EXPECT}
    with tus.connect() as wire:
        wire.send(tus.head_of("POST", tus.base, fields))
        interim = wire.read_interim()
        wire.send(b"12345")
        answer = wire.read("POST")

    assert interim == 100
    assert (answer.status, answer.get("Upload-Offset")) == (201, "5")
    assert tus.content(path_of(answer)) == b"12345"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Upload-Offset": "1"}, 409),
        ({"Content-Type": "text/plain"}, 415),
        ({"Upload-Offset": "x"}, 400),
        ({"Tus-Resumable": "2.0.0"}, 412),
        ({"Content-Length": "11"}, 413),
        ({"Upload-Length": "11"}, 400),
        ({"X-HTTP-Method-Override": "PUT"}, 405),
        ({"X-HTTP-Method-Override": "HEAD"}, 200),
    ],
)
def test_a_refused_patch_is_told_so_at_once(tus: Tus, fields: dict[str, str], status: int) -> None:
    """tus 1.0.0, with Expect: the answer comes instead of the 100, and the connection ends (T-076)."""
    path = tus.create(10)
    own = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Content-Length": "5", **EXPECT}

    with tus.untouched(path):
        answer = tus.ask("PATCH", path, {**own, **fields})

    assert (answer.status, answer.interim) == (status, ())
    assert answer.get("Connection") == "close"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Upload-Length": str(MAX_SIZE + 1)}, 413),
        ({"Upload-Length": "4"}, 413),
        ({"Upload-Length": "x"}, 400),
        ({"Upload-Length": "9", "Upload-Metadata": ","}, 400),
        ({"Upload-Length": "9", "Tus-Resumable": None}, 412),
    ],
)
def test_a_refused_creation_is_told_so_at_once(
    tus: Tus, fields: dict[str, str | None], status: int
) -> None:
    """tus 1.0.0, Creation With Upload, with Expect: the error comes instead of the 100 (T-076)."""
    own = {"Content-Type": CHUNK_TYPE, "Content-Length": "5", **EXPECT}

    with tus.nothing_stored():
        answer = tus.ask("POST", fields={**own, **fields})

    assert (answer.status, answer.interim) == (status, ())
    assert answer.get("Location") is None


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PATCH", f"/files/{UNKNOWN}", 404),
        ("POST", "/uploads/x", 405),
        ("PATCH", "/files/", 405),
    ],
)
def test_nobody_is_told_to_go_on_in_vain(tus: Tus, method: str, target: str, status: int) -> None:
    """RFC 9110, 10.1.1: a final answer instead of 100 where the body would be of no use (T-076)."""
    fields = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Content-Length": "5", **EXPECT}

    answer = tus.ask(method, target, fields)

    assert (answer.status, answer.interim) == (status, ())


def test_a_body_that_is_not_wanted_is_not_asked_for(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload: a body of another type does not count: 201 without a 100 (T-075)."""
    fields = {"Upload-Length": "9", "Content-Type": "text/plain", "Content-Length": "5", **EXPECT}

    answer = tus.ask("POST", fields=fields)

    assert (answer.status, answer.interim, answer.get("Connection")) == (201, (), "close")


def test_who_does_not_wait_is_served_as_well(tus: Tus) -> None:
    """RFC 9110, 10.1.1: a client may send the body without waiting for the 100."""
    path = tus.create(10)
    fields = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, **EXPECT}

    answer = tus.ask("PATCH", path, fields, b"12345")

    assert (answer.status, answer.interim) == (204, (100,))
    assert tus.content(path) == b"12345"


def test_an_old_client_gets_no_interim_answer(tus: Tus) -> None:
    """RFC 9110, 10.1.1: 100-continue from an HTTP/1.0 client is ignored (T-076, C-27)."""
    path = tus.create(10)
    fields = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Content-Length": "5", **EXPECT}
    with tus.connect() as wire:
        wire.send(tus.head_of("PATCH", path, fields).replace(b"HTTP/1.1", b"HTTP/1.0") + b"12345")
        answer = wire.read("PATCH")

    assert (answer.status, answer.interim) == (204, ())


@pytest.mark.parametrize("data", [b"12345", b""])
def test_no_interim_answer_is_sent_unasked(tus: Tus, data: bytes) -> None:
    """No tus client reads interim answers: Python's http.client takes a 104 for the final one (C-27)."""
    path = tus.create(10)

    assert tus.patch(path, 0, data).interim == ()
    assert tus.head(path).interim == ()


@pytest.mark.parametrize("value", ["200-ok", "\xae", "100-continue, \xe9"])
@pytest.mark.parametrize("target", ["/elsewhere", "/files/", "/healthz"])
def test_an_unknown_expectation_is_ignored(tus: Tus, target: str, value: str) -> None:
    """RFC 9110, 10.1.1: a server may ignore what it does not understand, whatever bytes it is made of."""
    expected = tus.ask("GET", target)

    answer = tus.ask("GET", target, {"Expect": value})

    assert (answer.status, answer.body, answer.interim) == (expected.status, expected.body, ())
