"""examples/nextjs-hook: the hook says how it stands, and the file arrives whatever breaks in between."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT
from tests.examples.hook import FOLDER, Page, build
from tests.interop.checks import check_stored, methods, offsets, wait_until_stored
from tests.interop.clients import Driver
from tests.support.faults import answer, lose_response, refuse, reset_after, silence_after
from tests.support.payload import Payload
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess, head, upload_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 200_000
_SEEDS = count(80)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server of the page."""
    folder = tmp_path_factory.mktemp("hook") / "storage"
    with ServerProcess(folder, "--network-timeout", "2s") as process:
        yield process


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[FaultProxy]:
    """A network in front of the server that breaks as it is told."""
    with FaultProxy("127.0.0.1", server.port) as it:
        yield it


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The hook in Node: its types are right, or nothing runs."""
    folder = tmp_path_factory.mktemp("build")
    done = build(folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    script = str(folder / "test" / "driver.js")
    with Driver(folder / "driver.log", script, str(folder / "urls.json")) as it:
        yield it


@pytest.fixture
def page(driver: Driver, server: ServerProcess, proxy: FaultProxy) -> Page:
    """A new page with the hook, behind the breaking network."""
    page = Page(driver=driver, endpoint=proxy.via(server.url))
    page.open(chunkSize=CHUNK)
    return page


@pytest.fixture
def payload() -> Payload:
    """Another one for each test: what one leaves unfinished is none of the next one's."""
    return Payload(size=5 * CHUNK + 1, seed=next(_SEEDS))


@pytest.fixture
def file(tmp_path: Path, payload: Payload) -> Path:
    """The file that somebody chooses."""
    path = tmp_path / "speech.webm"
    path.write_bytes(payload.data)
    return path


def test_a_file_arrives_and_its_address_is_told(
    server: ServerProcess, page: Page, file: Path, payload: Payload
) -> None:
    """From idle to done: the id, the upload's address, and where the file is; onDone hears it once."""
    before = len(page.driver.ask("done"))
    first = page.open(chunkSize=CHUNK, metadata={"filename": "speech.webm"})
    page.start(file)
    state = page.until("done", "failed")

    assert (first["status"], first["sent"], first["total"]) == ("idle", 0, None)
    assert (state["status"], state["sent"], state["total"]) == ("done", payload.size, payload.size)
    assert (state["error"], state["resumed"]) == (None, False)
    result = state["result"]
    assert result["id"] == upload_id(result["url"])
    assert result["url"] == state["url"]
    assert server.direct(result["location"]) == server.public_url(result["url"])
    assert page.driver.ask("done")[before:] == [result]
    check_stored(server, result["url"], payload)


def test_it_goes_on_by_itself_after_breaks(
    *, server: ServerProcess, proxy: FaultProxy, page: Page, file: Path, payload: Payload
) -> None:
    """Resets and lost answers are not the user's business."""
    proxy.script(reset_after(70_000), lose_response(), reset_after(30_000), lose_response("PATCH", nth=2))
    page.start(file)
    state = page.until("done", "failed")

    assert state["status"] == "done"
    assert proxy.pending == ()
    check_stored(server, state["url"], payload)


def test_pause_keeps_what_has_arrived_and_resume_goes_on(
    *, server: ServerProcess, proxy: FaultProxy, page: Page, file: Path, payload: Payload
) -> None:
    """Nothing is sent while it is paused, and nothing twice afterwards."""
    proxy.script(silence_after(50_000, nth=3))
    page.start(file)
    proxy.wait(lambda it: bool(it.fired))
    wait_until_stored(server, proxy, 2 * CHUNK + 50_000)
    page.do("pause")
    paused = page.until("paused")
    proxy.cut()
    before = len(proxy.requests)
    stored = int(head(server.direct(paused["url"])).headers["upload-offset"])
    page.do("resume")
    state = page.until("done", "failed")

    assert stored == 2 * CHUNK + 50_000
    assert (proxy.requests[before].method, offsets(proxy)[3]) == ("HEAD", stored)
    assert state["status"] == "done"
    check_stored(server, state["url"], payload)


def test_a_pause_may_come_before_the_first_request(
    *, server: ServerProcess, proxy: FaultProxy, page: Page, file: Path, payload: Payload
) -> None:
    """Chosen and paused at once: nothing is sent until somebody resumes, however often."""
    page.driver.ask("hesitate", path=str(file))
    page.until("paused")
    before = methods(proxy)
    page.do("resume")
    page.do("resume")
    state = page.until("done", "failed")
    page.do("pause")
    page.do("resume")
    last = page.until("done", "paused", "uploading")

    assert (before, last) == ([], state)
    assert (state["status"], methods(proxy).count("POST")) == ("done", 1)
    check_stored(server, state["url"], payload)


