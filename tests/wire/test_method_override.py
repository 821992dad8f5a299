"""tus 1.0.0, X-HTTP-Method-Override: what counts is the method it names, whatever the real one is."""

from __future__ import annotations

import pytest

from tests.wire.raw import Response
from tests.wire.tus import CHUNK_TYPE, Tus, path_of

REAL = ["POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]
CHUNK = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE}


def ask_as(
    tus: Tus, real: str, effective: str, target: str, fields: dict[str, str], *, body: bytes = b""
) -> Response:
    """A request whose method is overridden, and the answer to one right behind it on the connection."""
    override = {"X-HTTP-Method-Override": effective, "Content-Length": str(len(body)), **fields}
    with tus.connect() as wire:
        wire.send(tus.head_of(real, target, override) + body + tus.head_of("OPTIONS", "/files/"))
        answer = wire.read(real)
        assert wire.read("OPTIONS").get("Tus-Version") == "1.0.0"
    return answer


@pytest.mark.parametrize("real", REAL)
def test_anything_may_be_a_patch(tus: Tus, real: str) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: MUST be taken as the method (T-018, T-019, C-19)."""
    path = tus.create(10)

    answer = ask_as(tus, real, "PATCH", path, CHUNK, body=b"12345")

    assert answer.status == 204
    assert answer.get("Upload-Offset") == "5"
    assert tus.content(path) == b"12345"


@pytest.mark.parametrize("real", REAL)
def test_anything_may_be_a_delete(tus: Tus, real: str) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: MUST be taken as the method (T-018, T-019)."""
    path = tus.create(10)

    answer = ask_as(tus, real, "DELETE", path, {})

    assert answer.status == 204
    assert tus.head(path).status == 404


@pytest.mark.parametrize("real", REAL)
def test_anything_may_be_a_head(tus: Tus, real: str) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: the real method MUST be ignored: nothing is done (T-019)."""
    path = tus.create(10)

    with tus.untouched(path):
        answer = ask_as(tus, real, "HEAD", path, CHUNK, body=b"12345")

    assert answer.status == 200
    assert answer.get("Upload-Offset") == "0"
    assert answer.body == b""


@pytest.mark.parametrize("real", REAL)
def test_anything_may_be_a_post(tus: Tus, real: str) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: MUST be taken as the method (T-018, T-019)."""
    answer = ask_as(tus, real, "POST", "/files/", {"Upload-Length": "10"})

    assert answer.status == 201
    assert tus.offset(path_of(answer)) == 0


@pytest.mark.parametrize("real", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_anything_may_be_a_get(tus: Tus, real: str) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: the real method MUST be ignored, by downloads too (T-019)."""
    path = tus.upload(b"abc")

    answers = [ask_as(tus, real, "GET", place, {}) for place in (path, f"/uploads/{path[7:]}")]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"abc")] * 2


@pytest.mark.parametrize("real", REAL)
def test_anything_may_be_options(tus: Tus, real: str) -> None:
    """tus 1.0.0, X-HTTP-Method-Override and OPTIONS: abilities, and no upload (T-019, T-044)."""
    with tus.nothing_stored():
        answer = ask_as(tus, real, "OPTIONS", "/files/", {"Upload-Length": "10", "Tus-Resumable": "9"})

    assert answer.status == 204
    assert answer.get("Tus-Version") == "1.0.0"


@pytest.mark.parametrize("real", REAL)
@pytest.mark.parametrize("effective", ["PUT", "TRACE", "nonsense", "PATCH, DELETE"])
def test_an_override_is_held_to_the_allowed_methods(tus: Tus, real: str, effective: str) -> None:
    """What may be done is decided by the effective method, never by the real one (T-019)."""
    path = tus.create(10)

    with tus.untouched(path):
        answer = ask_as(tus, real, effective, path, CHUNK, body=b"12345")

    assert answer.status == 405
    assert answer.get("Allow") == "OPTIONS, HEAD, PATCH, GET, DELETE"


@pytest.mark.parametrize("real", REAL)
def test_finished_files_are_only_read(tus: Tus, real: str) -> None:
    """The public path knows GET and HEAD; an override does not get around that (T-019)."""
    path = tus.upload(b"abc")

    with tus.untouched(path):
        answer = ask_as(tus, real, "DELETE", f"/uploads/{path[7:]}", {})

    assert answer.status == 405
    assert answer.get("Allow") == "GET, HEAD"


@pytest.mark.parametrize("override", ["patch", "Patch", " PATCH "])
def test_the_case_of_an_override_does_not_matter(tus: Tus, override: str) -> None:
    """Fields are written by people, too (T-018)."""
    path = tus.create(10)

    assert ask_as(tus, "POST", override, path, CHUNK, body=b"12345").status == 204


@pytest.mark.parametrize("real", REAL)
def test_an_empty_override_is_none(tus: Tus, real: str) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: only a value can be taken as the method (T-018)."""
    answer = ask_as(tus, real, "", "/files/", {"Upload-Length": "1"})

    assert answer.status == {"POST": 201, "OPTIONS": 204}.get(real, 405)
