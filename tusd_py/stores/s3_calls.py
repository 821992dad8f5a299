"""The calls to S3, one method each, and the one place where boto3's errors become ours.

Everything here blocks. `tusd_py.stores.s3` calls it from threads.
"""

from __future__ import annotations

import contextlib
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

from tusd_py.core.errors import StorageFullError, StoreError
from tusd_py.stores.s3_body import PartBody
from tusd_py.stores.s3_parts import Part, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client

KEYS_AT_ONCE = 1000
"""How many keys one DeleteObjects takes."""

OWNER = "upload-id"
"""The metadata of an object that names the upload it is of."""


class MissingError(StoreError):
    """There is certainly no object of that key."""


class NoSuchMultipartError(StoreError):
    """There is certainly no such multipart upload, any more or ever."""


class ConflictError(StoreError):
    """The condition did not hold: somebody else has written the object, or it was our own lost write."""


class InvalidPartError(StoreError):
    """The parts named are not those that are stored."""


_ERRORS: dict[str, type[StoreError]] = {
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
"""By S3's code. NoSuchBucket is none of these: it says nothing about our objects."""


@contextlib.contextmanager
def translated(operation: str) -> Iterator[None]:
    """Errors of boto3 become StoreError and its children; their texts are for our log."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        kind = _ERRORS.get(code, StoreError)
        raise kind(f"{operation}: {code or 'an answer that cannot be read'}") from error
    except (BotoCoreError, HTTPClientError, ResponseParserError) as error:
        raise StoreError(f"{operation}: {type(error).__name__}") from error
    except (OSError, ValueError) as error:  # what urllib3 and http.client let through
        raise StoreError(f"{operation}: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is known of an object without its bytes. `owner` is the id of the upload it is of."""

    size: int
    etag: str
    modified_at: datetime
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """How the object of an upload is stored: what a browser is told, whose it is, whether it is a file."""

    content_type: str
    disposition: str
    owner: str
    is_public: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipart:
    """An unfinished multipart upload, as a listing shows it."""

    key: str
    upload_id: str
    begun_at: datetime


class Answer(dict[str, Any]):
    """What S3 said to a call. Where a field is missing that S3 always has, somebody else has answered."""

    def __init__(self, operation: str, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self._operation = operation

    def __missing__(self, field: str) -> Any:
        raise StoreError(f"{self._operation}: an answer without {field}")

    def entries(self, field: str) -> Iterator[Answer]:
        """The parts of a list, which is left out when it is empty."""
        return (Answer(self._operation, entry) for entry in self.get(field, ()))


def checksum_of(pieces: Iterable[bytes | memoryview]) -> str:
    """CRC32 as S3 writes it: big-endian, in Base64 (S3, Checking object integrity)."""
    value = 0
    for piece in pieces:
        value = crc32(piece, value)
    return b64encode(value.to_bytes(4, "big")).decode()


class Bucket:
    """One bucket. Every method is one call to S3, but for the listings, which are one a page.

    `extra` goes with each finished file (its storage class), `sealing` with every object that is written
    (encryption). `observe` hears of every call: its operation and how many seconds it took.
    All raise StoreError.
    """

    def __init__(
        self,
        client: S3Client,
        name: str,
        *,
        checksums: bool,
        extra: Mapping[str, str],
        sealing: Mapping[str, str] | None = None,
        observe: Callable[[str, float], None] | None = None,
    ) -> None:
        self._client = client
        self._name = name
        self._checksums = checksums
        self._sealing = dict(sealing or {})
        self._extra = dict(extra)
        self._observe = observe

    def _call(self, operation: str, **arguments: Any) -> Answer:
        call = getattr(self._client, operation)
        started = time.perf_counter()
        try:
            with translated(operation):
                return Answer(operation, call(Bucket=self._name, **arguments))
        finally:
            if self._observe is not None:
                self._observe(operation, time.perf_counter() - started)

    def _list(self, operation: str, **arguments: Any) -> Answer:
        """A listing that says at least what it is of: a proxy's page reads as one of nothing."""
        answer = self._call(operation, **arguments)
        if not set(answer) - {"ResponseMetadata"}:
            raise StoreError(f"{operation}: an answer that is no listing")
        return answer

    # -- objects ------------------------------------------------------------------------------

    def get(self, key: str) -> tuple[bytes, str]:
        """The whole of a small object, and its ETag. MissingError when there is none."""
        answer = self._call("get_object", Key=key)
        with translated("get_object"), contextlib.closing(answer["Body"]) as body:
            return body.read(), str(answer["ETag"])

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Bytes `start` up to but not including `stop` of an object. MissingError when there is none."""
        body = self.stream(key, start, stop)
        with translated("get_object"), contextlib.closing(body):
            data = body.read()
        if len(data) != stop - start:
            raise StoreError(f"get_object: {len(data)} bytes of {stop - start}")
        return data

    def stream(self, key: str, start: int, stop: int, *, etag: str | None = None) -> StreamingBody:
        """The same as a stream, to be closed; with `etag` ConflictError when the object is another."""
        condition = {"IfMatch": etag} if etag else {}
        answer = self._call("get_object", Key=key, Range=f"bytes={start}-{stop - 1}", **condition)
        body: StreamingBody = answer["Body"]
        return body

    def put(
        self, key: str, pieces: Sequence[bytes | memoryview], *, if_match: str = "", if_none: bool = False
    ) -> str:
        """Write a small object, and return its ETag. ConflictError when the condition does not hold."""
        conditions = {"IfMatch": if_match} if if_match else {"IfNoneMatch": "*"} if if_none else {}
        answer = self._call("put_object", Key=key, **self._body(pieces), **conditions, **self._sealing)
        etag: str = answer["ETag"]
        return etag

    def publish(self, key: str, pieces: Sequence[bytes | memoryview], shown: Presented) -> None:
        """Write a whole object of an upload at once. ConflictError when the key is taken."""
        body = self._body(pieces)
        answer = self._call("put_object", Key=key, IfNoneMatch="*", **body, **self._presentation(shown))
        answer["ETag"]  # nobody else than S3 says that it is done

    def _body(self, pieces: Sequence[bytes | memoryview]) -> dict[str, Any]:
        # The sum as a header: as a trailer, some servers store "aws-chunked" as the object's encoding.
        checksum = {"ChecksumCRC32": checksum_of(pieces)} if self._checksums else {}
        # Read as they lie: put together, pieces would take their memory twice.
        is_plain = len(pieces) == 1 and isinstance(pieces[0], bytes)
        return {"Body": pieces[0] if is_plain else PartBody(pieces) if pieces else b"", **checksum}

    def _presentation(self, shown: Presented) -> dict[str, Any]:
        return {
            "ContentType": shown.content_type,
            "ContentDisposition": shown.disposition,
            "Metadata": {OWNER: shown.owner},
            **(self._extra if shown.is_public else {}),
            **self._sealing,
        }

    def head(self, key: str) -> Stored | None:
        """What is known of an object; None when there is none.

        S3 does not say why a HEAD is 404: ask only where something else in the bucket was just read.
        """
        try:
            answer = self._call("head_object", Key=key)
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") in {
                "404",
                "NoSuchKey",
                "NotFound",
            }:
                return None
            raise
        return Stored(
            size=answer["ContentLength"],
            etag=answer["ETag"],
            modified_at=answer["LastModified"],
            owner=answer.get("Metadata", {}).get(OWNER),
        )

    def delete(self, key: str, *, if_match: str = "") -> None:
        """Remove an object; it may be gone already."""
        with contextlib.suppress(MissingError):
            self._call("delete_object", Key=key, **({"IfMatch": if_match} if if_match else {}))

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove objects; they may be gone already."""
        for first in range(0, len(keys), KEYS_AT_ONCE):
            some = [{"Key": key} for key in keys[first : first + KEYS_AT_ONCE]]
            answer = self._call("delete_objects", Delete={"Objects": some, "Quiet": True})
            left = [error.get("Code") for error in answer.get("Errors", ())]
            if any(code != "NoSuchKey" for code in left):
                raise StoreError(f"delete_objects: {left[0]}")

    def list_page(self, prefix: str, after: str | None) -> tuple[list[tuple[str, Stored]], str | None]:
        """A page of keys in their order, and what the next one comes after; None at the end."""
        start = {"StartAfter": after} if after else {}
        answer = self._list("list_objects_v2", Prefix=prefix, **start)
        found = [
            (
                entry["Key"],
                Stored(size=entry["Size"], etag=entry["ETag"], modified_at=entry["LastModified"]),
            )
            for entry in answer.entries("Contents")
        ]
        # By the last key rather than by a token: what is removed meanwhile does not end the listing.
        return found, found[-1][0] if answer.get("IsTruncated") and found else None

    def list_all(self, prefix: str) -> list[tuple[str, Stored]]:
        """All objects whose keys begin so. For prefixes that few keys share."""
        found, after = self.list_page(prefix, None)
        while after is not None:
            page, after = self.list_page(prefix, after)
            found += page
        return found

    # -- multipart uploads --------------------------------------------------------------------

    def create_multipart(self, key: str, shown: Presented) -> str:
        """Begin one, and return its id. If only the answer is lost, an orphan is left (see examine)."""
        # A sum over the whole object: with one of sums, those of all parts would have to be told again at
        # the end, and whoever did not send them has to list them, which SeaweedFS (4.48) does without.
        sums = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"} if self._checksums else {}
        answer = self._call("create_multipart_upload", Key=key, **sums, **self._presentation(shown))
        upload_id: str = answer["UploadId"]
        return upload_id

    def upload_part(self, key: str, upload_id: str, number: int, body: PartBody) -> Part:
        """Store one part. CancelledSendingError when its body is cancelled meanwhile."""
        checksum = checksum_of(body.pieces) if self._checksums else None
        summed = {"ChecksumCRC32": checksum} if checksum else {}
        answer = self._call(
            "upload_part", Key=key, UploadId=upload_id, PartNumber=number, Body=body, **summed
        )
        return Part(number=number, size=len(body), etag=answer["ETag"], checksum=checksum)

    def copy_part(self, key: str, upload_id: str, number: int, source: str, span: Span) -> Part:
        """Make a part of another object's bytes, within the storage."""
        answer = self._call(
            "upload_part_copy",
            Key=key,
            UploadId=upload_id,
            PartNumber=number,
            CopySource={"Bucket": self._name, "Key": source},
            CopySourceRange=f"bytes={span.start}-{span.stop - 1}",
        )
        copied = answer["CopyPartResult"]
        if not copied.get("ETag"):
            raise StoreError("upload_part_copy: an answer without ETag")
        return Part(
            number=number,
            size=span.stop - span.start,
            etag=copied["ETag"],
            checksum=copied.get("ChecksumCRC32"),
        )

    def list_parts(self, key: str, upload_id: str) -> list[tuple[datetime, Part]]:
        """Every part with the time it came; a number may be there twice (SeaweedFS 4.48)."""
        found: list[tuple[datetime, Part]] = []
        marker: dict[str, Any] = {}
        while True:
            answer = self._list("list_parts", Key=key, UploadId=upload_id, **marker)
            for entry in answer.entries("Parts"):
                part = Part(
                    number=entry["PartNumber"],
                    size=entry["Size"],
                    etag=entry["ETag"],
                    checksum=entry.get("ChecksumCRC32"),
                )
                found.append((entry["LastModified"], part))
            if not answer.get("IsTruncated") or not answer.get("Parts"):
                return found
            marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the object of its parts, unless the key is taken: ConflictError."""
        named = [
            {"PartNumber": part.number, "ETag": part.etag}
            | ({"ChecksumCRC32": part.checksum} if part.checksum else {})
            for part in parts
        ]
        answer = self._call(
            "complete_multipart_upload",
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": named},
            IfNoneMatch="*",
        )
        answer["ETag"]  # see publish

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Remove it with its parts; it may be gone already."""
        with contextlib.suppress(NoSuchMultipartError):
            self._call("abort_multipart_upload", Key=key, UploadId=upload_id)

    def list_multiparts(self, prefix: str) -> list[Multipart]:
        """Every unfinished multipart upload whose key begins so, in no order."""
        found: list[Multipart] = []
        markers: dict[str, Any] = {}
        while True:
            answer = self._list("list_multipart_uploads", Prefix=prefix, **markers)
            found += [
                Multipart(key=entry["Key"], upload_id=entry["UploadId"], begun_at=entry["Initiated"])
                for entry in answer.entries("Uploads")
            ]
            if not answer.get("IsTruncated") or not answer.get("NextKeyMarker"):
                return found
            markers = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
            }

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def sign(self, key: str, method: str, seconds: int) -> str:
        """An address from which anybody can have the object for a while; nothing is asked of S3."""
        operation = "head_object" if method == "HEAD" else "get_object"
        with translated("sign"):
            url: str = self._client.generate_presigned_url(
                operation, Params={"Bucket": self._name, "Key": key}, ExpiresIn=seconds, HttpMethod=method
            )
            return url
