"""tus 1.0.0, Checksum: a chunk that states its sum counts as a whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.engine.scene import Crash, Scene, crashes, sum_of
from tusd_py.core.checksums import Checksum, Promised
from tusd_py.core.errors import (
    BodyInterruptedError,
    ChecksumMismatchError,
    InvalidChecksumError,
    LengthExceededError,
    UnsupportedChecksumError,
    UploadError,
    UploadNotFoundError,
)
from tusd_py.core.events import UploadFinished
from tusd_py.core.model import Limits, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.testing import FaultyStore, ScriptedBody
from tusd_py.testing.kit import ids, sample

BEFORE = sample(1000)
CHUNK = sample(100_000, 1)
PIECES = (CHUNK[:10], CHUNK[10:70_000], CHUNK[70_000:])
WRONG = sum_of(b"something else")
CUTS = [end for end in BodyEnd if end not in {BodyEnd.WHOLE, BodyEnd.TOO_LONG, BodyEnd.STOPPED}]


async def begun(length: int | None = 200_000) -> tuple[Scene, str]:
    """An upload at the offset 1000."""
    scene = Scene()
    return scene, (await scene.create(length, BEFORE)).id


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
async def test_a_chunk_with_the_right_sum_counts(algorithm: str) -> None:
    """The sum is of this chunk alone, over all its pieces, small ones and those hashed in a thread."""
    scene, upload_id = await begun()

    upload = await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK, algorithm))

    assert upload.offset == 101_000
    assert (await scene.head(upload_id)).offset == 101_000
    assert await scene.stored(upload_id) == BEFORE + CHUNK


async def test_a_chunk_with_a_wrong_sum_is_discarded_whole() -> None:
    """460: the offset stays, no byte is left, the record is as before; the right chunk then counts."""
    scene, upload_id = await begun()
    before = await scene.store.load(upload_id)

    with pytest.raises(ChecksumMismatchError) as caught:
        await scene.append(upload_id, 1000, *PIECES, checksum=WRONG)
    between = await scene.stored(upload_id)
    after = await scene.store.load(upload_id)
    await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK))

    assert caught.value.algorithm == "sha1"
    assert caught.value.upload == before
    assert between == BEFORE
    assert after == before
    assert await scene.stored(upload_id) == BEFORE + CHUNK


async def test_one_wrong_bit_is_enough() -> None:
    """A chunk that differs in its last byte is not what was meant."""
    scene, upload_id = await begun()
    damaged = CHUNK[:-1] + bytes([CHUNK[-1] ^ 1])

    with pytest.raises(ChecksumMismatchError):
        await scene.append(upload_id, 1000, damaged, checksum=sum_of(CHUNK))

    assert await scene.stored(upload_id) == BEFORE


async def test_a_wrong_last_chunk_completes_nothing() -> None:
    """All bytes came, but they do not count: the upload stays open and is told to nobody."""
    scene, upload_id = await begun(101_000)

    with pytest.raises(ChecksumMismatchError):
        await scene.append(upload_id, 1000, *PIECES, checksum=WRONG)
    between = await scene.head(upload_id)
    told = scene.sink.of(UploadFinished)
    upload = await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK))

    assert (between.state, between.offset) == (UploadState.OPEN, 1000)
    assert told == []
    assert upload.state is UploadState.COMPLETE
    assert scene.sink.of(UploadFinished) == [UploadFinished(upload=upload)]
    assert await scene.stored(upload_id) == BEFORE + CHUNK


@pytest.mark.parametrize("end", CUTS)
async def test_a_cut_chunk_with_a_sum_is_rolled_back(end: BodyEnd) -> None:
    """However the body ended: what cannot be verified does not count, although all its bytes came."""
    scene, upload_id = await begun()

    with pytest.raises(BodyInterruptedError) as caught:
        await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK), end=end)

    assert (caught.value.end, caught.value.offset) == (end, 1000)
    assert (await scene.head(upload_id)).offset == 1000
    assert await scene.stored(upload_id) == BEFORE


async def test_a_cut_chunk_without_a_sum_is_kept() -> None:
    """The same without a checksum keeps what arrived, to the byte."""
    scene, upload_id = await begun()

    with pytest.raises(BodyInterruptedError) as caught:
        await scene.append(upload_id, 1000, *PIECES[:2], end=BodyEnd.DISCONNECTED)

    assert caught.value.offset == 71_000
    assert await scene.stored(upload_id) == BEFORE + CHUNK[:70_000]


async def test_a_chunk_beyond_the_length_is_discarded_whole() -> None:
    """More came than there was room for: with a sum nothing of it counts, and nothing is completed."""
    scene, upload_id = await begun(50_000)

    with pytest.raises(LengthExceededError):
        await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK))

    assert (await scene.head(upload_id)).state is UploadState.OPEN
    assert await scene.stored(upload_id) == BEFORE


async def test_a_takeover_discards_the_unverified_chunk() -> None:
    """A newcomer finds the upload where it was before the holder's chunk, and goes on from there."""
    scene, upload_id = await begun()
    body = ScriptedBody([CHUNK[:500], asyncio.Event()])
    holder = asyncio.create_task(scene.append(upload_id, 1000, body=body, checksum=sum_of(CHUNK)))
    await body.paused.wait()

    upload = await scene.append(upload_id, 1000, b"newcomer")
    result = (await asyncio.gather(holder, return_exceptions=True))[0]

    assert isinstance(result, BodyInterruptedError)
    assert (result.end, result.offset) == (BodyEnd.SUPERSEDED, 1000)
    assert upload.offset == 1008
    assert await scene.stored(upload_id) == BEFORE + b"newcomer"


