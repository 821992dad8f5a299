"""A part's body as boto3 reads it: in bites of any size, from the start again, and cut off."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.stores.s3_body import CancelledSendingError, PartBody

pieces = st.lists(st.binary(max_size=20), max_size=6)


@given(
    pieces=pieces, moves=st.lists(st.tuples(st.sampled_from(["read", "seek", "end"]), st.integers(-5, 60)))
)
def test_it_is_the_file_that_its_pieces_would_be(pieces: list[bytes], moves: list[tuple[str, int]]) -> None:
    """Every read, seek and tell, in any order, does what it does on a real one."""
    whole = b"".join(pieces)
    body, real = PartBody([memoryview(piece) for piece in pieces]), io.BytesIO(whole)

    assert len(body) == len(whole)
    assert body.readable()
    assert body.seekable()
    for move, value in moves:
        match move:
            case "read":
                assert body.read(value) == real.read(value)
            case "seek":
                body.seek(min(max(value, 0), len(whole)))
                real.seek(min(max(value, 0), len(whole)))
            case "end":
                assert body.seek(-min(abs(value), len(whole)), io.SEEK_END) == real.seek(
                    -min(abs(value), len(whole)), io.SEEK_END
                )
        assert body.tell() == real.tell()


def test_it_is_read_as_botocore_and_http_client_do() -> None:
    """The length by seek and tell, the bytes in bites of 16 KiB, and all of it again for a second try."""
    whole = bytes(range(256)) * 300
    body = PartBody([whole[:1000], whole[1000:1000], memoryview(whole)[1000:]])

    assert body.seek(0, io.SEEK_END) == len(whole)
    assert body.tell() == len(whole)
    for _ in range(2):
        body.seek(0)
        bites = []
        while bite := body.read(16384):
            bites.append(bite)
        assert b"".join(bites) == whole
        assert all(len(bite) == 16384 for bite in bites[:-1])
    body.seek(0)
    assert body.read() == whole
    assert body.read(1) == b""


def test_a_seek_is_kept_within_the_bytes() -> None:
    """There is nothing before the first and behind the last."""
    body = PartBody([b"abc", b"def"])

    assert body.seek(100) == 6
    assert body.read(1) == b""
    assert body.seek(-100) == 0
    assert body.read(2) == b"ab"
    assert body.seek(2, io.SEEK_CUR) == 4
    assert body.read(-1) == b"ef"


def test_a_cancelled_body_breaks_off_where_it_is_read() -> None:
    """By what nothing on the way takes for a failure to be repeated; from then on, always."""
    body = PartBody([b"abc", b"def"])
    assert body.read(4) == b"abcd"

    body.is_cancelled = True

    for _ in range(2):
        with pytest.raises(CancelledSendingError):
            body.read(1)
    body.seek(0)
    with pytest.raises(CancelledSendingError):
        body.read()
    assert not issubclass(CancelledSendingError, Exception)


def test_an_empty_body_is_one() -> None:
    """The only part of an object of no bytes."""
    body = PartBody([])

    assert (len(body), body.read(), body.seek(0, io.SEEK_END)) == (0, b"", 0)
