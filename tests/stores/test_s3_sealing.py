"""Encryption by S3: of every object that has bytes of an upload, also of those that go again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tests.engine.scene import Scene
from tests.stores.s3_bench import present
from tests.stores.s3_fake import FakeS3
from tusd_py.stores.s3 import S3Store
from tusd_py.stores.s3_calls import Bucket
from tusd_py.stores.s3_parts import MIB
from tusd_py.testing.kit import sample

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

DATA = sample(3500, 4)
SEALING = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"}


class Noting(FakeS3):
    """Keeps what each writing call says beside its bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, dict[str, Any]]] = []

    def carry_out(self, operation: str, arguments: dict[str, Any]) -> Any:
        if operation in {"put_object", "create_multipart_upload"}:
            self.said.append((arguments["Key"], dict(arguments)))
        return super().carry_out(operation, arguments)


async def test_every_object_that_is_written_is_sealed() -> None:
    """Records, tails, parts and files; the storage class is that of files alone."""
    server = Noting()
    bucket = Bucket(
        cast("S3Client", server.client()),
        "bucket",
        checksums=True,
        extra={"StorageClass": "STANDARD_IA"},
        sealing=SEALING,
    )
    scene = Scene(S3Store(bucket, part_size=1000, memory_budget=64 * MIB, present=present))

    await scene.create(900, DATA[:900])
    upload = await scene.create(len(DATA), DATA[:1400])
    await scene.append(upload.id, 1400, DATA[1400:])
    await scene.join(await scene.part(DATA[:900]), await scene.part(DATA))

    keys = " ".join(key for key, _ in server.said)
    assert all(kind in keys for kind in (".json", ".tail.", ".data", "uploads/"))
    assert all(said.items() >= SEALING.items() for _, said in server.said)
    for key, said in server.said:
        assert said.get("StorageClass") == ("STANDARD_IA" if key.startswith("uploads/") else None)
