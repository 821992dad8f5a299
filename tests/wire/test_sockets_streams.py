"""Requests that do not come one to a packet: pipelined, byte by byte, torn, and followed by rubbish."""

from __future__ import annotations

import socket

import pytest

from tests.support.payload import make_bytes
from tests.support.server import ServerProcess
from tests.wire.conftest import check_no_traceback
from tests.wire.raw import Wire, format_chunks
from tests.wire.tus import CHUNK_TYPE, Tus

PIECES = (b"abc", b"defgh", b"ij")


def test_pipelined_requests_are_answered_in_order(any_tus: Tus) -> None:
    """RFC 9112, 9.3.2: PATCH HEAD PATCH HEAD ... in one stream; every HEAD sees the PATCH before it."""
    data = make_bytes(40_000, seed=1)
    path = any_tus.create(len(data))
    stream = b""
    for start in range(0, len(data), 2000):
        piece = data[start : start + 2000]
        chunked = start % 4000 == 0
        stream += any_tus.patch_head(path, start, None if chunked else 2000)
        stream += format_chunks([piece[:7], piece[7:]]) if chunked else piece
        stream += any_tus.head_of("HEAD", path)

    with any_tus.connect() as wire:
        wire.send(stream)
        answers = [(wire.read("PATCH"), wire.read("HEAD")) for _ in range(20)]

    expected = [str(offset) for offset in range(2000, 40_001, 2000)]
    assert [(patched.status, told.status) for patched, told in answers] == [(204, 200)] * 20
    assert [patched.get("Upload-Offset") for patched, _ in answers] == expected
    assert [told.get("Upload-Offset") for _, told in answers] == expected
    assert any_tus.content(path) == data


def test_pipelined_requests_may_fail_in_between(any_tus: Tus) -> None:
    """RFC 9112, 9.3: a refused PATCH whose body is there in full does not derail what follows it."""
    path = any_tus.create(10)
    stream = b"".join(
        (
            any_tus.patch_head(path, 5, 5) + b"xxxxx",
            any_tus.patch_head(path, 0, 5) + b"01234",
            any_tus.patch_head("/files/unknown", 0, 5) + b"xxxxx",
            any_tus.head_of("PUT", path, {"Content-Length": "5"}) + b"xxxxx",
            any_tus.patch_head(path, 5, None) + format_chunks([b"56789"]),
        )
    )

    with any_tus.connect() as wire:
        wire.send(stream)
        statuses = [wire.read("PATCH").status for _ in range(5)]

    assert statuses == [409, 204, 404, 405, 204]
    assert any_tus.content(path) == b"0123456789"


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_request_may_come_byte_by_byte(any_tus: Tus, chunked: bool) -> None:
    """RFC 9112, 2.2: a message is a sequence of octets, however they are packed."""
    path = any_tus.create(10)
    stream = any_tus.patch_head(path, 0, None if chunked else 10)
    stream += format_chunks(PIECES) if chunked else b"".join(PIECES)

    with any_tus.connect() as wire:
        for position in range(len(stream)):
            wire.send(stream[position : position + 1])
        answer = wire.read("PATCH")

    assert (answer.status, answer.get("Upload-Offset")) == (204, "10")
    assert any_tus.content(path) == b"abcdefghij"


def payload_in(prefix_length: int) -> int:
    """How many bytes of `PIECES` are in so many bytes of their chunked form."""
    position = payload = 0
    for piece in PIECES:
        position += len(b"%x\r\n" % len(piece))
        payload += min(max(prefix_length - position, 0), len(piece))
        position += len(piece) + 2
    return payload


@pytest.mark.parametrize("cut", range(1, len(format_chunks(PIECES)) - 1))
def test_a_torn_chunked_body_keeps_its_payload(any_tus: Tus, cut: int) -> None:
    """tus 1.0.0, PATCH: keep as much as possible; framing is no payload, at whatever byte it ends.

    (T-037)
    """
    path = any_tus.create(100)
    kept = payload_in(cut)

    with any_tus.connect() as wire:
        wire.send(any_tus.patch_head(path, 0, None) + format_chunks(PIECES)[:cut])
        wire.sock.shutdown(socket.SHUT_WR)
        wire.rest()
    resumed = any_tus.patch(path, kept, b"next")

    assert (resumed.status, resumed.get("Upload-Offset")) == (204, str(kept + 4))
    assert any_tus.content(path) == b"abcdefghij"[:kept] + b"next"


