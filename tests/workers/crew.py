"""A server of several processes, seen from outside: which of them are there, and who has a connection."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.wire import wait_until
from tests.support.server import ServerProcess
from tests.wire.raw import Wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

_MOST_ATTEMPTS = 200
_RENEWED = "the workers are renewed"


class Crew(ServerProcess):
    """A supervisor and `workers` workers; see ServerProcess."""

    def __init__(
        self,
        upload_dir: Path,
        *flags: str,
        workers: int = 2,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # A body may wait while workers start, however busy the machine is.
        usual = ["--workers", str(workers), "--network-timeout", "60s"]
        super().__init__(upload_dir, *usual, *flags, environment=environment)

    def workers(self) -> set[int]:
        """The process ids of all workers, those that are starting or ending included."""
        return children_of(self.pid)

    def wait_for_end(self) -> int:
        """Wait until it ends by itself; its exit code."""
        self._running().wait(60)
        return self._gone()

    def hang_up(self) -> None:
        """SIGHUP: renew the workers."""
        os.kill(self.pid, signal.SIGHUP)

    def renew(self) -> None:
        """Renew all workers, and wait until that is done."""
        before, told = self.workers(), self.log.count(_RENEWED)
        self.hang_up()
        for left in reversed(range(len(before))):  # each of them may take its time
            wait_until(lambda: len(before & self.workers()) <= left, "a worker is not renewed")  # noqa: B023
        wait_until(lambda: self.log.count(_RENEWED) > told, "the workers are not renewed")

    def worker_of(self, sock: socket.socket) -> int:
        """Who has accepted this connection; waits until somebody has."""
        client = sock.getsockname()[1]
        found: list[int] = []

        def look() -> bool:
            inode = _inode_of(self.port, client)
            found[:] = [pid for pid in self.workers() if inode and inode in _inodes_of(pid)]
            return len(found) == 1

        wait_until(look, "nobody accepts the connection")
        return found[0]

    def connect(self, worker: int) -> Wire:
        """A connection that this worker has accepted. The system deals them out as it likes."""
        for _ in range(_MOST_ATTEMPTS):
            wire = Wire.to(self.port)
            if self.worker_of(wire.sock) == worker:
                return wire
            wire.sock.close()
        raise AssertionError(f"of {_MOST_ATTEMPTS} connections none came to {worker}")


def children_of(pid: int) -> set[int]:
    """The process ids of its children."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return (
            re.search(r"^State:\s+[^ZX]", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE) is not None
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


def _inode_of(server: int, client: int) -> str:
    """The server's socket of the connection between two ports of this machine."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        cells = line.split()
        if [int(cell.rpartition(":")[2], 16) for cell in cells[1:3]] == [server, client]:
            return "" if cells[9] == "0" else cells[9]
    return ""


def _inodes_of(pid: int) -> set[str]:
    """The sockets that a process has open."""
    links: set[str] = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.add(str(each.readlink()))
        except FileNotFoundError:
            continue
    return {link[8:-1] for link in links if link.startswith("socket:[")}
