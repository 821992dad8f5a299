"""tus 1.0.0, Checksum, in a trailer: the sum of a chunk comes behind it, for clients that stream.

On every event loop and with every HTTP parser that the server can run on.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.payload import make_bytes
from tests.wire.raw import Response, Wire, format_chunks
from tests.wire.sums import ALGORITHMS, KNOWN, checksum, digest
from tests.wire.tus import CHUNK_TYPE, Tus, path_of
from tests.wire.waiting import wait_for_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HELLO = b"hello world"
CHUNKS = (HELLO[:5], HELLO[5:])
GOOD = f"sha1 {KNOWN['sha1']}"
WRONG = f"sha1 {digest(b'hello_world')}"
ANNOUNCED = {"Trailer": "Upload-Checksum"}
RIGHT_LINE = f"Upload-Checksum: {GOOD}\r\n"
WRONG_LINE = f"Upload-Checksum: {WRONG}\r\n"


def patch_of(
    tus: Tus, path: str, offset: int, trailer: str, fields: Mapping[str, str | None] | None = None
) -> bytes:
    """A chunked PATCH that brings `hello world`, with the lines of `trailer` behind it."""
    own = {"Upload-Offset": str(offset), "Content-Type": CHUNK_TYPE, "Transfer-Encoding": "chunked"}
    head = tus.head_of("PATCH", path, {**own, **ANNOUNCED, **(fields or {})})
    return head + format_chunks(CHUNKS, end=False) + b"0\r\n" + trailer.encode("latin-1") + b"\r\n"


def send(tus: Tus, request: bytes) -> Response:
    """The answer to a request on a connection of its own."""
    with tus.connect() as wire:
        wire.send(request)
        return wire.read("PATCH")


def code(answer: Response) -> tuple[int, str]:
    """Status and machine-readable code of a refusal."""
    return answer.status, answer.body.decode().partition(":")[0]


# -- what the trailer says ------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_right_sum_behind_the_chunk_stores_it(any_tus: Tus, algorithm: str) -> None:
    """tus 1.0.0, Checksum: with checksum-trailer the sum may follow the chunk (T-088, T-097, T-099)."""
    path = any_tus.create(12)

    line = f"Upload-Checksum: {algorithm} {KNOWN[algorithm]}\r\n"
    answer = send(any_tus, patch_of(any_tus, path, 0, line))

    assert (answer.status, answer.get("Upload-Offset")) == (204, "11")
    assert any_tus.content(path) == HELLO


TRAILERS = {
    "wrong": (WRONG_LINE, 460, "ERR_CHECKSUM_MISMATCH"),
    "missing": ("", 400, "ERR_INVALID_CHECKSUM"),
    "another field": ("X-Checksum: 1\r\n", 400, "ERR_INVALID_CHECKSUM"),
    "empty": ("Upload-Checksum:\r\n", 400, "ERR_INVALID_CHECKSUM"),
    "malformed": (f"Upload-Checksum: sha1{KNOWN['sha1']}\r\n", 400, "ERR_INVALID_CHECKSUM"),
    "of another length": ("Upload-Checksum: sha1 AAAA\r\n", 400, "ERR_INVALID_CHECKSUM"),
    "upper-case": (f"Upload-Checksum: SHA1 {KNOWN['sha1']}\r\n", 400, "ERR_INVALID_CHECKSUM"),
    "twice": (RIGHT_LINE * 2, 400, "ERR_INVALID_CHECKSUM"),
    "unknown": ("Upload-Checksum: whirlpool AAAA\r\n", 400, "ERR_UNSUPPORTED_CHECKSUM_ALGORITHM"),
}


@pytest.mark.parametrize(("trailer", "status", "expected"), TRAILERS.values(), ids=TRAILERS)
def test_any_other_trailer_discards_the_chunk(
    any_tus: Tus, trailer: str, status: int, expected: str
) -> None:
    """tus 1.0.0, Checksum: 460 or 400, nothing moves, the range can be sent again.

    (T-089, T-090, T-092, T-093, T-095, T-098, T-099)
    """
    path = any_tus.create(14)
    any_tus.patch(path, 0, b"abc")

    with any_tus.untouched(path):
        answer = send(any_tus, patch_of(any_tus, path, 3, trailer))
    again = send(any_tus, patch_of(any_tus, path, 3, RIGHT_LINE))

    assert code(answer) == (status, expected)
    assert (status == 460) == (answer.reason == "Checksum Mismatch")
    assert (again.status, again.get("Upload-Offset")) == (204, "14")
    assert any_tus.content(path) == b"abc" + HELLO


@pytest.mark.parametrize(
    ("trailer", "status"), [(RIGHT_LINE, 204), (WRONG_LINE, 460)], ids=["right", "wrong"]
)
@pytest.mark.parametrize(
    "announcement", ["upload-checksum", "UPLOAD-CHECKSUM", "X-First, Upload-Checksum,X-Last"]
)
def test_a_trailer_is_announced_among_others(
    any_tus: Tus, announcement: str, trailer: str, status: int
) -> None:
    """RFC 9110, 6.6.2: Trailer is a list of names in any case; other trailer fields are passed over."""
    path = any_tus.create(11)

    lines = f"X-First: 1\r\n{trailer}X-Last: 2\r\n"
    answer = send(any_tus, patch_of(any_tus, path, 0, lines, {"Trailer": announcement}))

    assert answer.status == status


def test_a_trailer_that_is_not_announced_says_nothing(any_tus: Tus) -> None:
    """RFC 9110, 6.5.1: what is not expected may be dropped: the chunk counts as one without a sum."""
    path = any_tus.create(12)

    answer = send(any_tus, patch_of(any_tus, path, 0, WRONG_LINE, {"Trailer": None}))

    assert (answer.status, answer.get("Upload-Offset")) == (204, "11")


def test_a_promise_that_no_trailer_can_keep_is_broken(any_tus: Tus) -> None:
    """RFC 9112, 7.1.2: without chunked coding nothing follows a body, so the sum is missing (T-098)."""
    path = any_tus.create(12)

    with any_tus.untouched(path):
        answer = any_tus.patch(path, 0, HELLO, ANNOUNCED)

    assert code(answer) == (400, "ERR_INVALID_CHECKSUM")


def test_a_sum_before_and_behind_is_refused_before_the_body(any_tus: Tus) -> None:
    """tus 1.0.0, Checksum: a chunk has one sum; two are 400, and nobody calls for it (T-098)."""
    path = any_tus.create(11)
    fields = {"Upload-Checksum": GOOD, "Expect": "100-continue"}

    with any_tus.untouched(path):
        answer = send(any_tus, patch_of(any_tus, path, 0, RIGHT_LINE, fields))

    assert code(answer) == (400, "ERR_INVALID_CHECKSUM")
    assert answer.interim == ()


@pytest.mark.parametrize(("line", "status"), [(RIGHT_LINE, 204), (WRONG_LINE, 460)])
def test_who_waits_is_asked_for_the_chunk(any_tus: Tus, line: str, status: int) -> None:
    """tus 1.0.0, Checksum, with Expect: 100, the chunk and its sum, the verdict (T-099)."""
    path = any_tus.create(11)
    head, _, body = patch_of(any_tus, path, 0, line, {"Expect": "100-continue"}).partition(b"\r\n\r\n")
    with any_tus.connect() as wire:
        wire.send(head + b"\r\n\r\n")
        interim = wire.read_interim()
        wire.send(body)
        answer = wire.read("PATCH")

    assert (interim, answer.status) == (100, status)


@pytest.mark.parametrize("line", [RIGHT_LINE, WRONG_LINE, ""], ids=["right", "wrong", "missing"])
def test_a_first_chunk_may_have_its_sum_behind_it(any_tus: Tus, line: str) -> None:
    """tus 1.0.0, Creation With Upload: as with PATCH; if it fails nothing is created (T-099, T-101)."""
    own = {"Upload-Length": "12", "Content-Type": CHUNK_TYPE, "Transfer-Encoding": "chunked"}
    head = any_tus.head_of("POST", any_tus.base, {**own, **ANNOUNCED})
    before = any_tus.files()

    answer = send(any_tus, head + format_chunks(CHUNKS, end=False) + b"0\r\n" + line.encode() + b"\r\n")

    assert answer.status == {RIGHT_LINE: 201, WRONG_LINE: 460, "": 400}[line]
    if line is RIGHT_LINE:
        assert answer.get("Upload-Offset") == "11"
        assert any_tus.content(path_of(answer)) == HELLO
    else:
        assert answer.get("Location") is None
        assert any_tus.files() == before


def test_a_large_chunk_has_its_sum_behind_it(any_tus: Tus) -> None:
    """tus 1.0.0, Checksum: the sum is found behind chunks beyond every buffer, right or wrong (T-099)."""
    data = make_bytes(2_500_000, seed=99)
    path = any_tus.create(len(data))
    own = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Transfer-Encoding": "chunked"}
    head = any_tus.head_of("PATCH", path, {**own, **ANNOUNCED})
    body = format_chunks([data[:1_700_001], data[1_700_001:]], end=False) + b"0\r\n"

    with any_tus.untouched(path):
        wrong = send(any_tus, head + body + WRONG_LINE.encode() + b"\r\n")
    right = send(any_tus, head + body + f"Upload-Checksum: sha1 {digest(data)}\r\n\r\n".encode())

    assert [wrong.status, right.status] == [460, 204]
    assert any_tus.content(path) == data


# -- where the bytes are cut ----------------------------------------------------------------------

SEGMENTS = {
    "Trailer: Upload": 5,
    "\r\n\r\n5\r\n": 4,  # between the head and the first chunk's size
    "5\r\nhello": 1,
    "hello\r\n": 2,
    "\r\n6\r\n world": 2,
    " world\r\n0": 6,  # between a chunk and the end of its line
    "\r\n0\r\nUpload": 3,
    "0\r\nUpload-Checksum": 2,  # between CR and LF
    "0\r\nUpload-Checksum: ": 3,  # before the trailer section
    "Upload-Checksum: sha1": 4,
    "Checksum: sha1": 8,
    "Checksum: sha1 ": 9,
    "sha1 Kq5s": 7,
    "oRu0=\r\n\r\n": 5,
    "u0=\r\n\r\n": 4,
    "0=\r\n\r\n": 4,
    "=\r\n\r\n": 4,
}
"""Pieces of the request below, each with how many of its bytes come before the cut."""


@pytest.mark.parametrize(("segment", "before"), SEGMENTS.items(), ids=range(len(SEGMENTS)))
def test_it_makes_no_difference_where_the_bytes_are_cut(any_tus: Tus, segment: str, before: int) -> None:
    """RFC 9112, 7.1.2: what comes in two pieces is what comes in one (T-099).

    The server has seen the first piece before the second is sent: it answered another request since.
    """
    path = any_tus.create(11)
    request = patch_of(any_tus, path, 0, RIGHT_LINE)
    assert request.count(segment.encode()) == 1
    cut = request.index(segment.encode()) + before
    with any_tus.connect() as wire:
        wire.send(request[:cut])
        any_tus.ask("OPTIONS")
        wire.send(request[cut:])
        answer = wire.read("PATCH")

    assert (answer.status, answer.get("Upload-Offset")) == (204, "11")
    assert any_tus.content(path) == HELLO


# -- what belongs to whom -------------------------------------------------------------------------


@pytest.mark.parametrize("pipelined", [False, True], ids=["one by one", "at once"])
def test_the_next_request_inherits_nothing(any_tus: Tus, pipelined: bool) -> None:
    """RFC 9110, 6.5.1: a trailer belongs to its own request, whatever follows on the connection (T-099).

    A wrong sum spoils no later chunk, and a right one does not stand in for one that is missing.
    """
    path = any_tus.create(44)
    plain = any_tus.patch_head(path, 0, 11) + HELLO
    requests = [
        patch_of(any_tus, path, 0, WRONG_LINE),
        plain,
        patch_of(any_tus, path, 11, RIGHT_LINE),
        patch_of(any_tus, path, 22, ""),
        patch_of(any_tus, path, 22, WRONG_LINE, {"Trailer": None}),
        any_tus.patch_head(path, 33, None) + format_chunks(CHUNKS),
    ]
    with any_tus.connect() as wire:
        if pipelined:
            wire.send(b"".join(requests))
            answers = [wire.read("PATCH") for _ in requests]
        else:
            answers = [_ask(wire, request) for request in requests]

    assert [answer.status for answer in answers] == [460, 204, 204, 400, 204, 204]
    assert any_tus.content(path) == HELLO * 4


def _ask(wire: Wire, request: bytes) -> Response:
    wire.send(request)
    return wire.read("PATCH")


# -- requests that break off ----------------------------------------------------------------------


def close(wire: Wire) -> None:
    """The peer ends, in the middle."""
    wire.sock.close()


def half_close(wire: Wire) -> None:
    """The peer says that it will send no more."""
    wire.sock.shutdown(socket.SHUT_WR)
    wire.rest()


def wait_for_timeout(wire: Wire) -> None:
    """The peer falls silent until the server has had enough."""
    wire.rest()


@pytest.mark.parametrize(
    ("end", "chunked"),
    [(close, False), (close, True), (half_close, False), (half_close, True), (wait_for_timeout, False)],
)
def test_half_a_chunk_with_a_sum_is_discarded(
    any_tus: Tus, end: Callable[[Wire], None], chunked: bool
) -> None:
    """tus 1.0.0, Checksum: what was cut off cannot be verified, so nothing of it is kept (T-100)."""
    path = any_tus.create(14)
    any_tus.patch(path, 0, b"abc")
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": "11"}
    own = {"Upload-Offset": "3", "Content-Type": CHUNK_TYPE, **framing, **checksum(HELLO)}
    with any_tus.connect() as wire:
        body = b"b\r\n" + HELLO[:8] if chunked else HELLO[:8]
        wire.send(any_tus.head_of("PATCH", path, own) + body)
        wait_for_bytes(any_tus, path, 11)
        end(wire)

        again = any_tus.patch(path, 3, HELLO, checksum(HELLO))

    assert (again.status, again.get("Upload-Offset")) == (204, "14")
    assert any_tus.content(path) == b"abc" + HELLO


@pytest.mark.parametrize(
    ("end", "missing"),
    [(close, missing) for missing in (1, 2, 4, 20, len(RIGHT_LINE) + 2, len(RIGHT_LINE) + 5)]
    + [(half_close, 2), (half_close, 20), (wait_for_timeout, 2)],
)
def test_a_chunk_whose_sum_does_not_arrive_is_discarded(
    any_tus: Tus, end: Callable[[Wire], None], missing: int
) -> None:
    """tus 1.0.0, Checksum: every byte is there but the trailer is not whole: nothing is kept (T-100)."""
    path = any_tus.create(14)
    any_tus.patch(path, 0, b"abc")
    with any_tus.connect() as wire:
        wire.send(patch_of(any_tus, path, 3, RIGHT_LINE)[:-missing])
        wait_for_bytes(any_tus, path, 14)
        end(wire)

        again = any_tus.patch(path, 3, HELLO, checksum(HELLO))

    assert (again.status, again.get("Upload-Offset")) == (204, "14")
    assert any_tus.content(path) == b"abc" + HELLO


@pytest.mark.parametrize("length", ["20", None])
def test_a_first_chunk_that_breaks_off_leaves_an_empty_upload(any_tus: Tus, length: str | None) -> None:
    """tus 1.0.0, Creation With Upload: as a PATCH that breaks off: the upload is at 0 (T-100, T-101)."""
    before = set(any_tus.files())
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": length}
    fields = {**size, "Content-Type": CHUNK_TYPE, "Content-Length": "11", **checksum(HELLO)}
    with any_tus.connect() as wire:
        wire.send(any_tus.head_of("POST", any_tus.base, fields) + HELLO[:8])
        wait_for_timeout(wire)
    new = sorted(set(any_tus.files()) - before)
    path = f"/files/{new[0].rpartition('/')[2]}"

    assert len(new) == 2
    assert any_tus.offset(path) == 0
    assert any_tus.content(path) == b""


def test_a_chunk_that_is_superseded_is_discarded(any_tus: Tus) -> None:
    """tus 1.0.0, Checksum: the older one loses what nobody verified, the newer goes on (T-100, C-07)."""
    path = any_tus.create(14)
    any_tus.patch(path, 0, b"abc")
    own = {"Upload-Offset": "3", "Content-Type": CHUNK_TYPE, "Content-Length": "11", **checksum(HELLO)}
    with any_tus.connect() as wire:
        wire.send(any_tus.head_of("PATCH", path, own) + HELLO[:8])
        wait_for_bytes(any_tus, path, 11)
        newer = any_tus.patch(path, 3, HELLO, checksum(HELLO))
        older = wire.read("PATCH")

    assert (newer.status, newer.get("Upload-Offset")) == (204, "14")
    assert code(older) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert any_tus.content(path) == b"abc" + HELLO
