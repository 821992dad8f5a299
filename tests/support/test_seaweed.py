"""The S3 server of the tests: its own keys, its own place, and data that outlive it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.support import seaweed as module
from tests.support.payload import Payload
from tests.support.seaweed import SeaweedProcess, Unfinished

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.recorder import Recorder

PART = 5 * 1024 * 1024  # S3's least, for all parts but the last


def begin(seaweed: SeaweedProcess, key: str, *parts: bytes) -> str:
    """A multipart upload with some parts already there; its id."""
    client = seaweed.client()
    to: dict[str, Any] = {"Bucket": seaweed.bucket, "Key": key}
    upload_id = client.create_multipart_upload(**to)["UploadId"]
    for number, part in enumerate(parts, 1):
        client.upload_part(**to, UploadId=upload_id, PartNumber=number, Body=part)
    return upload_id


def test_objects_are_told_by_prefix_with_size_and_digest(seaweed: SeaweedProcess) -> None:
    """A fresh prefix is empty; afterwards it has what was put there and nothing of its neighbours."""
    one, other, file = seaweed.fresh_prefix(), seaweed.fresh_prefix(), Payload(size=100_000, seed=1)
    before = seaweed.objects(one)
    seaweed.client().put_object(Bucket=seaweed.bucket, Key=f"{one}file", Body=file.data)
    seaweed.client().put_object(Bucket=seaweed.bucket, Key=f"{other}file", Body=b"")

    assert before == {}
    assert seaweed.objects(one) == {f"{one}file": 100_000}
    assert seaweed.digest(f"{one}file") == file.sha256


def test_unfinished_uploads_are_told_with_their_parts(seaweed: SeaweedProcess) -> None:
    """A part that was sent twice counts once; another prefix's uploads are not told."""
    one, other = seaweed.fresh_prefix(), seaweed.fresh_prefix()
    upload_id = begin(seaweed, f"{one}file", b"a" * PART, b"b")
    seaweed.client().upload_part(
        Bucket=seaweed.bucket, Key=f"{one}file", UploadId=upload_id, PartNumber=2, Body=b"b"
    )
    begin(seaweed, f"{other}file")

    assert seaweed.unfinished(one) == [Unfinished(key=f"{one}file", upload_id=upload_id)]
    assert seaweed.parts(seaweed.unfinished(one)[0]) == {1: PART, 2: 1}


def test_a_small_part_in_the_middle_is_refused(seaweed: SeaweedProcess) -> None:
    """As on AWS, EntityTooSmall: a test would not see a mistake there otherwise."""
    key = f"{seaweed.fresh_prefix()}file"
    to: dict[str, Any] = {"Bucket": seaweed.bucket, "Key": key}
    to["UploadId"] = begin(seaweed, key, b"a" * (PART - 1), b"b")
    listed = seaweed.client().list_parts(**to)["Parts"]
    parts: Any = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed]

    with pytest.raises(ClientError, match="EntityTooSmall"):
        seaweed.client().complete_multipart_upload(**to, MultipartUpload={"Parts": parts})


def test_nobody_gets_in_with_other_keys(seaweed: SeaweedProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures are checked, and the keys in `environment` are the right ones."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    right = boto3.client("s3", endpoint_url=seaweed.endpoint)
    keys: Any = {"aws_access_key_id": seaweed.access_key, "aws_secret_access_key": "wrong"}
    wrong = boto3.client("s3", endpoint_url=seaweed.endpoint, **keys)
    try:
        buckets = [bucket["Name"] for bucket in right.list_buckets()["Buckets"]]
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            wrong.list_buckets()
    finally:
        right.close()
        wrong.close()

    assert buckets == [seaweed.bucket]


def test_data_outlive_every_end_of_the_process(tmp_path: Path) -> None:
    """SIGKILL and SIGTERM, each followed by a start: same address, same objects, same parts."""
    with SeaweedProcess(tmp_path) as seaweed:
        seaweed.client().put_object(Bucket=seaweed.bucket, Key="a/object", Body=b"12345")
        begin(seaweed, "a/upload", b"a" * PART, b"b")
        endpoint, upload = seaweed.endpoint, seaweed.unfinished("a/")[0]
        seaweed.kill9()
        seaweed.start()
        after_kill = (seaweed.objects("a/"), seaweed.parts(upload))
        code = seaweed.terminate()
        seaweed.start()

        assert code == 0
        assert seaweed.endpoint == endpoint
        assert after_kill == ({"a/object": 5}, {1: PART, 2: 1})
        assert (seaweed.objects("a/"), seaweed.parts(upload)) == after_kill


def test_a_port_that_is_taken_is_left_to_its_owner(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was free when it was looked at: the server ends, and is started on other ports."""
    free = module.find_ports()
    places = iter([{**free, "filer": recorder.port}, free])
    monkeypatch.setattr(module, "find_ports", lambda: next(places, free))
    with SeaweedProcess(tmp_path) as seaweed:
        assert seaweed.port == free["s3"]
        assert "is not available" in seaweed.log
