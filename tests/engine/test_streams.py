"""Streams: the stored bytes in equal pieces, read ahead by so many and no more, without a lock."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.scene import HOUR, Scene
from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3
from tests.support.payload import make_bytes
from tusd_py import stream
from tusd_py.core.errors import StoreError, UploadExpiredError, UploadNotFoundError
from tusd_py.core.intents import Terminate
from tusd_py.core.model import Lifetime
from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import BinaryIO

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Reader, Store

CONTENT = make_bytes(10_000, seed=11)


class SpiedReader:
    """A reader whose chunks are counted, and break off where they are told to."""

    def __init__(self, reader: Reader, store: SpiedStore) -> None:
        self.size = reader.size
        self.modified_at = reader.modified_at
        self.file: BinaryIO | None = None
        self._reader = reader
        self._store = store

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        given = 0
        async for chunk in self._reader.chunks(start, stop):
            if given >= self._store.breaks_after:
                raise StoreError("the connection is gone")
            self._store.handed_out += 1
            given += len(chunk)
            yield chunk


class SpiedStore(MemoryStore):
    """Counts what is opened and read; every reading breaks off after so many bytes."""

    def __init__(self, *, chunk_size: int, breaks_after: int = 10**9) -> None:
        super().__init__(chunk_size=chunk_size)
        self.breaks_after = breaks_after
        self.opened = self.handed_out = 0

    @asynccontextmanager
    async def open(self, upload: Upload) -> AsyncIterator[Reader]:
        self.opened += 1
        async with super().open(upload) as reader:
            yield SpiedReader(reader, self)


@pytest.fixture(params=["memory", "local", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A storage of each kind, whose own pieces have a size that divides nothing."""
    if request.param == "memory":
        yield MemoryStore(chunk_size=77)
        return
    is_local = request.param == "local"
    store = LocalStore(str(tmp_path), chunk_size=77) if is_local else make_fake_store(FakeS3())
    yield store
    await store.close()


async def pieces_of(scene: Scene, upload_id: str, **passage: Any) -> list[bytes]:
    return [piece async for piece in stream(scene.engine, upload_id, **passage)]


async def test_a_finished_upload_comes_in_equal_pieces(store: Store) -> None:
    """Every piece has exactly the size asked for, but the last, which has what is left."""
    scene = Scene(store)
    upload = await scene.create(len(CONTENT), CONTENT)

    pieces = await pieces_of(scene, upload.id, chunk_size=999)

    assert [len(piece) for piece in pieces] == [*([999] * 10), 10]
    assert b"".join(pieces) == CONTENT


async def test_an_unfinished_upload_ends_where_it_is(store: Store) -> None:
    """Without following, what has arrived is all there is."""
    scene = Scene(store)
    upload = await scene.create(len(CONTENT), CONTENT[:777])

    assert b"".join(await pieces_of(scene, upload.id)) == CONTENT[:777]


async def test_an_empty_upload_has_no_piece(store: Store) -> None:
    """An empty piece would look like an end that is none."""
    scene = Scene(store)

    assert await pieces_of(scene, (await scene.create(0)).id) == []


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 400),
    own_size=st.integers(1, 300),
    passage=st.fixed_dictionaries(
        {
            "start": st.integers(0, 450),
            "stop": st.none() | st.integers(0, 450),
            "chunk_size": st.integers(1, 300),
            "read_ahead": st.integers(1, 5),
        }
    ),
)
def test_any_passage_is_the_slice(size: int, own_size: int, passage: dict[str, int]) -> None:
    """From `start` up to `stop`, whatever the sizes of pieces are: exactly that slice, in full pieces."""

    async def read() -> list[bytes]:
        scene = Scene(MemoryStore(chunk_size=own_size))
        upload = await scene.create(size, *([CONTENT[:size]] if size else []))
        return await pieces_of(scene, upload.id, **passage)

    pieces = asyncio.run(read())

    assert b"".join(pieces) == CONTENT[:size][passage["start"] : passage["stop"]]
    assert all(len(piece) == passage["chunk_size"] for piece in pieces[:-1])
    assert all(pieces)


@pytest.mark.parametrize("passage", [{"start": -1}, {"stop": -1}, {"chunk_size": 0}, {"read_ahead": 0}])
def test_numbers_that_make_no_sense_are_refused_at_once(passage: dict[str, int]) -> None:
    """Not in the middle of the iteration, where nobody expects it."""
    with pytest.raises(ValueError, match=r"1 or more|from 0 on"):
        stream(Scene().engine, "one", **passage)  # type: ignore[arg-type]


