"""The commands on a bucket: they see what a server left there, and mend what can be mended."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.storages import ago, own_environment
from tests.stores.s3_bench import make_store
from tests.support.payload import make_bytes
from tusd_py.core.model import UploadState
from tusd_py.testing.kit import finish, make_upload, put, start

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

CONTENT = make_bytes(5000)


class Bucket:
    """A prefix of its own, what is stored there, and the commands on it."""

    def __init__(self, seaweed: SeaweedProcess, folder: Path) -> None:
        self.seaweed = seaweed
        self.prefix = seaweed.fresh_prefix()
        self._folder = folder

    def fill(self) -> None:
        """A finished upload, an unfinished one, one whose time is over, one stuck before its end; and a
        multipart upload that nobody knows."""
        asyncio.run(self._fill())
        key = f"{self.prefix}uploads/nobody.bin"
        self.seaweed.client().create_multipart_upload(Bucket=self.seaweed.bucket, Key=key)

    async def _fill(self) -> None:
        store = make_store(self.seaweed, self.prefix)
        try:
            await start(store, CONTENT, "done")
            await finish(store, "done")
            await start(store, CONTENT, "stuck")
            for upload_id, expires_at in (("open", None), ("overdue", ago(hours=1))):
                await store.create(make_upload(upload_id, length=5000))
                await put(store, upload_id, CONTENT[:1000])
                await store.save(replace(await store.load(upload_id), expires_at=expires_at))
        finally:
            await store.close()

    def run(self, command: str, *argv: str) -> tuple[int, Any]:
        """The exit code and what `--json` printed; nothing may be said beside it."""
        place = ("--s3-bucket", self.seaweed.bucket, "--s3-object-prefix", self.prefix)
        where = (*place, "--s3-endpoint", self.seaweed.endpoint)
        ended = subprocess.run(
            [sys.executable, "-m", "tusd_py", command, *where, "--json", *argv],
            cwd=self._folder,
            env={**own_environment(), **self.seaweed.environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.stderr == ""
        assert list(self._folder.iterdir()) == []
        return ended.returncode, json.loads(ended.stdout)


@pytest.fixture
def bucket(seaweed: SeaweedProcess, tmp_path: Path) -> Bucket:
    """A prefix that is filled."""
    made = Bucket(seaweed, tmp_path)
    made.fill()
    return made


def test_the_uploads_of_a_bucket_are_listed(bucket: Bucket) -> None:
    """With the offsets that are measured there."""
    code, listed = bucket.run("ls")

    assert code == 0
    assert {each["id"]: each["offset"] for each in listed} == {
        "done": 5000,
        "stuck": 5000,
        "open": 1000,
        "overdue": 1000,
    }


def test_a_sweep_of_a_bucket_finishes_and_expires(bucket: Bucket) -> None:
    """What is stuck is published, what is overdue goes, what is fresh may be somebody's work."""
    code, report = bucket.run("gc")

    assert code == 0
    assert (report["finished"], report["expired"], report["litter"]) == (["stuck"], ["overdue"], [])
    objects = bucket.seaweed.objects(bucket.prefix)
    assert bucket.seaweed.content(f"{bucket.prefix}uploads/stuck.bin") == CONTENT
    assert not [key for key in objects if "overdue" in key and not key.endswith(".json")]
    assert [each.key for each in bucket.seaweed.unfinished(bucket.prefix)] == [
        f"{bucket.prefix}uploads/nobody.bin"
    ]
    assert f"{bucket.prefix}state/leader" not in objects


def test_a_bucket_is_examined_and_repaired(bucket: Bucket) -> None:
    """The multipart upload that nobody knows is aborted, the stuck one finished; then all is sound."""
    code, before = bucket.run("fsck")
    assert code == 3
    repaired, after = bucket.run("fsck", "--repair")

    assert sorted(each["kind"] for each in before["findings"]) == ["orphaned-multipart", "stuck-completing"]
    assert repaired == 0
    assert {each["outcome"] for each in after["findings"]} == {"repaired"}
    assert bucket.seaweed.unfinished(bucket.prefix) == []
    assert asyncio.run(states(bucket)) == {
        "done": UploadState.COMPLETE,
        "stuck": UploadState.COMPLETE,
        "open": UploadState.OPEN,
        "overdue": UploadState.OPEN,
    }


async def states(bucket: Bucket) -> dict[str, UploadState]:
    """Of all uploads."""
    store = make_store(bucket.seaweed, bucket.prefix)
    try:
        return {upload_id: (await store.load(upload_id)).state async for upload_id in store.list()}
    finally:
        await store.close()
