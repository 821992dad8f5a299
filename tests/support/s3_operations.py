"""Which operation of S3 a request is, by its method, its path and its query (path-style addresses)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from tests.support.framing import Request


class Operation(StrEnum):
    """S3's own names."""

    CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
    UPLOAD_PART = "UploadPart"
    UPLOAD_PART_COPY = "UploadPartCopy"
    COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
    ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"
    LIST_PARTS = "ListParts"
    LIST_MULTIPART_UPLOADS = "ListMultipartUploads"
    PUT_OBJECT = "PutObject"
    COPY_OBJECT = "CopyObject"
    GET_OBJECT = "GetObject"
    HEAD_OBJECT = "HeadObject"
    DELETE_OBJECT = "DeleteObject"
    DELETE_OBJECTS = "DeleteObjects"
    LIST_OBJECTS = "ListObjectsV2"
    HEAD_BUCKET = "HeadBucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """`parameter` has to be in the query, unless it is empty; `has_key` tells objects from buckets."""

    operation: Operation
    method: str
    has_key: bool = True
    parameter: str = ""
    copies: bool = False


_ROWS = (  # the first that fits counts
    _Row(operation=Operation.CREATE_MULTIPART_UPLOAD, method="POST", parameter="uploads"),
    _Row(operation=Operation.COMPLETE_MULTIPART_UPLOAD, method="POST", parameter="uploadId"),
    _Row(operation=Operation.UPLOAD_PART_COPY, method="PUT", parameter="partNumber", copies=True),
    _Row(operation=Operation.UPLOAD_PART, method="PUT", parameter="partNumber"),
    _Row(operation=Operation.COPY_OBJECT, method="PUT", copies=True),
    _Row(operation=Operation.PUT_OBJECT, method="PUT"),
    _Row(operation=Operation.ABORT_MULTIPART_UPLOAD, method="DELETE", parameter="uploadId"),
    _Row(operation=Operation.DELETE_OBJECT, method="DELETE"),
    _Row(operation=Operation.LIST_PARTS, method="GET", parameter="uploadId"),
    _Row(operation=Operation.GET_OBJECT, method="GET"),
    _Row(operation=Operation.HEAD_OBJECT, method="HEAD"),
    _Row(operation=Operation.HEAD_BUCKET, method="HEAD", has_key=False),
    _Row(operation=Operation.LIST_MULTIPART_UPLOADS, method="GET", has_key=False, parameter="uploads"),
    _Row(operation=Operation.LIST_OBJECTS, method="GET", has_key=False, parameter="list-type"),
    _Row(operation=Operation.DELETE_OBJECTS, method="POST", has_key=False, parameter="delete"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as S3 understands it. Without a key it concerns the bucket; parts count from 1."""

    operation: Operation
    bucket: str
    key: str = ""
    part: int | None = None

    def __str__(self) -> str:
        """What faults are matched with: the operation, a space, the key."""
        return f"{self.operation} {self.key}"


def recognise(request: Request) -> Call:
    """What is asked for; LookupError when it is nothing that S3's users are known to ask here."""
    parts = urlsplit(request.target)
    query = parse_qs(parts.query, keep_blank_values=True)
    bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
    copies = "x-amz-copy-source" in request.headers
    for row in _ROWS:
        fits = (row.method, row.has_key, row.copies) == (request.method, bool(key), copies)
        if fits and (not row.parameter or row.parameter in query):
            part = int(query["partNumber"][0]) if "partNumber" in query else None
            return Call(operation=row.operation, bucket=bucket, key=key, part=part)
    raise LookupError(f"no operation of S3: {request.line}")
