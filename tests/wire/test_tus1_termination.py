"""tus 1.0.0, Termination."""

from __future__ import annotations

import pytest

from tests.wire.tus import UNKNOWN, Tus


def make(tus: Tus, kind: str) -> str:
    """The path of an upload in some stage."""
    match kind:
        case "new":
            return tus.create(10)
        case "deferred":
            return tus.create(None)
        case "begun":
            path = tus.create(10)
            tus.patch(path, 0, b"12345")
            return path
        case "empty":
            return tus.upload(b"")
        case _:
            return tus.upload(b"12345", {"Upload-Metadata": "filename YS50eHQ="})


@pytest.mark.parametrize("kind", ["new", "deferred", "begun", "empty", "finished"])
def test_a_terminated_upload_is_gone(tus: Tus, kind: str) -> None:
    """tus 1.0.0, Termination: 204, resources are freed, later requests find nothing.

    (T-103, T-104, T-105, T-106, T-107, C-04)
    """
    before = tus.files()
    path = make(tus, kind)

    answer = tus.ask("DELETE", path)
    later = [tus.head(path), tus.ask("GET", path), tus.patch(path, 0, b"1"), tus.ask("DELETE", path)]

    assert answer.status == 204
    assert answer.body == b""
    assert [each.status for each in later] == [404] * 4
    assert later[0].get("Upload-Offset") is None
    assert tus.files() == before


def test_a_terminated_file_is_not_served(tus: Tus) -> None:
    """tus 1.0.0, Termination: the published file is a resource of the upload (T-104, T-106)."""
    path = make(tus, "finished")
    public = f"/uploads/{path.rpartition('/')[2]}.txt"
    served = tus.ask("GET", public)

    tus.ask("DELETE", path)

    assert served.body == b"12345"
    assert tus.ask("GET", public).status == 404


@pytest.mark.parametrize("name", [UNKNOWN, "x", "..%2fuploads"])
def test_there_is_nothing_to_terminate(tus: Tus, name: str) -> None:
    """tus 1.0.0, Termination: an unknown upload is 404, and nothing is removed (T-107)."""
    with tus.nothing_stored():
        answer = tus.ask("DELETE", f"/files/{name}")

    assert answer.status == 404


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_running_patch_does_not_bring_an_upload_back(tus: Tus, chunked: bool) -> None:
    """tus 1.0.0, Termination: a DELETE stops the running PATCH; nothing is recreated (T-108)."""
    before = tus.files()
    path = tus.create(100)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, None if chunked else 100))
        wire.send(b"5\r\n12345\r\n" if chunked else b"12345")
        while tus.offset(path) < 5:
            pass
        deleted = tus.ask("DELETE", path)
        stopped = wire.read("PATCH")

    assert deleted.status == 204
    assert stopped.status == 423
    assert tus.head(path).status == 404
    assert tus.files() == before
