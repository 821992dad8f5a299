"""The fault proxy between boto3 and SeaweedFS: it knows the operations, and strikes the right one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.support import s3_faults
from tests.support.framing import Request
from tests.support.payload import make_bytes, sha256
from tests.support.s3_operations import Call, Operation, recognise
from tests.support.s3_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from types_boto3_s3 import S3Client

    from tests.support.faults import Fault
    from tests.support.seaweed import SeaweedProcess

BIG = make_bytes(5 * 1024 * 1024, 5)


@pytest.fixture
def s3_proxy(seaweed: SeaweedProcess) -> Iterator[S3FaultProxy]:
    """A faulty way to SeaweedFS."""
    with S3FaultProxy("127.0.0.1", seaweed.port) as it:
        yield it


@pytest.fixture
def client(seaweed: SeaweedProcess, s3_proxy: S3FaultProxy) -> Iterator[S3Client]:
    """Goes that way, and tries each thing once."""
    with closing(seaweed.client_of(s3_proxy.origin)) as it:
        yield it


class Object:
    """Every operation on one key, through one client."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self.client = client
        self.to: Any = {"Bucket": bucket, "Key": key}

    def begin(self) -> str:
        """A multipart upload."""
        return self.client.create_multipart_upload(**self.to)["UploadId"]

    def part(self, upload_id: str, data: bytes, number: int = 1) -> str:
        """One part; its ETag."""
        to = {**self.to, "UploadId": upload_id}
        return self.client.upload_part(**to, PartNumber=number, Body=data)["ETag"]

    def complete(self, upload_id: str, etag: str) -> None:
        """The upload of one part."""
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        self.client.complete_multipart_upload(**self.to, UploadId=upload_id, MultipartUpload=parts)

    def put(self, data: bytes) -> None:
        """The whole object at once."""
        self.client.put_object(**self.to, Body=data)


@pytest.fixture
def thing(client: S3Client, seaweed: SeaweedProcess) -> Object:
    """A key that nobody has used."""
    return Object(client, seaweed.bucket, f"{seaweed.fresh_prefix()}a thing+1")


def test_every_operation_is_recognised(
    thing: Object, client: S3Client, seaweed: SeaweedProcess, s3_proxy: S3FaultProxy
) -> None:
    """As boto3 sends it: operation, bucket, key and part number; signatures stay valid."""
    bucket, key, to = seaweed.bucket, thing.to["Key"], thing.to
    thing.put(BIG)
    client.head_object(**to)
    client.get_object(**to)["Body"].read()
    client.copy_object(**to, CopySource=to, MetadataDirective="REPLACE")
    upload_id = thing.begin()
    client.upload_part_copy(**to, UploadId=upload_id, PartNumber=7, CopySource=to)
    client.list_parts(**to, UploadId=upload_id)
    client.list_multipart_uploads(Bucket=bucket, Prefix=key)
    client.abort_multipart_upload(**to, UploadId=upload_id)
    upload_id = thing.begin()
    thing.complete(upload_id, thing.part(upload_id, b"part"))
    client.list_objects_v2(Bucket=bucket, Prefix=key)
    client.delete_object(**to)
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    client.head_bucket(Bucket=bucket)

    of_bucket = {
        Operation.LIST_MULTIPART_UPLOADS,
        Operation.LIST_OBJECTS,
        Operation.DELETE_OBJECTS,
        Operation.HEAD_BUCKET,
    }
    assert set(s3_proxy.calls) == set(Operation)
    assert s3_proxy.calls[Operation.CREATE_MULTIPART_UPLOAD] == 2
    assert {call.operation for call in s3_proxy.log if not call.key} == of_bucket
    assert {call.key for call in s3_proxy.log if call.key} == {key}
    assert {call.part for call in s3_proxy.log} == {None, 1, 7}
    assert {call.bucket for call in s3_proxy.log} == {bucket}


def test_what_is_no_operation_is_said_to_be_none() -> None:
    """LookupError; a proxy lets it pass."""
    with pytest.raises(LookupError, match="GET /bucket/\\?acl"):
        recognise(Request(method="GET", target="/bucket/?acl", headers={}))


def test_calls_can_be_counted_from_any_moment(
    thing: Object, s3_proxy: S3FaultProxy, seaweed: SeaweedProcess
) -> None:
    """`forget_calls` begins anew."""
    thing.put(b"1")
    s3_proxy.forget_calls()
    thing.put(b"2")

    put = Call(operation=Operation.PUT_OBJECT, bucket=seaweed.bucket, key=thing.to["Key"])
    assert s3_proxy.log == (put,)


UNDONE = [
    (s3_faults.refuse(Operation.PUT_OBJECT), BotoCoreError),
    (s3_faults.cut(Operation.PUT_OBJECT, 1), BotoCoreError),
    (s3_faults.cut(Operation.PUT_OBJECT, 3_000_000), BotoCoreError),
    (s3_faults.internal_error(Operation.PUT_OBJECT), ClientError),
    (s3_faults.slow_down(Operation.PUT_OBJECT), ClientError),
]


