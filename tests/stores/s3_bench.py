"""S3 stores over a real server, for tests in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from tusd_py.stores.s3 import S3Store
from tusd_py.stores.s3_calls import Bucket
from tusd_py.stores.s3_parts import MIB

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from tests.stores.s3_fake import FakeS3
    from tests.support.seaweed import SeaweedProcess
    from tusd_py.core.model import Upload


def present(upload: Upload) -> tuple[str, str]:
    """Every object is shown as bytes to be saved."""
    return "application/octet-stream", "attachment"


def make_client(seaweed: SeaweedProcess, endpoint: str | None = None) -> S3Client:
    """A client as the server makes one, with the keys of `seaweed`, and quicker to give up."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint or seaweed.endpoint,
        region_name="us-east-1",
        aws_access_key_id=seaweed.access_key,
        aws_secret_access_key=seaweed.secret_key,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 2},
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            connect_timeout=5,
            read_timeout=10,
            max_pool_connections=40,
        ),
    )


def make_fake_store(server: FakeS3, **options: Any) -> S3Store:
    """A store over a bucket in memory, with parts of 1000 bytes unless told otherwise."""
    settings: dict[str, Any] = {"part_size": 1000, "memory_budget": 64 * MIB} | options
    bucket = Bucket(cast("S3Client", server.client()), "bucket", checksums=True, extra={})
    return S3Store(bucket, prefix="ours", present=present, **settings)


def make_store(
    seaweed: SeaweedProcess, prefix: str, *, endpoint: str | None = None, **options: Any
) -> S3Store:
    """A store of its own over `prefix`, as another process would have it."""
    settings: dict[str, Any] = {"part_size": 5 * MIB, "memory_budget": 64 * MIB} | options
    bucket = Bucket(make_client(seaweed, endpoint), seaweed.bucket, checksums=True, extra={})
    return S3Store(bucket, prefix=prefix, present=present, **settings)
