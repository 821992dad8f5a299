"""The boto3 client, configured for many parts at once and for giving up in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from tusd_py.core.errors import StoreError
from tusd_py.stores.s3_sending import CALLS, READS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Checksums = Literal["when_supported", "when_required"]

CONNECT_TIMEOUT = 5.0
"""Seconds; also the longest that sending may stall (botocore sets it on the socket)."""
READ_TIMEOUT = 30.0
"""Seconds without a byte of an answer."""
ATTEMPTS = 4
"""How often boto3 tries a call in all, with growing pauses between."""


def make_client(
    *, endpoint: str | None, region: str | None, checksums: Checksums, concurrency: int
) -> S3Client:
    """One client for the whole process, with a connection for each of its threads.

    Credentials come by boto3's own chain. Raises StoreError when there are none, or when the endpoint is
    no URL. Nothing is asked of S3.
    """
    config = Config(
        signature_version="s3v4",
        max_pool_connections=concurrency + CALLS + READS,
        tcp_keepalive=True,
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        # The bytes are covered by CRC32 and, as a rule, TLS: signing them too costs more than sending them.
        s3={"addressing_style": "path" if endpoint else "auto", "payload_signing_enabled": False},
    )
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            raise StoreError("no credentials for S3 were found")
        # S3-compatible servers take any region; signing needs one.
        place = region or session.region_name or ("us-east-1" if endpoint else None)
        return session.client("s3", endpoint_url=endpoint, region_name=place, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"the S3 client cannot be made: {error}") from error
