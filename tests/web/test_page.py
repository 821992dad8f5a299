"""The page at `/` as HTTP sees it: what is served where, and that nothing else is hidden by it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tests.support.server import ServerProcess, fetch, head
from tests.wire.tus import CHUNK_TYPE, Tus
from tusd_py.web.heads import head_reader
from tusd_py.web.middleware import identify
from tusd_py.web.page import ASSETS, FOLDER, Facts, Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_aiohttp.plugin import AiohttpClient

    from tests.support.server import Answer

TYPES = {
    "": "text/html; charset=utf-8",
    "@ui/app.js": "text/javascript; charset=utf-8",
    "@ui/page.css": "text/css; charset=utf-8",
    "@ui/icon.svg": "image/svg+xml",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as it comes, with a limit."""
    folder = tmp_path_factory.mktemp("page") / "store"
    with ServerProcess(folder, "--max-size", "1234567") as process:
        yield process


@pytest.fixture(scope="module", params=["/", "/api/files/"])
def moved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server whose uploads are created elsewhere."""
    folder = tmp_path_factory.mktemp("moved") / "store"
    with ServerProcess(folder, "--base-path", request.param, "--public-path", "/out/") as process:
        yield process


def get(server: ServerProcess, name: str, **fields: str) -> Answer:
    """GET an address, with header fields."""
    return fetch(
        f"{server.origin}/{name}", headers={key.replace("_", "-"): it for key, it in fields.items()}
    )


@pytest.mark.parametrize(("name", "content_type"), TYPES.items())
def test_a_part_of_the_page_is_sent_with_its_type(
    server: ServerProcess, name: str, content_type: str
) -> None:
    """RFC 9110, 8.3 and 9.3.2: typed for a browser that does not guess; HEAD says what GET would."""
    answer = get(server, name)
    asked = fetch(f"{server.origin}/{name}", "HEAD")

    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (asked.status, asked.body) == (200, b"")
    for field in ("content-type", "content-length", "etag", "cache-control"):
        assert asked.headers[field] == answer.headers[field]


@pytest.mark.parametrize("name", TYPES)
def test_a_browser_that_has_a_part_is_not_sent_it_again(server: ServerProcess, name: str) -> None:
    """RFC 9110, 13.1.2: it asks each time, and hears 304 while nothing has changed."""
    answer = get(server, name)
    again = get(server, name, If_None_Match=answer.headers["etag"])
    other = get(server, name, If_None_Match='"another"')

    assert answer.headers["cache-control"] == "no-cache"
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert (other.status, other.body) == (200, answer.body)


def test_the_policy_allows_what_the_page_needs_and_nothing_else(server: ServerProcess) -> None:
    """W3C CSP: no inline script or style, no other host, no frame around it, and no form that leaves it."""
    fields = get(server, "").headers
    policy = dict(part.split(" ", 1) for part in fields["content-security-policy"].split("; "))

    assert policy.pop("default-src") == "'none'"
    for name in ("script-src", "style-src", "img-src", "media-src", "connect-src"):
        assert policy.pop(name) == "'self'"
    assert policy == dict.fromkeys(("base-uri", "form-action", "frame-ancestors"), "'none'")
    assert fields["referrer-policy"] == "no-referrer"


async def test_files_that_are_served_elsewhere_may_be_shown(aiohttp_client: AiohttpClient) -> None:
    """W3C CSP: pictures and sounds, and nothing else, may come from where the server sends the browser."""
    facts = Facts(
        endpoint="/files/", published="/uploads/", max_size=None, termination=True, media=("https:",)
    )
    page = Page(facts)
    app = web.Application(middlewares=[identify(head_reader(behind_proxy=False))])
    app.on_startup.append(page.load)
    app.router.add_get("/", page.show)
    answer = await (await aiohttp_client(app)).get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))

    assert [name for name, value in policy.items() if "https:" in value] == ["img-src", "media-src"]


def test_the_page_has_no_script_or_style_of_its_own_in_its_text(server: ServerProcess) -> None:
    """What the policy forbids is not there to be forbidden."""
    text = get(server, "").body.decode()

    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text) == []


def test_the_page_is_told_what_it_has_to_know(server: ServerProcess, moved: ServerProcess) -> None:
    """Where uploads are created and finished files are, and how large a file may be."""
    attributes = (
        r'data-endpoint="(.*?)" data-published="(.*?)" data-max-size="(.*?)" data-termination="(.*?)"'
    )
    [here] = re.findall(attributes, get(server, "").body.decode())
    [there] = re.findall(attributes, get(moved, "").body.decode())

    assert here == ("/files/", "/uploads/", "1234567", "true")
    assert there == (moved.url.removeprefix(moved.origin), "/out/", "", "true")


def test_the_page_knows_what_is_switched_off(tmp_path: Path) -> None:
    """Without downloads it offers no links to them, without termination it asks for none."""
    with ServerProcess(tmp_path / "store", "--disable-download", "--disable-termination") as server:
        text = get(server, "").body.decode()

    assert 'data-published="" data-max-size="" data-termination=""' in text


def test_the_page_hides_no_upload(moved: ServerProcess) -> None:
    """Also where uploads are created at `/` itself: POST, HEAD, PATCH and OPTIONS are theirs."""
    tus = Tus.of(moved)
    created = tus.ask("POST", fields={"Upload-Length": "3"})
    path = (created.get("Location") or "").removeprefix("http://files.test")
    statuses = [
        created.status,
        tus.patch(path, 0, b"abc").status,
        tus.ask("OPTIONS", tus.base).status,
        fetch(f"{moved.origin}/out/{path.rpartition('/')[2]}").status,
        fetch(f"{moved.origin}/").status,
    ]

    assert statuses == [201, 204, 204, 200, 200]
    assert head(f"{moved.origin}{path}").headers["upload-offset"] == "3"


def test_a_creation_at_the_page_s_address_waits_for_its_100(moved: ServerProcess) -> None:
    """RFC 9110, 10.1.1, and X-HTTP-Method-Override: the effective method says whose the request is."""
    tus = Tus.of(moved)
    fields = {"Upload-Length": "3", "Content-Type": CHUNK_TYPE, "X-HTTP-Method-Override": "POST"}
    answer = tus.ask("GET", tus.base, fields, body=b"abc")

    assert answer.status == 201


def test_other_methods_are_refused(server: ServerProcess) -> None:
    """RFC 9110, 15.5.6: 405 says which there are, and a part that does not exist is 404."""
    refused = [fetch(f"{server.origin}/{name}", "POST", body=b"x" * 1000) for name in ("", "@ui/app.js")]
    absent = [get(server, name) for name in ("@ui/", "@ui/absent.js", "@ui/vendor/", "@ui/vendor/LICENSE")]

    assert [(it.status, it.headers["allow"]) for it in refused] == [(405, "GET,HEAD")] * 2
    assert all(it.body.startswith(b"ERR_METHOD_NOT_ALLOWED: ") for it in refused)
    assert {it.status for it in absent} == {404}


@pytest.mark.parametrize(
    "name",
    ["@ui/../page.py", "@ui/%2e%2e/page.py", "@ui/..%2fpage.py", "@ui//etc/passwd", "@ui/%2fetc/passwd"],
)
def test_nothing_beside_the_page_s_parts_is_served(server: ServerProcess, name: str) -> None:
    """Names are looked up among what was read at the start; no path is ever opened for a request."""
    assert get(server, name).status == 404


def test_without_the_page_there_is_nothing_at_its_addresses(tmp_path: Path) -> None:
    """--ui false: 404, and uploads go on as ever."""
    with ServerProcess(tmp_path / "store", "--ui", "false") as server:
        statuses = [get(server, name).status for name in TYPES]
        tus = Tus.of(server)
        content = tus.content(tus.upload(b"abc"))

    assert set(statuses) == {404}
    assert content == b"abc"


def test_every_part_is_one_that_is_served() -> None:
    """What the page names below its address is in its folder, and every module is named by another."""
    names = {path.name for path in FOLDER.iterdir() if path.is_file()}
    texts = {name: (FOLDER / name).read_text(encoding="utf-8") for name in names}
    imported = {found for text in texts.values() for found in re.findall(r"from '\./([\w.]+)'", text)}
    named = set(re.findall(r"\$\{assets\}([\w.]+)", texts["index.html"]))

    assert imported | named == names - {"index.html"}
    assert ASSETS not in texts["index.html"]
