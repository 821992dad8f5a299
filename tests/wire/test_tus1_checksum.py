"""tus 1.0.0, Checksum: a chunk is stored whole and as the client meant it, or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.payload import make_bytes
from tests.support.server import ServerProcess
from tests.wire.raw import Response, format_chunks
from tests.wire.sums import ALGORITHMS, KNOWN, checksum, digest
from tests.wire.tus import CHUNK_TYPE, Tus, path_of
from tests.wire.waiting import wait_for_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.wire.conftest import LogLines

HELLO = b"hello world"
LARGE = make_bytes(3_000_000, seed=86)


def code(answer: Response) -> tuple[int, str]:
    """Status and machine-readable code of a refusal."""
    return answer.status, answer.body.decode().partition(":")[0]


# -- what is offered ------------------------------------------------------------------------------


def test_options_lists_the_algorithms(tus: Tus) -> None:
    """tus 1.0.0, Checksum: sha1 is among them, names are lower-case ASCII (T-087, T-094 to T-097)."""
    answer = tus.ask("OPTIONS")

    listed = (answer.get("Tus-Checksum-Algorithm") or "").split(",")
    assert listed == list(ALGORITHMS)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in listed)
    assert {"checksum", "checksum-trailer"} <= answer.listed("Tus-Extension")


def test_only_the_algorithms_listed_are_taken(tmp_path: Path) -> None:
    """tus 1.0.0, Checksum: the list tells the truth: what is not on it is 400 (T-089, T-096, T-097)."""
    with ServerProcess(tmp_path / "store", "--checksum-algorithms", "sha1,crc32") as server:
        tus = Tus.of(server)
        path = tus.create(22)
        listed = tus.ask("OPTIONS").get("Tus-Checksum-Algorithm")
        with tus.untouched(path):
            refused = tus.patch(path, 0, HELLO, checksum(HELLO, "md5"))
        taken = [tus.patch(path, at, HELLO, checksum(HELLO, by)) for at, by in ((0, "sha1"), (11, "crc32"))]
        content = tus.content(path)

    assert listed == "sha1,crc32"
    assert code(refused) == (400, "ERR_UNSUPPORTED_CHECKSUM_ALGORITHM")
    assert refused.body.rstrip().endswith(b"accepted: sha1, crc32")
    assert [answer.status for answer in taken] == [204, 204]
    assert content == HELLO * 2


# -- right sums -----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_chunk_with_the_right_sum_is_stored(tus: Tus, algorithm: str) -> None:
    """tus 1.0.0, Checksum: every algorithm listed works on known pairs (T-088, T-091, T-094, T-097)."""
    path = tus.create(12)

    answer = tus.patch(path, 0, HELLO, {"Upload-Checksum": f"{algorithm} {KNOWN[algorithm]}"})

    assert (answer.status, answer.get("Upload-Offset")) == (204, "11")
    assert tus.content(path) == HELLO


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_large_upload_is_summed_chunk_by_chunk(tus: Tus, algorithm: str) -> None:
    """tus 1.0.0, Checksum: each sum is that of its own request's bytes, framed either way (T-088)."""
    path = tus.create(len(LARGE))
    first, second = LARGE[:1_234_567], LARGE[1_234_567:]
    pieces = [second[start : start + 99_999] for start in range(0, len(second), 99_999)]
    chunked = {"Content-Length": None, "Transfer-Encoding": "chunked"}

    one = tus.patch(path, 0, first, checksum(first, algorithm))
    two = tus.patch(path, len(first), format_chunks(pieces), {**chunked, **checksum(second, algorithm)})

    assert [one.status, two.status] == [204, 204]
    assert [one.get("Upload-Offset"), two.get("Upload-Offset")] == ["1234567", "3000000"]
    assert tus.content(path) == LARGE


@pytest.mark.parametrize("offset", [0, 11, 12])
def test_an_empty_chunk_has_a_sum_as_well(tus: Tus, offset: int) -> None:
    """tus 1.0.0, Checksum: the digest of no bytes is right for no bytes, other ones are not (T-102).

    At the start, in the middle, and of an upload that is complete.
    """
    path = tus.create(12)
    tus.patch(path, 0, (HELLO + b"!")[:offset])

    with tus.untouched(path):
        right = tus.patch(path, offset, b"", checksum(b""))
        wrong = tus.patch(path, offset, b"", checksum(HELLO))

    assert (right.status, right.get("Upload-Offset")) == (204, str(offset))
    assert code(wrong) == (460, "ERR_CHECKSUM_MISMATCH")


