"""nginx with the configuration of examples/nginx, in front of servers on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Self

from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONFIGURATION = ROOT / "examples" / "nginx" / "nginx.conf"
STOP_SECONDS = 20.0


class Nginx:
    """nginx on a free port of 127.0.0.1; what is changed in the file is where things are, nothing else."""

    def __init__(self, folder: Path, servers: Sequence[int]) -> None:
        self.folder = folder
        self.folder.mkdir()
        self._servers = servers
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # nginx leaves an inherited socket as it is: of two workers, the second would wait in accept().
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it had to say."""
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        configuration = self.folder / "nginx.conf"
        configuration.write_text(self._moved(CONFIGURATION.read_text(encoding="utf-8")), encoding="utf-8")
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        command = [executable(), "-e", str(self.folder / "log"), "-c", str(configuration), *user]
        # The socket is ours and listens already: no port is guessed, and nobody waits for the start.
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "NGINX": f"{self._listener.fileno()};"},
            pass_fds=[self._listener.fileno()],
            stdin=subprocess.DEVNULL,
        )
        self._listener.close()  # nginx has it: should that end, its clients are to hear of it
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_SECONDS)

    def _moved(self, text: str) -> str:
        """The configuration with the addresses and folders of this machine."""
        places = {
            "listen 8080;": f"listen 127.0.0.1:{self.port};",
            "server tusd-py-1:8080": f"server 127.0.0.1:{self._servers[0]}",
            "server tusd-py-2:8080": f"server 127.0.0.1:{self._servers[1]}",
            "error_log /dev/stderr warn;": f"error_log {self.folder}/log warn; daemon off;",
        }
        text = text.replace(" /tmp/", f" {self.folder}/")
        for theirs, ours in places.items():
            assert text.count(theirs) == 1, theirs
            text = text.replace(theirs, ours)
        return text


def executable() -> str:
    """Where nginx is; AssertionError where it is not installed."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "these tests need nginx: apt-get install nginx-light"
    return found
