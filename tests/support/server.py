"""The real server, in a process of its own.

with ServerProcess(tmp_path / "store", "--network-timeout", "2s") as server:
    ...  # clients talk to server.url
    server.kill9()
    server.start()
    assert server.published(upload_url).read_bytes() == payload
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_SECONDS = 30.0
STOP_SECONDS = 20.0
_READY = re.compile(r"You can now upload files to: (https?://\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Physical memory of a process, in bytes: now, and the most it ever was."""

    resident: int
    peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole HTTP response. Field names are lower-case; of repeated fields the last one is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(
    url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """One request on a connection of its own; blocks, at most 30 seconds between two bytes."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, target, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=fields, body=response.read())
    finally:
        connection.close()


def head(upload_url: str) -> Answer:
    """A tus HEAD on an upload."""
    return fetch(upload_url, "HEAD", {"Tus-Resumable": "1.0.0"})


def upload_id(upload_url: str) -> str:
    """The last part of an upload's URL; an id stays as it is."""
    return unquote(urlsplit(upload_url).path.rstrip("/").rpartition("/")[2])


class ServerProcess:
    """`tusd-py serve` on a free port of 127.0.0.1, with its storage in `upload_dir`.

    `flags` are added to the command line and win over the defaults here (unlimited sizes, short
    timeouts). What the server says is collected in `log_path`. Everything blocks; leaving the context
    ends the server (SIGTERM first). `environment` adds variables to this process's own.
    """

    def __init__(self, upload_dir: Path, *flags: str, environment: Mapping[str, str] | None = None) -> None:
        self.upload_dir = upload_dir
        self.log_path = upload_dir.with_name(f"{upload_dir.name}.log")
        self.flags: Sequence[str] = flags
        self.url = ""
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._answered = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.terminate()

    @property
    def origin(self) -> str:
        """Scheme, host and port of `url`."""
        return self.url.removesuffix(urlsplit(self.url).path)

    @property
    def port(self) -> int:
        """The TCP port it accepts connections on."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def pid(self) -> int:
        """The process id; only while it runs."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """It was started, and neither ended nor killed by us since."""
        return self._process is not None

    @property
    def log(self) -> str:
        """Everything it has said so far, over all starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self, port: int = 0) -> None:
        """Start it and wait until it accepts uploads; AssertionError, with the log, if it does not."""
        assert self._process is None, "the server runs already"
        self._answered.clear()
        self.url = ""
        self._process = process = subprocess.Popen(
            self._command(port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | self._environment,
        )
        assert process.stdout is not None
        self._reader = threading.Thread(target=self._collect, args=(process.stdout,), daemon=True)
        self._reader.start()
        self._answered.wait(START_SECONDS)
        if not self.url:
            self.kill9()
            raise AssertionError(f"the server did not start in {START_SECONDS} s:\n{self.log}")

    def restart(self, *, same_port: bool = True) -> None:
        """End it in good order and start it again on the same storage."""
        port = self.port if same_port else 0
        self.terminate()
        self.start(port)

    def terminate(self) -> int:
        """SIGTERM, wait, and the exit code; AssertionError, with the log, if it does not end."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"no end {STOP_SECONDS} s after SIGTERM:\n{self.log}") from None
        return self._gone()

    def kill9(self) -> None:
        """SIGKILL, and wait until it is gone. `start` brings it back on the same storage."""
        process = self._running()
        process.kill()
        process.wait()
        self._gone()

    def memory(self) -> Memory:
        """How much it uses now, and at most since it started (proc(5): VmRSS, VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        kib = {key: int(value) for key, value in re.findall(r"(\w+):\s+(\d+) kB", status)}
        return Memory(resident=kib["VmRSS"] * 1024, peak=kib["VmHWM"] * 1024)

    def published(self, upload: str) -> Path:
        """The finished file of an upload, given by its URL or id; AssertionError unless there is one."""
        name = upload_id(upload)
        found = [each for each in self.names() if each.partition(".")[0] == name]
        assert len(found) == 1, f"published for {name}: {found}"
        return self.upload_dir / "uploads" / found[0]

    def content(self, upload: str) -> bytes:
        """The bytes of the finished file of an upload, given by its URL or id."""
        return self.published(upload).read_bytes()

    def public_url(self, upload: str) -> str:
        """Where the finished file of an upload is served."""
        return f"{self.origin}/uploads/{self.published(upload).name}"

    def names(self) -> list[str]:
        """The names of all finished files."""
        return sorted(path.name for path in (self.upload_dir / "uploads").iterdir())

    def direct(self, url: str) -> str:
        """`url`, which may lead through a proxy, with the server's own origin."""
        return f"{self.origin}{urlsplit(url).path}"

    def traces(self, upload: str) -> list[Path]:
        """Every file under the storage that belongs to an upload, given by its URL or id."""
        name = upload_id(upload)
        return sorted(path for path in self.upload_dir.rglob("*") if name in path.name)

    def _command(self, port: int) -> list[str]:
        fixed = ["--host", "127.0.0.1", "--port", str(port), "--upload-dir", str(self.upload_dir)]
        limits = ["--max-local-file-size", "0"]
        times = ["--network-timeout", "5s", "--acquire-lock-timeout", "5s", "--shutdown-timeout", "5s"]
        return [sys.executable, "-m", "tusd_py", "serve", *fixed, *limits, *times, *self.flags]

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server does not run"
        return self._process

    def _gone(self) -> int:
        process, self._process = self._running(), None
        assert self._reader is not None
        self._reader.join()
        assert process.stdout is not None
        process.stdout.close()
        return process.returncode

    def _collect(self, output: IO[bytes]) -> None:
        with self.log_path.open("ab", buffering=0) as log:
            for line in output:
                log.write(line)
                ready = _READY.search(line.decode(errors="replace"))
                if ready and not self.url:
                    self.url = ready[1]
                    self._answered.set()
        self._answered.set()  # it ended: nobody needs to wait any longer
