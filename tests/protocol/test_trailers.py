"""Trailer fields are found in a connection's raw bytes: exactly, wherever those are cut, or not at all.

Citations without a name are of RFC 9112. h11 is the second opinion.
"""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tusd_py.protocol.heads import Fields
from tusd_py.protocol.trailers import MAX_AHEAD, MAX_CHUNK_LINE, MAX_HEAD, MAX_TRAILER, TrailerScanner

ANNOUNCED = (
    b"PATCH /files/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Upload-Checksum\r\n\r\n"
    b"5\r\nhello\r\n0\r\nUpload-Checksum: sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=\r\n\r\n"
)
CHECKSUM: Fields = (("upload-checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="),)
PLAIN = b"HEAD /files/1 HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n"

# -- streams of requests, for both readers --------------------------------------------------------

tokens = st.text("abcXYZ019-_!~", min_size=1, max_size=8)
values = st.text("abc =+/;:,\t\x80\xff", max_size=12).map(lambda text: text.strip(" \t"))
bodies = st.binary(max_size=24)
extensions = st.sampled_from([b"", b";a", b';name="a;b"', b";x=1;y"])
padding = st.sampled_from([b"", b" ", b"\t "])


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """Some field lines, with and without white space around their values."""
    lines = draw(st.lists(st.tuples(tokens, padding, values, padding), max_size=3))
    return b"".join(
        b"t-%b:%b%b%b\r\n" % (name.encode(), before, value.encode("latin-1"), after)
        for name, before, value, after in lines
    )


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A chunked body (7.1) with or without trailer fields."""
    pieces = draw(st.lists(st.tuples(st.binary(min_size=1, max_size=40), extensions)))
    zeros = draw(st.sampled_from([b"", b"00"]))
    sizes = [(zeros + b"%x" % len(piece), extension, piece) for piece, extension in pieces]
    body = b"".join(b"%b%b\r\n%b\r\n" % parts for parts in sizes)
    return body + b"0%b\r\n%b\r\n" % (draw(extensions), draw(fields()))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request of any framing."""
    line = draw(st.sampled_from([b"PATCH /a HTTP/1.1", b"HEAD / HTTP/1.1", b"POST /files/?x=y HTTP/1.1"]))
    head = line + b"\r\nHost: x\r\n" + draw(fields())
    match draw(st.sampled_from(["none", "fixed", "chunked"])):
        case "none":
            return head + b"\r\n"
        case "fixed":
            body = draw(bodies | st.just(ANNOUNCED))
            name = draw(st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"]))
            return head + b"%b:%b%d\r\n\r\n%b" % (name, draw(padding), len(body), body)
        case _:
            announcement = draw(
                st.sampled_from([b"", b"Trailer: t-a\r\n", b"trailer: t-a\r\nTrailer: t-b\r\n"])
            )
            coding = draw(
                st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:Chunked\r\n"])
            )
            return head + announcement + coding + b"\r\n" + draw(chunks())


streams = st.lists(requests(), max_size=5).map(b"".join)


def read_with_h11(stream: bytes) -> tuple[list[Fields | None], bool]:
    """Per request that h11 found whole: what should be kept of it; and whether h11 had no complaint."""
    connection = h11.Connection(h11.SERVER)
    if stream:  # h11 takes b"" for the end of the connection
        connection.receive_data(stream)
    found: list[Fields | None] = []
    announced = False
    try:
        while True:
            match connection.next_event():
                case h11.Request(headers=headers):
                    announced = any(name == b"trailer" for name, _ in headers)
                case h11.EndOfMessage(headers=headers):
                    pairs = tuple((n.decode(), v.decode("utf-8", "surrogateescape")) for n, v in headers)
                    found.append(pairs or None if announced else None)
                    connection.send(h11.Response(status_code=204, headers=[]))
                    connection.send(h11.EndOfMessage())
                    connection.start_next_cycle()
                case h11.NEED_DATA:
                    return found, True
                case h11.PAUSED | h11.ConnectionClosed():
                    return found, False
                case _:
                    pass
    except h11.ProtocolError:
        return found, False


def scan(*pieces: bytes) -> TrailerScanner:
    scanner = TrailerScanner()
    for piece in pieces:
        scanner.feed(piece)
    return scanner


def take_all(scanner: TrailerScanner, count: int) -> list[Fields | None]:
    return [scanner.take(ordinal) for ordinal in range(count)]


# -- the same as h11 ------------------------------------------------------------------------------


@settings(deadline=None)
@given(streams, st.data())
def test_finds_what_h11_finds_however_the_bytes_come(stream: bytes, data: st.DataObject) -> None:
    """7.1.2: every announced trailer section is found, and nothing else, for any cut into pieces."""
    expected, is_fine = read_with_h11(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]

    scanner = scan(*(stream[start:stop] for start, stop in pairwise(edges)))

    assert is_fine
    assert take_all(scanner, len(expected)) == expected
    assert not scanner.lost


@settings(deadline=None, max_examples=25)
@given(streams)
def test_finds_what_h11_finds_when_cut_at_any_byte(stream: bytes) -> None:
    """7.1.2: no single position of a cut, and no cutting at all of them, changes what is found."""
    expected, _ = read_with_h11(stream)

    for cut in range(len(stream) + 1):
        assert take_all(scan(stream[:cut], b"", stream[cut:]), len(expected)) == expected
    every_byte = [stream[at : at + 1] for at in range(len(stream))]
    assert take_all(scan(*every_byte), len(expected)) == expected


@settings(deadline=None, max_examples=300)
@given(streams.filter(bool), st.data())
def test_a_damaged_stream_never_yields_a_wrong_trailer(stream: bytes, data: st.DataObject) -> None:
    """6.3: where both still find a request, its trailer fields are the same or given up."""
    position = data.draw(st.integers(0, len(stream) - 1))
    damage = data.draw(
        st.sampled_from([b"", b"\r", b"\n", b"\0", b" ", b"\r\n", b"0", b"1", b":", b";", b"\r\n\r\n"])
    )
    damaged = stream[:position] + damage + stream[position + data.draw(st.integers(0, 1)) :]
    trusted, _ = read_with_h11(damaged)

    found = take_all(scan(damaged), len(trusted))

    assert all(mine in (None, other) for mine, other in zip(found, trusted, strict=True))


# -- bounds ---------------------------------------------------------------------------------------

FRAGMENTS = [
    *(
        CHUNKED,
        ANNOUNCED,
        PLAIN,
        b"\r\n",
        b"\r\n\r\n",
        b"0\r\n",
        b"5\r\nhello",
        b"ffffffffffffffff",
        b"A: b\r\n",
    ),
    *(
        b"POST / HTTP/1.1\r\n",
        b"Content-Length: 3\r\n",
        b"Upgrade: x\r\n",
        b"\0",
        b"\n",
        b"\r",
        b" " * 5000,
    ),
]


def weight(scanner: TrailerScanner) -> int:
    """Bytes that the scanner holds on to, without the interpreter's share."""
    return len(scanner._held) + sum(map(len, scanner._kept.values())) + 8 * len(scanner._field_counts)


@settings(deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=40), max_size=40))
def test_no_bytes_make_it_raise_or_swell(pieces: list[bytes]) -> None:
    """Whatever a stranger sends, nothing is raised and memory stays within the limits."""
    scanner = TrailerScanner()

    for piece in pieces:
        scanner.feed(piece)
        scanner.take(0)

        assert weight(scanner) <= MAX_HEAD + MAX_AHEAD * MAX_TRAILER


