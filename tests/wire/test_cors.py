"""Fetch standard, CORS protocol: what browser clients on other sites may send and see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.server import ServerProcess
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIGIN = "https://app.example"
PAGE = {"Origin": ORIGIN}
PREFLIGHT = {**PAGE, "Access-Control-Request-Method": "PATCH", "Tus-Resumable": None}
SENT = (
    "Authorization, Origin, X-Requested-With, X-Request-ID, X-HTTP-Method-Override, Content-Type, "
    "Upload-Length, Upload-Offset, Upload-Metadata, Upload-Defer-Length, Upload-Concat, Upload-Checksum, "
    "Tus-Resumable"
)
SEEN = (
    "Location, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Defer-Length, Upload-Concat, "
    "Upload-Expires, Tus-Version, Tus-Resumable, Tus-Max-Size, Tus-Extension, Tus-Checksum-Algorithm, "
    "Content-Location, X-Request-ID"
)


def members(text: str) -> set[str]:
    """A list's members in lower case, as browsers compare them."""
    return {item.strip().lower() for item in text.split(",")}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tus]:
    """A server that lets one origin in, with its cookies, and knows a few more names."""
    flags = ["--cors-allow-origin", r"https://app\.example", "--cors-allow-credentials"]
    flags += ["--cors-allow-headers", "X-Token", "--cors-expose-headers", "X-Trace"]
    flags += ["--cors-allow-methods", "PURGE", "--cors-max-age", "60s"]
    with ServerProcess(tmp_path_factory.mktemp("cors") / "store", *flags) as server:
        yield Tus.of(server)


@pytest.mark.parametrize("target", ["/files/", "/files", f"/files/{UNKNOWN}"])
def test_a_preflight_lets_tus_clients_pass(tus: Tus, target: str) -> None:
    """Fetch, CORS-preflight: origin, methods, fields and their lifetime, and the tus facts (C-21)."""
    answer = tus.ask("OPTIONS", target, PREFLIGHT)

    assert answer.status == 204
    assert answer.get("Access-Control-Allow-Origin") == ORIGIN
    assert answer.get("Access-Control-Allow-Methods") == "POST, HEAD, PATCH, OPTIONS, GET, DELETE"
    assert answer.listed("Access-Control-Allow-Headers") >= members(SENT)
    assert answer.get("Access-Control-Max-Age") == "86400"
    assert answer.get("Access-Control-Allow-Credentials") is None
    assert "origin" in answer.listed("Vary")
    assert answer.get("Tus-Version") == "1.0.0"


def test_every_answer_can_be_read_by_the_page(tus: Tus) -> None:
    """Fetch, CORS check: success and error, protocol and router: without it clients see status 0."""
    path, finished = tus.create(10), tus.upload(b"abc")
    answers = [
        tus.ask("POST", fields={"Upload-Length": "5", **PAGE}),
        tus.patch(path, 0, b"12345", PAGE),
        tus.head(path, PAGE),
        tus.ask("GET", finished, PAGE),
        tus.ask("OPTIONS", fields=PAGE),
        tus.ask("DELETE", tus.create(1), PAGE),
        tus.patch(path, 0, b"12345", PAGE),
        tus.patch(path, 5, b"12345", {"Content-Type": None, **PAGE}),
        tus.patch(path, "x", b"", PAGE),
        tus.patch(path, 5, b"123456", PAGE),
        tus.head(path, {"Tus-Resumable": "2.0.0", **PAGE}),
        tus.head(f"/files/{UNKNOWN}", PAGE),
        tus.ask("PUT", path, PAGE),
        tus.ask("GET", "/nowhere", PAGE),
        tus.ask("PATCH", "/healthz", PAGE),
        tus.ask("GET", "/uploads/nothing", PAGE),
    ]

    statuses = [201, 204, 200, 200, 204, 204, 409, 415, 400, 413, 412, 404, 405, 404, 405, 404]
    assert [answer.status for answer in answers] == statuses
    assert [answer.get("Access-Control-Allow-Origin") for answer in answers] == [ORIGIN] * len(answers)
    assert [members(SEEN) - answer.listed("Access-Control-Expose-Headers") for answer in answers] == [
        set()
    ] * len(answers)
    assert all("origin" in answer.listed("Vary") for answer in answers)