BROKEN = {
    "no number": b"xyz\r\nabc\r\n",
    "negative": b"-3\r\nabc\r\n",
    "prefixed": b"0x3\r\nabc\r\n",
    "empty line": b"\r\n\r\n",
    "binary": bytes(range(128, 160)) + b"\r\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "after the good part"])
def test_broken_framing_keeps_what_came_before(any_tus: Tus, broken: bytes, together: bool) -> None:
    """RFC 9112, 7.1, and tus 1.0.0, PATCH: 400 at once, the end, and whole chunks are kept (T-037)."""
    path = any_tus.create(100)
    fields = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Expect": "100-continue"}
    good = format_chunks(PIECES, end=False)

    with any_tus.connect() as wire:
        wire.send(any_tus.head_of("PATCH", path, {"Transfer-Encoding": "chunked", **fields}))
        wire.read_interim()
        wire.send(good + broken if together else good)
        if not together:
            while any_tus.offset(path) < 10:
                pass
            wire.send(broken)
        answer = wire.read("PATCH")
        rest = wire.rest()
    resumed = any_tus.patch(path, 10, b"next")

    assert (answer.status, answer.get("Connection"), rest) == (400, "close", b"")
    assert answer.body.startswith(b"ERR_INVALID_BODY: ")
    assert (resumed.status, resumed.get("Upload-Offset")) == (204, "14")
    assert any_tus.content(path) == b"abcdefghijnext"


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_packet_that_cannot_be_read_is_refused_as_a_whole(any_tus: Tus, broken: bytes) -> None:
    """RFC 9112, 2.2: 400 and the end; a request in the same packet has not begun, and stores nothing."""
    path = any_tus.create(100)

    with any_tus.untouched(path), any_tus.connect() as wire:
        wire.send(any_tus.patch_head(path, 0, None) + format_chunks(PIECES, end=False) + broken)
        answer = wire.read("PATCH")
        rest = wire.rest()

    assert (answer.status, rest) == (400, b"")
    assert answer.body.startswith(b"ERR_BAD_REQUEST: ")


def test_chunk_extensions_and_trailers_are_not_payload(any_tus: Tus) -> None:
    """RFC 9112, 7.1.1 and 7.1.2: both are allowed, neither is content."""
    path = any_tus.create(100)
    body = b'3;name="value"\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-Trailer: 1\r\n\r\n'

    with any_tus.connect() as wire:
        wire.send(any_tus.patch_head(path, 0, None) + body + any_tus.head_of("HEAD", path))
        answer, told = wire.read("PATCH"), wire.read("HEAD")

    assert (answer.status, answer.get("Upload-Offset")) == (204, "8")
    assert told.get("Upload-Offset") == "8"
    assert any_tus.content(path) == b"abcdefgh"


@pytest.mark.parametrize(
    "rubbish", [b"GARBAGE\r\n\r\n", b"\0\1\2\3" * 8 + b"\r\n\r\n", b"0" * 200 + b"\r\n\r\n"]
)
def test_rubbish_after_a_body_is_not_payload(any_tus: Tus, rubbish: bytes) -> None:
    """RFC 9112, 6.3: a body ends where its length says; what follows is another, unreadable request."""
    path = any_tus.create(100)

    with any_tus.connect() as wire:
        wire.send(any_tus.patch_head(path, 0, 5) + b"0123")
        while any_tus.offset(path) < 4:
            pass
        wire.send(b"4" + rubbish)
        answer, refused = wire.read("PATCH"), wire.read()
        rest = wire.rest()

    assert (answer.status, answer.get("Upload-Offset")) == (204, "5")
    assert (refused.status, rest) == (400, b"")
    assert any_tus.content(path) == b"01234"


@pytest.mark.parametrize(
    "framing",
    [
        {"Content-Length": "5", "Transfer-Encoding": "chunked"},
        {"Content-Length": ["5", "6"]},
        {"Content-Length": "+5"},
        {"Content-Length": "-5"},
        {"Content-Length": "5, 5"},
        {"Content-Length": "0x5"},
        {"Transfer-Encoding": "xchunked"},
        {"Transfer-Encoding": "chunked, identity"},
    ],
)
def test_ambiguous_framing_is_refused(any_tus: Tus, framing: dict[str, str | list[str]]) -> None:
    """RFC 9112, 6.3: what two readers could read in two ways is not read at all (request smuggling)."""
    path = any_tus.create(100)
    fields = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, **framing}

    with any_tus.untouched(path), any_tus.connect() as wire:
        wire.send(any_tus.head_of("PATCH", path, fields) + b"5\r\n01234\r\n0\r\n\r\n")
        answer = wire.read("PATCH")

    assert answer.status == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"Upload-Offset": "7"}, 409), ({"Content-Type": "text/plain"}, 415), ({"Upload-Offset": "0"}, 413)],
)
def test_a_refusal_can_be_read_with_megabytes_in_flight(
    any_tus: Tus, fields: dict[str, str], status: int
) -> None:
    """RFC 9112, 9.6: a server that closes with unread data resets the answer away; this one does not."""
    path = any_tus.create(100)
    body = bytes(8 * 1024 * 1024)

    with any_tus.untouched(path):
        answer = any_tus.patch(path, 0, body, fields)

    assert answer.status == status
    assert answer.body.startswith(b"ERR_")


@pytest.mark.parametrize(
    "beginning", [b"", b"P", b"PATCH /files/x HTTP/1.1\r\nHost: files.test\r\nUpload-Off", b"\r\n"]
)
def test_an_unfinished_head_is_not_waited_for_forever(any_tus: Tus, beginning: bytes) -> None:
    """tus 1.0.0, PATCH: timeouts close connections, before the head is there too (T-035, T-036)."""
    with any_tus.connect() as wire:
        wire.send(beginning)
        answer = wire.rest()

    assert answer == b"" or answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))


def test_a_trickling_head_is_not_waited_for_forever(any_tus: Tus) -> None:
    """A byte now and then does not keep a connection: the whole head has the network timeout."""
    with any_tus.connect() as wire:
        wire.send(b"HEAD /files/x HTTP/1.1\r\n")
        wire.sock.settimeout(0.1)
        ended = any(trickle(wire) for _ in range(60))

    assert ended


def trickle(wire: Wire) -> bool:
    """Send a byte and listen for a moment; True when the server has closed."""
    try:
        wire.sock.send(b"X")
        return wire.sock.recv(1000) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_nothing_of_this_was_an_error_of_the_server(any_server: ServerProcess, any_tus: Tus) -> None:
    """What clients do wrong is no traceback in the log, and the server lives."""
    with any_tus.connect() as wire:
        wire.send(any_tus.patch_head(any_tus.create(9), 0, None) + b"xyz\r\n")
        wire.rest()

    assert any_tus.ask("GET", "/healthz").status == 200
    check_no_traceback(any_server)
