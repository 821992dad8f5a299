"""Many at once: idle connections, uploads on record, bytes in flight. None of them may cost the others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.payload import Payload, make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.conftest import KINDS
from tests.wire.raw import Wire
from tests.wire.tus import Tus
from tusd_py.core.model import Upload
from tusd_py.stores.records import format_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
BLOCK = make_bytes(MIB, seed=11)


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def roomy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A patient server on each event loop; its memory is what is looked at."""
    folder = tmp_path_factory.mktemp("crowds") / "store"
    flags = ("--min-free-space", "0", "--network-timeout", "60s", "--loop", request.param)
    with ServerProcess(folder, *flags) as server:
        Tus.of(server).upload(bytes(4 * MIB))  # what is needed once is there before it is measured
        yield server


def test_idle_patches_hold_nobody_up(roomy: ServerProcess) -> None:
    """500 clients, silent in the middle of a body: a fast upload passes, HEADs pass, nothing is lost."""
    tus, payload = Tus.of(roomy), Payload(size=32 * MIB, seed=5)
    paths = [tus.create(10) for _ in range(500)]
    target = tus.create(payload.size)
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(idle := Wire.to(roomy.port))
            idle.send(tus.patch_head(path, 0, 10) + b"01234")
        while tus.offset(paths[-1]) < 5:
            pass

        begun = time.monotonic()
        patched = tus.patch(target, 0, payload.data)
        offsets = [tus.offset(path) for path in paths[::25]]
        seconds = time.monotonic() - begun

    assert patched.status == 204
    assert sha256(tus.content(target)) == payload.sha256
    assert offsets == [5] * 20
    assert seconds < 10
    assert [tus.patch(path, 5, b"56789").status for path in paths[::25]] == [204] * 20


def fill(folder: Path, count: int) -> list[str]:
    """Put so many unfinished uploads of ten bytes, five of them there, into a storage; their ids."""
    incoming = folder / "incoming"
    incoming.mkdir(parents=True)
    pattern = Upload(id="", name="", created_at=datetime(2026, 1, 1, tzinfo=UTC), length=10)
    ids = [f"{number:032x}" for number in range(count)]
    for name in ids:
        (incoming / name).write_bytes(b"01234")
        (incoming / f"{name}.json").write_bytes(format_record(replace(pattern, id=name, name=name)))
    return ids


def test_ten_thousand_uploads_slow_nothing_down(tmp_path: Path) -> None:
    """What is on record costs no request anything: start-up, HEAD, POST and PATCH are as quick as ever."""
    ids = fill(tmp_path / "store", 10_000)

    begun = time.monotonic()
    with ServerProcess(tmp_path / "store") as server:
        started = time.monotonic() - begun
        tus = Tus.of(server)
        begun = time.monotonic()
        offsets = [tus.offset(f"/files/{name}") for name in ids[::100]]
        created = [tus.create(10) for _ in range(100)]
        patched = [tus.patch(f"/files/{name}", 5, b"56789").status for name in ids[::100]]
        seconds = time.monotonic() - begun

    assert started < 10
    assert offsets == [5] * 100
    assert len(set(created)) == 100
    assert patched == [204] * 100
    assert seconds < 10


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_large_body_takes_no_memory(roomy: ServerProcess, chunked: bool) -> None:
    """1 GiB in one PATCH: the server grows by less than 64 MiB, and the file is the file (T-040)."""
    tus, blocks = Tus.of(roomy), 1024
    path = tus.create(blocks * MIB)
    before = roomy.memory().peak

    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, None if chunked else blocks * MIB))
        for _ in range(blocks):
            wire.send(b"100000\r\n" + BLOCK + b"\r\n" if chunked else BLOCK)
        wire.send(b"0\r\n\r\n" if chunked else b"")
        answer = wire.read("PATCH")
    grown = roomy.memory().peak - before
    with roomy.published(path).open("rb") as file:
        right = sum(file.read(MIB) == BLOCK for _ in range(blocks))
        surplus = file.read()
    tus.ask("DELETE", path)

    assert (answer.status, answer.get("Upload-Offset")) == (204, str(blocks * MIB))
    assert (right, surplus) == (blocks, b"")
    assert grown < 64 * MIB


def test_many_bodies_at_once_take_little_memory(roomy: ServerProcess) -> None:
    """32 clients of 16 MiB each: memory does not add up to their bytes, and no byte is mixed up."""
    tus = Tus.of(roomy)
    payloads = [Payload(size=16 * MIB, seed=seed) for seed in range(4)]
    paths = [tus.create(16 * MIB) for _ in range(32)]
    before = roomy.memory().peak

    with ThreadPoolExecutor(32) as pool:
        statuses = list(
            pool.map(
                lambda number: tus.patch(paths[number], 0, payloads[number % 4].data).status, range(32)
            )
        )
    grown = roomy.memory().peak - before
    digests = [sha256(tus.content(path)) for path in paths]
    for path in paths:
        tus.ask("DELETE", path)

    assert statuses == [204] * 32
    assert digests == [payloads[number % 4].sha256 for number in range(32)]
    assert grown < 64 * MIB


def test_slow_readers_take_no_memory(roomy: ServerProcess) -> None:
    """20 downloads of 16 MiB that nobody takes: the server waits for its readers and buffers little."""
    tus = Tus.of(roomy)
    path = tus.upload(BLOCK * 16)
    before = roomy.memory().peak
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(reader := Wire.to(roomy.port, receive_buffer=4096))
            reader.send(tus.head_of("GET", path))
        beginnings = reader.sock.recv(1024)
        offsets = {tus.offset(path) for _ in range(200)}  # as many turns for whoever wants to send
        grown = roomy.memory().peak - before

    assert beginnings.startswith(b"HTTP/1.1 200 OK\r\n")
    assert offsets == {16 * MIB}
    assert grown < 32 * MIB
    assert sha256(tus.ask("GET", path).body) == sha256(BLOCK * 16)


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "environment"), KINDS.values(), ids=KINDS)
def test_five_thousand_clients_in_turn_leave_nothing_behind(
    tmp_path: Path, flags: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Connections that break in the middle of a body cost no memory and no file descriptor for good."""
    with ServerProcess(tmp_path / "store", *flags, environment=environment) as server:
        tus = Tus.of(server)
        path = tus.create(10**9)
        offset = 0
        for number in range(5000):
            with tus.connect() as wire:
                wire.send(tus.patch_head(path, offset, 1000) + b"0123456789")
                while (now := tus.offset(path)) < offset + 10:
                    pass
                offset = now
            if number == 500:
                before = server.memory().resident
        grown = server.memory().resident - before

        assert tus.content(path) == b"0123456789" * 5000
        assert grown < 16 * MIB
