# ruff: noqa: N803 - the names are those of S3
"""S3 in memory, behind the methods of boto3's client that we call, with faults at any call.

It is as awkward as the servers in the field: a part uploaded again is listed twice (SeaweedFS 4.48), and a
call whose answer is lost is made again by boto3, so that it meets its own effect. Unlike them it takes
parts of any size. The store's contract suite passes on it as on a real server.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tusd_py.stores.s3_parts import Part

Fault = Literal["unreachable", "slow down", "lost", "twice", "lost twice"]
"""What can happen to a call: it never arrives; it is refused; it is done and its answer lost, for good; it
is done, and done again because its answer was lost; the same, and the second answer is lost too."""

Strike: TypeAlias = "Callable[[str, int], Fault | None]"
"""Says what happens to a call, by its operation and its number, from 1."""

FAULTS: tuple[Fault, ...] = ("unreachable", "slow down", "lost", "twice", "lost twice")


@dataclass(slots=True, kw_only=True)
class Object:
    """Bytes and what was said with them."""

    data: bytes
    etag: str
    at: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Unfinished:
    """A multipart upload; its parts in the order they came, also those that were replaced."""

    key: str
    at: datetime
    metadata: dict[str, str]
    said: dict[str, Any]
    parts: list[tuple[int, Object]] = field(default_factory=list)


class FakeS3:
    """One bucket for any number of clients. `strike(operation, number)` says what happens to a call.

    `number` counts the calls from 1. `calls` counts them by operation, repetitions included.
    `last_key` is that of the latest call. `hold_up(operation, key)` is called before each, in its thread,
    and may wait there.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.uploads: dict[str, Unfinished] = {}
        self.calls: Counter[str] = Counter()
        self.log: list[str] = []
        self.last_key = ""
        self.strike: Strike = lambda _operation, _number: None
        self.hold_up: Callable[[str, str], None] = lambda _operation, _key: None
        self._lock = threading.RLock()
        self._ticks = 0

    def client(self) -> FakeClient:
        """A client, to be handed to Bucket."""
        return FakeClient(self)

    def copy(self) -> FakeS3:
        """What is stored now; what comes to this one from here on does not come to that."""
        copied = FakeS3()
        with self._lock:
            copied.objects = dict(self.objects)
            copied.uploads = {
                upload_id: replace(upload, parts=list(upload.parts))
                for upload_id, upload in self.uploads.items()
            }
            copied._ticks = self._ticks
        return copied

    def assemble(self, upload_id: str, named: Mapping[int, Part]) -> bytes:
        """The bytes of these parts of an unfinished upload, in the order of their numbers."""
        if upload_id not in self.uploads:
            return b""
        stored = {(number, part.etag): part.data for number, part in self.uploads[upload_id].parts}
        return b"".join(stored[number, part.etag] for number, part in sorted(named.items()))

    def carry_out(self, operation: str, arguments: dict[str, Any]) -> Any:
        """One call, with what strikes it."""
        self.hold_up(operation, arguments.get("Key", arguments.get("Prefix", "")))
        with self._lock:
            self.log.append(operation)
            self.last_key = arguments.get("Key", "")
            fault = self.strike(operation, len(self.log))
            if fault == "unreachable":
                raise ConnectionClosedError(endpoint_url="http://fake")
            if fault == "slow down":
                raise _refusal("SlowDown", operation)
            answer = self._do(operation, arguments)
            if fault in {"twice", "lost twice"}:
                if hasattr(arguments.get("Body"), "seek"):
                    arguments["Body"].seek(0)
                answer = self._do(operation, arguments)
            if fault in {"lost", "lost twice"}:
                raise ReadTimeoutError(endpoint_url="http://fake")
            return answer

    def _do(self, operation: str, arguments: dict[str, Any]) -> Any:
        self.calls[operation] += 1
        return getattr(self, f"_{operation}")(**arguments)

    def _now(self) -> datetime:
        self._ticks += 1
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._ticks)

    def _make(self, data: bytes, **said: Any) -> Object:
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        return Object(data=data, etag=etag, at=self._now(), metadata=said.pop("Metadata", {}), said=said)

    def _get(self, key: str, operation: str = "GetObject") -> Object:
        if key not in self.objects:
            raise _refusal("NoSuchKey", operation)
        return self.objects[key]

    def _check(self, key: str, if_match: str | None, if_none_match: str | None) -> None:
        if if_none_match and key in self.objects:
            raise _refusal("PreconditionFailed", "PutObject")
        if if_match and (key not in self.objects or self.objects[key].etag != if_match):
            raise _refusal("PreconditionFailed", "PutObject")

    # -- objects ------------------------------------------------------------------------------

    def _put_object(
        self, *, Bucket: str, Key: str, Body: Any, IfMatch: str = "", IfNoneMatch: str = "", **said: Any
    ) -> dict[str, Any]:
        self._check(Key, IfMatch, IfNoneMatch)
        assert isinstance(Body, bytes) or hasattr(Body, "read"), "boto3 takes nothing else"
        data = Body if isinstance(Body, bytes) else Body.read()
        made = self.objects[Key] = self._make(data, **said)
        return {"ETag": made.etag}

    def _get_object(self, *, Bucket: str, Key: str, Range: str = "", IfMatch: str = "") -> dict[str, Any]:
        found = self._get(Key)
        if IfMatch and found.etag != IfMatch:
            raise _refusal("PreconditionFailed", "GetObject")
        data = found.data
        if Range:
            first, last = Range.removeprefix("bytes=").split("-")
            data = data[int(first) : int(last) + 1]
        return {"Body": io.BytesIO(data), "ETag": found.etag}

    def _head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise _refusal("404", "HeadObject")
        found = self.objects[Key]
        return {
            "ContentLength": len(found.data),
            "ETag": found.etag,
            "LastModified": found.at,
            "Metadata": found.metadata,
        }

    def _delete_object(self, *, Bucket: str, Key: str, IfMatch: str = "") -> dict[str, Any]:
        self._check(Key, IfMatch, None)
        self.objects.pop(Key, None)
        return {}

    def _delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        for entry in Delete["Objects"]:
            self.objects.pop(entry["Key"], None)
        return {}

    def _list_objects_v2(self, *, Bucket: str, Prefix: str, StartAfter: str = "") -> dict[str, Any]:
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > StartAfter)
        page = [
            {"Key": key, "Size": len(found.data), "ETag": found.etag, "LastModified": found.at}
            for key in keys[:3]
            for found in [self.objects[key]]
        ]
        return {"Contents": page, "IsTruncated": len(keys) > 3}

    # -- multipart uploads --------------------------------------------------------------------

    def _create_multipart_upload(self, *, Bucket: str, Key: str, **said: Any) -> dict[str, Any]:
        at = self._now()
        upload_id = f"upload-{self._ticks}"
        metadata = said.pop("Metadata", {})
        self.uploads[upload_id] = Unfinished(key=Key, at=at, metadata=metadata, said=said)
        return {"UploadId": upload_id}

    def _unfinished(self, upload_id: str, key: str) -> Unfinished:
        found = self.uploads.get(upload_id)
        if found is None or found.key != key:
            raise _refusal("NoSuchUpload", "UploadPart")
        return found

    def _upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: Any, **_: Any
    ) -> dict[str, Any]:
        assert 1 <= PartNumber <= 10_000
        made = self._make(Body.read())
        self._unfinished(UploadId, Key).parts.append((PartNumber, made))
        return {"ETag": made.etag}

    def _upload_part_copy(
        self,
        *,
        Bucket: str,
        Key: str,
        UploadId: str,
        PartNumber: int,
        CopySource: dict[str, str],
        CopySourceRange: str,
    ) -> dict[str, Any]:
        source = self._get(CopySource["Key"], "UploadPartCopy").data
        first, last = CopySourceRange.removeprefix("bytes=").split("-")
        made = self._make(source[int(first) : int(last) + 1])
        self._unfinished(UploadId, Key).parts.append((PartNumber, made))
        return {"CopyPartResult": {"ETag": made.etag}}

    def _list_parts(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumberMarker: int = 0
    ) -> dict[str, Any]:
        parts = sorted(self._unfinished(UploadId, Key).parts, key=lambda part: part[0])
        after = [part for part in parts if part[0] > PartNumberMarker]
        page = [
            {"PartNumber": n, "Size": len(part.data), "ETag": part.etag, "LastModified": part.at}
            for n, part in after
            if n <= after[0][0] + 2
        ]
        is_cut = len(page) < len(after)
        marker = {"NextPartNumberMarker": page[-1]["PartNumber"]} if page else {}
        return {"Parts": page, "IsTruncated": is_cut, **marker}

    def _complete_multipart_upload(
        self,
        *,
        Bucket: str,
        Key: str,
        UploadId: str,
        MultipartUpload: dict[str, Any],
        IfNoneMatch: str = "",
    ) -> dict[str, Any]:
        unfinished = self._unfinished(UploadId, Key)
        self._check(Key, None, IfNoneMatch)
        stored = {(number, part.etag): part.data for number, part in unfinished.parts}
        wanted = [(part["PartNumber"], part["ETag"]) for part in MultipartUpload["Parts"]]
        if not wanted or any(each not in stored for each in wanted):
            raise _refusal("InvalidPart", "CompleteMultipartUpload")
        data = b"".join(stored[each] for each in wanted)
        self.objects[Key] = self._make(data, Metadata=unfinished.metadata, **unfinished.said)
        del self.uploads[UploadId]
        return {"ETag": self.objects[Key].etag}

    def _abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:
        self._unfinished(UploadId, Key)
        del self.uploads[UploadId]
        return {}

    def _list_multipart_uploads(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:
        found = [
            {"Key": upload.key, "UploadId": upload_id, "Initiated": upload.at}
            for upload_id, upload in self.uploads.items()
            if upload.key.startswith(Prefix)
        ]
        return {"Uploads": found, "IsTruncated": False}


class FakeClient:
    """What Bucket takes for boto3's client."""

    def __init__(self, server: FakeS3) -> None:
        self._server = server

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **arguments: self._server.carry_out(operation, arguments)

    def close(self) -> None:
        """Nothing to let go of."""


def _refusal(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as scripted"}}, operation)
