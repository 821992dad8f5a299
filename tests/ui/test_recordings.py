"""Recordings made with the page: sent while they are made, and whole in the end whatever the network did.

What the page's code does is compared with what the browser's recorders handed out, noted beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.interop.checks import methods, wait_for_offset
from tests.support.faults import lose_response, reset_after
from tests.support.payload import sha256
from tests.support.server import ServerProcess, fetch, head
from tests.ui.checks import content_of, digest_of
from tests.ui.pages import Page, Recorded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.clients import Driver
    from tests.support.proxy import FaultProxy

TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
MICROPHONE = "navigator.mediaDevices.getUserMedia"
PLAYER = "document.querySelector('#recent audio')"
ON_SHELF = """new Promise((resolve, reject) => {
  const opening = indexedDB.open('tusd-py')
  opening.onsuccess = () => {
    const pieces = opening.result.transaction('pieces').objectStore('pieces').getAll()
    pieces.onsuccess = () => resolve(pieces.result.reduce((sum, it) => sum + it.blob.size, 0))
    pieces.onerror = () => reject(pieces.error)
  }
})"""
"""The bytes of recordings that the browser keeps for the page."""
SIZE = "window.recorded[0].pieces.reduce((sum, it) => sum + it.size, 0)"
"""The bytes that the first recorder has handed out."""


def begin(page: Page) -> None:
    """Start a recording and wait until there is something of it."""
    page.click("Record audio")
    page.until("window.recorded[0]?.pieces.length > 0")


def hold(page: Page) -> Recorded:
    """Pause the recording; what there is of it, once the browser keeps it all."""
    page.click("Pause recording")
    page.until(f"{ON_SHELF}.then((it) => it === {SIZE})")
    [recorded] = page.recorded()
    return recorded


def begins_with(content: bytes, recorded: Recorded) -> bool:
    """Whether it has all that, and perhaps what the recorder still had to say when its page went away."""
    return sha256(content[: recorded.size]) == recorded.sha256


def until_sent(proxy: FaultProxy, size: int) -> None:
    """Wait until a PATCH has begun at or behind `size` bytes of an upload."""
    proxy.wait(
        lambda it: any(int(r.headers["upload-offset"]) >= size for r in it.requests if r.method == "PATCH")
    )


def check(page: Page, server: ServerProcess, addresses: list[str]) -> None:
    """The published files, oldest first, are what the recorders handed out, and none is kept any more."""
    recorded = page.recorded()

    assert [digest_of(server, it) for it in reversed(addresses)] == [it.sha256 for it in recorded]
    assert all(it.size > 0 for it in recorded)
    page.until(f"{ON_SHELF}.then((it) => it === 0)")
    assert page.complaints() == []


def test_a_recording_is_sent_while_it_is_made_and_can_be_played(
    page: Page, server: ServerProcess, proxy: FaultProxy
) -> None:
    """tus 1.0.0, Creation: the length is deferred; the finished file plays from its public address."""
    begin(page)
    until_sent(proxy, 10_000)
    page.click("Finish recording")
    addresses = page.until_arrived()
    length = page.until(
        f"{PLAYER}.readyState >= 1 && Number.isFinite({PLAYER}.duration) && {PLAYER}.duration"
    )
    page.until(f"{PLAYER}.readyState >= 3")  # HAVE_FUTURE_DATA: it could play
    page.read(f"{PLAYER}.play()")
    page.until(f"{PLAYER}.currentTime > 0.1")

    assert page.read(f"new URL({PLAYER}.src).pathname").startswith("/uploads/")
    assert 1 < length < 60
    check(page, server, addresses)
    creation = next(request for request in proxy.requests if request.method == "POST")
    assert creation.headers["upload-defer-length"] == "1"


def test_a_pause_leaves_no_gap(page: Page, server: ServerProcess) -> None:
    """A recording that was paused and continued is one file."""
    begin(page)
    page.click("Pause recording")
    page.until("document.getElementById('drop').classList.contains('held')")
    page.click("Go on recording")
    page.until("window.recorded[0].pieces.length > 1")
    page.click("Finish recording")

    check(page, server, page.until_arrived())


def test_a_recording_survives_the_loss_of_the_network(
    page: Page, server: ServerProcess, proxy: FaultProxy
) -> None:
    """The browser is offline: recording goes on, and what was recorded meanwhile is sent afterwards."""
    begin(page)
    until_sent(proxy, 1)
    page.ask("offline", on=True)
    held = page.recorded()[0].size
    page.until(f"{SIZE} > {held + 20_000}")
    page.until_said("You are offline")
    page.ask("offline", on=False)
    page.click("Finish recording")

    check(page, server, page.until_arrived())
    assert methods(proxy).count("POST") == 1


def test_a_recording_survives_a_network_that_breaks(
    page: Page, server: ServerProcess, proxy: FaultProxy
) -> None:
    """Resets within a chunk and lost answers, while it is recorded and at its end."""
    proxy.script(reset_after(3_000), lose_response("PATCH"))
    begin(page)
    proxy.wait(lambda it: not it.pending)
    hold(page)
    proxy.script(lose_response("PATCH"))
    page.click("Finish recording")
    addresses = page.until_arrived()

    check(page, server, addresses)
    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1


def test_a_recording_survives_a_reload(page: Page, server: ServerProcess, proxy: FaultProxy) -> None:
    """What the browser has kept is sent by the next visit, without anybody's help."""
    begin(page)
    until_sent(proxy, 1)
    page.ask("offline", on=True)
    pieces = page.read("window.recorded[0].pieces.length")
    page.until(f"window.recorded[0].pieces.length > {pieces}")
    recorded = hold(page)
    page.ask("offline", on=False)
    page.ask("reload")
    [address] = page.until_arrived()

    assert begins_with(content_of(server, address), recorded)
    assert methods(proxy).count("POST") == 1
    page.until(f"{ON_SHELF}.then((it) => it === 0)")


