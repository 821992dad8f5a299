"""A body that is stored while it is received holds, whatever happens, exactly what came of it, in order."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Self

import pytest
from aiohttp import web

from tusd_py.core.outcomes import BodyEnd
from tusd_py.web import body as body_module
from tusd_py.web import bypass, pouring
from tusd_py.web.body import RequestBody
from tusd_py.web.connection import Runner
from tusd_py.web.drainers import Drain, Drainers
from tusd_py.web.tally import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SMALL = 4096
"""Bytes of the loop's buffer in these tests, so that small bodies take every way."""

PROMPTLY = 10.0


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds that a body of some kilobytes passes."""
    monkeypatch.setattr(bypass, "BUFFER", SMALL)
    monkeypatch.setattr(bypass, "_CAUTIOUS", SMALL // 4)
    monkeypatch.setattr(bypass, "_WORTH_A_THREAD", SMALL)
    monkeypatch.setattr(pouring, "WORTH_POURING", 1)
    monkeypatch.setattr(body_module, "WORTH_POURING", 1)


class Scripted:
    """A DirectWriter: keeps what it is given; `before` hears of each piece first, in whatever thread."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.quickness: Callable[[], bool] = lambda: True
        self.before: Callable[[], None] = lambda: None
        self.threads: set[str] = set()

    @property
    def is_quick(self) -> bool:
        """It may change at any time."""
        return self.quickness()

    def __call__(self, data: memoryview) -> None:
        self.threads.add("loop" if threading.current_thread() is threading.main_thread() else "thread")
        self.before()
        self.content += data


