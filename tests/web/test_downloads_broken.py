"""Downloads that go wrong: clients that leave or dawdle, storage that fails midway."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import BinaryIO

import pytest

from tests.web.download_scene import (
    CONTENT,
    Client,
    FileReader,
    MemoryReader,
    Scene,
    serving,
)
from tusd_py.core.errors import StoreError
from tusd_py.core.ports import Reader


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """Both event loops: one has sendfile(2), the other has not."""
    return str(request.param)


@pytest.fixture
def big_file(tmp_path: Path) -> Iterator[BinaryIO]:
    """64 MiB without a block on disk: more than any socket buffer takes."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    with path.open("rb") as file:
        yield file


@pytest.mark.parametrize("source", ["file", "memory"])
def test_a_client_that_leaves_is_no_error(
    loop: str, source: str, big_file: BinaryIO, caplog: pytest.LogCaptureFixture
) -> None:
    """An ordinary dropped connection: nothing raised, nothing logged, others are served on."""
    size = 64 * 2**20
    reader: Reader = FileReader(big_file, size) if source == "file" else MemoryReader(bytes(size))
    scene = Scene(reader)
    with caplog.at_level(logging.WARNING), serving(scene, loop) as port:
        leaver = socket.create_connection(("127.0.0.1", port))
        leaver.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert leaver.recv(5) == b"HTTP/"
        leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        leaver.close()

        assert scene.answered.wait(10)
        with Client(port) as client:
            assert client.ask(Range="bytes=5-6").body == bytes(2)

    assert scene.errors == []
    assert caplog.records == []


def test_content_is_read_only_as_fast_as_the_client_takes_it(loop: str) -> None:
    """Memory is bounded by buffers, not by the file: nobody reads ahead for a client that does not."""
    reader = MemoryReader(bytes(64 * 2**20))
    scene = Scene(reader)
    with serving(scene, loop) as port:
        with socket.create_connection(("127.0.0.1", port)) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(5) == b"HTTP/"
        assert scene.answered.wait(10)

    assert 0 < reader.furthest < 64 * 2**20


def receive_all(port: int) -> bytes:
    """What one connection gets for one GET until the server ends it, cleanly or not."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
    return received


def test_a_storage_that_fails_midway_ends_the_connection(loop: str) -> None:
    """RFC 9112, 8: a body cut short must not look whole, nor be followed by another head."""
    scene = Scene(MemoryReader(CONTENT, fails_at=100_000))
    with serving(scene, loop) as port:
        received = receive_all(port)
        with Client(port) as client:
            other = client.ask(Range="bytes=0-9")

    body = received.partition(b"\r\n\r\n")[2]
    assert len(body) < len(CONTENT)
    assert CONTENT.startswith(body)
    assert [str(error) for error in scene.errors] == ["the storage broke down"]
    assert other.body == CONTENT[:10]


def test_a_file_shorter_than_found_ends_the_connection(loop: str, tmp_path: Path) -> None:
    """A client that waits for the announced length must not wait for ever."""
    path = tmp_path / "short"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        scene = Scene(FileReader(file, len(CONTENT) + 1000))
        with serving(scene, loop) as port:
            received = receive_all(port)

    assert CONTENT.startswith(received.partition(b"\r\n\r\n")[2])
    assert [str(error) for error in scene.errors] == [
        "300000 bytes read where 301000 are stored, from 0 on"
    ]


def test_a_file_that_cannot_be_read_is_the_storage_s_failure(tmp_path: Path) -> None:
    """An error of the disk is not taken for a client that left."""
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("ab", buffering=0) as write_only:
        scene = Scene(FileReader(write_only, len(CONTENT)))
        with serving(scene, "asyncio") as port:
            received = receive_all(port)

    assert received.partition(b"\r\n\r\n")[2] == b""
    assert [str(error) for error in scene.errors] == ["the stored bytes cannot be read"]


def test_sendfile_is_used_where_the_loop_has_it(tmp_path: Path) -> None:
    """The kernel copies: under asyncio no chunk of a file goes through the process."""

    class Unread(FileReader):
        async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
            for _ in range(start, stop):
                raise StoreError("read through the process")
            yield b""

    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        scene = Scene(Unread(file, len(CONTENT)))
        with serving(scene, "asyncio") as port, Client(port) as client:
            answer = client.ask(Range="bytes=7-250000")

    assert answer.body == CONTENT[7:250_001]


def test_a_slow_client_gets_every_byte(loop: str) -> None:
    """However small its window is, nothing is lost between the storage and the client."""
    content = Random(8).randbytes(8 * 2**20)
    with serving(Scene(MemoryReader(content)), loop) as port, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(10)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: slow.recv(65536), b""))

    assert sha256(received.partition(b"\r\n\r\n")[2]).digest() == sha256(content).digest()