def test_after_repeated_failures_the_rest_is_recorded_in_fewer_bytes(
    page: Page, server: ServerProcess, proxy: FaultProxy
) -> None:
    """A file has one bitrate, so another one goes on; both arrive whole."""
    proxy.down()
    begin(page)
    page.until("window.recorded.length > 1")
    proxy.up()
    page.until_said("The connection is weak: 64 kbit/s now.")
    page.until("window.recorded[1].pieces.length > 0")
    page.click("Finish recording")
    addresses = page.until_arrived(2)
    names = page.read("[...document.querySelectorAll('#recent h3')].map((it) => it.textContent)")

    assert [it.bitrate for it in page.recorded()] == [128_000, 64_000]
    check(page, server, sorted_by_part(names, addresses))


def test_a_recording_may_be_longer_than_the_server_s_limit(browser: Driver, tmp_path: Path) -> None:
    """Before a file would be too large another one goes on."""
    with ServerProcess(tmp_path / "storage", "--max-size", "100000") as server:
        page = Page(browser, server.origin)
        page.click("Record audio")
        page.until("window.recorded.length > 1 && window.recorded[1].pieces.length > 0", seconds=30)
        page.click("Finish recording")
        page.until("document.getElementById('recording').hidden")
        addresses = page.until_arrived(len(page.recorded()))
        names = page.read("[...document.querySelectorAll('#recent h3')].map((it) => it.textContent)")

        check(page, server, sorted_by_part(names, addresses))
        assert all(it.size < 100_000 for it in page.recorded())
        page.close()


def sorted_by_part(names: list[str], addresses: list[str]) -> list[str]:
    """The addresses, that of the last part first."""
    found = dict(zip(names, addresses, strict=True))
    return [found[name] for name in sorted(names, key=lambda it: (", part " in it, it), reverse=True)]