async def test_a_running_chunk_with_a_sum_is_not_seen_by_head() -> None:
    """HEAD beside it tells the offset before the chunk: nothing of it is promised yet."""
    scene, upload_id = await begun()
    gate = asyncio.Event()
    body = ScriptedBody([CHUNK[:500], gate, CHUNK[500:]])
    holder = asyncio.create_task(scene.append(upload_id, 1000, body=body, checksum=sum_of(CHUNK)))
    await body.paused.wait()

    between = await scene.head(upload_id)
    gate.set()
    upload = await holder

    assert between.offset == 1000
    assert upload.offset == 101_000


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512", "md5"])
async def test_a_right_sum_in_the_trailer_counts(name: str) -> None:
    """tus 1.0.0, Checksum-Trailer: the sum may follow the bytes, of whatever algorithm is offered."""
    scene, upload_id = await begun()

    upload = await scene.append(
        upload_id, 1000, *PIECES, checksum=Promised.IN_TRAILER, trailer=sum_of(CHUNK, name)
    )

    assert upload.offset == 101_000
    assert await scene.stored(upload_id) == BEFORE + CHUNK


@pytest.mark.parametrize(
    ("trailer", "error"),
    [
        (WRONG, ChecksumMismatchError),
        (None, InvalidChecksumError),
        (Checksum(algorithm="sha3", digest=b"x" * 32), UnsupportedChecksumError),
        (Checksum(algorithm="sha1", digest=b"short"), InvalidChecksumError),
    ],
    ids=["wrong", "missing", "unknown", "short"],
)
async def test_a_bad_trailer_discards_the_chunk(trailer: Checksum | None, error: type[UploadError]) -> None:
    """tus 1.0.0, Checksum-Trailer: what was announced and did not come right verifies nothing."""
    scene, upload_id = await begun(101_000)

    with pytest.raises(error) as caught:
        await scene.append(upload_id, 1000, *PIECES, checksum=Promised.IN_TRAILER, trailer=trailer)

    assert caught.value.upload is not None
    assert caught.value.upload.offset == 1000
    assert (await scene.head(upload_id)).state is UploadState.OPEN
    assert await scene.stored(upload_id) == BEFORE


@pytest.mark.parametrize("is_whole", [False, True], ids=["open", "complete"])
async def test_an_empty_chunk_is_verified_too(is_whole: bool) -> None:
    """The sum of nothing is right or wrong like any other; the upload stays where it is."""
    scene, upload_id = await begun(1000 if is_whole else 2000)

    upload = await scene.append(upload_id, 1000, checksum=sum_of(b""))
    with pytest.raises(ChecksumMismatchError):
        await scene.append(upload_id, 1000, checksum=WRONG)
    with pytest.raises(InvalidChecksumError):
        await scene.append(upload_id, 1000, checksum=Promised.IN_TRAILER)

    assert upload.offset == 1000
    assert await scene.head(upload_id) == upload
    assert await scene.stored(upload_id) == BEFORE


@pytest.mark.parametrize(
    ("checksum", "error"),
    [
        (Checksum(algorithm="sha3", digest=b"x" * 32), UnsupportedChecksumError),
        (Checksum(algorithm="sha1", digest=b"x" * 19), InvalidChecksumError),
        (Checksum(algorithm="crc32", digest=b""), InvalidChecksumError),
    ],
)
async def test_a_sum_nobody_can_verify_is_refused_unread(
    checksum: Checksum, error: type[UploadError]
) -> None:
    """tus 1.0.0, Checksum: 400 for an algorithm that is not offered, before a byte of the body is read."""
    scene, upload_id = await begun()
    body = ScriptedBody(PIECES)

    with pytest.raises(error):
        await scene.append(upload_id, 1000, body=body, checksum=checksum)
    with pytest.raises(error):
        await scene.create(100_000, body=body, checksum=checksum)

    assert body.given == 0
    assert await ids(scene.store) == [upload_id]
    assert await scene.stored(upload_id) == BEFORE


