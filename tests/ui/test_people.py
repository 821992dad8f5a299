"""The page for everybody: by keyboard, by ear, in the dark, on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.faults import silence_after
from tests.support.payload import Payload
from tests.ui.pages import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.clients import Driver
    from tests.support.proxy import FaultProxy

    Store = Callable[..., Path]

MB = 1_000_000
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63"
    "fccff0bf1e0005050281a0f60d160000000049454e44ae426082"
)
LOOKS = {"light": {"scheme": "light"}, "dark, on a phone": {"scheme": "dark", "size": [360, 740]}}


@pytest.fixture(params=list(LOOKS.values()), ids=list(LOOKS))
def visit(request: pytest.FixtureRequest, browser: Driver, proxy: FaultProxy) -> Iterator[Page]:
    """A visit with that look."""
    page = Page(browser, proxy.origin, **request.param)
    try:
        yield page
    finally:
        page.close()


def violations(page: Page) -> list[str]:
    """What axe-core has against the page as it stands, and whether one has to scroll sideways."""
    found: list[str] = page.ask("axe")
    width = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    return [*found, *(["wider than the window"] if page.read(width) else [])]


def test_the_page_is_accessible_in_all_its_states(
    visit: Page, proxy: FaultProxy, store: Store, tmp_path: Path
) -> None:
    """WCAG 2: names, roles, contrast and focus, empty and in use; axe-core finds nothing."""
    states = {"empty": violations(visit)}
    picture = tmp_path / f"{'a picture with a very long name ' * 3}.png"
    picture.write_bytes(PIXEL)
    visit.choose(picture)
    visit.until_arrived()
    proxy.script(silence_after(500_000))
    visit.choose(store(Payload(size=MB, seed=90), "film.mp4"))
    proxy.wait(lambda it: len(it.fired) == 1)
    states["sending"] = violations(visit)
    visit.click("Pause: film.mp4")
    visit.until_said("Paused")
    states["paused"] = violations(visit)
    visit.ask("reload")
    visit.until_said("Choose the same file to go on")
    visit.drop(store(Payload(size=20 * MB + 1, seed=90), "large.bin"))
    visit.until_said("Too large")
    states["missing"] = violations(visit)
    visit.click("Record audio")
    visit.until("window.recorded[0]?.pieces.length > 0")
    states["recording"] = violations(visit)
    visit.ask("offline", on=True)
    visit.until_said("You are offline")
    states["waiting"] = violations(visit)
    visit.click("Cancel: Recording")
    states["asking"] = violations(visit)
    visit.click("Keep it")
    visit.ask("offline", on=False)
    visit.click("Finish recording")
    visit.until_arrived(2)
    states["arrived"] = violations(visit)

    assert states == {state: [] for state in states}


def test_the_keyboard_is_enough(page: Page) -> None:
    """WCAG 2.1.1, 2.4.3: every step can be reached and done by keys, and the focus is never lost."""
    page.ask("press", key="Tab")
    focus = [page.focus()]
    page.ask("press", key="Tab")
    focus.append(page.focus())
    page.ask("press", key="Enter")
    page.until("!document.getElementById('recording').hidden && window.recorded[0]?.pieces.length > 0")
    focus.append(page.focus())
    page.ask("press", key="Enter")
    page.until_arrived()
    focus.append(page.focus())

    assert focus == ["Choose files", "Record audio", "Finish recording", "Record audio"]


def test_the_focus_follows_what_it_was_on(page: Page, proxy: FaultProxy, store: Store) -> None:
    """WCAG 2.4.3: a button that changes keeps it, and it goes along with a card that has arrived."""
    proxy.script(silence_after(500_000))
    page.choose(store(Payload(size=MB, seed=91)))
    proxy.wait(lambda it: len(it.fired) == 1)
    page.click("Pause: photo.jpg")
    page.until_said("Paused")
    paused = page.focus()
    page.ask("press", key="Enter")
    page.until_arrived()

    assert paused == "Resume: photo.jpg"
    assert page.focus() == "photo.jpg"


def test_what_happens_is_said_aloud(page: Page, proxy: FaultProxy, store: Store) -> None:
    """WCAG 4.1.3: the live region has news and no numbers that change all the time."""
    news = "document.getElementById('news').textContent"
    page.read(
        "window.news = [], void new MutationObserver(() => window.news.push("
        f"{news})).observe(document.getElementById('news'), {{childList: true}})"
    )
    proxy.script(silence_after(600_000))
    page.choose(store(Payload(size=MB, seed=92)))
    proxy.wait(lambda it: len(it.fired) == 1)
    page.click("Pause: photo.jpg")
    page.until_said("Paused")
    page.click("Resume: photo.jpg")
    page.until_arrived()

    said = page.read("window.news")
    assert said[-1] == "photo.jpg has arrived"
    assert "photo.jpg: Paused" in said
    assert len(said) < 10


def test_the_list_of_recent_uploads_is_this_browser_s(page: Page, store: Store) -> None:
    """It survives a reload, links can be copied, entries forgotten one by one and all at once."""
    for name in ("one.txt", "two.txt", "three.txt"):
        page.choose(store(Payload(size=10, seed=93), name))
        page.until(f"document.querySelector('#recent h3')?.innerText === '{name}'")
    page.ask("reload")
    addresses = page.until_arrived(3)
    page.click("Copy link: three.txt")
    page.until_said("Copied")
    copied = page.read("navigator.clipboard.readText()")
    page.click("Forget: two.txt")
    after = page.until_arrived(2)
    focus = page.focus()
    page.click("Clear list")
    page.ask("reload")

    assert copied == addresses[0]
    assert after == [addresses[0], addresses[2]]
    assert focus == "one.txt"
    assert page.read("document.getElementById('past').hidden")


def test_what_is_not_on_the_server_any_more_is_said_to_be(page: Page, store: Store, tmp_path: Path) -> None:
    """A preview that cannot be loaded gives way to a word about it."""
    picture = tmp_path / "lost.png"
    picture.write_bytes(b"not a picture")
    page.choose(picture)
    page.until_arrived()

    page.until_said("It cannot be shown; it may not be on the server any more")
