"""The FastAPI example under uvicorn, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import ServerProcess

_READY = re.compile(r"running on (http://\S+)")


class Application:
    """Works on the storage of `server`, with its results in `folder`. Leaving the context ends it."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.origin = ""
        self._environment = os.environ | {
            "TUSD_PY_UPLOAD_DIR": str(server.upload_dir),
            "RECORDINGS_RESULTS": str(folder),
            "RECORDINGS_FILES": f"{server.origin}/uploads/",
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGTERM)

    def start(self) -> None:
        """Start it, and return when it takes requests; AssertionError, with its log, if it does not."""
        place = ["--app-dir", str(ROOT / "examples" / "fastapi"), "--port", "0", "--no-access-log"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:app", *place],
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if ready := _READY.search(line):
                self.origin = ready[1]
                return
        raise AssertionError(f"the application did not start:\n{''.join(said)}")

    def end(self, ending: signal.Signals) -> int:
        """End it by a signal; its exit code."""
        self._process.send_signal(ending)
        self._process.communicate(timeout=30)
        return self._process.returncode