async def test_an_unknown_upload_is_not_found() -> None:
    """The first piece says so."""
    with pytest.raises(UploadNotFoundError):
        await anext(stream(Scene().engine, "stranger"))


async def test_an_expired_upload_is_not_read() -> None:
    """What is refused to clients is refused here."""
    scene = Scene(lifetime=Lifetime(unfinished=timedelta(hours=1), sliding=False))
    upload = await scene.create(9, b"abc")
    scene.clock.advance(HOUR)

    with pytest.raises(UploadExpiredError):
        await anext(stream(scene.engine, upload.id))


@pytest.mark.parametrize("read_ahead", [1, 3])
async def test_it_reads_no_further_ahead_than_it_may(read_ahead: int) -> None:
    """However slow the one who takes the pieces is: so many are fetched, and then nothing is read."""
    counting = SpiedStore(chunk_size=100)
    scene = Scene(counting)
    upload = await scene.create(len(CONTENT), CONTENT)

    async with aclosing(stream(scene.engine, upload.id, chunk_size=100, read_ahead=read_ahead)) as pieces:
        for taken in range(1, 8):
            await anext(pieces)
            await until_idle()

            assert counting.handed_out == taken + read_ahead


async def test_reading_takes_no_lock() -> None:
    """Somebody holds the upload, and the stream does not wait for it."""
    scene = Scene()
    upload = await scene.create(len(CONTENT), CONTENT)

    async with scene.locker.hold(upload.id, timeout=0):
        pieces = await pieces_of(scene, upload.id)

    assert b"".join(pieces) == CONTENT


async def test_a_stream_that_is_left_lets_go_of_the_file(store: Store) -> None:
    """Closed after the first piece: its task has ended, and what it read from is closed."""
    scene = Scene(store)
    upload = await scene.create(len(CONTENT), CONTENT)
    pieces = stream(scene.engine, upload.id, chunk_size=10)
    await anext(pieces)
    before = len(asyncio.all_tasks())

    await pieces.aclose()

    assert before == 2
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancelled_taker_ends_the_reading() -> None:
    """Nothing runs on without an owner."""
    scene = Scene()
    upload = await scene.create(len(CONTENT), CONTENT)
    taken = asyncio.Event()

    async def take() -> None:
        async for _ in stream(scene.engine, upload.id, chunk_size=10):
            taken.set()
            await asyncio.Event().wait()

    taker = asyncio.create_task(take())
    await taken.wait()
    taker.cancel()
    await asyncio.wait([taker])
    await until_idle()

    assert taker.cancelled()
    assert len(asyncio.all_tasks()) == 1


async def test_a_removal_does_not_change_what_was_opened(store: Store) -> None:
    """A DELETE in the middle: the pieces go on to be the file's."""
    scene = Scene(store)
    upload = await scene.create(len(CONTENT), CONTENT)

    async with aclosing(stream(scene.engine, upload.id, chunk_size=1000, read_ahead=1)) as pieces:
        read = [await anext(pieces)]
        await scene.engine.terminate(Terminate(upload_id=upload.id))
        read += [piece async for piece in pieces]

    assert b"".join(read) == CONTENT


async def test_a_failing_storage_is_told() -> None:
    """StoreError where not a byte can be read: the pieces before it were right, and nothing ends early."""
    scene = Scene()
    upload = await scene.create(len(CONTENT), CONTENT)
    scene.script(open=[StoreError("disk")])

    with pytest.raises(StoreError, match="disk"):
        await pieces_of(scene, upload.id)


async def test_a_reading_that_breaks_off_is_taken_up() -> None:
    """A store that breaks again and again, and gives some bytes each time: all of them arrive, once."""
    breaking = SpiedStore(chunk_size=100, breaks_after=300)
    scene = Scene(breaking)
    upload = await scene.create(len(CONTENT), CONTENT)

    pieces = await pieces_of(scene, upload.id, chunk_size=64)

    assert b"".join(pieces) == CONTENT
    assert breaking.opened == -(-len(CONTENT) // 300)


async def until_idle() -> None:
    """Let everything run that can; nothing here waits for the world outside."""
    for _ in range(50):
        await asyncio.sleep(0)
