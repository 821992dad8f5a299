"""The end of an upload in S3 that does not tell how it ended."""

from __future__ import annotations

import pytest

from tests.engine.scene import Scene
from tests.faults.engines import Failing
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3, Fault
from tusd_py.core.errors import StoreError, UploadRejectedError
from tusd_py.core.model import UploadState
from tusd_py.testing.kit import sample

DATA = sample(3500, 4)


@pytest.mark.parametrize(
    ("size", "operation"),
    [(3500, "complete_multipart_upload"), (900, "put_object")],
    ids=["parts", "small"],
)
async def test_a_hook_is_not_asked_again_once_the_file_may_be_public(size: int, operation: str) -> None:
    """S3 may carry out what it has not answered: a veto after that would come too late."""
    server = FakeS3()
    hook = Failing([None, UploadRejectedError("too late")])
    scene = Scene(make_fake_store(server), hooks=[hook])
    upload = await scene.create(size)
    published = f"ours/uploads/{upload.name}"
    away = True

    def strike(called: str, _number: int) -> Fault | None:
        is_publication = called == operation and server.last_key == published
        return "unreachable" if away and is_publication else None

    server.strike = strike
    with pytest.raises(StoreError):
        await scene.append(upload.id, 0, DATA[:size])
    away = False
    scene.restart(make_fake_store(server))
    found = await scene.head(upload.id)

    assert found.state is UploadState.COMPLETE
    assert hook.asked == 1
    assert server.objects[published].data == DATA[:size]
