"""Live connections when the storage fails, hooks say no, and others are quicker: over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.live import connecting
from tusd_py.core.errors import StorageFullError, StoreError, UploadRejectedError
from tusd_py.core.intents import Append, ReadOffset
from tusd_py.core.model import PRIVATE, Limits, Upload, UploadState
from tusd_py.core.outcomes import Appended, Inspected
from tusd_py.core.ports import Hook
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.patience import Patience
from tusd_py.engine.uploads import UploadEngine
from tusd_py.locks.memory import MemoryLocker
from tusd_py.protocol.cors import CorsPolicy
from tusd_py.protocol.heads import Urls
from tusd_py.protocol.tus1 import Tus1
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import FaultyStore, ManualClock, RecordingSink, ScriptedBody
from tusd_py.testing.kit import content, make_upload
from tusd_py.web.heads import head_reader
from tusd_py.web.live import LiveEndpoint
from tusd_py.web.live_session import Conditions
from tusd_py.web.middleware import identify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tusd_py.core.ports import LiveProcessor, Store

URLS = Urls()


def make_engine(
    store: Store,
    *,
    hooks: Sequence[Hook] = (),
    patience: Patience | None = None,
    kind: type[UploadEngine] = UploadEngine,
) -> UploadEngine:
    """An engine whose uploads are called id-1, id-2, ..."""
    ids = (f"id-{number}" for number in count(1))
    return kind(
        store=store,
        locker=MemoryLocker(),
        limits=Limits(),
        clock=ManualClock(),
        new_id=lambda: next(ids),
        emit=RecordingSink(),
        hooks=Hookpoints(hooks),
        patience=patience,
    )


@asynccontextmanager
async def serving(
    engine: UploadEngine, *, processor: LiveProcessor | None = None, idle_timeout: float = 60.0
) -> AsyncIterator[str]:
    """The origin of a server for live connections to this engine."""
    conditions = Conditions(
        urls=URLS,
        max_frame=1 << 20,
        chunk_size=4096,
        idle_timeout=idle_timeout,
        beat=0.5,
        processor=processor,
    )
    dialect = Tus1(urls=URLS)
    endpoint = LiveEndpoint(engine, conditions, dialect=dialect, origins=CorsPolicy())
    app = web.Application(middlewares=[identify(head_reader(behind_proxy=False))])
    app.router.add_get("/live", endpoint.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        (StorageFullError("full"), ("ERR_INSUFFICIENT_STORAGE", 1013)),
        (StoreError("/secret/disk is broken"), ("ERR_STORAGE", 1011)),
        (RuntimeError("secret"), ("ERR_INTERNAL_SERVER_ERROR", 1011)),
    ],
)
@pytest.mark.parametrize("call", ["write", "commit"])
async def test_a_fault_of_the_storage_takes_nothing_back(
    call: str, fault: Exception, refusal: tuple[str, int]
) -> None:
    """What was acknowledged stays, the client is told in our words, and goes on when it comes back."""
    store = MemoryStore()
    engine = make_engine(FaultyStore(store, **{call: [None, fault]}))
    async with serving(engine) as origin:
        async with connecting(origin) as client:
            await client.send(b"abc")
            await client.greet()
            await client.stored(3)
            await client.send(b"def")
            told = await client.refusal()
        kept = (await store.load("id-1")).offset
        async with connecting(origin, {"id": "id-1", "offset": 3}) as back:
            await back.socket.send_json({"offset": kept})
            await back.greet()
            await back.send(b"abcdef"[kept:])
            result = await back.finish()

    assert told == refusal
    assert "secret" not in str(client.said)
    assert client.said[-1]["offset"] == 3 <= kept
    assert store.published == {result["file_key"]: b"abcdef"}


async def test_a_completion_that_fails_is_made_good_when_the_client_comes_back() -> None:
    """The last word was obeyed as far as it went: coming back brings the result, without a byte."""
    store = MemoryStore()
    engine = make_engine(FaultyStore(store, complete=[StoreError("not now")]))
    async with serving(engine) as origin:
        async with connecting(origin) as client:
            await client.send(b"abc")
            await client.socket.send_json({"complete": True})
            refusal = await client.refusal()
        async with connecting(origin, {"id": "id-1", "offset": 3}) as back:
            await back.greet()
            result = await back.result()

    assert refusal == ("ERR_STORAGE", 1011)
    assert (result["offset"], result["file_path"]) == (3, store.place("id-1.webm"))
    assert store.published == {"id-1.webm": b"abc"}


class _Strict(Hook):
    def __init__(self, point: str) -> None:
        self._point = point

    async def pre_create(self, upload: Upload) -> None:
        self._judge("create")

    async def post_receive(self, upload: Upload) -> None:
        self._judge("receive")

    async def pre_finish(self, upload: Upload) -> None:
        self._judge("finish")

    def _judge(self, point: str) -> None:
        if point == self._point:
            raise UploadRejectedError("not this")


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ("create", "ERR_UPLOAD_REJECTED"),
        ("receive", "ERR_UPLOAD_STOPPED"),
        ("finish", "ERR_UPLOAD_REJECTED"),
    ],
)
async def test_hooks_are_asked_as_for_every_upload(point: str, code: str) -> None:
    """There is one write path, so a veto ends a live connection as well: with 1008."""
    store = MemoryStore()
    engine = make_engine(store, hooks=[_Strict(point)], patience=Patience(progress_interval=0.0))
    async with serving(engine) as origin, connecting(origin) as client:
        await client.send(b"abc")
        await client.socket.send_json({"complete": True})
        refusal = await client.refusal()
    ids = [upload_id async for upload_id in store.list()]

    assert refusal == (code, 1008)
    assert store.published == {}
    assert ids == (["id-1"] if point == "finish" else [])


class _Overtaken(UploadEngine):
    """Between a look at an upload and whatever comes next, somebody else is quicker, so many times."""

    left = 0

    async def inspect(self, intent: ReadOffset) -> Inspected:
        seen = await super().inspect(intent)
        await self._overtake(seen.upload)
        return seen

    async def append(self, intent: Append, body: Any, **options: Any) -> Appended:
        await self._overtake(await self.store.load(intent.upload_id))
        return await super().append(intent, body, **options)

    async def _overtake(self, upload: Upload) -> None:
        if self.left and upload.state is UploadState.OPEN:
            self.left -= 1
            intent = Append(upload_id=upload.id, offset=upload.offset, body_length=1)
            await super().append(intent, ScriptedBody([b"x"]))


@pytest.mark.parametrize("times", [1, 2, 4])
async def test_the_greeting_is_true_although_others_were_quicker(times: int) -> None:
    """It is said when the upload is ours: whoever was in it has put in what it had."""
    store = MemoryStore()
    engine = make_engine(store, kind=_Overtaken)
    async with serving(engine) as origin:
        async with connecting(origin) as client:
            await client.send(b"abc")
            await client.greet()
            await client.stored(3)
        assert isinstance(engine, _Overtaken)
        engine.left = times
        async with connecting(origin, {"id": "id-1", "offset": 3}) as back:
            greeting = await back.greet()
            await back.socket.send_json({"offset": greeting["offset"]})
            await back.send(b"def")
            await back.finish()

    assert greeting["offset"] == 3 + times
    assert store.published == {"id-1.webm": b"abc" + b"x" * times + b"def"}


async def test_an_upload_that_never_stands_still_is_given_up() -> None:
    """The client is told where it is now, and may try again."""
    engine = make_engine(MemoryStore(), kind=_Overtaken)
    assert isinstance(engine, _Overtaken)
    async with serving(engine) as origin:
        async with connecting(origin) as client:
            await client.greet()
        engine.left = 1000
        async with connecting(origin, {"id": "id-1"}) as back:
            refusal = await back.refusal()
        engine.left = 0

    assert refusal == ("ERR_MISMATCHED_OFFSET", 1008)
    assert back.said[-1]["offset"] == (await engine.store.load("id-1")).offset


async def test_parts_that_the_server_made_for_itself_do_not_exist_for_clients() -> None:
    """Who guesses the id of a chunk of a form is told the same as for any other id."""
    engine = make_engine(MemoryStore())
    await engine.store.create(make_upload(PRIVATE + "one"))
    async with serving(engine) as origin, connecting(origin, {"id": PRIVATE + "one"}) as client:
        refusal = await client.refusal()

    assert refusal == ("ERR_UPLOAD_NOT_FOUND", 1008)


async def test_an_upload_that_is_not_let_go_is_locked() -> None:
    """Its holder does not leave in time: 1013, and no byte is taken."""
    engine = make_engine(MemoryStore(), patience=Patience(lock_timeout=0.0))
    async with serving(engine) as origin:
        async with connecting(origin) as client:
            await client.send(b"abc")
            await client.greet()
            await client.stored(3)
        async with engine.locker.hold("id-1", timeout=60.0), connecting(origin, {"id": "id-1"}) as back:
            refusal = await back.refusal()

    assert refusal == ("ERR_UPLOAD_LOCKED", 1013)
    assert await content(engine.store, "id-1") == b"abc"


async def test_who_reads_nothing_does_not_hold_an_upload_for_ever() -> None:
    """A processor has much to say, and nobody takes it: the connection ends, and the upload is free."""

    async def talkative(upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        while True:
            yield "x" * 1_000_000

    engine = make_engine(MemoryStore())
    async with (
        serving(engine, processor=talkative, idle_timeout=0.5) as origin,
        connecting(origin) as client,
    ):
        await client.send(b"abc")
        transport: Any = client.socket._response.connection.transport  # type: ignore[union-attr]
        transport.pause_reading()
        while not await _is_free(engine):
            await client.send(b"x")  # it is not idle
        transport.abort()

    assert (await content(engine.store, "id-1")).startswith(b"abc")


async def _is_free(engine: UploadEngine) -> bool:
    await asyncio.sleep(0.05)  # between two looks; nothing is proven by it
    return len(engine.locker) == 0  # type: ignore[arg-type]
