"""Settings of S3: what is refused, what the memory allows, and that wrong ones end in one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.settings.support import complaint
from tusd_py.settings import load_settings
from tusd_py.storage import deferred_room, place_of

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
BUDGET = (
    "--s3-memory-budget: {} bytes do not hold two parts of s3_storage_chunk_size, {} bytes; "
    "give that or more"
)
NO_KEYS = "--s3-bucket: no credentials for S3 were found; see --s3-bucket in `tusd-py serve --help`"


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            ["--s3-memory-budget", "9MiB"],
            BUDGET.format(9437184, 10485760),
        ),
        (
            ["--s3-storage-chunk-size", "200MiB"],
            BUDGET.format(268435456, 419430400),
        ),
        (
            ["--s3-storage-chunk-size", "4MiB"],
            "--s3-storage-chunk-size: '4MiB' is not a size from 5MiB to 5GiB",
        ),
        (["--s3-part-size", "6GiB"], "--s3-storage-chunk-size: '6GiB' is not a size from 5MiB to 5GiB"),
        (["--s3-bucket", "a"], "--s3-bucket: 'a' is not the name of a bucket"),
        (["--s3-bucket", "my/bucket"], "--s3-bucket: 'my/bucket' is not the name of a bucket"),
        *[
            (
                ["--s3-endpoint", address],
                f"--s3-endpoint: {address!r} is not an address such as https://s3.example.org",
            )
            for address in (
                "s3.example.org",
                "ftp://s3",
                "https://",
                "https://s3/bucket",
                "http://a b",
                "?",
            )
        ],
        (
            ["--s3-checksums", "never"],
            "--s3-checksums: 'never' is not one of when_supported, when_required",
        ),
        (["--s3-serve", "direct"], "--s3-serve: 'direct' is not one of proxy, redirect"),
        (
            ["--s3-sse", "aws:kms:"],
            "--s3-sse: 'aws:kms:' is not AES256, aws:kms or aws:kms: with a key's id",
        ),
    ],
)
def test_a_wrong_setting_of_s3_is_one_line(argv: list[str], line: str) -> None:
    """It names the flag as it was written, and what is accepted."""
    assert complaint(argv) == line


@pytest.mark.parametrize("flag", ["--s3-storage-chunk-size", "--s3-part-size"])
def test_the_size_of_parts_has_two_names(flag: str) -> None:
    """One is Transloadit's, the other everybody's."""
    assert load_settings([flag, "8MiB"]).s3_storage_chunk_size == 8 * MIB


@pytest.mark.parametrize(
    ("argv", "limit"),
    [
        (["--s3-bucket", "tus"], 10_000 * 128 * MIB),
        (["--s3-bucket", "tus", "--s3-memory-budget", "10MiB"], 10_000 * 5 * MIB),
        (["--s3-bucket", "tus", "--s3-memory-budget", "11MiB"], 10_000 * 5 * MIB),
        (["--s3-bucket", "tus", "--s3-memory-budget", "10GiB"], 10_000 * 5 * 2**30),
        (["--s3-bucket", "tus", "--s3-memory-budget", "1TiB"], 10_000 * 5 * 2**30),
        (["--s3-bucket", "tus", "--max-size", "1GiB"], 2**30),
        (["--s3-bucket", "tus", "--max-size", "100TiB"], 10_000 * 128 * MIB),
        (["--s3-bucket", "tus", "--max-local-file-size", "1MiB"], 10_000 * 128 * MIB),
        (["--max-local-file-size", "1MiB"], MIB),
    ],
)
def test_the_largest_upload_is_what_the_memory_has_two_parts_for(argv: list[str], limit: int) -> None:
    """10,000 parts, each half of the budget at most, and none above S3's own 5 GiB."""
    assert load_settings(argv).effective_max_size == limit


@pytest.mark.parametrize(
    ("argv", "room"),
    [
        (["--s3-bucket", "tus"], 10_000 * 5 * MIB),
        (["--s3-bucket", "tus", "--max-size", "1GiB"], 10_000 * 5 * MIB),
        (["--s3-bucket", "tus", "--max-size", "1TiB"], 10_000 * 105 * MIB),
        ([], None),
    ],
)
def test_a_deferred_length_has_room_for_the_largest_upload(argv: list[str], room: int | None) -> None:
    """The size of its parts is fixed before anybody knows how many bytes will come."""
    settings = load_settings(argv)

    assert deferred_room(settings) == room
    assert room is None or room >= settings.max_size


def test_the_place_is_named_for_people() -> None:
    """Bucket, prefix and server."""
    argv = ["--s3-bucket", "tus", "--s3-object-prefix", "/eu//a", "--s3-endpoint", "http://localhost:8333"]

    assert place_of(load_settings(argv)) == "s3://tus/eu/a/ at http://localhost:8333"


@pytest.mark.parametrize("command", ["serve", "gc", "fsck", "ls"])
def test_missing_credentials_are_one_line_and_exit_2(command: str, tmp_path: Path) -> None:
    """Before anything is asked of S3, and without a word of boto3's own."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tusd_py",
            command,
            "--s3-bucket",
            "tus",
            "--s3-endpoint",
            "http://127.0.0.1:9",
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.getcwd(),
            "HOME": str(tmp_path),
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        capture_output=True,
        text=True,
    )

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"tusd-py: {NO_KEYS}\n"
    assert list(tmp_path.iterdir()) == []