ENDLESS = {
    "head": (b"GET / HTTP/1.1\r\n", b"A: b\r\n", MAX_HEAD),
    "chunk extension": (CHUNKED + b"5;", b"x", MAX_CHUNK_LINE),
    "trailer section": (CHUNKED + b"0\r\n", b"A: b\r\n", MAX_TRAILER),
    "one trailer field": (CHUNKED + b"0\r\nA:", b"x", MAX_TRAILER),
}


@pytest.mark.parametrize(("beginning", "more", "limit"), ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("step", [1, 1000])
def test_what_has_no_end_is_given_up(beginning: bytes, more: bytes, limit: int, step: int) -> None:
    """A part of the stream beyond its limit loses the thread, and what was held is let go."""
    scanner = scan(beginning)
    heaviest = 0

    for _ in range(limit // (len(more) * step) + 2):
        scanner.feed(more * step)
        heaviest = max(heaviest, weight(scanner))

    assert heaviest <= limit
    assert scanner.lost
    assert weight(scanner) == 0


def test_more_requests_than_it_can_note_are_given_up() -> None:
    """Thousands of pipelined requests that nobody asks about take bounded memory."""
    scanner = scan(ANNOUNCED * 5000)

    assert scanner.lost
    assert len(scanner._kept) + len(scanner._field_counts) <= MAX_AHEAD + 2
    assert scanner.take(0) == CHECKSUM


def test_forgotten_requests_make_room() -> None:
    """A connection of any age keeps the trailers of the requests still to come, and no others."""
    scanner = TrailerScanner()

    for ordinal in range(10 * MAX_AHEAD):
        scanner.feed(ANNOUNCED)
        scanner.forget(ordinal)

    assert not scanner.lost
    assert scanner.take(10 * MAX_AHEAD - 2) is None
    assert scanner.take(10 * MAX_AHEAD - 1) == CHECKSUM


# -- what is kept, one by one ---------------------------------------------------------------------


def test_a_trailer_is_handed_out_once_its_section_is_whole_and_only_once() -> None:
    """7.1.2: the section ends in an empty line; before that nothing of it counts."""
    scanner = scan(ANNOUNCED[:-1])

    early = scanner.take(0)
    scanner.feed(ANNOUNCED[-1:])

    assert early is None
    assert scanner.take(0) == CHECKSUM
    assert scanner.take(0) is None


def test_a_trailer_that_was_not_announced_is_ignored() -> None:
    """RFC 9110, 6.6.2: what follows is announced in Trailer; the next request is still found."""
    scanner = scan(ANNOUNCED.replace(b"Trailer: Upload-Checksum\r\n", b""), ANNOUNCED)

    assert take_all(scanner, 2) == [None, CHECKSUM]


def test_an_announcement_without_chunks_means_nothing() -> None:
    """7.1.2: only a chunked body has a trailer section."""
    scanner = scan(
        b"PATCH / HTTP/1.1\r\nHost: x\r\nTrailer: A\r\nContent-Length: 6\r\n\r\nA: b\r\n", ANNOUNCED
    )

    assert take_all(scanner, 2) == [None, CHECKSUM]


def test_an_announced_trailer_that_does_not_come_is_none() -> None:
    """An empty trailer section is no trailer."""
    scanner = scan(CHUNKED + b"0\r\n\r\n", ANNOUNCED)

    assert take_all(scanner, 2) == [None, CHECKSUM]


def test_field_lines_are_counted_behind_trailer_fields() -> None:
    """The head behind a trailer section with fields, announced or not, is counted, and no other."""
    unannounced = ANNOUNCED.replace(b"Trailer: Upload-Checksum\r\n", b"")
    scanner = scan(PLAIN, unannounced, PLAIN, ANNOUNCED, ANNOUNCED, CHUNKED + b"0\r\n\r\n", PLAIN)

    counts = [scanner.field_count(ordinal) for ordinal in range(7)]

    assert counts == [None, None, 1, None, 3, 3, None]


def test_empty_lines_before_a_request_are_skipped() -> None:
    """2.2: a server ignores an empty line before the request line; they are no requests of their own."""
    scanner = scan(b"\r\n\r\n\r\n" + PLAIN + b"\r\n" + ANNOUNCED)

    assert scanner.take(1) == CHECKSUM


def test_http_1_0_without_chunks_keeps_the_thread() -> None:
    """6.3: a length means the same in HTTP/1.0."""
    scanner = scan(b"POST / HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", ANNOUNCED)

    assert scanner.take(1) == CHECKSUM


def test_a_long_body_is_passed_over() -> None:
    """A body longer than any limit leaves the scanner in step, in whatever pieces it comes."""
    size = 50 * 1024 * 1024
    piece = bytes(1024 * 1024)
    scanner = scan(b"PATCH / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size, *[piece] * 50)

    scanner.feed(ANNOUNCED)

    assert scanner.take(1) == CHECKSUM


# -- losing the thread ----------------------------------------------------------------------------

HEAD = b"PATCH / HTTP/1.1\r\nHost: x\r\nTrailer: A\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
SLOPPY = {
    "bare LF in the head": b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    "bare CR in the head": b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
    "LF before the request": b"\n" + PLAIN,
    "folded field": HEAD + b"A: b\r\n c\r\n\r\n",
    "NUL": HEAD + b"A: \0\r\n\r\n",
    "NUL in a length": HEAD + b"Content-Length: 1\0\r\n\r\n",
    "both lengths": HEAD + TE + b"Content-Length: 3\r\n\r\n",
    "two codings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "coding twice": HEAD + TE + TE + b"\r\n",
    "other coding": HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    "space before a colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n",
    "chunked in HTTP/1.0": b"PATCH / HTTP/1.0\r\n" + TE + b"\r\n",
    "length twice": HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "list of lengths": HEAD + b"Content-Length: 3, 3\r\n\r\n",
    "signed length": HEAD + b"Content-Length: +3\r\n\r\n",
    "no length": HEAD + b"Content-Length:\r\n\r\n",
    "overlong length": HEAD + b"Content-Length: 9999999999999999999\r\n\r\n",
    "upgrade": HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "connect": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "overlong chunk size": CHUNKED + b"1000000000000000\r\n",
    "signed chunk size": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "hexadecimal prefix": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "space behind a chunk size": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "bare LF behind a chunk size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "bare LF in an extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk too short": CHUNKED + b"6\r\nhello\r\n0\r\n\r\n",
    "CR too many behind a chunk": CHUNKED + b"5\r\nhello\r\r\n5\r\nhello\r\n0\r\n\r\n",
    "bare LF behind a chunk": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "bare LF in the trailer section": CHUNKED + b"0\r\nA: b\nC: d\r\n\r\n",
    "folded trailer field": CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer field without colon": CHUNKED + b"0\r\nA\r\n\r\n",
    "trailer field without name": CHUNKED + b"0\r\n: b\r\n\r\n",
    "space in a trailer field's name": CHUNKED + b"0\r\nA : b\r\n\r\n",
    "control in a trailer field": CHUNKED + b"0\r\nA: \x01\r\n\r\n",
}


@pytest.mark.parametrize("sloppy", SLOPPY.values(), ids=SLOPPY)
def test_sloppy_framing_loses_the_thread_for_good(sloppy: bytes) -> None:
    """Security of framing (11.2): what two readers could read in two ways is not read at all."""
    scanner = scan(ANNOUNCED, sloppy, *[ANNOUNCED] * 3)

    assert scanner.lost
    assert take_all(scanner, 6) == [CHECKSUM, None, None, None, None, None]


@pytest.mark.parametrize("sloppy", SLOPPY.values(), ids=SLOPPY)
def test_a_cut_hides_no_sloppy_framing(sloppy: bytes) -> None:
    """The same holds wherever the bytes are cut, and when they come one by one."""
    stream = sloppy + ANNOUNCED * 3
    cuts = [(stream[:at], stream[at:]) for at in range(len(sloppy))]

    for pieces in [*cuts, tuple(stream[at : at + 1] for at in range(len(stream)))]:
        scanner = scan(*pieces)

        assert scanner.lost
        assert take_all(scanner, 5) == [None] * 5
