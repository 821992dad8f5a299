"""Where several refusals would fit, the one that helps the client most comes first.

Method override, origin, method (405), version (412), existence (404), final (403), content type (415),
syntax (400), offset (409), length and size (400, 413), checksum algorithm (400).
"""

from __future__ import annotations

import pytest

from tests.wire.conftest import MAX_SIZE
from tests.wire.tus import CHUNK_TYPE, UNKNOWN, Tus, path_of

WRONG_VERSION = {"Tus-Resumable": "0.2.2"}
WRONG_TYPE = {"Content-Type": "text/plain"}
NO_OFFSET = {"Upload-Offset": "x"}
OTHER_OFFSET = {"Upload-Offset": "7"}
NO_LENGTH = {"Upload-Length": "x"}
OTHER_LENGTH = {"Upload-Length": "99"}
NO_CHECKSUM = {"Upload-Checksum": "sha1"}
UNKNOWN_CHECKSUM = {"Upload-Checksum": "whirlpool AAAA"}
SHORT_CHECKSUM = {"Upload-Checksum": "sha1 AAAA"}
WRONG_CHECKSUM = {"Upload-Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (WRONG_VERSION, 412),
        (WRONG_TYPE, 404),
        (NO_OFFSET, 404),
        (NO_LENGTH, 404),
        (NO_CHECKSUM, 404),
        (UNKNOWN_CHECKSUM, 404),
        (WRONG_CHECKSUM, 404),
        (OTHER_OFFSET, 404),
        (WRONG_VERSION | WRONG_TYPE | NO_OFFSET, 412),
        (WRONG_TYPE | NO_OFFSET | NO_LENGTH, 404),
        ({"X-HTTP-Method-Override": "PUT"} | WRONG_VERSION, 405),
    ],
)
def test_existence_comes_before_everything_about_the_body(
    tus: Tus, wrong: dict[str, str], status: int
) -> None:
    """tus 1.0.0, PATCH: 404 for what does not exist, however malformed the request is (T-010, T-033)."""
    with tus.nothing_stored():
        answer = tus.patch(f"/files/{UNKNOWN}", 0, b"12345", wrong)

    assert answer.status == status


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (WRONG_VERSION | WRONG_TYPE | NO_OFFSET, 412),
        (WRONG_VERSION | OTHER_OFFSET, 412),
        (WRONG_TYPE | NO_OFFSET, 415),
        (WRONG_TYPE | OTHER_OFFSET | OTHER_LENGTH, 415),
        (WRONG_TYPE | NO_CHECKSUM, 415),
        (NO_OFFSET | OTHER_LENGTH, 400),
        (NO_LENGTH | OTHER_OFFSET, 400),
        (NO_CHECKSUM | OTHER_OFFSET, 400),
        (UNKNOWN_CHECKSUM | OTHER_OFFSET, 409),
        (SHORT_CHECKSUM | OTHER_OFFSET, 409),
        (WRONG_CHECKSUM | OTHER_OFFSET, 409),
        (OTHER_OFFSET | OTHER_LENGTH, 409),
        (OTHER_OFFSET, 409),
        (OTHER_LENGTH, 400),
        ({"Upload-Length": "10"}, 413),
        (UNKNOWN_CHECKSUM, 413),
        (WRONG_CHECKSUM, 413),
    ],
)
def test_refusals_of_a_patch_come_in_a_fixed_order(tus: Tus, wrong: dict[str, str], status: int) -> None:
    """Every PATCH here brings too many bytes as well, which is the last thing to be told (T-027, T-028)."""
    path = tus.create(10)
    tus.patch(path, 0, b"abc")

    with tus.untouched(path):
        answer = tus.patch(path, 3, bytes(8), wrong)

    assert answer.status == status


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Tus-Resumable": "0.2.2", "Upload-Length": "x"}, "ERR_UNSUPPORTED_VERSION"),
        ({"Tus-Resumable": "0.2.2", "Upload-Concat": "x"}, "ERR_UNSUPPORTED_VERSION"),
        ({"Upload-Concat": "x", "Upload-Length": "x"}, "ERR_INVALID_CONCAT"),
        ({"Upload-Concat": f"final;/files/{UNKNOWN}", "Upload-Length": "5"}, "ERR_MODIFY_FINAL"),
        ({"Upload-Length": "x", "Upload-Metadata": ","}, "ERR_INVALID_UPLOAD_LENGTH"),
        ({"Upload-Length": str(MAX_SIZE + 1), "Upload-Metadata": ","}, "ERR_INVALID_METADATA"),
        (NO_CHECKSUM | {"Upload-Length": str(MAX_SIZE + 1)}, "ERR_INVALID_CHECKSUM"),
        (UNKNOWN_CHECKSUM | {"Upload-Length": str(MAX_SIZE + 1)}, "ERR_MAX_SIZE_EXCEEDED"),
        (UNKNOWN_CHECKSUM | {"Upload-Length": "4"}, "ERR_UPLOAD_SIZE_EXCEEDED"),
        (UNKNOWN_CHECKSUM | {"Upload-Length": "5"}, "ERR_UNSUPPORTED_CHECKSUM_ALGORITHM"),
        (SHORT_CHECKSUM | {"Upload-Length": "5"}, "ERR_INVALID_CHECKSUM"),
    ],
)
def test_refusals_of_a_creation_come_in_a_fixed_order(tus: Tus, wrong: dict[str, str], code: str) -> None:
    """tus 1.0.0, Creation: version, syntax, size, algorithm (T-010, T-048, T-060, T-066, T-089)."""
    with tus.nothing_stored():
        answer = tus.ask("POST", fields={"Content-Type": CHUNK_TYPE, **wrong}, body=b"12345")

    assert answer.body.decode().partition(":")[0] == code
    assert answer.get("Location") is None


@pytest.mark.parametrize("wrong", [WRONG_TYPE, NO_OFFSET, OTHER_OFFSET, NO_CHECKSUM, UNKNOWN_CHECKSUM, {}])
def test_a_final_takes_no_patch_however_it_is_written(tus: Tus, wrong: dict[str, str]) -> None:
    """tus 1.0.0, Concatenation: 403 comes before 415, 400 and 409 (T-120, T-121)."""
    partial = tus.upload(b"abc", {"Upload-Concat": "partial"})
    final = path_of(tus.ask("POST", fields={"Upload-Concat": f"final;{partial}"}))

    with tus.untouched(final), tus.untouched(partial):
        answer = tus.patch(final, 3, b"x", wrong)

    assert answer.status == 403


def test_a_malformed_patch_does_not_disturb_a_running_one(tus: Tus) -> None:
    """What is wrong in itself is told without the upload's lock, so nobody is interrupted for it."""
    path = tus.create(100)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, 10) + b"12345")
        while tus.offset(path) < 5:
            pass
        wrong = tus.patch(path, 5, b"x", WRONG_TYPE)
        wire.send(b"67890")
        answer = wire.read("PATCH")

    assert wrong.status == 415
    assert (answer.status, answer.get("Upload-Offset")) == (204, "10")
