"""Files sent with the page: they arrive to the byte, whatever happens on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.checks import methods, offsets, wait_until_gone, wait_until_stored
from tests.support.faults import answer, lose_response, reset_after, silence_after
from tests.support.payload import Payload, sha256
from tests.support.server import ServerProcess, fetch
from tests.ui.checks import digest_of
from tests.ui.pages import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.clients import Driver
    from tests.support.proxy import FaultProxy

    Store = Callable[..., Path]

MB = 1_000_000


def test_a_dropped_file_arrives(page: Page, server: ServerProcess, store: Store) -> None:
    """What is published has the bytes of the file, and the page names its address."""
    payload = Payload(size=3 * MB, seed=70)
    page.drop(store(payload))
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256
    assert page.names() == []
    assert page.complaints() == []


def test_many_files_at_once_arrive_each(page: Page, server: ServerProcess, store: Store) -> None:
    """Also an empty one, one of a single byte, and one whose name is not ASCII."""
    sizes = {"empty.txt": 0, "one.bin": 1, "grüße 🎈.bin": 4321, "a&b <i>.bin": MB, "last": 2 * MB}
    payloads = [Payload(size=size, seed=71 + size) for size in sizes.values()]
    page.choose(*(store(payload, name) for payload, name in zip(payloads, sizes, strict=True)))
    addresses = page.until_arrived(len(sizes))
    shown = page.read("[...document.querySelectorAll('#recent h3')].map((it) => it.textContent)")

    assert sorted(shown) == sorted(sizes)
    found = dict(zip(shown, addresses, strict=True))
    assert [digest_of(server, found[name]) for name in sizes] == [it.sha256 for it in payloads]


def test_a_paused_upload_goes_on_where_it_was(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """Pause ends the request and Resume asks for the offset: nothing is sent twice."""
    payload = Payload(size=3 * MB, seed=72)
    proxy.script(silence_after(654_321))
    page.choose(store(payload))
    proxy.wait(lambda it: len(it.fired) == 1)
    wait_until_stored(server, proxy, 654_321)
    page.click("Pause")
    page.until_said("Paused")
    page.click("Resume")
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256
    assert methods(proxy).count("POST") == 1
    assert offsets(proxy) == [0, 654_321]


def test_after_a_reload_the_same_file_goes_on(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """The page finds what it has begun, says how far it is, and goes on once the file is chosen again."""
    payload = Payload(size=3 * MB, seed=73)
    path = store(payload)
    proxy.script(silence_after(654_321))
    page.choose(path)
    proxy.wait(lambda it: len(it.fired) == 1)
    wait_until_stored(server, proxy, 654_321)
    page.ask("reload")
    page.until_said("639 KB of 2.9 MB · Choose the same file to go on")
    page.choose(path, button="Choose file: photo.jpg")
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256
    assert methods(proxy).count("POST") == 1
    assert offsets(proxy) == [0, 654_321]
    assert page.read("Object.keys(localStorage).filter((it) => it.startsWith('tus::'))") == []


def test_another_file_does_not_go_on_in_its_place(page: Page, proxy: FaultProxy, store: Store) -> None:
    """Name, size, type and date have to be those of the file that was begun."""
    path = store(Payload(size=2 * MB, seed=74))
    other = store(Payload(size=2 * MB - 1, seed=75), "other.jpg")
    proxy.script(silence_after(654_321))
    page.choose(path)
    proxy.wait(lambda it: len(it.fired) == 1)
    page.ask("reload")
    page.until_said("Choose the same file to go on")
    page.choose(other, button="Choose file: photo.jpg")
    page.until_said("That is another file")

    assert page.names() == ["photo.jpg"]
    assert [method for method in methods(proxy) if method not in {"GET", "HEAD"}] == ["POST", "PATCH"]


def test_a_file_that_arrived_unheard_is_shown_after_a_reload(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """The answer to the last byte was lost and the page is gone: the next visit finds the file finished."""
    payload = Payload(size=MB, seed=76)
    proxy.script(lose_response("PATCH"))
    page.choose(store(payload))
    proxy.wait(lambda it: len(it.fired) == 1)
    page.ask("reload")
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256


def test_a_broken_connection_is_tried_again(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """Each time the upload goes on by itself, behind what has arrived."""
    payload = Payload(size=3 * MB, seed=77)
    proxy.script(*(reset_after(size) for size in (700_000, 1, 500_000)), lose_response("HEAD"))
    proxy.script(reset_after(100_000))
    page.drop(store(payload))
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256
    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1


def test_a_server_that_is_away_is_waited_for(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """The page says what is wrong and when it tries again, and a person need not wait for that."""
    payload = Payload(size=MB, seed=78)
    proxy.down()
    page.drop(store(payload))
    page.until_said("The connection broke. Trying again")
    page.until(r"/Trying again in ([4-9]|\d\d) s/.test(document.body.innerText)")  # else it may be quicker
    proxy.up()
    page.click("Try now")
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256


def test_a_file_that_is_too_large_is_not_sent(page: Page, proxy: FaultProxy, store: Store) -> None:
    """The page knows the server's limit and says so before a byte is sent; smaller ones go their way."""
    large, small = Payload(size=20 * MB + 1, seed=79), Payload(size=10, seed=79)
    page.drop(store(large, "film.bin"), store(small, "note.bin"))
    page.until_said("Too large: “film.bin” (19.1 MB)")
    page.until_arrived()

    assert methods(proxy).count("POST") == 1


