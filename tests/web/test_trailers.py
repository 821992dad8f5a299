"""A handler learns what its own request sent behind the body, and nothing that another request sent.

Citations without a name are of RFC 9112.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from aiohttp import http_parser, web

from tests.web.download_scene import LOOPS
from tests.web.trailer_scene import (
    FIELDS,
    IN_CHUNKS,
    LARGE,
    PLAIN,
    REFUSED,
    TRAILER,
    announcing,
    answer,
    chunked,
    client,
    connected,
    fixed,
    running,
    serving,
    told,
)

WANTS_PURE_PYTHON = bool(os.environ.get("AIOHTTP_NO_EXTENSIONS"))

# -- a connection without a network ---------------------------------------------------------------


async def test_a_trailer_is_read_wherever_the_bytes_are_cut() -> None:
    """7.1.2: the requests around it, and the position of the cut, make no difference."""
    stream = PLAIN + announcing(b"hello", size=3) + fixed(b"world") + PLAIN
    expected = [
        told(b"", None),
        told(b"hello", FIELDS, *IN_CHUNKS),
        told(b"world", None, "Content-Length"),
        told(b"", None),
    ]

    async with running() as runner:
        for cut in range(len(stream) + 1):
            async with connected(runner.server) as (wire, connection):
                await wire.send(connection, stream[:cut], stream[cut:])

                assert await wire.answers(4) == expected


async def test_a_trailer_is_read_byte_by_byte() -> None:
    """7.1.2: the server may see one byte at a time."""
    stream = announcing(b"hello", size=2) + announcing(b"", trailer=b"Upload-Checksum: x\r\n")

    async with running() as runner, connected(runner.server) as (wire, connection):
        await wire.send(connection, *(stream[at : at + 1] for at in range(len(stream))))

        assert await wire.answers(2) == [
            told(b"hello", FIELDS, *IN_CHUNKS),
            told(b"", [["upload-checksum", "x"]], *IN_CHUNKS),
        ]


@pytest.mark.parametrize("size", [100, 65536, 1024 * 1024])
async def test_a_trailer_is_read_while_the_parser_lags_behind(size: int) -> None:
    """A body larger than every buffer makes reading pause in the middle of chunks; nothing gets lost."""
    large = LARGE[: 1024 * 1024] if size == 100 else LARGE
    stream = announcing(large, size=size) + announcing(b"hello", trailer=b"A: b\r\n") + PLAIN
    pieces = [stream[start : start + 262_144] for start in range(0, len(stream), 262_144)]

    async with running() as runner, connected(runner.server) as (wire, connection):
        await wire.send(connection, *pieces)
        answers = await wire.answers(3)

    assert wire.pauses > 0
    assert answers == [
        told(large, FIELDS, *IN_CHUNKS),
        told(b"hello", [["a", "b"]], *IN_CHUNKS),
        told(b"", None),
    ]


async def test_many_pipelined_requests_keep_their_own_trailers() -> None:
    """9.3.2: more requests at once than the server queues; each is answered with its own trailer."""
    numbers = range(60)
    stream = b"".join(announcing(b"%d" % n, trailer=b"N: %d\r\n" % n) if n % 2 else PLAIN for n in numbers)

    async with running() as runner, connected(runner.server) as (wire, connection):
        await wire.send(connection, stream)
        answers = await wire.answers(len(numbers))

    assert [answer["trailer"] for answer in answers] == [
        [["n", str(n)]] if n % 2 else None for n in numbers
    ]


async def test_a_trailer_field_never_becomes_a_field_of_the_next_request() -> None:
    """6.5.1 of RFC 9110: trailer fields are kept apart from header fields, those of others above all."""
    several = b"X-A: 1\r\nX-B: 2\r\n"

    async with running() as runner, connected(runner.server) as (wire, connection):
        for stream in (chunked(b"1", trailer=several), PLAIN, announcing(b"2"), fixed(b"3"), PLAIN):
            await wire.send(connection, stream)
        answers = await wire.answers(5)

    assert answers == [
        told(b"1", None, "Transfer-Encoding"),
        told(b"", None),
        told(b"2", FIELDS, *IN_CHUNKS),
        told(b"3", None, "Content-Length"),
        told(b"", None),
    ]


async def test_a_field_that_equals_the_last_trailer_field_is_kept() -> None:
    """RFC 9110, 6.5.1: a request's own first field stays, even if the one before sent it as a trailer."""
    own = b"OPTIONS /files/ HTTP/1.1\r\n" + TRAILER + b"Host: x\r\n\r\n"

    async with running() as runner, connected(runner.server) as (wire, connection):
        await wire.send(connection, announcing(b"1"), own)

        assert (await wire.answers(2))[1] == told(b"", None, "Upload-Checksum")


async def test_a_trailer_that_cannot_be_followed_closes_the_connection() -> None:
    """Where it is not certain what belongs to which request, no further request is answered."""
    overlong = announcing(b"1", trailer=b"A: %b\r\n" % (b"x" * 9000))

    async with running() as runner, connected(runner.server) as (wire, connection):
        await wire.send(connection, overlong + PLAIN)
        answers = await wire.answers(2)

    assert answers == [told(b"1", None, *IN_CHUNKS)]
    assert wire.is_closing()


