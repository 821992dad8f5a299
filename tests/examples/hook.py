"""The React hook of examples/nextjs-hook, in Node, driven from a test."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.docs.pages import ROOT
from tests.interop.clients import Driver

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "examples" / "nextjs-hook"
AT_ONCE = [0] * 30


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the types, and put what Node can run into `folder`."""
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    compiler = FOLDER / "node_modules" / ".bin" / "tsc"
    command = [str(compiler), "--outDir", str(folder)]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page with the hook. `driver` speaks test/driver.tsx's commands."""

    driver: Driver
    endpoint: str

    def open(self, **options: Any) -> Any:
        """Leave whatever page there was and open a new one; the hook's first state."""
        return self.driver.ask(
            "render", options={"endpoint": self.endpoint, "retryDelays": AT_ONCE, **options}
        )

    def start(self, path: Path) -> None:
        """Choose a file."""
        self.driver.ask("start", path=str(path))

    def until(self, *status: str) -> Any:
        """The hook's state, once its status is one of these."""
        return self.driver.ask("until", status=status)

    def do(self, what: str) -> None:
        """Press a button."""
        self.driver.ask(what)