def test_a_recording_that_was_ended_by_somebody_else_is_sent_anew(
    page: Page, server: ServerProcess, proxy: FaultProxy
) -> None:
    """The upload is complete without what was recorded since: another one gets everything."""
    begin(page)
    hold(page)
    proxy.wait(lambda it: any(request.method == "PATCH" for request in it.requests))
    target = next(request.target for request in proxy.requests if request.method == "PATCH")
    url = f"{server.origin}{target}"
    wait_for_offset(url, page.read(SIZE))
    offset = head(url).headers["upload-offset"]
    ended = fetch(url, "PATCH", {**TUS, "Upload-Offset": offset, "Upload-Length": offset}, b"")
    page.click("Go on recording")
    page.until_said("It is larger than the server")
    page.click("Finish recording")
    page.click("Try now")

    check(page, server, page.until_arrived())
    assert ended.status == 204
    assert methods(proxy).count("POST") == 2


def test_a_browser_that_keeps_nothing_still_sends_everything(page: Page, server: ServerProcess) -> None:
    """Out of quota, say: the recording is in memory alone, and the page says to leave it open."""
    page.read(
        "void (IDBDatabase.prototype.transaction ="
        " () => { throw new DOMException('', 'QuotaExceededError') })"
    )
    begin(page)
    page.until_said("This browser cannot keep it: leave the page open until it has arrived.")
    page.until("window.recorded[0].pieces.length > 1")
    page.click("Finish recording")
    [address] = page.until_arrived()
    [recorded] = page.recorded()

    assert digest_of(server, address) == recorded.sha256


def test_why_nothing_is_recorded_is_explained(page: Page) -> None:
    """What the browser says in code the page says in words; nothing has begun, and one may try again."""
    for error, said in {
        "NotAllowedError": "The browser does not let this page use the microphone.",
        "NotFoundError": "There is no microphone.",
        "NotReadableError": "The microphone is in use by another program.",
        "AbortError": "The microphone cannot be used.",
    }.items():
        page.read(f"void ({MICROPHONE} = () => Promise.reject(new DOMException('', '{error}')))")
        page.click("Record audio")
        page.until_said(said)

    assert page.names() == []
    assert page.focus() == "Record audio"


def test_a_microphone_that_is_unplugged_ends_the_recording(page: Page, server: ServerProcess) -> None:
    """What was recorded until then arrives."""
    page.read(
        f"const plain = {MICROPHONE}.bind(navigator.mediaDevices)\n"
        f"void ({MICROPHONE} = async (wanted) => (window.heard = await plain(wanted)))"
    )
    begin(page)
    page.read(
        "const [track] = window.heard.getTracks()\n"
        "track.stop(), void track.dispatchEvent(new Event('ended'))"
    )

    check(page, server, page.until_arrived())
    assert page.read("document.getElementById('recording').hidden")


def test_another_tab_leaves_a_recording_alone(page: Page, server: ServerProcess) -> None:
    """Only when the tab that records is gone, another one takes up what it has left."""
    begin(page)
    recorded = hold(page)
    page.ask("second")
    page.until("window.tus !== undefined && document.readyState === 'complete'")
    alone = page.names()
    page.ask("first")
    page.ask("end")
    page.ask("last")
    [address] = page.until_arrived()

    assert alone == []
    assert begins_with(content_of(server, address), recorded)


def test_what_was_recorded_is_discarded_only_after_a_question(page: Page, proxy: FaultProxy) -> None:
    """Keeping it goes on as if nothing had been asked; discarding it ends the recording and removes it."""
    begin(page)
    page.click("Cancel: Recording")
    page.click("Keep it")
    kept = page.names()
    page.click("Cancel: Recording")
    page.click("Discard")
    proxy.wait(lambda it: any(request.method == "DELETE" for request in it.requests))
    page.until(f"{ON_SHELF}.then((it) => it === 0)")

    assert len(kept) == 1
    assert page.names() == []
    assert page.read("document.getElementById('recording').hidden")