async def test_trailers_that_nobody_asked_for_are_forgotten() -> None:
    """A connection stays of use however many requests with trailers were refused on it."""
    refused = announcing(b"hello").replace(b"PATCH /files/1 HTTP/1.1", REFUSED)

    async with running() as runner, connected(runner.server) as (wire, connection):
        for number in range(1, 100):
            await wire.send(connection, refused)
            await wire.answers(number)
        await wire.send(connection, announcing(b"world"))

        assert (await wire.answers(100))[99:] == [told(b"world", FIELDS, *IN_CHUNKS)]


async def test_a_body_that_is_not_over_has_no_trailer_yet() -> None:
    """A refusal before the body was read says nothing about a trailer, and the next request is fine."""
    refused = announcing(b"hello").replace(b"PATCH /files/1 HTTP/1.1", REFUSED)

    async with running() as runner, connected(runner.server) as (wire, connection):
        await wire.send(connection, refused + announcing(b"world", trailer=b"B: 2\r\n"))

        assert await wire.answers(2) == [{"trailer": None}, told(b"world", [["b", "2"]], *IN_CHUNKS)]


async def test_a_chunked_body_refused_in_the_middle_closes_the_connection() -> None:
    """The rest, and whatever follows it, is read by nobody who could tell where it belongs."""
    refused = announcing(b"hello").replace(b"PATCH /files/1 HTTP/1.1", REFUSED)

    async with running() as runner, connected(runner.server) as (wire, connection):
        await wire.send(connection, refused[:-60])
        assert await wire.answers(1) == [{"trailer": None}]
        await wire.send(connection, refused[-60:] + PLAIN)

        assert await wire.answers(2) == [{"trailer": None}]
        assert b"Connection: close" in wire.written


# -- real sockets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_requests_on_one_socket_keep_their_own_trailers(loop: str) -> None:
    """9.3: a kept connection carries requests with and without trailers, large and small."""
    with serving(loop) as port, client(port) as connection:
        for content in (b"hello", LARGE, b""):
            connection.socket.sendall(announcing(content))
            assert answer(connection) == told(content, FIELDS, *IN_CHUNKS)
            connection.socket.sendall(PLAIN)
            assert answer(connection) == told(b"", None)


@pytest.mark.parametrize("loop", LOOPS)
def test_pipelined_requests_on_a_socket_keep_their_own_trailers(loop: str) -> None:
    """9.3.2: requests sent at once, a body larger than the buffers among them."""
    stream = PLAIN + announcing(LARGE) + fixed(LARGE) + announcing(b"hello", trailer=b"A: b\r\n") + PLAIN

    with serving(loop) as port, client(port) as connection:
        sender = threading.Thread(target=connection.socket.sendall, args=(stream,))
        sender.start()
        answers = [answer(connection) for _ in range(5)]
        sender.join()

    assert answers == [
        told(b"", None),
        told(LARGE, FIELDS, *IN_CHUNKS),
        told(LARGE, None, "Content-Length"),
        told(b"hello", [["a", "b"]], *IN_CHUNKS),
        told(b"", None),
    ]


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("loop", LOOPS)
def test_small_writes_on_a_socket_make_no_difference(loop: str, size: int) -> None:
    """7.1.2: as the packets fall."""
    stream = announcing(b"hello", size=2) + PLAIN

    with serving(loop) as port, client(port) as connection:
        for start in range(0, len(stream), size):
            connection.socket.sendall(stream[start : start + size])

        assert answer(connection) == told(b"hello", FIELDS, *IN_CHUNKS)
        assert answer(connection) == told(b"", None)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_not_both_announced_and_sent_is_none(loop: str) -> None:
    """RFC 9110, 6.6.2: an announcement alone is nothing; a trailer that was not announced is ignored."""
    with serving(loop) as port, client(port) as connection:
        connection.socket.sendall(announcing(b"1", trailer=b""))
        assert answer(connection) == told(b"1", None, *IN_CHUNKS)
        connection.socket.sendall(chunked(b"2"))
        assert answer(connection) == told(b"2", None, "Transfer-Encoding")
        connection.socket.sendall(announcing(b"3"))
        assert answer(connection) == told(b"3", FIELDS, *IN_CHUNKS)


def test_somebody_elses_server_knows_no_trailers() -> None:
    """An application that is run by another runner works as before, without trailers."""
    with serving("asyncio", web.AppRunner) as port, client(port) as connection:
        connection.socket.sendall(announcing(b"1"))

        assert answer(connection) == told(b"1", None, *IN_CHUNKS)


# -- both parsers ---------------------------------------------------------------------------------


def test_the_parser_is_the_one_that_is_meant() -> None:
    """This run tests what it says: aiohttp's C parser, or its own in Python where that is asked for."""
    assert (http_parser.HttpRequestParser is http_parser.HttpRequestParserPy) == WANTS_PURE_PYTHON


if not WANTS_PURE_PYTHON:

    def test_all_of_this_holds_for_the_parser_in_python() -> None:
        """Every test in this file passes with aiohttp's pure-Python parser, too."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment["AIOHTTP_NO_EXTENSIONS"] = "1"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]

        run = subprocess.run(
            command,
            env=environment,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=110,
        )

        assert run.returncode == 0, run.stdout
        assert "skipped" not in run.stdout