def test_the_same_file_chosen_after_a_reload_goes_on(
    *, server: ServerProcess, proxy: FaultProxy, page: Page, file: Path, payload: Payload
) -> None:
    """The page is left in the middle; the next one finds the upload, and forgets it when it is done."""
    proxy.script(silence_after(10, nth=4))
    page.start(file)
    proxy.wait(lambda it: bool(it.fired))
    page.do("leave")
    proxy.cut()
    page.open(chunkSize=CHUNK)
    found = page.driver.ask("previous", path=str(file))
    page.start(file)
    state = page.until("done", "failed")

    assert (state["status"], state["resumed"], found) == ("done", True, [state["url"]])
    assert methods(proxy).count("POST") == 1
    assert page.driver.ask("previous", path=str(file)) == []
    check_stored(server, state["url"], payload)


@pytest.mark.parametrize("again", ["retry", "online"])
def test_a_failure_is_told_and_can_be_taken_back(
    *, server: ServerProcess, proxy: FaultProxy, page: Page, file: Path, payload: Payload, again: str
) -> None:
    """When the attempts are spent: by the button, or by itself once the browser is online again."""
    page.open(chunkSize=CHUNK, retryDelays=[0])
    proxy.script(refuse("PATCH", nth=2), refuse("HEAD"))
    page.start(file)
    failed = page.until("failed", "done")
    page.do(again)
    state = page.until("done")

    assert failed["status"] == "failed"
    assert "tus:" in failed["error"]
    assert state["error"] is None
    assert methods(proxy).count("POST") == 1
    check_stored(server, state["url"], payload)


def test_a_refusal_is_not_tried_again(proxy: FaultProxy, page: Page, file: Path) -> None:
    """413: the server's words reach the page, after one request."""
    words = b"ERR_MAX_SIZE_EXCEEDED: too large"
    head = f"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: {len(words)}\r\n\r\n"
    proxy.script(answer(head.encode() + words, of="POST"))
    page.start(file)
    state = page.until("failed", "done")

    assert methods(proxy) == ["POST"]
    assert state["status"] == "failed"
    assert "ERR_MAX_SIZE_EXCEEDED: too large" in state["error"]


def test_cancel_removes_the_upload(
    *, server: ServerProcess, proxy: FaultProxy, page: Page, file: Path, payload: Payload
) -> None:
    """Nothing is left on the server, and nothing is remembered."""
    proxy.script(silence_after(10, nth=2))
    page.start(file)
    proxy.wait(lambda it: bool(it.fired))
    url = page.until("uploading")["url"]
    page.do("cancel")
    state = page.until("idle")

    assert (state["url"], server.traces(url)) == (None, [])
    assert head(server.direct(url)).status == 404


def test_another_file_takes_the_place_of_the_first(
    *, server: ServerProcess, proxy: FaultProxy, page: Page, file: Path, tmp_path: Path
) -> None:
    """What the first one's request still has to say is not taken for the second's."""
    other = Payload(size=1000, seed=81)
    (tmp_path / "other").write_bytes(other.data)
    before = len(page.driver.ask("done"))
    proxy.script(silence_after(10, nth=2))
    page.start(file)
    proxy.wait(lambda it: bool(it.fired))
    page.start(tmp_path / "other")
    state = page.until("done", "failed")

    assert (state["status"], state["total"]) == ("done", other.size)
    assert page.driver.ask("done")[before:] == [state["result"]]
    check_stored(server, state["url"], other)


def test_the_component_has_names_for_everything(page: Page) -> None:
    """The example's own page: a labelled region, input and status."""
    shown = page.driver.ask("show", options={"endpoint": page.endpoint})

    assert '<h2 id="' in shown
    assert 'aria-label="File"' in shown
    assert '<p role="status">No file chosen.</p>' in shown
    assert "<button" not in shown


def test_it_is_built_on_the_library_that_the_server_is_tested_with() -> None:
    """One version of tus-js-client for the example and for the interoperability tests."""
    theirs, ours = (
        json.loads((folder / "package.json").read_text()) for folder in (ROOT / "tests" / "interop", FOLDER)
    )

    assert ours["dependencies"]["tus-js-client"] == theirs["devDependencies"]["tus-js-client"]
