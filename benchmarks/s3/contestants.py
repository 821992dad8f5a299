"""What is compared: ways to get files into the same S3 server, each in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.support.seaweed import SeaweedProcess

HERE = Path(__file__).parent
PIECE = 256 * 1024
"""Bytes that a client of ours hands to its socket at once."""


Contestant: TypeAlias = "Callable[[SeaweedProcess, str, Path], AbstractContextManager[Running]]"
"""Starts one, for the S3 server at an endpoint, with a folder for what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A contestant that is ready: `send(file, count)` uploads the file `count` times at once.

    `pid` is the process whose CPU time and memory are its own.
    """

    pid: int
    send: Callable[[Path, int], None]


@contextmanager
def tusd_py(seaweed: SeaweedProcess, endpoint: str, folder: Path) -> Iterator[Running]:
    """Our server, with its defaults, on uvloop."""
    flags = ("--s3-bucket", seaweed.bucket, "--s3-endpoint", endpoint, "--s3-object-prefix", "tusd-py")
    with ServerProcess(folder / "tusd-py", *flags, environment=seaweed.environment) as server:
        yield Running(pid=server.pid, send=lambda file, count: _tus(server.url, file, count))


@contextmanager
def tus_node(seaweed: SeaweedProcess, endpoint: str, folder: Path) -> Iterator[Running]:
    """@tus/server with @tus/s3-store, and parts of 8 MiB, as its documents show it."""
    process = subprocess.Popen(
        ["node", HERE / "tus_node_server.mjs", endpoint, seaweed.bucket],
        stdout=subprocess.PIPE,
        env=os.environ | dict(seaweed.environment) | {"NODE_ENV": "production", "TMPDIR": str(folder)},
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        url = f"http://127.0.0.1:{port}/files"
        yield Running(pid=process.pid, send=lambda file, count: _tus(url, file, count))
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def boto3_direct(seaweed: SeaweedProcess, endpoint: str, folder: Path) -> Iterator[Running]:
    """boto3's own upload_file with its defaults: no server between, the file is on the machine."""
    process = subprocess.Popen(
        [sys.executable, HERE / "boto3_upload.py", endpoint, seaweed.bucket],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | dict(seaweed.environment),
        text=True,
    )
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def send(file: Path, count: int) -> None:
        stdin.write(json.dumps([str(file), count]) + "\n")
        stdin.flush()
        assert stdout.readline() == "done\n"

    try:
        yield Running(pid=process.pid, send=send)
    finally:
        stdin.close()
        process.wait()
        stdout.close()


CONTESTANTS: dict[str, Contestant] = {
    "tusd-py": tusd_py,
    "boto3.upload_file": boto3_direct,
    "@tus/server + @tus/s3-store": tus_node,
}


def _tus(url: str, file: Path, count: int) -> None:
    """As tus-js-client does it: a POST and a PATCH with the whole file, `count` times at once."""
    failures: list[BaseException] = []

    def upload() -> None:
        try:
            _upload(url, file)
        except BaseException as error:  # noqa: BLE001 - told by the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=upload) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _upload(url: str, file: Path) -> None:
    size = file.stat().st_size
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=600, blocksize=PIECE)
    try:
        head = {"Tus-Resumable": "1.0.0"}
        connection.request("POST", parts.path, headers=head | {"Upload-Length": str(size)})
        created = connection.getresponse()
        created.read()
        assert created.status == 201, created.status
        where = urlsplit(created.headers["Location"]).path
        fields = head | {
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size),
        }
        with file.open("rb") as body:
            connection.request("PATCH", where, body=body, headers=fields)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status
        assert answer.headers["Upload-Offset"] == str(size)
    finally:
        connection.close()