def test_who_comes_from_no_page_is_not_bothered(tus: Tus) -> None:
    """Fetch, CORS: without Origin there is nothing to allow; caches still learn that it matters."""
    answer = tus.ask("OPTIONS")

    assert not [name for name, _ in answer.fields if name.lower().startswith("access-control-")]
    assert "origin" in answer.listed("Vary")


def test_an_allowed_page_may_send_credentials(strict: Tus) -> None:
    """Fetch, CORS with credentials: the origin itself, never a wildcard, and Vary."""
    answers = [
        strict.ask("OPTIONS", fields=PREFLIGHT),
        strict.ask("POST", fields={"Upload-Length": "1", **PAGE}),
        strict.head(f"/files/{UNKNOWN}", PAGE),
    ]

    assert [answer.status for answer in answers] == [204, 201, 404]
    assert [answer.get("Access-Control-Allow-Origin") for answer in answers] == [ORIGIN] * 3
    assert [answer.get("Access-Control-Allow-Credentials") for answer in answers] == ["true"] * 3
    assert all("origin" in answer.listed("Vary") for answer in answers)


def test_operators_add_to_the_lists(strict: Tus) -> None:
    """--cors-allow-headers and its kin come on top of what the protocol needs."""
    preflight = strict.ask("OPTIONS", fields=PREFLIGHT)

    assert preflight.listed("Access-Control-Allow-Headers") >= members(SENT) | {"x-token"}
    assert preflight.listed("Access-Control-Allow-Methods") >= {"patch", "delete", "purge"}
    assert preflight.get("Access-Control-Max-Age") == "60"
    answer = strict.ask("OPTIONS", fields=PAGE)
    assert answer.listed("Access-Control-Expose-Headers") >= members(SEEN) | {"x-trace"}


STRANGERS = [
    "https://evil.example",
    "https://app.example.evil.example",
    "https://app-example",
    "http://app.example",
    "https://app.example:444",
    "null",
    "x https://app.example",
]


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "GET", "PATCH", "DELETE"])
def test_a_strangers_page_is_turned_away(strict: Tus, method: str, origin: str) -> None:
    """An origin has to match as a whole; the others get 403 for whatever they ask, and nothing happens."""
    path = strict.create(5)
    own = {"Upload-Length": "5", "Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Origin": origin}

    with strict.untouched(path), strict.nothing_stored():
        answer = strict.ask(method, "/files/" if method == "POST" else path, own, b"")

    assert answer.status == 403
    assert answer.body.startswith(b"ERR_ORIGIN_NOT_ALLOWED: ")
    assert not [name for name, _ in answer.fields if name.lower().startswith("access-control-")]
    assert answer.get("Tus-Resumable") == "1.0.0"


def test_a_page_of_the_server_itself_is_no_strangers(strict: Tus) -> None:
    """Fetch, Origin: browsers send it to their own origin, too; scheme and port count."""
    own, elsewhere = (
        "http://files.test",
        ("https://files.test", "http://files.test:81", "http://x.files.test"),
    )
    created = strict.ask("POST", fields={"Upload-Length": "3", "Origin": own})
    path = path_of(created)

    assert [created.status, strict.patch(path, 0, b"abc", {"Origin": own}).status] == [201, 204]
    assert [strict.ask("GET", path, {"Origin": origin}).status for origin in elsewhere] == [403] * 3
    assert strict.ask("GET", path, {"Origin": "", "Host": "not a host"}).status == 403


def test_a_stranger_is_told_nothing_else(strict: Tus) -> None:
    """The origin is looked at before version and existence, so that a stranger learns of neither."""
    wrong = {"Origin": "https://evil.example", "Tus-Resumable": "9"}

    answers = [
        strict.head(f"/files/{UNKNOWN}", wrong),
        strict.ask("GET", "/nowhere", wrong),
        strict.ask("GET", "/uploads/nothing", wrong),
    ]

    assert [answer.status for answer in answers] == [403] * 3


def test_cors_can_be_left_to_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    """--disable-cors: no field of it anywhere, and no origin is refused."""
    folder = tmp_path_factory.mktemp("cors") / "store"
    with ServerProcess(folder, "--disable-cors", "--cors-allow-origin", "x") as server:
        tus = Tus.of(server)
        answers = [tus.ask("OPTIONS", fields=PREFLIGHT), tus.head(tus.create(1), PAGE)]

    assert [answer.status for answer in answers] == [204, 200]
    assert not [
        name
        for answer in answers
        for name, _ in answer.fields
        if name.lower().startswith("access-control-") or name.lower() == "vary"
    ]