async def test_only_what_is_offered_is_verified() -> None:
    """An operator may offer less than there is; the trailer cannot bring it back."""
    scene = Scene(limits=Limits(checksum_algorithms=("sha256",)))
    upload_id = (await scene.create(200_000, BEFORE)).id

    with pytest.raises(UnsupportedChecksumError) as caught:
        await scene.append(upload_id, 1000, CHUNK, checksum=Promised.IN_TRAILER, trailer=sum_of(CHUNK))
    upload = await scene.append(upload_id, 1000, CHUNK, checksum=sum_of(CHUNK, "sha256"))

    assert caught.value.offered == ("sha256",)
    assert upload.offset == 101_000


@pytest.mark.parametrize("checksum", [sum_of(CHUNK), Promised.IN_TRAILER], ids=["head", "trailer"])
async def test_a_first_chunk_with_the_right_sum_counts(checksum: Checksum | Promised) -> None:
    """tus 1.0.0, Creation With Upload: the checksum of the creating request covers its body."""
    scene, body = Scene(), ScriptedBody(PIECES, trailer=sum_of(CHUNK))

    upload = await scene.create(100_000, body=body, checksum=checksum)

    assert upload.state is UploadState.COMPLETE
    assert await scene.stored(upload.id) == CHUNK


@pytest.mark.parametrize(
    ("checksum", "trailer", "error"),
    [
        (WRONG, None, ChecksumMismatchError),
        (Promised.IN_TRAILER, WRONG, ChecksumMismatchError),
        (Promised.IN_TRAILER, None, InvalidChecksumError),
        (Promised.IN_TRAILER, Checksum(algorithm="sha3", digest=b""), UnsupportedChecksumError),
    ],
    ids=["wrong", "wrong-trailer", "no-trailer", "unknown-trailer"],
)
async def test_a_wrong_first_chunk_leaves_nothing(
    checksum: Checksum | Promised, trailer: Checksum | None, error: type[UploadError]
) -> None:
    """The client is told of no upload, so none is there: no record, no byte, no finished event."""
    scene = Scene()

    with pytest.raises(error):
        await scene.create(100_000, body=ScriptedBody(PIECES, trailer=trailer), checksum=checksum)

    assert await ids(scene.store) == []
    assert scene.sink.of(UploadFinished) == []
    with pytest.raises(UploadNotFoundError):
        await scene.head("id-1")


@pytest.mark.parametrize("length", [101_000, 200_000], ids=["last", "between"])
async def test_a_crash_at_any_call_leaves_all_or_nothing(length: int) -> None:
    """Before and behind each call of a checksummed append: the next process finds the old or the new."""
    rehearsal, upload_id = await begun(length)
    recorder = rehearsal.script()
    await rehearsal.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK))
    met = set()

    for script in crashes(tuple(recorder.calls)):
        scene, upload_id = await begun(length)
        sound = scene.store
        scene.restart(FaultyStore(sound, **script))
        with pytest.raises(Crash):
            await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK))
        scene.restart(sound)
        upload = await scene.head(upload_id)
        met.add(upload.offset)
        assert await scene.stored(upload_id) == (BEFORE + CHUNK)[: upload.offset], script
        if upload.offset == 1000:
            upload = await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK))
        assert await scene.stored(upload_id) == BEFORE + CHUNK, script
        assert upload.state is (UploadState.COMPLETE if length == 101_000 else UploadState.OPEN), script

    assert met == {1000, 101_000}


async def test_a_settled_length_survives_a_discarded_chunk() -> None:
    """tus 1.0.0, Creation Defer Length: the length stays when the chunk that ends it is discarded."""
    scene, upload_id = await begun(None)
    declared = replace(await scene.store.load(upload_id), length=101_000)
    await scene.store.save(declared)

    with pytest.raises(ChecksumMismatchError):
        await scene.append(upload_id, 1000, *PIECES, checksum=WRONG)
    upload = await scene.append(upload_id, 1000, *PIECES, checksum=sum_of(CHUNK))

    assert upload.state is UploadState.COMPLETE
    assert await scene.stored(upload_id) == BEFORE + CHUNK
