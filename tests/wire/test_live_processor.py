"""Live audio with a processor, between a client and the running server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestServer

from tests.faults.wire import published_digest, wait_until
from tests.support.live import connecting
from tests.support.live_processors import digests
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tusd_py.app import create_app
from tusd_py.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.live import LiveClient

DATA = make_bytes(30_000, seed=59)


@contextmanager
def processing(folder: Path, name: str, *flags: str) -> Iterator[ServerProcess]:
    """A server with this processor."""
    chosen = (
        "--network-timeout",
        "60s",
        "--live-processor",
        f"tests.support.live_processors:{name}",
        "--live-chunk-size",
        "1KiB",
    )
    with ServerProcess(folder, *chosen, *flags) as server:
        yield server


def results(client: LiveClient) -> list[object]:
    """All that were told, in order."""
    return [result for message in client.said for result in message.get("results", ())]


async def test_results_come_back_in_order(tmp_path: Path) -> None:
    """Each piece of at most the chunk size, once, in order; the last word behind the file's completion."""
    with processing(tmp_path / "store", "digests") as server:
        async with connecting(server.origin) as client:
            url = (await client.greet())["url"]
            for start in range(0, len(DATA), 2_500):
                await client.send(DATA[start : start + 2_500])
            await client.finish()
            await client.end()
        digest = published_digest(server, url)

    pieces = [
        [start + inner, min(1024, 2_500 - inner)]
        for start in range(0, len(DATA), 2_500)
        for inner in range(0, 2_500, 1024)
    ]
    assert results(client) == [*pieces, sha256(DATA)]
    assert client.said[-1]["chunks_processed"] == len(pieces)
    assert digest == sha256(DATA)


async def test_who_comes_back_has_a_run_of_its_own(tmp_path: Path) -> None:
    """It begins where the connection does: the processor is told the offset."""
    with processing(tmp_path / "store", "digests") as server:
        async with connecting(server.origin) as client:
            upload_id = (await client.greet())["file_uuid"]
            await client.send(DATA[:1000])
            await client.stored(1000)
        async with connecting(server.origin, {"id": upload_id, "offset": 1000}) as back:
            await back.greet()
            await back.send(DATA[1000:2000])
            await back.finish()
            await back.end()

    assert results(back) == [[1000, 1000], sha256(DATA[1000:2000])]


async def test_a_processor_that_fails_costs_no_byte(tmp_path: Path) -> None:
    """The client hears of it, in our words, and goes on over the same connection."""
    with processing(tmp_path / "store", "failing") as server:
        async with connecting(server.origin) as client:
            url = (await client.greet())["url"]
            for start in range(0, len(DATA), 1000):
                await client.send(DATA[start : start + 1000])
            await client.socket.send_json({"complete": True})
            last, code = await client.end()
        digest = published_digest(server, url)
        wait_until(lambda: "bytes too many" in server.log, "the log does not say why")

    errors = [message["error"] for message in client.said if "error" in message]
    assert code == 1000
    assert any(message.get("complete") for message in client.said)
    assert {error["code"] for error in errors} == {"ERR_LIVE_PROCESSOR"}
    assert "too many" not in str(errors)
    assert last.get("chunks_processed", 30) == 30
    assert results(client) == [1000] * 15
    assert digest == sha256(DATA)


async def test_a_processor_that_hangs_costs_no_byte(tmp_path: Path) -> None:
    """Given up after the network timeout, it holds up no more, however much there is to come."""
    data = make_bytes(3_000_000, seed=60)
    with processing(tmp_path / "store", "nothing", "--network-timeout", "2s") as server:
        async with connecting(server.origin) as client:
            url = (await client.greet())["url"]
            for start in range(0, len(data), 50_000):
                await client.send(data[start : start + 50_000])
            await client.socket.send_json({"complete": True})
            _, code = await client.end()
        digest = published_digest(server, url)

    errors = [message["error"]["code"] for message in client.said if "error" in message]
    assert (errors, code) == (["ERR_LIVE_PROCESSOR"], 1000)
    assert digest == sha256(data)


async def test_a_program_of_one_s_own_brings_its_processor(tmp_path: Path) -> None:
    """It is handed to `create_app`, in the place of that of the settings."""
    app = create_app(Settings(upload_dir=tmp_path), live_processor=digests)
    async with TestServer(app) as server, connecting(str(server.make_url("")).rstrip("/")) as client:
        await client.send(b"abc")
        await client.finish()
        await client.end()

    assert results(client) == [[0, 3], sha256(b"abc")]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tests.support.live_processors:missing", "cannot be imported"),
        ("no.such.module:x", "cannot be imported"),
        ("tests.support.live_processors:not_callable", "is no asynchronous generator function"),
        ("tests.support.live_processors:no_generator", "is no asynchronous generator function"),
        ("tests.support.live_processors:without_arguments", "cannot be called"),
    ],
)
def test_a_name_that_names_nothing_is_a_wrong_setting(tmp_path: Path, name: str, problem: str) -> None:
    """The start ends with one line that says which."""
    with pytest.raises(SettingsError) as caught:
        create_app(load_settings(["--live-processor", name, "--upload-dir", str(tmp_path)]))

    assert str(caught.value).startswith("--live-processor: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