# -- wrong sums -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_chunk_with_a_wrong_sum_is_discarded(tus: Tus, algorithm: str, chunked: bool) -> None:
    """tus 1.0.0, Checksum: 460 Checksum Mismatch, nothing moves, and the range can be sent again.

    (T-090, T-092, T-093)
    """
    path = tus.create(20)
    tus.patch(path, 0, b"abc")
    wrong = checksum(b"hello_world", algorithm)
    framing = {"Content-Length": None, "Transfer-Encoding": "chunked"} if chunked else {}

    with tus.untouched(path):
        body = format_chunks([HELLO[:5], HELLO[5:]]) if chunked else HELLO
        answer = tus.patch(path, 3, body, {**wrong, **framing})
    again = tus.patch(path, 3, HELLO, checksum(HELLO, algorithm))

    assert (answer.status, answer.reason) == (460, "Checksum Mismatch")
    assert code(answer) == (460, "ERR_CHECKSUM_MISMATCH")
    assert answer.get("Upload-Offset") is None
    assert (again.status, again.get("Upload-Offset")) == (204, "14")
    assert tus.content(path) == b"abc" + HELLO


def test_a_large_chunk_with_a_wrong_sum_leaves_no_byte(tus: Tus) -> None:
    """tus 1.0.0, Checksum: discarded is gone from the disk, too (T-092, T-093)."""
    path = tus.create(len(LARGE) + 3)
    tus.patch(path, 0, b"abc")

    with tus.untouched(path):  # the file, that is its three bytes, included
        answer = tus.patch(path, 3, LARGE, checksum(LARGE[:-1] + b"?"))

    assert answer.status == 460
    assert tus.content(path) == b"abc"


def test_a_wrong_last_chunk_completes_nothing(tus: Tus, server_log: LogLines) -> None:
    """tus 1.0.0, Checksum: a discarded chunk is no last chunk: no file, no completion (T-093)."""
    path = tus.create(14)
    name = path.rpartition("/")[2]
    tus.patch(path, 0, b"abc")

    with tus.untouched(path):
        wrong = tus.patch(path, 3, HELLO, checksum(b"hello_world"))
    published = tus.ask("GET", f"/uploads/{name}", {"Tus-Resumable": None})
    right = tus.patch(path, 3, HELLO, checksum(HELLO))

    assert (wrong.status, wrong.get("Content-Location"), published.status) == (460, None, 404)
    assert (right.status, right.get("Content-Location")) == (204, f"http://files.test/uploads/{name}")
    server_log.access(right.get("X-Request-ID") or "")
    assert sum("upload finished" in line and name in line for line in server_log) == 1
    assert tus.content(path) == b"abc" + HELLO


def test_a_discarded_chunk_settles_no_length(tus: Tus) -> None:
    """tus 1.0.0, Checksum: on 460 the upload is not updated, its deferred length neither (T-093)."""
    path = tus.create(None)
    tus.patch(path, 0, b"abc")

    with tus.untouched(path):
        wrong = tus.patch(path, 3, HELLO, {**checksum(b"hello_world"), "Upload-Length": "14"})
    right = tus.patch(path, 3, HELLO, {**checksum(HELLO), "Upload-Length": "14"})

    assert [wrong.status, right.status] == [460, 204]
    assert tus.head(path).get("Upload-Length") == "14"
    assert tus.content(path) == b"abc" + HELLO


def test_the_sum_of_too_much_saves_nothing(tus: Tus) -> None:
    """tus 1.0.0, Checksum: a body beyond the length is 413; what fitted is not kept unverified (T-038)."""
    path = tus.create(10)
    chunked = {"Content-Length": None, "Transfer-Encoding": "chunked"}

    with tus.untouched(path):
        answer = tus.patch(path, 0, format_chunks([HELLO]), {**chunked, **checksum(HELLO)})

    assert code(answer) == (413, "ERR_UPLOAD_SIZE_EXCEEDED")


# -- creation with upload -------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["11", "20", None])
def test_a_first_chunk_is_verified(tus: Tus, length: str | None) -> None:
    """tus 1.0.0, Creation With Upload: the rules of PATCH: the right sum is 201 (T-101)."""
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": length}

    answer = tus.ask("POST", fields={**size, "Content-Type": CHUNK_TYPE, **checksum(HELLO)}, body=HELLO)

    assert (answer.status, answer.get("Upload-Offset")) == (201, "11")
    assert (answer.get("Content-Location") is not None) == (length == "11")
    assert tus.content(path_of(answer)) == HELLO


@pytest.mark.parametrize("length", ["11", "20", None])
def test_a_wrong_first_chunk_creates_nothing(tus: Tus, length: str | None) -> None:
    """tus 1.0.0, Creation With Upload: 460, and no upload is left: nobody knows its name (T-101, T-012)."""
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": length}

    with tus.nothing_stored():
        fields = {**size, "Content-Type": CHUNK_TYPE, **checksum(b"hello_world")}
        answer = tus.ask("POST", fields=fields, body=HELLO)

    assert (answer.status, answer.reason) == (460, "Checksum Mismatch")
    assert answer.get("Location") is None


# -- what cannot be verified at all ---------------------------------------------------------------

