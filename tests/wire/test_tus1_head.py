"""tus 1.0.0, Core Protocol, HEAD."""

from __future__ import annotations

import pytest

from tests.wire.raw import Response
from tests.wire.tus import UNKNOWN, Tus


def facts(answer: Response) -> dict[str, str | None]:
    """What a HEAD says of an upload's progress."""
    return {name: answer.get(name) for name in ("Upload-Offset", "Upload-Length", "Upload-Defer-Length")}


def told(offset: str, length: str | None) -> dict[str, str | None]:
    """What a HEAD has to say; without a length it is deferred."""
    deferred = "1" if length is None else None
    return {"Upload-Offset": offset, "Upload-Length": length, "Upload-Defer-Length": deferred}


def test_head_tells_the_offset_at_every_stage(tus: Tus) -> None:
    """tus 1.0.0, HEAD: MUST include Upload-Offset, even at 0 and on a completed upload (T-020, T-021)."""
    path = tus.create(10)
    stages = [facts(tus.head(path))]
    for position in (0, 5):
        tus.patch(path, position, b"12345")
        stages.append(facts(tus.head(path)))

    assert stages == [told("0", "10"), told("5", "10"), told("10", "10")]


def test_head_tells_the_offset_of_an_empty_upload(tus: Tus) -> None:
    """tus 1.0.0, HEAD: Upload-Offset even if it is 0 and the upload is complete (T-020, T-021)."""
    path = tus.create(0)

    assert facts(tus.head(path)) == told("0", "0")


def test_head_tells_the_length_as_soon_as_it_is_known(tus: Tus) -> None:
    """tus 1.0.0, HEAD and Creation: Upload-Length when known, Upload-Defer-Length until then.

    (T-021, C-18)
    """
    path = tus.create(None)
    stages = [facts(tus.head(path))]
    tus.patch(path, 0, b"12345")
    stages.append(facts(tus.head(path)))
    tus.patch(path, 5, b"", {"Upload-Length": "7"})
    stages.append(facts(tus.head(path)))

    assert stages == [told("0", None), told("5", None), told("5", "7")]


@pytest.mark.parametrize("name", [UNKNOWN, "x", "a.b", "..%2f..%2fetc%2fpasswd", "%00", "a/b", "x" * 300])
def test_head_of_an_unknown_upload_has_no_offset(tus: Tus, name: str) -> None:
    """tus 1.0.0, HEAD: 404 without Upload-Offset where there is no such upload (T-022, T-023, C-03)."""
    answer = tus.head(f"/files/{name}")

    assert answer.status == 404
    assert answer.get("Upload-Offset") is None
    assert answer.get("Upload-Length") is None
    assert answer.get("Cache-Control") == "no-store"


def test_head_succeeds_with_200_and_is_never_cached(tus: Tus) -> None:
    """tus 1.0.0, HEAD: 200 or 204, and Cache-Control: no-store MUST be there (T-024, T-025)."""
    answer = tus.head(tus.create(10))

    assert answer.status == 200
    assert answer.get("Cache-Control") == "no-store"


def test_a_head_that_fails_has_no_body(tus: Tus) -> None:
    """RFC 9110, 9.3.2: no content in the answer to HEAD: the next answer follows the head at once.

    (C-23)
    """
    heads = [
        tus.head_of("HEAD", f"/files/{UNKNOWN}"),
        tus.head_of("HEAD", f"/files/{UNKNOWN}", {"Tus-Resumable": "0.1"}),
        tus.head_of("HEAD", "/files/"),
        tus.head_of("HEAD", "/nowhere"),
        tus.head_of("HEAD", "/uploads/nothing"),
    ]
    with tus.connect() as wire:
        wire.send(b"".join((*heads, tus.head_of("OPTIONS", "/files/"))))
        answers = [wire.read("HEAD") for _ in heads]
        last = wire.read("OPTIONS")

    assert [answer.status for answer in answers] == [404, 412, 405, 404, 404]
    assert last.status == 204


def test_a_finished_upload_can_still_be_asked_for(tus: Tus) -> None:
    """A client that lost the last answer asks again and must learn of its success (C-12)."""
    path = tus.upload(b"abc")

    assert [facts(tus.head(path)) for _ in range(2)] == [told("3", "3")] * 2
