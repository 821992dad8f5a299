"""tus 1.0.0, Core Protocol, Headers: what the server writes and what it makes of what it reads."""

from __future__ import annotations

import re

import pytest

from tests.wire.conftest import MAX_SIZE
from tests.wire.raw import Response
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus

NUMBER = re.compile(r"[0-9]+")
WRONG_NUMBERS = {
    "negative": "-1",
    "signed": "+5",
    "fraction": "5.0",
    "hexadecimal": "0x5",
    "word": "abc",
    "empty": "",
    "underscore": "1_0",
    "two numbers": "5 5",
    "list": "5,5",
    "two lines": ["5", "6"],
    "same line twice": ["5", "5"],
    "other digits": "\u0665".encode().decode("latin-1"),
    "exponent": "5e0",
    "above every file": "9" * 30,
}


@pytest.mark.parametrize("start", [0, 5, 2**31 - 3, 2**32 - 3, 2**40], ids=str)
def test_offsets_and_lengths_are_plain_decimal_numbers(open_tus: Tus, start: int) -> None:
    """tus 1.0.0, Upload-Offset and Upload-Length: non-negative integers, however large (T-002, T-004)."""
    path = open_tus.create(None)
    with next(open_tus.folder.rglob(path.rpartition("/")[2])).open("r+b") as data:
        data.truncate(start)  # a sparse file stands for the bytes that were sent before

    appended = open_tus.patch(path, start, b"12345", {"Upload-Length": str(2**53 + 1)})
    told = open_tus.head(path)
    open_tus.ask("DELETE", path)

    assert appended.status == 204
    assert appended.get("Upload-Offset") == told.get("Upload-Offset") == str(start + 5)
    assert told.get("Upload-Length") == "9007199254740993"


@pytest.mark.parametrize("value", [None, *WRONG_NUMBERS.values()], ids=["missing", *WRONG_NUMBERS])
def test_an_offset_that_is_no_number_is_refused(tus: Tus, value: str | list[str] | None) -> None:
    """tus 1.0.0, Upload-Offset: a non-negative integer; anything else is 400, nothing is stored (T-003)."""
    path = tus.create(10)
    assert tus.patch(path, 0, b"12345").status == 204

    with tus.untouched(path):
        answer = tus.patch(path, 5, b"67890", {"Upload-Offset": value})

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_OFFSET: ")


@pytest.mark.parametrize("value", WRONG_NUMBERS.values(), ids=WRONG_NUMBERS)
def test_a_length_that_is_no_number_creates_nothing(tus: Tus, value: str | list[str]) -> None:
    """tus 1.0.0, Upload-Length: a non-negative integer; anything else is 400 (T-005)."""
    with tus.nothing_stored():
        answer = tus.ask("POST", fields={"Upload-Length": value}, body=b"")

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_UPLOAD_LENGTH: ")
    assert answer.get("Location") is None


@pytest.mark.parametrize("value", WRONG_NUMBERS.values(), ids=WRONG_NUMBERS)
def test_a_declared_length_that_is_no_number_is_refused(tus: Tus, value: str | list[str]) -> None:
    """tus 1.0.0, Upload-Length: a non-negative integer, on the PATCH that declares it too (T-005)."""
    path = tus.create(None)

    with tus.untouched(path):
        answer = tus.patch(path, 0, b"12345", {"Upload-Length": value})

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_UPLOAD_LENGTH: ")


def every_answer(tus: Tus) -> dict[int, Response]:
    """An answer of every status that the protocol's resources can be brought to give."""
    path = tus.create(5)
    finished = tus.upload(b"abc")
    wrong_version = {"Tus-Resumable": "0.2.2"}
    answers = [
        tus.ask("POST", fields={"Upload-Length": "1"}),
        tus.head(path),
        tus.ask("GET", finished),
        tus.ask("GET", finished, {"Range": "bytes=1-1"}),
        tus.ask("GET", finished, {"Range": "bytes=9-"}),
        tus.patch(path, 0, b"1"),
        tus.patch(path, 9),
        tus.patch(path, "x"),
        tus.patch(path, 1, b"123456"),
        tus.patch(path, 1, b"", {"Content-Type": "text/plain"}),
        tus.patch(path, 1, b"", wrong_version),
        tus.head("/files/" + UNKNOWN),
        tus.ask("PUT", path),
    ]
    etag = answers[2].get("ETag")
    assert etag is not None
    answers.append(tus.ask("GET", finished, {"If-None-Match": etag}))
    return {answer.status: answer for answer in answers}


