"""Live connections through a network that breaks them at any byte."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import offset_of, published_digest, wait_until
from tests.support import faults
from tests.support.live import connecting, wire_size
from tests.support.payload import make_bytes, sha256
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess, head

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (1, 7, 125, 126, 1000, 4096, 9_999, 65_535, 65_536, 100_000)


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server on either event loop; a HEAD waits for nobody's silence."""
    folder = tmp_path_factory.mktemp("live") / "store"
    flags = ("--loop", request.param, "--network-timeout", "30s", "--holder-silence", "60s")
    with ServerProcess(folder, *flags) as process:
        yield process


@pytest.fixture(scope="module")
def proxy(server: ServerProcess) -> Iterator[FaultProxy]:
    """The way to it."""
    with FaultProxy("127.0.0.1", server.port) as it:
        yield it


def cut_into_frames(data: bytes, source: random.Random) -> list[bytes]:
    """The whole of it, in frames of very different sizes."""
    frames, position = [], 0
    while position < len(data):
        size = source.choice(SIZES)
        frames.append(data[position : position + size])
        position += size
    return frames


def whole_within(frames: list[bytes], passed: int) -> int:
    """Bytes of the frames that are whole within the first `passed` bytes on the wire."""
    stored = 0
    for frame in frames:
        passed -= wire_size(frame)
        if passed < 0:
            break
        stored += len(frame)
    return stored


@pytest.mark.parametrize("seed", range(6))
async def test_a_broken_connection_keeps_every_frame_that_arrived(
    server: ServerProcess, proxy: FaultProxy, seed: int
) -> None:
    """Cut at six bytes chosen by lot: every whole frame counts, to the byte, and the file is right."""
    source, data = random.Random(seed), make_bytes(700_000, seed=5600 + seed)
    upload_id, offset = "", 0
    for _ in range(6):
        frames = cut_into_frames(data[offset:], source)
        cut = source.randrange(sum(map(wire_size, frames)) // 3)
        proxy.script(source.choice([faults.reset_after, faults.close_after])(cut, "GET /live"))
        query: dict[str, str | int] = {} if not upload_id else {"id": upload_id, "offset": offset}
        async with connecting(proxy.origin, query) as client:
            upload_id = upload_id or (await client.greet())["file_uuid"]
            with suppress(ConnectionError):  # cut while it sends
                await client.send(*frames)
            await client.end()
        offset += whole_within(frames, cut)

        await until_let_go(server, upload_id, offset)
        assert client.acknowledged <= offset

    async with connecting(proxy.origin, {"id": upload_id, "offset": offset}) as client:
        await client.send(*cut_into_frames(data[offset:], source))
        result = await client.finish()

    assert result["offset"] == len(data)
    assert published_digest(server, upload_id) == sha256(data)
    assert proxy.pending == ()


async def until_let_go(server: ServerProcess, upload_id: str, offset: int) -> None:
    """The server has noticed the end; the upload is at `offset`, and goes no further."""
    url = f"{server.url}{upload_id}"
    wait_until(lambda: offset_of(url) >= offset, f"the upload is not at {offset}")
    async with connecting(server.origin, {"id": upload_id, "offset": offset}) as client:
        assert (await client.greet())["offset"] == offset


@pytest.mark.parametrize("break_off", ["after the bytes", "after the last word"])
async def test_who_hangs_up_has_sent_what_was_sent(server: ServerProcess, break_off: str) -> None:
    """It waits for no answer and says no goodbye, and loses nothing; the result can be had again."""
    data = make_bytes(300_000, seed=5700)
    async with connecting(server.origin) as client:
        upload_id = (await client.greet())["file_uuid"]
        await client.send(*cut_into_frames(data, random.Random(1)))
        if break_off == "after the last word":
            await client.socket.send_json({"complete": True})
        assert client.socket._conn is not None
        assert client.socket._conn.transport is not None
        client.socket._conn.transport.write_eof()
        await client.end()

    url, is_finished = f"{server.url}{upload_id}", break_off == "after the last word"
    wait_until(lambda: offset_of(url) == len(data))
    if is_finished:  # the last word is heard after the last byte; who comes back before has to repeat it
        wait_until(lambda: "content-location" in head(url).headers)
    async with connecting(server.origin, {"id": upload_id, "offset": len(data)}) as back:
        assert (await back.greet())["offset"] == len(data)
        result = await (back.result() if is_finished else back.finish())

    assert result["offset"] == len(data)
    assert published_digest(server, upload_id) == sha256(data)


async def test_a_connection_that_dies_silently_can_be_taken_over(
    server: ServerProcess, proxy: FaultProxy
) -> None:
    """The server knows nothing of it yet; who comes back on another way goes on at once."""
    data = make_bytes(200_000, seed=5800)
    proxy.script(faults.silence_after(wire_size(data[:50_000]) + 20, "GET /live"))
    async with connecting(proxy.origin) as client:
        upload_id = (await client.greet())["file_uuid"]
        await client.send(data[:50_000], data[50_000:])
        proxy.wait(lambda it: not it.pending)
        wait_until(lambda: offset_of(f"{server.url}{upload_id}") == 50_000)
        async with connecting(server.origin, {"id": upload_id, "offset": 50_000}) as back:
            assert (await back.greet())["offset"] == 50_000
            await back.send(data[50_000:])
            await back.finish()
        proxy.cut()

    assert published_digest(server, upload_id) == sha256(data)
