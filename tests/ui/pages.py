"""The server's page in Chromium, as a person uses it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.interop.clients import Driver, find_program, require_packages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RECORDED = """Promise.all(window.recorded.map(async ({ bitrate, pieces }) => {
  const bytes = await new Blob(pieces).arrayBuffer()
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  const sha256 = [...digest].map((it) => it.toString(16).padStart(2, '0')).join('')
  return { bitrate, sha256, size: bytes.byteLength }
}))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What one MediaRecorder has handed out so far: bits a second it was asked for, bytes, their digest."""

    bitrate: int
    size: int
    sha256: str


def start_browser(folder: Path, *sounds: Path) -> Driver:
    """Chromium without a window; the log is kept in `folder`.

    Its microphone beeps, or hears a sound (WAV) over and over.
    """
    require_packages()
    program = find_program("chromium", "chromium-browser")
    return Driver(folder / "browser.log", "../ui/driver.mjs", program, *map(str, sounds))


class Page:
    """One visit with a fresh profile; what is done here is done as a person does it."""

    def __init__(self, browser: Driver, origin: str, **look: Any) -> None:
        self._browser = browser
        self.ask("open", url=f"{origin}/", **look)

    def ask(self, do: str, **command: Any) -> Any:
        """See driver.mjs."""
        return self._browser.ask(do, **command)

    def close(self) -> None:
        """Forget the profile."""
        self.ask("close")

    def choose(self, *paths: Path, button: str = "Choose files") -> None:
        """Choose files with that button."""
        self.ask("choose", button=button, paths=[str(path) for path in paths])

    def drop(self, *paths: Path) -> None:
        """Drop files on the page."""
        self.ask("drop", paths=[str(path) for path in paths])

    def click(self, name: str) -> None:
        """The first button whose name begins so."""
        self.ask("click", name=name)

    def read(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.ask("read", script=script)

    def until(self, script: str, seconds: float = 20.0) -> Any:
        """Wait until the expression is true; AssertionError, with the page's text, if it never is."""
        return self.ask("until", script=script, seconds=seconds)

    def until_said(self, text: str) -> None:
        """Wait until the page shows this text."""
        self.until(f"document.body.innerText.includes({json.dumps(text)})")

    def until_arrived(self, count: int = 1) -> list[str]:
        """Wait until the list of recent uploads has `count` entries; where they are, the newest first."""
        self.until(f"document.querySelectorAll('#recent > li').length >= {count}")
        links = "[...document.querySelectorAll('#recent > li .acts a')].map((it) => it.href)"
        addresses: list[str] = self.read(links)
        return addresses

    def names(self) -> list[str]:
        """The names on the cards of what is under way."""
        found: list[str] = self.read(
            "[...document.querySelectorAll('#transfers h3')].map((it) => it.innerText)"
        )
        return found

    def focus(self) -> str:
        """The name of the element that has the keyboard."""
        found: str = self.read(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText.trim()"
        )
        return found

    def recorded(self) -> list[Recorded]:
        """What the recorders of this visit have handed out, as seen from beside the page's code."""
        return [Recorded(**found) for found in self.read(_RECORDED)]

    def complaints(self) -> Sequence[str]:
        """Errors in the console since this was last asked."""
        found: list[str] = self.ask("complaints")
        return found
