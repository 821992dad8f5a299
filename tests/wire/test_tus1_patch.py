"""tus 1.0.0, Core Protocol, PATCH: bytes go where they belong, or nowhere."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest

from tests.support.payload import Payload, cut_points, sha256
from tests.wire.raw import format_chunks
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus

PAYLOAD = Payload(size=300_000, seed=7)


def test_the_whole_core_is_there(tus: Tus) -> None:
    """tus 1.0.0, Core Protocol: servers MUST implement all of it: OPTIONS, HEAD and PATCH (T-001)."""
    path = tus.create(5)

    answers = [tus.ask("OPTIONS", path), tus.head(path), tus.patch(path, 0, b"12345"), tus.head(path)]

    assert [answer.status for answer in answers] == [204, 200, 204, 200]
    assert [answer.get("Upload-Offset") for answer in answers] == [None, "0", "5", "5"]


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_an_upload_in_pieces_is_the_file(tus: Tus, pieces: int) -> None:
    """tus 1.0.0, PATCH: bytes go to the given offset; 204 with the new one (T-026, T-030, T-031, T-032)."""
    path = tus.create(PAYLOAD.size)
    edges = (0, *cut_points(PAYLOAD.size, pieces - 1, seed=pieces), PAYLOAD.size)

    answers = [tus.patch(path, start, PAYLOAD.data[start:stop]) for start, stop in pairwise(edges)]

    assert [answer.status for answer in answers] == [204] * pieces
    assert [answer.get("Upload-Offset") for answer in answers] == [str(edge) for edge in edges[1:]]
    assert sha256(tus.content(path)) == PAYLOAD.sha256


def test_success_has_no_body(tus: Tus) -> None:
    """tus 1.0.0, PATCH: 204, so what follows on the connection is the next answer (T-030)."""
    path = tus.create(10)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, 5) + b"12345" + tus.head_of("HEAD", path))
        patched, told = wire.read("PATCH"), wire.read("HEAD")

    assert patched.status == 204
    assert patched.all("Content-Length") == patched.all("Transfer-Encoding") == []
    assert told.get("Upload-Offset") == "5"


@pytest.mark.parametrize(
    "kind", ["text/plain", None, "application/octet-stream", "", f"{CHUNK_TYPE}x", f"x, {CHUNK_TYPE}"]
)
def test_another_content_type_is_refused(tus: Tus, kind: str | None) -> None:
    """tus 1.0.0, PATCH: 415 for anything but application/offset+octet-stream (T-027)."""
    path = tus.create(10)

    with tus.untouched(path):
        answer = tus.patch(path, 0, b"12345", {"Content-Type": kind})

    assert answer.status == 415
    assert answer.body.startswith(b"ERR_INVALID_CONTENT_TYPE: ")


@pytest.mark.parametrize("kind", ["Application/Offset+Octet-Stream", f"{CHUNK_TYPE}; charset=utf-8"])
def test_the_content_type_is_read_as_media_types_are(tus: Tus, kind: str) -> None:
    """RFC 9110, 8.3.1: media types have no case; parameters are tolerated (T-027)."""
    path = tus.create(10)

    answer = tus.patch(path, 0, b"12345", {"Content-Type": kind})

    assert answer.status == 204
    assert answer.get("Upload-Offset") == "5"


@pytest.mark.parametrize("offset", [0, 4, 6, 10, 11, 2**63 - 1])
@pytest.mark.parametrize("body", [b"", b"12345"], ids=["empty", "five"])
def test_another_offset_changes_nothing(tus: Tus, offset: int, body: bytes) -> None:
    """tus 1.0.0, PATCH: 409 without modifying the upload (T-028, T-029, C-11)."""
    path = tus.create(10)
    tus.patch(path, 0, b"abcde")

    with tus.untouched(path):
        answer = tus.patch(path, offset, body)

    assert answer.status == 409
    assert answer.get("Upload-Offset") == "5"
    assert answer.body.startswith(b"ERR_MISMATCHED_OFFSET: ")


@pytest.mark.parametrize("name", [UNKNOWN, "x", "..%2f..%2fetc%2fpasswd", "a%2fb"])
def test_there_is_nothing_to_append_to(tus: Tus, name: str) -> None:
    """tus 1.0.0, PATCH: 404 where there is no such upload, and none comes to be (T-033)."""
    with tus.nothing_stored():
        answer = tus.patch(f"/files/{name}", 0, b"12345")

    assert answer.status == 404


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
@pytest.mark.parametrize("extra", [1, 100_000])
def test_an_upload_does_not_outgrow_its_length(tus: Tus, extra: int, chunked: bool) -> None:
    """tus 1.0.0, Upload-Length: a body that goes beyond it is 413, the offset never does (T-038)."""
    path = tus.create(10)
    body = b"0123456789" + bytes(extra)
    fields = {"Content-Length": None, "Transfer-Encoding": "chunked"} if chunked else {}

    answer = tus.patch(path, 0, format_chunks([body[:4], body[4:]]) if chunked else body, fields)

    assert answer.status == 413
    assert answer.body.startswith(b"ERR_UPLOAD_SIZE_EXCEEDED: ")
    # An announced length is refused before a byte is taken; of a stream what fits has been taken.
    assert tus.offset(path) == (10 if chunked else 0)
    assert tus.content(path) == (body[:10] if chunked else b"")


@pytest.mark.parametrize("size", [0, 5])
def test_nothing_can_be_added_to_nothing_missing(tus: Tus, size: int) -> None:
    """tus 1.0.0, PATCH: an empty chunk at the end of a finished upload is 204 (T-039)."""
    path = tus.upload(b"12345"[:size])

    with tus.untouched(path):
        empty = tus.patch(path, size)
        chunked = {"Transfer-Encoding": "chunked", "Content-Length": None}
        empty_stream = tus.patch(path, size, b"0\r\n\r\n", chunked)
        more = tus.patch(path, size, b"6")
        more_in_a_stream = tus.patch(path, size, b"1\r\n6\r\n0\r\n\r\n", chunked)

    assert [empty.status, empty_stream.status] == [204, 204]
    assert empty.get("Upload-Offset") == empty_stream.get("Upload-Offset") == str(size)
    assert [more.status, more_in_a_stream.status] == [413, 413]


@pytest.mark.parametrize("pieces", [[b"x" * 70_000], [b"1"] * 500, [b"a", b"bc" * 40_000, b"d"]])
def test_a_body_without_content_length_is_taken(tus: Tus, pieces: list[bytes]) -> None:
    """RFC 9112, 7.1: chunked coding is a frame; only what is in it counts (T-040)."""
    data = b"".join(pieces)
    path = tus.create(len(data))
    fields = {"Content-Length": None, "Transfer-Encoding": "chunked"}

    answer = tus.patch(path, 0, format_chunks(pieces), fields)

    assert answer.status == 204
    assert answer.get("Upload-Offset") == str(len(data))
    assert tus.content(path) == data


def test_sent_bytes_count_whatever_their_coding(tus: Tus) -> None:
    """tus 1.0.0, PATCH: offsets count the bytes sent: Content-Encoding is nobody's business (T-032)."""
    packed = gzip.compress(b"a" * 10_000, mtime=0)
    path = tus.create(len(packed))

    answer = tus.patch(path, 0, packed, {"Content-Encoding": "gzip"})

    assert answer.status == 204
    assert answer.get("Upload-Offset") == str(len(packed))
    assert tus.content(path) == packed


def test_the_last_byte_tells_where_the_file_is(tus: Tus) -> None:
    """The answer that completes an upload, and each HEAD after it, names the published file."""
    path = tus.create(6, {"Upload-Metadata": "filename YS50eHQ="})

    first, last = tus.patch(path, 0, b"abc"), tus.patch(path, 3, b"def")
    place = last.get("Content-Location")

    assert first.get("Content-Location") is None
    assert place == f"http://files.test/uploads/{path.rpartition('/')[2]}.txt"
    assert tus.head(path).get("Content-Location") == place
    assert tus.ask("GET", place.removeprefix("http://files.test")).body == b"abcdef"


def test_what_arrived_can_be_read_before_the_end(tus: Tus) -> None:
    """GET of a running upload gives the prefix that is stored."""
    path = tus.create(10)
    tus.patch(path, 0, b"abcde")

    answer = tus.ask("GET", path)

    assert answer.status == 200
    assert answer.body == b"abcde"