def spoken(status: str, body: str = "") -> bytes:
    """An answer of something between the page and the server."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        (spoken("400 Bad Request", "ERR_UPLOAD_REJECTED: no"), "The server does not take this file."),
        (spoken("413 Content Too Large"), "It is larger than the server, or something in between, takes."),
        (spoken("200 OK", "<html>Sign in"), "Is there a sign-in page in between?"),
    ],
    ids=["hook", "proxy", "sign-in"],
)
def test_a_refusal_is_explained_and_final(
    *, page: Page, server: ServerProcess, proxy: FaultProxy, store: Store, answered: bytes, said: str
) -> None:
    """What trying again would not change is not tried again by itself; a person may."""
    payload = Payload(size=999, seed=80)
    proxy.script(answer(answered, of="POST"))
    page.drop(store(payload))
    page.until_said(said)
    acts = page.read("[...document.querySelectorAll('#transfers button')].map((it) => it.innerText)")
    page.click("Try now")
    [address] = page.until_arrived()

    assert acts == ["Try now", "Cancel"]
    assert digest_of(server, address) == payload.sha256


def test_a_proxy_s_error_on_head_does_not_begin_the_upload_anew(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """Only 404 and 410 say that an upload is gone: after other failed HEADs what arrived still counts."""
    payload = Payload(size=MB, seed=85)
    failures = [answer(spoken(status), of="HEAD") for status in ("502 Bad Gateway", "500 Oops", "503 Busy")]
    proxy.script(silence_after(654_321), *failures)
    page.drop(store(payload))
    proxy.wait(lambda it: len(it.fired) == 1)
    wait_until_stored(server, proxy, 654_321)
    page.click("Pause")
    page.until_said("Paused")
    page.click("Resume")
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256
    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1
    assert offsets(proxy) == [0, 654_321]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with its uploads at the page's own address, closed to pages of other sites."""
    folder = tmp_path_factory.mktemp("strict") / "storage"
    flags = ("--base-path", "/", "--public-path", "/out/", "--relative-location", "--behind-proxy")
    with ServerProcess(folder, *flags, "--cors-allow-origin", "https://nobody.example") as process:
        yield process


def test_the_page_works_where_uploads_are_created_at_its_own_address(
    browser: Driver, strict: ServerProcess, store: Store
) -> None:
    """--base-path / and --relative-location: the same address, told apart by the method."""
    payload = Payload(size=100_000, seed=83)
    page = Page(browser, strict.origin)
    page.drop(store(payload))
    [address] = page.until_arrived()
    complaints = page.complaints()
    page.close()

    assert sha256(fetch(address).body) == payload.sha256
    assert address.startswith(f"{strict.origin}/out/")
    assert complaints == []


def test_a_server_that_misnames_itself_is_noticed(
    browser: Driver, server: ServerProcess, strict: ServerProcess, store: Store
) -> None:
    """Its uploads seem to be at another site, or the page of one: it says what is the matter."""
    path = store(Payload(size=10, seed=84))
    for running, said in (
        (server, "If it stands behind a proxy, it has to be told so (--behind-proxy)."),
        (strict, "The server does not take uploads from this page."),
    ):
        page = Page(browser, running.origin, headers={"X-Forwarded-Host": "inner.test"})
        page.drop(path)
        page.until_said(said)
        page.close()


def test_what_is_cancelled_leaves_nothing(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """tus 1.0.0, Termination: the server removes what it had, and the page forgets it."""
    proxy.script(silence_after(654_321))
    page.choose(store(Payload(size=3 * MB, seed=81)))
    proxy.wait(lambda it: len(it.fired) == 1)
    url = next(it.target for it in proxy.requests if it.method == "PATCH")
    page.click("Cancel")
    proxy.wait(lambda it: any(request.method == "DELETE" for request in it.requests))
    page.ask("reload")
    page.until("document.readyState === 'complete'")

    assert page.names() == []
    wait_until_gone(server, url)


def test_an_upload_that_is_gone_begins_again(
    page: Page, server: ServerProcess, proxy: FaultProxy, store: Store
) -> None:
    """404 after a break: the whole file is sent to a new upload, and nobody has to do anything."""
    payload = Payload(size=2 * MB, seed=82)
    proxy.script(silence_after(654_321))
    page.choose(store(payload))
    proxy.wait(lambda it: len(it.fired) == 1)
    page.click("Pause")
    page.until_said("Paused")
    [target] = {it.target for it in proxy.requests if it.method == "PATCH"}
    fetch(f"{server.origin}{target}", "DELETE", {"Tus-Resumable": "1.0.0"})
    page.click("Resume")
    [address] = page.until_arrived()

    assert digest_of(server, address) == payload.sha256
    assert methods(proxy).count("POST") == 2
