"""`make run-s3`: the server on an S3 of its own, from one command, for trying it out."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.wire import create, patch, wait_until
from tests.support.payload import Payload, sha256
from tests.support.seaweed import find_ports
from tests.support.server import fetch, upload_id

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parents[2] / "examples" / "seaweedfs" / "run.py"
FILE = Payload(size=6_000_000, seed=31)
READY = "You can now upload files to: "


@contextmanager
def running(folder: Path, port: int, number: signal.Signals) -> Iterator[tuple[str, list[str]]]:
    """The server's URL and what was said until then. `number` ends it at the end, with exit code 0."""
    flags = ["--seaweedfs-port", str(port), "--seaweedfs-dir", str(folder)]
    server = ["--host", "127.0.0.1", "--port", "0"]
    said = folder.with_name(f"{number.name}.txt")
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *flags, *server], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: READY in said.read_text() or process.poll() is not None)
        text = said.read_text()
        assert READY in text, text
        yield text.partition(READY)[2].splitlines()[0], text.splitlines()
    finally:
        process.send_signal(number)
        process.wait(60)
    assert process.returncode == 0, said.read_text()


def test_it_keeps_uploads_from_one_run_to_the_next(tmp_path: Path) -> None:
    """A file that is half there at Ctrl-C is whole after the next start, and served."""
    port = find_ports()["s3"]
    with running(tmp_path / "data", port, signal.SIGINT) as (url, said):
        upload = create(url, FILE.size)
        assert patch(upload, 0, FILE.data[:5_500_000]).status == 204
    with running(tmp_path / "data", port, signal.SIGTERM) as (url, _):
        answer = patch(url + upload_id(upload), 5_500_000, FILE.data[5_500_000:])
        assert answer.status == 204, answer
        served = fetch(answer.headers["content-location"])

    assert sha256(served.body) == FILE.sha256
    assert said[0].startswith(f"SeaweedFS: http://127.0.0.1:{port}, bucket uploads; ")
    assert re.search(r"AWS_ACCESS_KEY_ID=\w+ AWS_SECRET_ACCESS_KEY=\w+", said[1])


def test_it_says_why_it_does_not_start(tmp_path: Path) -> None:
    """A port that is taken: exit code 1, and SeaweedFS's own words."""
    port = find_ports()["s3"]
    with socket.create_server(("127.0.0.1", port + 1)):
        command = [sys.executable, str(PROGRAM), "--seaweedfs-port", str(port)]
        run = subprocess.run([*command, "--seaweedfs-dir", str(tmp_path)], capture_output=True, text=True)

    assert run.returncode == 1
    assert run.stderr.startswith("SeaweedFS did not start; its last words:\n")
    assert "is not available" in run.stderr
