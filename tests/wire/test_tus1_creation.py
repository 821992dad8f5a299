"""tus 1.0.0, Creation."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.wire.conftest import MAX_SIZE, LogLines
from tests.wire.tus import CHUNK_TYPE, Tus


def test_a_creation_names_the_new_upload(tus: Tus) -> None:
    """tus 1.0.0, Creation: 201 with a Location that leads to it, at offset 0.

    (T-046, T-058, T-067, T-068)
    """
    answer = tus.ask("POST", fields={"Upload-Length": "10"}, body=b"")
    location = answer.get("Location") or ""
    told = tus.head(urlsplit(location).path)

    assert answer.status == 201
    assert location.startswith("http://files.test/files/")
    assert (told.status, told.get("Upload-Offset"), told.get("Upload-Length")) == (200, "0", "10")


@pytest.mark.parametrize("target", ["/files/", "/files"])
def test_the_creation_path_needs_no_slash(tus: Tus, target: str) -> None:
    """No redirect of upload URLs: Node clients follow none (C-25), and Location is the same.

    (T-069, C-05)
    """
    answer = tus.ask("POST", target, {"Upload-Length": "10"})

    assert answer.status == 201
    assert urlsplit(answer.get("Location") or "").path.startswith("/files/")


def test_no_two_uploads_share_a_url(tus: Tus) -> None:
    """tus 1.0.0, Creation: Location is the URL of the new resource (T-068)."""
    assert len({tus.create(1) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, b"ERR_INVALID_UPLOAD_LENGTH"),
        ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, b"ERR_AMBIGUOUS_UPLOAD_LENGTH"),
        *(
            ({"Upload-Defer-Length": value}, b"ERR_INVALID_UPLOAD_LENGTH_DEFER")
            for value in ("0", "2", "true", "1 1", "01", "", "-1", ["1", "1"])
        ),
        ({"Upload-Length": "5", "Upload-Defer-Length": "0"}, b"ERR_INVALID_UPLOAD_LENGTH_DEFER"),
    ],
)
def test_a_creation_has_exactly_one_length(tus: Tus, fields: dict[str, str], code: bytes) -> None:
    """tus 1.0.0, Creation: Upload-Length or Upload-Defer-Length: 1, else 400 (T-048, T-049)."""
    with tus.nothing_stored():
        answer = tus.ask("POST", fields=fields, body=b"")

    assert answer.status == 400
    assert answer.body.partition(b":")[0] == code
    assert answer.get("Location") is None


def test_a_deferred_length_is_told_until_it_is_known(tus: Tus) -> None:
    """tus 1.0.0, Creation: Upload-Defer-Length is 1 or absent (T-050, T-051, T-052, T-053)."""
    path = tus.create(None)

    stages = [tus.head(path)]
    tus.patch(path, 0, b"abc")
    stages.append(tus.head(path))
    tus.patch(path, 3, b"def", {"Upload-Length": "10"})
    stages.append(tus.head(path))

    assert [stage.get("Upload-Defer-Length") for stage in stages] == ["1", "1", None]
    assert [stage.get("Upload-Length") for stage in stages] == [None, None, "10"]
    assert tus.head(tus.create(10)).get("Upload-Defer-Length") is None


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"abcdef", "6")],
        [(b"abc", None), (b"def", "6")],
        [(b"abc", "6"), (b"def", None)],
        [(b"abcdef", None), (b"", "6")],
        [(b"", "6"), (b"abcdef", None)],
        [(b"abc", "6"), (b"def", "6"), (b"", "6")],
    ],
    ids=["only", "last", "earlier", "empty-last", "empty-first", "repeated"],
)
def test_any_patch_may_tell_the_length(tus: Tus, chunks: list[tuple[bytes, str | None]]) -> None:
    """tus 1.0.0, Creation: the length comes with any PATCH, and may be repeated.

    (T-054, T-055, C-16, C-17)
    """
    path, offset, answers = tus.create(None), 0, []

    for body, length in chunks:
        answers.append(tus.patch(path, offset, body, {"Upload-Length": length}))
        offset += len(body)
    told = tus.head(path)

    assert [answer.status for answer in answers] == [204] * len(chunks)
    assert (told.get("Upload-Offset"), told.get("Upload-Length")) == ("6", "6")
    assert told.get("Content-Location") is not None
    assert tus.content(path) == b"abcdef"


@pytest.mark.parametrize("created_with", [10, None], ids=["fixed", "deferred"])
@pytest.mark.parametrize("length", ["9", "11", "0", str(MAX_SIZE + 1)])
def test_a_length_never_changes(tus: Tus, created_with: int | None, length: str) -> None:
    """tus 1.0.0, Creation: once set, the length MUST NOT be changed (T-055)."""
    path = tus.create(created_with)
    tus.patch(path, 0, b"abc", {"Upload-Length": "10"})

    with tus.untouched(path):
        answer = tus.patch(path, 3, b"def", {"Upload-Length": length})

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_UPLOAD_LENGTH: ")


@pytest.mark.parametrize(
    ("length", "status"), [("2", 400), ("0", 400), (str(MAX_SIZE + 1), 413), ("5", 413)]
)
def test_a_length_has_to_fit(tus: Tus, length: str, status: int) -> None:
    """tus 1.0.0, Creation: not below the offset, not above the maximum, not below this body (T-056)."""
    path = tus.create(None)
    tus.patch(path, 0, b"abc")

    with tus.untouched(path):
        answer = tus.patch(path, 3, b"def", {"Upload-Length": length})

    assert answer.status == status


def test_an_empty_upload_is_complete_at_once(tus: Tus) -> None:
    """tus 1.0.0, Creation: Upload-Length may be 0: complete and published without a PATCH (T-057)."""
    answer = tus.ask("POST", fields={"Upload-Length": "0", "Upload-Metadata": "filename YS5iaW4="})
    path = urlsplit(answer.get("Location") or "").path
    name = path.rpartition("/")[2]

    assert answer.status == 201
    assert answer.get("Content-Location") == f"http://files.test/uploads/{name}.bin"
    assert (tus.folder / "uploads" / f"{name}.bin").read_bytes() == b""
    assert tus.patch(path, 0).status == 204
    assert tus.patch(path, 0, b"x").status == 413


def test_an_empty_upload_finishes_once(tus: Tus, server_log: LogLines) -> None:
    """tus 1.0.0, Creation: complete at once, and only once, whatever is asked later (T-057)."""
    path = tus.create(0)
    tus.patch(path, 0)
    tus.head(path)
    name = path.rpartition("/")[2]

    assert sum("upload finished" in line and name in line for line in server_log) == 1


def test_an_upload_may_be_as_large_as_the_maximum(tus: Tus) -> None:
    """tus 1.0.0, Creation: over Tus-Max-Size is 413, exactly it is not (T-016, T-066)."""
    largest = tus.ask("POST", fields={"Upload-Length": str(MAX_SIZE)})
    with tus.nothing_stored():
        larger = tus.ask("POST", fields={"Upload-Length": str(MAX_SIZE + 1)})
    tus.ask("DELETE", urlsplit(largest.get("Location") or "").path)

    assert largest.status == 201
    assert larger.status == 413
    assert larger.get("Location") is None


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "text/plain", CHUNK_TYPE])
def test_the_type_of_an_empty_body_does_not_matter(tus: Tus, kind: str | None) -> None:
    """tus 1.0.0, Creation: a POST is a creation whatever its Content-Type says (T-075, C-02, C-15)."""
    answer = tus.ask("POST", fields={"Upload-Length": "10", "Content-Type": kind}, body=b"")

    assert answer.status == 201
    assert answer.get("Location") is not None


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "HEAD", "GET", "PUT"])
def test_the_creation_path_only_creates(tus: Tus, method: str) -> None:
    """RFC 9110, 15.5.6: 405 names the methods there are."""
    with tus.nothing_stored():
        answer = tus.ask(method, fields={"Upload-Offset": "0", "Content-Type": CHUNK_TYPE})

    assert answer.status == 405
    assert answer.get("Allow") == "OPTIONS, POST"


@pytest.mark.parametrize("name", ["", "/"])
def test_a_post_to_an_upload_creates_nothing(tus: Tus, name: str) -> None:
    """RFC 9110, 15.5.6: uploads are created at the creation path alone."""
    path = tus.create(10)

    with tus.nothing_stored():
        answer = tus.ask("POST", path + name, {"Upload-Length": "5"})

    assert answer.status == 405
    assert answer.get("Allow") == "OPTIONS, HEAD, PATCH, GET, DELETE"
