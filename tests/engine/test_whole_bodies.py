"""Uploads of which nobody is told before they are whole: all of the body, or nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.engine.scene import HOUR, Scene
from tusd_py.core.errors import (
    BodyInterruptedError,
    MaxSizeExceededError,
    StoreError,
    UploadNotFoundError,
    UploadRejectedError,
    UploadStoppedError,
)
from tusd_py.core.events import UploadFinished
from tusd_py.core.intents import Append, Concatenate, Create, Read, ReadOffset, Terminate
from tusd_py.core.model import Limits, Metadata, Upload, UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.ports import Hook
from tusd_py.core.rules import check_addressable
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import ids

ENDS = [end for end in BodyEnd if end not in {BodyEnd.WHOLE, BodyEnd.TOO_LONG, BodyEnd.STOPPED}]


async def send(
    scene: Scene, *pieces: bytes, end: BodyEnd = BodyEnd.WHOLE, is_partial: bool = False
) -> Upload:
    """A body that is a whole upload of the id `mine`."""
    intent = Create(
        length=None,
        metadata=Metadata(),
        has_body=True,
        body_length=0,
        upload_id="mine",
        is_partial=is_partial,
        is_whole=True,
        unfinished=timedelta(hours=1),
    )
    return (await scene.engine.create(intent, ScriptedBody(pieces, end))).upload


@pytest.mark.parametrize("pieces", [(b"12", b"345"), (b"1",), ()])
async def test_the_end_of_the_body_is_the_end_of_the_upload(pieces: tuple[bytes, ...]) -> None:
    """Its length is what came, also nothing; it is published, and its time is over never."""
    scene = Scene()

    upload = await send(scene, *pieces)

    length = sum(map(len, pieces))
    assert (upload.id, upload.length, upload.offset) == ("mine", length, length)
    assert (upload.state, upload.expires_at) == (UploadState.COMPLETE, None)
    assert await scene.stored("mine") == b"".join(pieces)
    assert (await scene.head("mine")).length == length
    assert len(scene.sink.of(UploadFinished)) == 1


async def test_a_part_is_complete_with_its_body_and_not_published() -> None:
    """The same for what is to be joined."""
    scene = Scene()

    upload = await send(scene, b"12345", is_partial=True)

    assert (upload.kind, upload.state, upload.length) == (UploadKind.PARTIAL, UploadState.COMPLETE, 5)
    assert scene.sink.of(UploadFinished) == []


@pytest.mark.parametrize("end", ENDS)
async def test_a_body_that_breaks_off_leaves_nothing(end: BodyEnd) -> None:
    """However it ended: nobody was told of the upload."""
    scene = Scene()

    with pytest.raises(BodyInterruptedError) as interruption:
        await send(scene, b"12345", end=end)

    assert interruption.value.end is end
    assert await ids(scene.store) == []


async def test_a_body_that_is_too_long_leaves_nothing() -> None:
    """The limit holds while bytes come in, whatever was announced."""
    scene = Scene(limits=Limits(max_size=9))

    with pytest.raises(MaxSizeExceededError):
        await send(scene, b"12345", b"67890")

    assert await ids(scene.store) == []
    assert (await send(scene, b"12345", b"6789")).length == 9


@pytest.mark.parametrize("call", ["append", "write", "commit", "save", "complete"])
async def test_a_fault_leaves_nothing(call: str) -> None:
    """What was not acknowledged is not kept, published or not."""
    scene = Scene()
    scene.script(**{call: [StoreError("the disk")]})

    with pytest.raises(StoreError):
        await send(scene, b"12345")

    assert await ids(scene.store) == []


class Strict(Hook):
    """Says no at one point."""

    def __init__(self, point: str) -> None:
        self._point = point

    async def pre_create(self, upload: Upload) -> None:
        """No?"""
        self._judge("pre_create")

    async def post_receive(self, upload: Upload) -> None:
        """No?"""
        self._judge("post_receive")

    async def pre_finish(self, upload: Upload) -> None:
        """No?"""
        self._judge("pre_finish")

    def _judge(self, point: str) -> None:
        if point == self._point:
            raise UploadRejectedError(point)


@pytest.mark.parametrize("point", ["pre_create", "pre_finish"])
async def test_a_veto_leaves_nothing(point: str) -> None:
    """Not even the memory of it: the client has no address to ask."""
    scene = Scene(hooks=[Strict(point)])

    with pytest.raises(UploadRejectedError, match=point):
        await send(scene, b"12345")

    assert await ids(scene.store) == []


async def test_a_hook_that_stops_the_body_leaves_nothing() -> None:
    """As for every upload."""
    scene = Scene(hooks=[Strict("post_receive")])
    scene.clock.advance(0)

    class Ticking(ScriptedBody):
        async def chunks(self):  # type: ignore[no-untyped-def]
            async for piece in super().chunks():
                scene.clock.advance(2)
                yield piece

    intent = Create(length=None, metadata=Metadata(), has_body=True, is_whole=True)
    with pytest.raises(UploadStoppedError):
        await scene.engine.create(intent, Ticking([b"1", b"2", b"3"]))

    assert await ids(scene.store) == []


async def test_what_a_crash_leaves_expires_where_nothing_else_does() -> None:
    """`unfinished` counts on a server without --expire-after, since nobody could ever go on."""
    scene = Scene()
    intent = Create(length=None, metadata=Metadata(), unfinished=timedelta(hours=1))
    left = (await scene.engine.create(intent)).upload
    other = await scene.create(None)

    scene.clock.advance(2 * HOUR)
    report = await scene.sweep()

    assert report.expired == [left.id]
    assert (await scene.head(other.id)).expires_at is None


async def test_abandoning_does_no_harm_where_nothing_is() -> None:
    """An upload that is there is gone, one that is not stays away."""
    scene = Scene()
    await send(scene, b"12345", is_partial=True)

    await scene.engine.abandon("mine")
    await scene.engine.abandon("mine")

    assert await ids(scene.store) == []


@pytest.mark.parametrize(
    "intent",
    [
        ReadOffset(upload_id="form-x"),
        Read(upload_id="form-x"),
        Terminate(upload_id="form-x"),
        Append(upload_id="form-x", offset=0, body_length=0),
        Concatenate(parts=("x", "form-x"), concat="", metadata=Metadata()),
    ],
    ids=lambda intent: type(intent).__name__,
)
def test_no_protocol_can_name_the_server_s_own_parts(
    intent: ReadOffset | Read | Terminate | Append | Concatenate,
) -> None:
    """To whoever asks from outside they do not exist."""
    with pytest.raises(UploadNotFoundError):
        check_addressable(intent)


def test_other_uploads_are_addressed_as_ever() -> None:
    """The name of an upload may contain the word."""
    check_addressable(ReadOffset(upload_id="x-form-"))
    check_addressable(Create(length=1, metadata=Metadata()))
