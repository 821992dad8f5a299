"""What clients rely on beyond the text of the protocol: ids, error texts, long fields, health."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.server import ServerProcess
from tests.wire.conftest import LogLines
from tests.wire.raw import Response
from tests.wire.tus import UNKNOWN, Tus, path_of

WRONG_SUM = "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def errors(tus: Tus) -> dict[str, Response]:
    """An answer for every code that a request alone can bring about."""
    path = tus.create(10)
    finished = tus.upload(b"abc")
    partial = tus.upload(b"abc", {"Upload-Concat": "partial"})
    final = path_of(tus.ask("POST", fields={"Upload-Concat": f"final;{partial}"}))
    post = [
        {"Upload-Length": "x"},
        {"Upload-Length": "1", "Upload-Defer-Length": "1"},
        {"Upload-Defer-Length": "2"},
        {"Upload-Length": "1", "Upload-Metadata": ","},
        {"Upload-Length": "1", "Upload-Concat": "Partial"},
        {"Upload-Length": "1", "Tus-Resumable": "9"},
        {"Upload-Length": str(10**12)},
    ]
    answers = [tus.ask("POST", fields=fields) for fields in post] + [
        tus.patch(path, "x"),
        tus.patch(path, 1),
        tus.patch(path, 0, bytes(11)),
        tus.patch(path, 0, b"", {"Content-Type": "text/plain"}),
        tus.patch(f"/files/{UNKNOWN}", 0),
        tus.patch(path, 0, b"x", {"Upload-Checksum": "sha1"}),
        tus.patch(path, 0, b"x", {"Upload-Checksum": "whirlpool AAAA"}),
        tus.patch(path, 0, b"x", {"Upload-Checksum": WRONG_SUM}),
        tus.patch(final, 3, b"x"),
        tus.ask("PUT", path),
        tus.ask("GET", "/nowhere"),
        tus.ask("GET", finished, {"Range": "bytes=7-"}),
        tus.ask("GET", finished, {"If-Match": '"x"'}),
    ]
    return {answer.body.decode().partition(":")[0]: answer for answer in answers}


def test_error_texts_are_short_and_for_people(tus: Tus) -> None:
    """Clients show them to users: `CODE: message`, one line of plain text (C-23)."""
    answers = errors(tus)

    assert {code: answer.status for code, answer in answers.items()} == {
        "ERR_INVALID_UPLOAD_LENGTH": 400,
        "ERR_AMBIGUOUS_UPLOAD_LENGTH": 400,
        "ERR_INVALID_UPLOAD_LENGTH_DEFER": 400,
        "ERR_INVALID_METADATA": 400,
        "ERR_INVALID_CONCAT": 400,
        "ERR_UNSUPPORTED_VERSION": 412,
        "ERR_MAX_SIZE_EXCEEDED": 413,
        "ERR_INVALID_OFFSET": 400,
        "ERR_MISMATCHED_OFFSET": 409,
        "ERR_UPLOAD_SIZE_EXCEEDED": 413,
        "ERR_INVALID_CONTENT_TYPE": 415,
        "ERR_UPLOAD_NOT_FOUND": 404,
        "ERR_INVALID_CHECKSUM": 400,
        "ERR_UNSUPPORTED_CHECKSUM_ALGORITHM": 400,
        "ERR_CHECKSUM_MISMATCH": 460,
        "ERR_MODIFY_FINAL": 403,
        "ERR_METHOD_NOT_ALLOWED": 405,
        "ERR_NOT_FOUND": 404,
        "ERR_RANGE_NOT_SATISFIABLE": 416,
        "ERR_PRECONDITION_FAILED": 412,
    }
    for answer in answers.values():
        assert answer.get("Content-Type") == "text/plain; charset=utf-8"
        assert re.fullmatch(rb"ERR_[A-Z_]+: [^\n]{1,200}\n", answer.body)
        assert answer.get("X-Content-Type-Options") == "nosniff"


def test_no_error_has_a_location(tus: Tus) -> None:
    """tuspy takes a Location of any status for success (C-02)."""
    assert [answer.get("Location") for answer in errors(tus).values()] == [None] * 20


def test_nothing_redirects(tus: Tus) -> None:
    """Node clients follow no redirect: no spelling of an upload URL brings one about (C-25)."""
    path = tus.upload(b"abc")

    places = ["/files", "/files/", path, f"{path}/", "/", "/uploads", "/uploads/"]
    statuses = {place: tus.ask("HEAD", place).status for place in places}

    assert {place: status for place, status in statuses.items() if 300 <= status < 400} == {}
    assert statuses[path] == 200


@pytest.mark.parametrize("given", ["5e5d0d4a-9c1c-4c0b-8f5a-3c7a4f0e9b11", "a", "trace:1/2=3+4.5_6-7"])
def test_the_clients_request_id_comes_back(tus: Tus, server_log: LogLines, given: str) -> None:
    """X-Request-ID is echoed and logged, so that both sides talk of the same request (C-21)."""
    answer = tus.ask("GET", "/nowhere", {"X-Request-ID": given})

    assert answer.get("X-Request-ID") == given
    assert server_log.access(given)["status"] == 404


@pytest.mark.parametrize(
    "given", [None, "", "a b", "x" * 129, "a\tb", "ä".encode().decode("latin-1"), '{"a":1}', "<b>"]
)
def test_a_strange_request_id_is_replaced(tus: Tus, given: str | None) -> None:
    """What goes into a header and a log is checked before (C-21, T-065)."""
    answer = tus.ask("OPTIONS", fields={"X-Request-ID": given})

    assert UUID4.fullmatch(answer.get("X-Request-ID") or "")


@pytest.mark.parametrize("size", [16_000, 60_000])
def test_one_field_may_be_long(tus: Tus, size: int) -> None:
    """Upload-Metadata with all a form has, Upload-Concat with 400 URLs: 16 kB and more (C-26)."""
    raw = "relativePath " + "QUJD" * (size // 4)

    path = tus.create(1, {"Upload-Metadata": raw})

    assert tus.head(path).get("Upload-Metadata") == raw


@pytest.mark.parametrize("target", ["/healthz", "/readyz"])
def test_health_is_told_without_ceremony(tus: Tus, target: str) -> None:
    """Monitors send a bare GET and get JSON that nobody caches; it leaves nothing behind."""
    with tus.nothing_stored():
        answer = tus.ask("GET", target, {"Tus-Resumable": None})
        head = tus.ask("HEAD", target, {"Tus-Resumable": None})

    assert answer.status == head.status == 200
    assert json.loads(answer.body)["status"] == "ok"
    assert answer.get("Content-Type") == "application/json; charset=utf-8"
    assert answer.get("Cache-Control") == "no-store"


def test_readiness_tells_the_space_left(tus: Tus) -> None:
    """/readyz: the bytes that new uploads can still fill."""
    free = json.loads(tus.ask("GET", "/readyz").body)["free_bytes"]

    assert free > 0


def test_a_storage_without_space_is_not_ready(tmp_path_factory: pytest.TempPathFactory) -> None:
    """/readyz and POST: 503 and 507 while the reserve is used up, /healthz and HEAD go on."""
    folder = tmp_path_factory.mktemp("full") / "store"
    with ServerProcess(folder, "--min-free-space", "1000TiB") as server:
        tus = Tus.of(server)
        ready, live = tus.ask("GET", "/readyz"), tus.ask("GET", "/healthz")
        with tus.nothing_stored():
            created = tus.ask("POST", fields={"Upload-Length": "1"})

    assert (ready.status, live.status, created.status) == (503, 200, 507)
    assert json.loads(ready.body) == {"status": "unavailable", "code": "ERR_INSUFFICIENT_STORAGE"}
    assert created.body.startswith(b"ERR_INSUFFICIENT_STORAGE: ")
    assert created.get("Retry-After") == "1"


def test_a_storage_that_went_away_fails_no_upload_for_good(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A HEAD that cannot be answered now is 423, never 404 or 5xx: clients would start anew (C-08)."""
    folder = tmp_path_factory.mktemp("away") / "store"
    with ServerProcess(folder) as server:
        tus = Tus.of(server)
        path = tus.create(10)
        tus.patch(path, 0, b"12345")
        folder.rename(folder.with_name("elsewhere"))
        (folder / "incoming").mkdir(parents=True)
        (folder / "uploads").mkdir()
        told, patched, deleted = tus.head(path), tus.patch(path, 5, b"67890"), tus.ask("DELETE", path)
        ready, created = tus.ask("GET", "/readyz"), tus.ask("POST", fields={"Upload-Length": "1"})
        (folder / "incoming").rmdir()
        (folder / "uploads").rmdir()
        folder.rmdir()
        folder.with_name("elsewhere").rename(folder)
        back = tus.patch(path, 5, b"67890")

        assert (told.status, told.get("Retry-After"), told.get("Upload-Offset")) == (423, "1", None)
        assert (patched.status, deleted.status, ready.status) == (500, 500, 503)
        assert created.status == 500
        assert (back.status, back.get("Upload-Offset")) == (204, "10")
        assert tus.content(path) == b"1234567890"
