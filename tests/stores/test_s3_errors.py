"""What S3 refuses, and what answers in its place: which of our errors it is.

Promise 4: 404 only when it is certain. Nothing that may be there is not found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from tests.stores.canned import CannedServer
from tests.stores.s3_bench import present
from tusd_py.core.errors import StorageFullError, StoreError, UploadNotFoundError
from tusd_py.stores.s3_body import PartBody
from tusd_py.stores.s3_calls import (
    _ERRORS,
    Bucket,
    ConflictError,
    InvalidPartError,
    MissingError,
    NoSuchMultipartError,
    Presented,
    translated,
)
from tusd_py.stores.s3_layout import Layout
from tusd_py.stores.s3_ledger import Ledger
from tusd_py.stores.s3_parts import Part, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHOWN = Presented(content_type="text/plain", disposition="attachment", owner="one")
PART = Part(number=1, size=5, etag='"e"')

CALLS: dict[str, Callable[[Bucket], object]] = {
    "get": lambda bucket: bucket.get("key"),
    "read": lambda bucket: bucket.read("key", 0, 5),
    "put": lambda bucket: bucket.put("key", [b"bytes"]),
    "publish": lambda bucket: bucket.publish("key", [b"bytes"], SHOWN),
    "list_page": lambda bucket: bucket.list_page("key", None),
    "create_multipart": lambda bucket: bucket.create_multipart("key", SHOWN),
    "upload_part": lambda bucket: bucket.upload_part("key", "id", 1, PartBody([b"bytes"])),
    "copy_part": lambda bucket: bucket.copy_part("key", "id", 1, "source", Span(0, 0, 5)),
    "list_parts": lambda bucket: bucket.list_parts("key", "id"),
    "complete_multipart": lambda bucket: bucket.complete_multipart("key", "id", [PART]),
    "list_multiparts": lambda bucket: bucket.list_multiparts("key"),
}
"""Every call of a bucket whose answer says something; what deletions are told is whether they failed."""

EXPECTED: dict[str, type[StoreError]] = {
    "NoSuchKey": MissingError,
    "NoSuchUpload": NoSuchMultipartError,
    "PreconditionFailed": ConflictError,
    "ConditionalRequestConflict": ConflictError,
    "412": ConflictError,
    "InvalidPart": InvalidPartError,
    "InvalidPartOrder": InvalidPartError,
    "InsufficientStorage": StorageFullError,
    "QuotaExceeded": StorageFullError,
    "QuotaExceededException": StorageFullError,
    "StorageFull": StorageFullError,
    "XMinioStorageFull": StorageFullError,
}


@pytest.fixture(scope="module")
def canned() -> Iterator[CannedServer]:
    """Something that answers in the place of S3."""
    with CannedServer() as server:
        yield server


def ledger_of(bucket: Bucket) -> Ledger:
    """The ledger of a store over that bucket."""
    return Ledger(bucket, Layout(""), part_size=1000, room=None, present=present)


def xml(code: str) -> bytes:
    """An error as S3 writes it."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()


def test_every_code_with_a_meaning_has_a_row_here() -> None:
    """The table of the code and that of the test name the same codes."""
    assert _ERRORS == EXPECTED


@pytest.mark.parametrize(("code", "kind"), EXPECTED.items())
def test_a_code_of_s3_is_one_error_of_ours(code: str, kind: type[StoreError]) -> None:
    """By the code alone, which the text for the log names."""
    refusal = ClientError({"Error": {"Code": code}}, "PutObject")

    with pytest.raises(StoreError, match=f"put_object: {code}") as caught, translated("put_object"):
        raise refusal

    assert type(caught.value) is kind
    assert caught.value.__cause__ is refusal


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({}, "PutObject"),
        ConnectTimeoutError(endpoint_url="http://s3"),
        EndpointConnectionError(endpoint_url="http://s3"),
        ConnectionResetError(),
        ValueError("I/O operation on closed file"),
    ],
    ids=repr,
)
def test_what_fails_on_the_way_is_a_store_error(failure: Exception) -> None:
    """Neither more nor less is known then."""
    with pytest.raises(StoreError) as caught, translated("put_object"):
        raise failure

    assert type(caught.value) is StoreError


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, xml("NoSuchBucket")),
        (403, xml("AccessDenied")),
        (403, xml("InvalidAccessKeyId")),
        (404, b""),
        (404, b"<html><body><h1>404 Not Found</h1></body></html>"),
        (502, b"<html>Bad Gateway</html>"),
        (200, b"<html><title>Welcome to the hotel</title></html>"),
        (200, b"<html><p>not even well-formed"),
        (200, b""),
    ],
    ids=[
        "no bucket",
        "denied",
        "no such keys",
        "bare 404",
        "404 page",
        "502 page",
        "page",
        "torn page",
        "none",
    ],
)
def test_whatever_else_answers_is_a_store_error(
    canned: CannedServer, call: Callable[[Bucket], object], status: int, body: bytes
) -> None:
    """A bucket that is gone, keys that are wrong, proxies and their pages tell nothing of our objects."""
    bucket = canned.tell(status, body)

    with pytest.raises(StoreError) as caught:
        call(bucket)

    assert type(caught.value) is StoreError


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, xml("NoSuchBucket")),
        (403, xml("AccessDenied")),
        (404, b"<html></html>"),
        (200, b"<html></html>"),
    ],
    ids=["no bucket", "denied", "404 page", "page"],
)
def test_an_upload_is_not_found_only_by_the_word_of_s3(
    canned: CannedServer, status: int, body: bytes
) -> None:
    """Its record is missing when S3 says NoSuchKey; all else is our side's failure."""
    ledger = ledger_of(canned.tell(status, body))

    with pytest.raises(StoreError):
        ledger.load("one")


def test_an_upload_is_not_found_by_the_word_of_s3(canned: CannedServer) -> None:
    """The one answer that is certain."""
    ledger = ledger_of(canned.tell(404, xml("NoSuchKey")))

    with pytest.raises(UploadNotFoundError):
        ledger.load("one")


def test_a_completion_that_answers_200_with_an_error_is_one(canned: CannedServer) -> None:
    """S3, CompleteMultipartUpload: a request that fails after the processing has begun answers so."""
    bucket = canned.tell(200, xml("InternalError"))

    with pytest.raises(StoreError):
        bucket.complete_multipart("key", "id", [PART])


def test_a_deletion_that_leaves_something_is_a_failure(canned: CannedServer) -> None:
    """DeleteObjects answers 200 and names what it did not remove; what was not there is no matter."""
    told = "<DeleteResult><Error><Key>key</Key><Code>{}</Code></Error></DeleteResult>"

    with pytest.raises(StoreError, match="AccessDenied"):
        canned.tell(200, told.format("AccessDenied").encode()).delete_all(["key"])
    canned.tell(200, told.format("NoSuchKey").encode()).delete_all(["key"])
