"""tus-js-client in Node and in Chromium, driven from a test: one interface for both."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tests.interop.pages import PageServer
    from tests.support.payload import Payload

HERE = Path(__file__).parent
# Enough for every fault here, and quick; the count starts anew whenever the offset has grown.
RETRY_DELAYS = (0, *[100] * 300)
NAME = "payload.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How an upload went, as the page or program that asked for it saw it.

    `outcome` is "success", "error" or "paused"; `accepted` the offset after each accepted chunk;
    `found` how many previous uploads the URL storage knew.
    """

    outcome: str
    url: str
    successes: int
    errors: list[str]
    accepted: list[int]
    found: int


class Driver:
    """A Node program that answers lines of JSON. Its complaints are in `log_path`."""

    def __init__(self, log_path: Path, script: str, *args: str) -> None:
        self._log_path = log_path
        self._log = log_path.open("ab")
        self._process = subprocess.Popen(
            [find_program("node"), str(HERE / script), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End of input ends the program; if it does not, it is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._log.close()

    def ask(self, do: str, *, timeout: float = 60.0, **command: Any) -> Any:
        """Send one command and wait for its answer; AssertionError if it failed or took too long."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **command}).encode() + b"\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no answer to {do} in {timeout} s; {self._complaints()}") from None
        assert line, f"ended instead of answering {do}; {self._complaints()}"
        answer = json.loads(line)
        assert "error" not in answer, f"{do}: {answer.get('error')}"
        return answer["value"]

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b"")

    def _complaints(self) -> str:
        return f"it said: {self._log_path.read_text(errors='replace')[-4000:]}"


class TusJsClient(ABC):
    """tus-js-client with one upload at a time. `options` are its own, by their own names."""

    _driver: Driver

    def start(
        self,
        endpoint: str,
        payload: Payload,
        *,
        source: str = "file",
        resume: bool = False,
        pause_at: int | None = None,
        with_credentials: bool = False,
        **options: Any,
    ) -> None:
        """Start an upload. `source` is "file", "buffer", or "stream" (a reader of unknown length).

        With `resume` an upload found in the URL storage goes on; it pauses by itself when `pause_at`
        bytes are accepted; `with_credentials` makes a page send its cookies.
        """
        options = {"endpoint": endpoint, "retryDelays": RETRY_DELAYS, **options}
        where = {"kind": source, "path": self._provide(payload), "name": NAME}
        job: dict[str, Any] = {"resume": resume, "pauseAt": pause_at, "withCredentials": with_credentials}
        self._driver.ask("start", source=where, options=options, **job)

    def result(self, timeout: float = 60.0) -> Report:
        """Wait until the upload succeeded, failed or paused."""
        return Report(**self._driver.ask("result", timeout=timeout))

    def upload(self, endpoint: str, payload: Payload, **options: Any) -> Report:
        """`start` and `result`."""
        self.start(endpoint, payload, **options)
        return self.result()

    def pause(self) -> None:
        """Stop the running request and send nothing more."""
        self._driver.ask("pause")

    def go_on(self) -> None:
        """Continue after a pause or an error, in the same page or program."""
        self._driver.ask("continue")

    def wait_until_stored(self) -> None:
        """Return once the URL storage knows the running upload."""
        self._driver.ask("stored")

    def terminate(self) -> None:
        """Stop, and remove the upload from the server."""
        self._driver.ask("terminate")

    @abstractmethod
    def restart(self) -> None:
        """A new program, or the page reloaded: everything but the URL storage is forgotten."""

    @abstractmethod
    def _provide(self, payload: Payload) -> str:
        """Where the program or the page finds the content."""


class NodeClient(TusJsClient):
    """In a Node process of its own, with a FileUrlStorage in `folder`."""

    def __init__(self, folder: Path) -> None:
        require_packages()
        self._folder = folder
        self._driver = self._start()

    def close(self) -> None:
        """End the process."""
        self._driver.__exit__()

    def restart(self) -> None:
        self.close()
        self._driver = self._start()

    def _start(self) -> Driver:
        return Driver(self._folder / "node.log", "client.mjs", str(self._folder / "urls.json"))

    def _provide(self, payload: Payload) -> str:
        path = self._folder / f"{payload.seed}-{payload.size}.bin"
        if not path.exists():  # its date belongs to the fingerprint
            path.write_bytes(payload.data)
        return str(path)


class BrowserClient(TusJsClient):
    """In a page of a fresh browser profile. The page's origin is not the server's."""

    def __init__(self, browser: Driver, pages: PageServer) -> None:
        self._driver = browser
        self._pages = pages
        self._driver.ask("open", url=f"{pages.origin}/page.html")

    def close(self) -> None:
        """Forget the profile."""
        self._driver.ask("close")

    def restart(self) -> None:
        self._driver.ask("reload")

    def _provide(self, payload: Payload) -> str:
        return self._pages.offer(payload)


def start_browser(folder: Path) -> Driver:
    """Chromium without a window; the log is kept in `folder`."""
    require_packages()
    return Driver(folder / "browser.log", "browser.mjs", find_program("chromium", "chromium-browser"))


def require_packages() -> None:
    """AssertionError, saying what to do, unless the Node packages are installed."""
    installed = (HERE / "node_modules" / "tus-js-client" / "package.json").is_file()
    assert installed, f"the Node packages are missing: run `npm ci` in {HERE}"


def find_program(*names: str) -> str:
    """The first of `names` that is installed; AssertionError, saying what to do, if none is."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found, f"{names[0]} is missing: these tests need it installed (Debian: apt install {names[0]})"
    return found
