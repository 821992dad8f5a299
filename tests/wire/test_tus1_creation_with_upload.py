"""tus 1.0.0, Creation With Upload."""

from __future__ import annotations

import pytest

from tests.wire.conftest import MAX_SIZE
from tests.wire.raw import Response, format_chunks
from tests.wire.tus import CHUNK_TYPE, Tus, path_of

CHUNKED = {"Transfer-Encoding": "chunked", "Content-Length": None}


def post(tus: Tus, body: bytes, fields: dict[str, str | None]) -> Response:
    """A creation with its first chunk."""
    return tus.ask("POST", fields={"Content-Type": CHUNK_TYPE, **fields}, body=body)


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
@pytest.mark.parametrize("size", [0, 5, 99])
def test_the_first_chunk_comes_with_the_creation(tus: Tus, size: int, chunked: bool) -> None:
    """tus 1.0.0, Creation With Upload: 201, Upload-Offset after the bytes.

    (T-073, T-074, T-075, C-01, C-02)
    """
    body = bytes(range(size))
    framing = CHUNKED if chunked else {}

    answer = post(
        tus, format_chunks([body] if body else []) if chunked else body, {"Upload-Length": "100", **framing}
    )

    assert answer.status == 201
    assert answer.get("Upload-Offset") == str(size)
    assert answer.get("Content-Location") is None
    assert tus.offset(path_of(answer)) == size
    assert tus.content(path_of(answer)) == body


@pytest.mark.parametrize("length", ["100", None], ids=["fixed", "deferred"])
def test_a_whole_file_may_come_with_the_creation(tus: Tus, length: str | None) -> None:
    """tus 1.0.0, Creation With Upload: the whole body completes an upload whose length is known (T-074)."""
    deferred = "1" if length is None else None

    answer = post(tus, bytes(100), {"Upload-Length": length, "Upload-Defer-Length": deferred})
    told = tus.head(path_of(answer))

    assert answer.status == 201
    assert answer.get("Upload-Offset") == told.get("Upload-Offset") == "100"
    assert (answer.get("Content-Location") is None) == (length is None)
    assert told.get("Content-Location") == answer.get("Content-Location")


def test_a_length_may_be_deferred_with_a_first_chunk(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload: with Upload-Defer-Length the rules are the same (T-077)."""
    answer = post(tus, b"12345", {"Upload-Defer-Length": "1"})
    told = tus.head(path_of(answer))

    assert answer.status == 201
    assert (told.get("Upload-Offset"), told.get("Upload-Defer-Length")) == ("5", "1")
    assert told.get("Upload-Length") is None


@pytest.mark.parametrize("length", ["100", "5", "4", "0"])
@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", None])
def test_a_body_of_another_type_is_not_the_first_chunk(tus: Tus, kind: str | None, length: str) -> None:
    """tus 1.0.0, Creation With Upload: only application/offset+octet-stream counts (T-075, C-15)."""
    answer = post(tus, b"12345", {"Upload-Length": length, "Content-Type": kind})

    assert answer.status == 201
    assert answer.get("Upload-Offset") is None
    assert tus.offset(path_of(answer)) == 0


def test_a_first_chunk_longer_than_the_upload_creates_nothing(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload: rules follow PATCH: beyond the length is 413 (T-075, C-02)."""
    with tus.nothing_stored():
        answer = post(tus, bytes(11), {"Upload-Length": "10"})

    assert answer.status == 413
    assert answer.body.startswith(b"ERR_UPLOAD_SIZE_EXCEEDED: ")
    assert answer.get("Location") is None


def test_a_stream_longer_than_the_upload_does_not_outgrow_it(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload: without an announced length what fits is taken, then 413 (T-075)."""
    before = set(tus.files())

    answer = post(tus, format_chunks([b"01234567", b"89abcdef"]), {"Upload-Length": "10", **CHUNKED})
    new = sorted(set(tus.files()) - before)

    assert answer.status == 413
    assert answer.get("Location") is None
    assert len(new) == 2
    assert (tus.folder / new[1]).read_bytes() == b"0123456789"


@pytest.mark.parametrize("size", ["Upload-Length", "Content-Length"])
def test_nothing_larger_than_the_maximum_begins(tus: Tus, size: str) -> None:
    """tus 1.0.0, Creation: 413 before a byte is read, with a deferred length too (T-066)."""
    fields = {
        "Upload-Length": {"Upload-Length": str(MAX_SIZE + 1)},
        "Content-Length": {"Upload-Defer-Length": "1", "Content-Length": str(MAX_SIZE + 1)},
    }

    with tus.nothing_stored():
        answer = tus.ask("POST", fields={"Content-Type": CHUNK_TYPE, **fields[size]})

    assert answer.status == 413
    assert answer.body.startswith(b"ERR_MAX_SIZE_EXCEEDED: ")


def test_creation_with_upload_comes_with_creation(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload: never offered without creation (T-070, T-071)."""
    extensions = tus.ask("OPTIONS").listed("Tus-Extension")

    assert {"creation", "creation-with-upload"} <= extensions