GOOD = KNOWN["sha1"]
MALFORMED = [
    "",
    "sha1",
    GOOD,
    f"sha1{GOOD}",
    f"sha1  {GOOD}",
    f"sha1\t{GOOD}",
    f"sha1 {GOOD} x",
    f"sha1 {GOOD},md5 {KNOWN['md5']}",
    f"sha1 {GOOD[:-1]}",  # without its padding
    f"sha1 {GOOD[:-1]}*",
    "sha1 Kq5sNclPz7QV2-lfQIuc6R7oRu0=",  # the other alphabet of Base64
    "sha1 2aae6c35c94fcfb415dbe95f408b9ce91ee846ed",  # hexadecimal, and not even as long
    f"sha1 {digest(HELLO, 'md5')}",  # of another length
    f"md5 {GOOD}",
    f"SHA1 {GOOD}",
    f"Sha1 {GOOD}",
    f'"sha1" {GOOD}',
    f"sha1 {GOOD}\xe4",
]
UNKNOWN_ALGORITHMS = ["whirlpool AAAA", f"sha-1 {GOOD}", f"sha224 {GOOD}", "crc32c DUoRhQ=="]
REFUSED = [(value, "ERR_INVALID_CHECKSUM") for value in MALFORMED] + [
    (value, "ERR_UNSUPPORTED_CHECKSUM_ALGORITHM") for value in UNKNOWN_ALGORITHMS
]


@pytest.mark.parametrize(("value", "expected"), REFUSED)
def test_what_cannot_be_verified_is_refused_before_the_body(tus: Tus, value: str, expected: str) -> None:
    """tus 1.0.0, Checksum: 400 in place of the 100 that would call for the chunk (T-089, T-095, T-098)."""
    path = tus.create(11)
    waiting = {"Upload-Checksum": value, "Content-Length": "11", "Expect": "100-continue"}
    patch = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, **waiting}
    post = {"Upload-Length": "11", "Content-Type": CHUNK_TYPE, **waiting}

    with tus.untouched(path), tus.nothing_stored():
        answers = [tus.ask("PATCH", path, patch), tus.ask("POST", fields=post)]

    assert [code(answer) for answer in answers] == [(400, expected)] * 2
    assert [answer.interim for answer in answers] == [(), ()]


@pytest.mark.parametrize("value", [MALFORMED[1], f"SHA1 {GOOD}", UNKNOWN_ALGORITHMS[0]])
def test_a_refused_chunk_that_came_is_discarded(tus: Tus, value: str) -> None:
    """tus 1.0.0, Checksum: on 400 the chunk is discarded and nothing moves (T-092, T-093)."""
    path = tus.create(11)

    with tus.untouched(path):
        answer = tus.patch(path, 0, HELLO, {"Upload-Checksum": value})
    again = tus.patch(path, 0, HELLO, checksum(HELLO))

    assert (answer.status, again.status) == (400, 204)
    assert tus.content(path) == HELLO


def test_two_checksums_are_none(tus: Tus) -> None:
    """RFC 9110, 5.3: two lines are one list, which is no checksum, even where both are right (T-098)."""
    path = tus.create(11)

    with tus.untouched(path):
        answer = tus.patch(path, 0, HELLO, {"Upload-Checksum": [f"sha1 {GOOD}", f"sha1 {GOOD}"]})

    assert code(answer) == (400, "ERR_INVALID_CHECKSUM")


@pytest.mark.parametrize(("said", "status"), [(HELLO, 204), (b"hello_world", 460)])
def test_what_can_be_verified_is_asked_for(tus: Tus, said: bytes, status: int) -> None:
    """tus 1.0.0, Checksum, with Expect: 100 for the body, and the verdict after it (T-088, T-090)."""
    path = tus.create(11)
    waiting = {"Expect": "100-continue", "Content-Length": "11", **checksum(said)}
    with tus.connect() as wire:
        patch = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, **waiting}
        wire.send(tus.head_of("PATCH", path, patch))
        interim = wire.read_interim()
        wire.send(HELLO)
        answer = wire.read("PATCH")

    assert (interim, answer.status) == (100, status)


def test_a_checksum_is_looked_at_whatever_the_method_is_called(tus: Tus) -> None:
    """tus 1.0.0, Checksum and X-HTTP-Method-Override: a POST that is a PATCH is verified (T-018, T-090)."""
    path = tus.create(11)
    fields = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0", "Content-Type": CHUNK_TYPE}

    with tus.untouched(path):
        answer = tus.ask("POST", path, {**fields, **checksum(b"hello_world")}, HELLO)

    assert answer.status == 460


# -- while the bytes arrive -----------------------------------------------------------------------


def test_bytes_on_their_way_do_not_count_yet(tus: Tus) -> None:
    """tus 1.0.0, Checksum: verified after the entire request: until then HEAD stays (T-088, T-093)."""
    path = tus.create(14)
    tus.patch(path, 0, b"abc")
    head = tus.patch_head(path, 3, len(HELLO))
    with tus.connect() as wire:
        wire.send(head.replace(b"\r\n\r\n", f"\r\nUpload-Checksum: sha1 {GOOD}\r\n\r\n".encode()))
        wire.send(HELLO[:6])
        wait_for_bytes(tus, path, 9)
        before = tus.offset(path)
        wire.send(HELLO[6:])
        answer = wire.read("PATCH")

    assert before == 3
    assert (answer.status, answer.get("Upload-Offset")) == (204, "14")
    assert tus.content(path) == b"abc" + HELLO