def test_every_answer_names_the_version(tus: Tus) -> None:
    """tus 1.0.0, Tus-Resumable: MUST be in every response but to OPTIONS, and is 1.0.0 (T-008, T-009)."""
    answers = every_answer(tus)

    assert sorted(answers) == [200, 201, 204, 206, 304, 400, 404, 405, 409, 412, 413, 415, 416]
    assert [answer.all("Tus-Resumable") for answer in answers.values()] == [["1.0.0"]] * len(answers)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/no/such/place", 404),
        ("PATCH", "/healthz", 405),
        ("GET", "/files/", 405),
        ("POST", "/uploads/x", 405),
        ("GET", "/uploads/x", 404),
        ("GET", "/uploads", 404),
    ],
)
def test_answers_from_outside_the_protocol_name_the_version(
    tus: Tus, method: str, target: str, status: int
) -> None:
    """tus 1.0.0, Tus-Resumable: in every response, those of the router included (T-008)."""
    answer = tus.ask(method, target)

    assert answer.status == status
    assert answer.all("Tus-Resumable") == ["1.0.0"]
    assert re.fullmatch(rb"ERR_[A-Z_]+: [^\n]+\n", answer.body)


@pytest.mark.parametrize("version", ["0.2.2", "1.0.1", "2.0.0", "1.0", "", "x", ["1.0.0", "0.2.2"]])
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE", "GET"])
def test_another_version_is_refused_on_an_upload(tus: Tus, method: str, version: str | list[str]) -> None:
    """tus 1.0.0, Tus-Resumable: 412 with Tus-Version, and not processed (T-010, T-011, T-012)."""
    path = tus.create(10)
    wrong = {"Tus-Resumable": version, "Upload-Offset": "0", "Content-Type": CHUNK_TYPE}

    with tus.untouched(path):
        answer = tus.ask(method, path, wrong, None if method in {"HEAD", "GET"} else b"12345")

    assert answer.status == 412
    assert answer.all("Tus-Version") == ["1.0.0"]


@pytest.mark.parametrize("version", ["0.2.2", None], ids=["another", "none"])
def test_another_version_creates_nothing(tus: Tus, version: str | None) -> None:
    """tus 1.0.0, Tus-Resumable: 412 with Tus-Version, and not processed (T-010, T-011, T-012, T-013)."""
    with tus.nothing_stored():
        answer = tus.ask("POST", fields={"Tus-Resumable": version, "Upload-Length": "5"}, body=b"")

    assert answer.status == 412
    assert answer.all("Tus-Version") == ["1.0.0"]
    assert answer.get("Location") is None


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_changing_an_upload_takes_a_version(tus: Tus, method: str) -> None:
    """tus 1.0.0, Tus-Resumable: MUST be in every request; without it 412, nothing happens (T-013)."""
    path = tus.create(10)
    fields = {"Tus-Resumable": None, "Upload-Offset": "0", "Content-Type": CHUNK_TYPE}

    with tus.untouched(path):
        answer = tus.ask(method, path, fields, b"12345")

    assert answer.status == 412
    assert answer.all("Tus-Version") == ["1.0.0"]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_looking_takes_no_version(tus: Tus, method: str) -> None:
    """tus 1.0.0, Tus-Resumable: browsers and probes cannot send it, so HEAD and GET do without (T-013)."""
    path = tus.upload(b"abc")

    answer = tus.ask(method, path, {"Tus-Resumable": None})

    assert answer.status == 200


def test_a_length_beyond_the_limit_is_a_number_too(tus: Tus) -> None:
    """tus 1.0.0, Upload-Length: the largest number there is for a file is understood, then too big.

    (T-005)
    """
    answer = tus.ask("POST", fields={"Upload-Length": str(2**63 - 1)})

    assert answer.status == 413
    assert answer.body == f"ERR_MAX_SIZE_EXCEEDED: uploads may have {MAX_SIZE} bytes at most\n".encode()
