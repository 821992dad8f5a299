"""Live audio, between a client and the running server: how much, how large, how long."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import offset_of, stored
from tests.support.live import TEXT, connecting, converse, raw_connection, raw_frame
from tests.support.payload import make_bytes
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = make_bytes(12_000, seed=58)
MIB = 1 << 20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that takes little."""
    flags = ("--max-size", "10000", "--live-max-frame", "4KiB", "--network-timeout", "30s")
    with ServerProcess(tmp_path_factory.mktemp("small") / "store", *flags) as server:
        yield server


async def test_the_largest_upload_is_filled_and_no_more(small: ServerProcess) -> None:
    """What fits is kept, to the byte; the client is told, and the connection closed with 1009."""
    async with connecting(small.origin) as client:
        url = (await client.greet())["url"]
        await client.send(DATA[:4000], DATA[4000:8000], DATA[8000:])
        refusal = await client.refusal()

    assert refusal == ("ERR_MAX_SIZE_EXCEEDED", 1009)
    assert offset_of(url) == 10_000
    assert stored(small, url).read_bytes() == DATA[:10_000]


async def test_an_upload_of_the_largest_size_completes(small: ServerProcess) -> None:
    """The limit belongs to what is taken."""
    async with connecting(small.origin) as client:
        await client.send(DATA[:4000], DATA[4000:8000], DATA[8000:10_000])
        result = await client.finish()

    assert small.published(result["file_uuid"]).read_bytes() == DATA[:10_000]


async def test_a_frame_of_the_largest_size_is_taken_and_a_larger_one_is_not(small: ServerProcess) -> None:
    """What came before it is stored, and told; the connection is closed with 1009."""
    async with connecting(small.origin) as client:
        url = (await client.greet())["url"]
        await client.send(DATA[:4096], DATA[:4097])
        refusal = await client.refusal()

    assert refusal == ("ERR_FRAME_TOO_LARGE", 1009)
    assert client.said[-1]["offset"] == offset_of(url) == 4096


@pytest.mark.parametrize("announced", [4097, 1 << 40, (1 << 63) + 5])
async def test_a_frame_is_refused_before_it_comes(small: ServerProcess, announced: int) -> None:
    """RFC 6455, 5.2: its length stands before it, and nothing of it is waited for."""
    said = await converse(small.origin, raw_frame(b"abc"), raw_frame(b"d", announced=announced))

    assert b"ERR_FRAME_TOO_LARGE" in said
    assert b'"offset": 3}\x88\x02\x03\xf1' in said


async def test_fragments_are_counted_together(small: ServerProcess) -> None:
    """RFC 6455, 5.4: a message in many frames is no way around the limit."""
    frames = [raw_frame(bytes(1000), 2 if number == 0 else 0, is_final=False) for number in range(5)]
    said = await converse(small.origin, *frames)

    assert b"ERR_FRAME_TOO_LARGE" in said


async def test_a_silent_client_is_told_to_come_again(tmp_path: Path) -> None:
    """After the network timeout, although it answers pings; what it sent is kept."""
    with ServerProcess(tmp_path / "store", "--network-timeout", "2s") as server:
        async with connecting(server.origin) as client:
            await client.send(b"abc")
            url = (await client.greet())["url"]
            refusal = await client.refusal()
        offset = offset_of(url)

    assert refusal == ("ERR_READ_TIMEOUT", 1013)
    assert client.said[-1]["offset"] == offset == 3


async def flood(origin: str, frames: bytes, seconds: float = 1.0) -> int:
    """Connected, send as fast as the server takes it, reading nothing; the bytes that left in that time."""
    sent = 0
    async with raw_connection(origin) as (_, writer):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    writer.write(frames)
                    await writer.drain()
                    await asyncio.sleep(0)  # drain does not wait as long as the kernel takes everything
                    sent += len(frames)
    return sent


@pytest.mark.parametrize(
    "frames", [raw_frame(bytes(64 * 1024)), raw_frame(b"x") * 9000], ids=["large", "tiny"]
)
async def test_a_processor_that_takes_nothing_does_not_fill_the_memory(
    tmp_path: Path, frames: bytes
) -> None:
    """Backpressure: the clients wait, however much they have, whatever the size of their frames."""
    flags = ("--live-processor", "tests.support.live_processors:nothing", "--shutdown-timeout", "1s")
    with ServerProcess(tmp_path / "store", *flags, "--network-timeout", "60s") as server:
        await converse(server.origin, raw_frame(b"x", TEXT))  # it has taken and refused something
        before = server.memory().peak
        async with asyncio.TaskGroup() as group:
            floods = [group.create_task(flood(server.origin, frames)) for _ in range(8)]
        after = server.memory().peak
        files = [path for path in (server.upload_dir / "incoming").iterdir() if not path.suffix]
        taken = [path.stat().st_size for path in files]

    assert min(task.result() for task in floods) > 0
    assert max(taken) <= MIB
    assert after - before < 8 * 4 * MIB


async def test_a_client_that_does_not_read_does_not_fill_the_memory(tmp_path: Path) -> None:
    """A hundred thousand acknowledgements that nobody takes are one."""
    with ServerProcess(tmp_path / "store") as server:
        await converse(server.origin, raw_frame(b"x", TEXT))
        before = server.memory().peak
        sent = await flood(server.origin, raw_frame(b"x" * 100) * 600)
        after = server.memory().peak

    assert sent > 0
    assert after - before < 16 * MIB