class Scene:
    """A server whose handler pours each PATCH into `writer`; one client's connection."""

    def __init__(self) -> None:
        self.writer = Scripted()
        self.tally = Tally()
        self.bodies: list[RequestBody] = []
        self.ends: list[BodyEnd | BaseException] = []
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.after_piece: Callable[[RequestBody], None] = lambda _body: None
        self.idle_timeout = PROMPTLY

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/", self._handle)
        self._runner = Runner(app, idle_timeout=PROMPTLY, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.reader, self._writer = await asyncio.open_connection(host, port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        if request.method != "PATCH":
            return web.Response(text="next")
        body = RequestBody(request, idle_timeout=self.idle_timeout, tally=self.tally)
        self.bodies.append(body)
        self.begun.set()
        try:
            await self._pour(body)
            self.ends.append(body.end)
        except BaseException as error:
            self.ends.append(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self.ended.set()
        return web.Response(text=f"{body.received}")

    async def _pour(self, body: RequestBody) -> None:
        poured = body.pour(self.writer, room=None)
        assert poured is not None
        async with poured:
            async for piece in poured:
                if not isinstance(piece, int):
                    await asyncio.sleep(0)  # as if it took a while
                    self.writer(memoryview(piece))
                self.after_piece(body)

    async def send(self, data: bytes) -> None:
        """Send, and wait until the kernel has it."""
        self._writer.write(data)
        await self._writer.drain()

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    def finish(self) -> None:
        """Say that nothing more will come."""
        self._writer.write_eof()

    async def answer(self) -> bytes:
        """The body of the next answer."""
        async with asyncio.timeout(PROMPTLY):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(line[15:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
            return await self.reader.readexactly(int(length))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A server and a client of it."""
    async with Scene() as made:
        yield made


def head_of(content: bytes) -> bytes:
    return b"PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content)


NEXT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def content_of(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PROMPTLY):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in a thread, or in aiohttp
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_comes_however_is_stored_once_and_in_order(scene: Scene, seed: int) -> None:
    """Any sizes, any pieces, a storage now quick and now slow: what is stored is the body, and the next
    request is read where it begins."""
    chance = random.Random(seed)
    content = content_of(chance.choice([1, 100, SMALL - 1, SMALL, SMALL + 1, 30_000, 700_000]), seed)
    scene.writer.quickness = lambda: chance.random() < 0.7
    sent = head_of(content) + content + NEXT

    while sent:
        count = chance.choice([1, 50, SMALL, 3 * SMALL, len(sent)])
        await scene.send(sent[:count])
        sent = sent[count:]
        if chance.random() < 0.3:
            await asyncio.sleep(0)

    assert await scene.answer() == b"%d" % len(content)
    assert scene.writer.content == content
    assert scene.ends == [BodyEnd.WHOLE]
    assert await scene.answer() == b"next"


@pytest.mark.parametrize("seed", range(25))
async def test_a_connection_that_ends_anywhere_costs_nothing_that_came(scene: Scene, seed: int) -> None:
    """What was sent before the end of the stream is stored, to the byte."""
    chance = random.Random(seed)
    content = content_of(200_000, seed)
    count = chance.randrange(len(content))
    scene.writer.quickness = lambda: chance.random() < 0.7

    await scene.send(head_of(content))
    for start in range(0, count, 20_000):
        await scene.send(content[start : min(start + 20_000, count)])
        await asyncio.sleep(0)
    scene.finish()
    await asyncio.wait_for(scene.ended.wait(), PROMPTLY)

    assert scene.writer.content == content[:count]
    assert scene.bodies[0].received == count
    assert scene.ends == [BodyEnd.DISCONNECTED]


@pytest.mark.parametrize("seed", range(10))
async def test_after_a_reset_what_is_stored_is_a_beginning(scene: Scene, seed: int) -> None:
    """A reset may cost what the kernel had; what is stored is what was sent, and all of it is told."""
    content = content_of(400_000, seed)
    await scene.send(head_of(content) + content[: random.Random(seed).randrange(len(content))])
    scene.abort()
    await until(lambda: scene.ended.is_set() or not scene.begun.is_set())
    if scene.begun.is_set():
        await asyncio.wait_for(scene.ended.wait(), PROMPTLY)

        assert scene.writer.content == content[: len(scene.writer.content)]
        assert scene.bodies[0].received == len(scene.writer.content)


@pytest.mark.parametrize("is_quick", [True, False])
@pytest.mark.parametrize("why", [BodyEnd.SUPERSEDED, BodyEnd.SHUTDOWN, BodyEnd.TOO_LONG])
async def test_after_a_cut_nothing_is_written_and_the_connection_stays_in_step(
    scene: Scene, why: BodyEnd, is_quick: bool
) -> None:
    """The rest of the body is thrown away, and the next request is answered."""
    scene.writer.quickness = lambda: is_quick
    content = content_of(2_000_000)
    scene.after_piece = lambda body: body.cut(why)

    sending = asyncio.create_task(scene.send(head_of(content) + content + NEXT))
    await asyncio.wait_for(scene.ended.wait(), PROMPTLY)
    stored = len(scene.writer.content)

    assert int(await scene.answer()) == stored
    assert scene.ends == [why]
    assert await scene.answer() == b"next"
    assert scene.writer.content == content[:stored]
    assert 0 < stored < len(content)
    await sending


@pytest.mark.parametrize("is_quick", [True, False])
async def test_a_cut_while_nothing_comes_ends_the_waiting(scene: Scene, is_quick: bool) -> None:
    """A newcomer does not wait for a client that is silent."""
    scene.writer.quickness = lambda: is_quick
    content = content_of(50_000)
    await scene.send(head_of(content) + content[:20_000])
    await until(lambda: scene.writer.content == content[:20_000])

    scene.bodies[0].cut(BodyEnd.SUPERSEDED)

    assert await scene.answer() == b"20000"
    assert scene.ends == [BodyEnd.SUPERSEDED]


async def test_a_cut_behind_the_last_byte_is_none(scene: Scene) -> None:
    """Everything had arrived: the request is not told off for what came after it."""
    content = content_of(100_000)
    scene.after_piece = lambda body: body.cut(BodyEnd.SUPERSEDED) if body.received == 100_000 else None

    await scene.send(head_of(content) + content + NEXT)

    assert await scene.answer() == b"100000"
    assert scene.ends == [BodyEnd.WHOLE]
    assert await scene.answer() == b"next"


async def test_a_silent_client_is_timed_out_with_what_it_sent(scene: Scene) -> None:
    """The time begins anew with each byte, and what came is stored."""
    scene.idle_timeout = 0.3
    content = content_of(50_000)
    await scene.send(head_of(content) + content[:7_000])

    assert await scene.answer() == b"7000"
    assert scene.ends == [BodyEnd.TIMED_OUT]
    assert scene.writer.content == content[:7_000]


async def test_a_client_is_not_timed_out_while_a_thread_waits_for_the_storage(scene: Scene) -> None:
    """It is not the client that is silent."""
    scene.idle_timeout = 0.2
    content, gate = content_of(3_000_000), threading.Event()

    def wait_in_threads() -> None:
        if threading.current_thread() is not threading.main_thread():
            gate.wait(PROMPTLY)

    scene.writer.before = wait_in_threads
    sending = asyncio.create_task(scene.send(head_of(content) + content))
    await until(lambda: "thread" in scene.writer.threads)
    await asyncio.sleep(3 * scene.idle_timeout)
    gate.set()
    await sending

    assert await scene.answer() == b"3000000"
    assert scene.ends == [BodyEnd.WHOLE]
    assert scene.writer.content == content


@pytest.mark.parametrize("fails_in", ["loop", "thread"])
async def test_a_write_that_fails_is_raised_and_the_connection_stays_in_step(
    scene: Scene, fails_in: str
) -> None:
    """What came before is told, what comes after is not written, and the next request is answered."""
    content = content_of(2_000_000)
    failed: list[bool] = []

    def fail() -> None:
        here = "loop" if threading.current_thread() is threading.main_thread() else "thread"
        assert not failed, "it wrote on"
        if here == fails_in and len(scene.writer.content) > 1000:
            failed.append(True)
            raise OSError(28, "full")

    scene.writer.before = fail
    sending = asyncio.create_task(scene.send(head_of(content) + content + NEXT))

    assert int(await scene.answer()) == len(scene.writer.content)
    assert isinstance(scene.ends[0], OSError)
    assert await scene.answer() == b"next"
    assert scene.writer.content == content[: len(scene.writer.content)]
    await sending


async def test_a_request_that_is_cancelled_waits_for_the_thread_that_writes(scene: Scene) -> None:
    """When the reading of a body has been left, nobody writes any more, however it is left."""
    content, gate, is_writing = content_of(3_000_000), threading.Event(), threading.Event()

    def wait_in_threads() -> None:
        if threading.current_thread() is not threading.main_thread():
            is_writing.set()
            gate.wait(PROMPTLY)

    scene.writer.before = wait_in_threads
    sending = asyncio.create_task(scene.send(head_of(content) + content))
    await until(is_writing.is_set)
    task = next(each for each in asyncio.all_tasks() if "_handle_request" in repr(each.get_coro()))
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not scene.ended.is_set()
    gate.set()
    await asyncio.wait_for(scene.ended.wait(), PROMPTLY)
    stored = bytes(scene.writer.content)
    await asyncio.wait([sending])
    sending.exception()

    assert isinstance(scene.ends[0], asyncio.CancelledError)
    assert stored == scene.writer.content == content[: len(stored)]


async def test_both_ways_past_the_parser_are_taken(scene: Scene) -> None:
    """These tests test what they say: a fast sender gets a thread, what aiohttp has read is not lost."""
    content = content_of(1_000_000)

    await scene.send(head_of(content) + content)
    await scene.answer()

    assert scene.writer.threads == {"loop", "thread"}
    assert scene.tally.protocol > 0
    assert scene.tally.worker > 0
    assert scene.tally.stream + scene.tally.protocol + scene.tally.worker == len(content)


async def test_without_a_free_thread_a_body_comes_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have them all, or the server is at its end: the loop goes on with what it receives."""
    asked: list[Drain] = []

    def refuse(_drainers: Drainers, drain: Drain) -> None:
        asked.append(drain)

    monkeypatch.setattr(Drainers, "begin", refuse)
    content = content_of(2_000_000)

    await scene.send(head_of(content) + content + NEXT)

    assert await scene.answer() == b"2000000"
    assert scene.writer.content == content
    assert scene.writer.threads == {"loop"}
    assert asked
    assert await scene.answer() == b"next"


async def test_loops_in_two_threads_do_not_share_a_buffer() -> None:
    """Each thread has its own: what one loop receives does not appear in the other's bodies."""
    contents = [bytes([number]) * 400_000 for number in range(4)]

    async def play(content: bytes) -> bytes:
        async with Scene() as scene:
            for _ in range(5):
                scene.writer.content.clear()
                await scene.send(head_of(content) + content)
                assert await scene.answer() == b"400000"
                assert scene.writer.content == content
            return bytes(scene.writer.content)

    def run(content: bytes) -> bytes:
        return asyncio.run(play(content))

    results = await asyncio.gather(*(asyncio.to_thread(run, content) for content in contents))

    assert results == contents
