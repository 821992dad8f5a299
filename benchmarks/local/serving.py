"""Starts a server on a free port, waits until it answers, and ends it with all that came of it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from benchmarks.machine import cpu_seconds, is_running, process_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.local.programs import Program

START_SECONDS = 30.0
END_SECONDS = 10.0
IDLE_SECONDS = 5.0
BAD_DIGEST = "sha256 " + "A" * 43 + "="


class ServerError(Exception):
    """A server did not come up, or did what it must not; says what."""


class Running:
    """A server that answers on a port of 127.0.0.1."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.pid = process.pid
        self.port = port
        self._process = process

    def check(self) -> None:
        """ServerError when it has ended."""
        if self._process.poll() is not None:
            raise ServerError(f"it ended with exit status {self._process.returncode}")

    def wait_for_answer(self) -> None:
        """Until any request is answered; ServerError when that takes too long, or it ends."""
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            self.check()
            with suppress(OSError, http.client.HTTPException):
                self.ask("OPTIONS", "/files/")
                return
            time.sleep(0.02)
        raise ServerError(f"no answer {START_SECONDS:.0f} s after its start")

    def wait_until_idle(self) -> None:
        """Until all its processes have started: for a moment none works, or one always does."""
        give_up, before = time.monotonic() + IDLE_SECONDS, -1.0
        while (busy := cpu_seconds(self.pid)) > before and time.monotonic() < give_up:
            before = busy
            time.sleep(0.1)

    def ask(
        self, method: str, path: str, fields: dict[str, str] | None = None, body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """One request on a connection of its own; the answer's body is not kept."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, body=body, headers={"Tus-Resumable": "1.0.0"} | (fields or {}))
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        return answer

    def verifies_checksums(self, path: str) -> bool:
        """Whether it refuses four bytes with a wrong sha256."""
        created = self.ask("POST", path, {"Upload-Length": "4"})
        location = created.headers.get("Location", path)
        target = "/" + location.partition("//")[2].partition("/")[2] if "//" in location else location
        fields = {
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
            "Upload-Checksum": BAD_DIGEST,
        }
        return self.ask("PATCH", target, fields, b"four").status >= 400


@contextmanager
def serving(program: Program, folder: Path) -> Iterator[Running]:
    """The server, ready, with its files in `folder`; nothing of it is left afterwards."""
    port = free_port()
    process = subprocess.Popen(
        program.command(port, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=os.environ | dict(program.environment(folder)),
        start_new_session=True,  # so that Ctrl-C reaches us alone, and the whole group can be ended
    )
    try:
        running = Running(process, port)
        running.wait_for_answer()
        running.wait_until_idle()
        yield running
    finally:
        _end(process)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and all that came of it, and wait until the last of them writes no more."""
    tree = process_tree(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in tree[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    give_up = time.monotonic() + END_SECONDS
    while any(is_running(pid) for pid in tree) and time.monotonic() < give_up:
        time.sleep(0.01)