@pytest.mark.parametrize(("fault", "error"), UNDONE, ids=["refuse", "cut", "cut late", "500", "503"])
def test_a_call_that_does_not_arrive_changes_nothing(
    thing: Object, s3_proxy: S3FaultProxy, seaweed: SeaweedProcess, fault: Fault, error: type[Exception]
) -> None:
    """The first call passes, the second one is struck, the third one passes again."""
    thing.put(b"old")
    s3_proxy.script(fault)
    with pytest.raises(error):
        thing.put(BIG)
    meanwhile = seaweed.content(thing.to["Key"])
    thing.put(BIG)

    assert meanwhile == b"old"
    assert seaweed.digest(thing.to["Key"]) == sha256(BIG)
    assert s3_proxy.pending == ()


DONE = [
    (s3_faults.lose_response(Operation.PUT_OBJECT), BotoCoreError),
    (s3_faults.internal_error(Operation.PUT_OBJECT, done=True), ClientError),
]


@pytest.mark.parametrize(("fault", "error"), DONE, ids=["lost response", "500"])
def test_a_call_whose_answer_is_lost_has_been_carried_out(
    thing: Object, s3_proxy: S3FaultProxy, seaweed: SeaweedProcess, fault: Fault, error: type[Exception]
) -> None:
    """The client is told of a failure, and the object is there."""
    s3_proxy.script(fault)
    with pytest.raises(error):
        thing.put(BIG)

    assert seaweed.digest(thing.to["Key"]) == sha256(BIG)


@pytest.mark.parametrize("done", [False, True])
def test_a_success_with_an_error_in_its_body_is_an_error(
    *, thing: Object, s3_proxy: S3FaultProxy, seaweed: SeaweedProcess, done: bool
) -> None:
    """S3, CompleteMultipartUpload: 200 may be followed by <Error>; the object is there, or it is not."""
    upload_id = thing.begin()
    etag = thing.part(upload_id, b"part")
    s3_proxy.script(s3_faults.error_in_body(Operation.COMPLETE_MULTIPART_UPLOAD, done=done))
    with pytest.raises(ClientError, match="InternalError"):
        thing.complete(upload_id, etag)

    assert seaweed.objects(thing.to["Key"]) == ({thing.to["Key"]: 4} if done else {})


def test_a_part_that_is_cut_is_no_part(
    thing: Object, s3_proxy: S3FaultProxy, seaweed: SeaweedProcess
) -> None:
    """Of the second part 4 MiB arrive: only the first one is listed."""
    upload_id = thing.begin()
    s3_proxy.script(s3_faults.cut(Operation.UPLOAD_PART, 4 * 1024 * 1024, nth=2))
    thing.part(upload_id, BIG)
    with pytest.raises(BotoCoreError):
        thing.part(upload_id, BIG, 2)

    (upload,) = seaweed.unfinished(thing.to["Key"])
    assert seaweed.parts(upload) == {1: len(BIG)}


def test_a_fault_strikes_its_operation_and_its_key_alone(
    thing: Object, client: S3Client, seaweed: SeaweedProcess, s3_proxy: S3FaultProxy
) -> None:
    """UploadPart is not UploadPartCopy, and a key's end names the key."""
    other = Object(client, seaweed.bucket, f"{seaweed.fresh_prefix()}other")
    other.put(b"source")
    fault = s3_faults.internal_error(Operation.UPLOAD_PART, key="thing.1")
    s3_proxy.script(fault)
    upload_id, other_id = thing.begin(), other.begin()
    client.upload_part_copy(**thing.to, UploadId=upload_id, PartNumber=2, CopySource=other.to)
    other.part(other_id, b"part")

    assert s3_proxy.pending == (fault,)
    with pytest.raises(ClientError):
        thing.part(upload_id, b"part")


@pytest.fixture
def persistent(seaweed: SeaweedProcess, s3_proxy: S3FaultProxy) -> Iterator[S3Client]:
    """Goes through the proxy, too, and tries twice."""
    with closing(seaweed.client_of(s3_proxy.origin, attempts=2)) as it:
        yield it


@pytest.mark.parametrize("make", [s3_faults.slow_down, s3_faults.refuse, s3_faults.lose_response])
def test_repetitions_of_the_client_meet_the_same_fault(
    persistent: S3Client, seaweed: SeaweedProcess, s3_proxy: S3FaultProxy, make: Callable[..., Fault]
) -> None:
    """Two faults use up two attempts; one is made good by the second."""
    thing = Object(persistent, seaweed.bucket, f"{seaweed.fresh_prefix()}object")
    s3_proxy.script(make(Operation.PUT_OBJECT, times=2), make(Operation.PUT_OBJECT))
    with pytest.raises((ClientError, BotoCoreError)):
        thing.put(b"12345")
    thing.put(b"12345")

    assert s3_proxy.calls == {Operation.PUT_OBJECT: 4}
    assert s3_proxy.pending == ()
