"""tus 1.0.0, Core Protocol, OPTIONS: discovery that tells the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.server import ServerProcess
from tests.wire.conftest import MAX_SIZE
from tests.wire.tus import CHUNK_TYPE, Tus

if TYPE_CHECKING:
    from pathlib import Path

ALWAYS = ["creation", "creation-with-upload", "creation-defer-length"]
CHECKSUM = ["checksum", "checksum-trailer"]
CONCATENATION = ["concatenation", "concatenation-unfinished"]
TERMINATION = ["termination"]


@pytest.mark.parametrize("target", ["/files/", "/files", "/files/0123", "/files/0123/"])
def test_options_tells_what_the_server_can_do(tus: Tus, target: str) -> None:
    """tus 1.0.0, OPTIONS: 204 or 200 with Tus-Version, best first, and extensions, everywhere.

    (T-006, T-007, T-014, T-016, T-017, T-041, T-042, T-043, T-045, T-046, T-047, T-053, T-070, T-087,
    T-099, T-103, T-110, T-115)
    """
    answer = tus.ask("OPTIONS", target)

    assert answer.status == 204
    assert answer.get("Tus-Version") == "1.0.0"
    extensions = answer.get("Tus-Extension")
    assert extensions is not None
    assert extensions.split(",") == [*ALWAYS, *CHECKSUM, *CONCATENATION, *TERMINATION]
    assert answer.get("Tus-Max-Size") == str(MAX_SIZE)


@pytest.mark.parametrize("version", ["9.9.9", "", None, "1.0.0"])
def test_options_does_not_look_at_the_version(tus: Tus, version: str | None) -> None:
    """tus 1.0.0, OPTIONS: the Tus-Resumable of the request MUST be ignored (T-044)."""
    answer = tus.ask("OPTIONS", fields={"Tus-Resumable": version})

    assert answer.status == 204
    assert answer.get("Tus-Version") == "1.0.0"


def test_no_limit_is_no_header(open_tus: Tus) -> None:
    """tus 1.0.0, Tus-Max-Size: sent when there is a limit, so without one it is absent (T-017)."""
    answer = open_tus.ask("OPTIONS")

    assert answer.status == 204
    assert answer.all("Tus-Max-Size") == []


SWITCHES = {
    "without termination": (["--disable-termination"], [*ALWAYS, *CHECKSUM, *CONCATENATION]),
    "without checksums": (["--checksum-algorithms", ""], [*ALWAYS, *CONCATENATION, *TERMINATION]),
    "without joins": (["--disable-concatenation"], [*ALWAYS, *CHECKSUM, *TERMINATION]),
    "with a time limit": (
        ["--expire-after", "1h"],
        [*ALWAYS, *CHECKSUM, *CONCATENATION, "expiration", *TERMINATION],
    ),
}


@pytest.mark.parametrize(("flags", "extensions"), SWITCHES.values(), ids=SWITCHES)
def test_the_switches_tell_what_is_named(tmp_path: Path, flags: list[str], extensions: list[str]) -> None:
    """tus 1.0.0, Tus-Extension: what is off is not named (T-014, T-079, T-087, T-096, T-099, T-110)."""
    with ServerProcess(tmp_path / "store", *flags) as server:
        answer = Tus.of(server).ask("OPTIONS")

    assert (answer.get("Tus-Extension") or "").split(",") == extensions
    assert (answer.get("Tus-Checksum-Algorithm") is not None) == ("checksum" in extensions)


def test_what_is_switched_off_is_refused(tmp_path: Path) -> None:
    """tus 1.0.0, Checksum and Concatenation: what is off is refused, never ignored.

    (T-014, T-086, T-115, T-135)
    """
    checksum = {"Upload-Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}
    first_chunk = {"Upload-Length": "11", "Content-Type": CHUNK_TYPE}
    flags = ("--disable-concatenation", "--checksum-algorithms", "")
    with ServerProcess(tmp_path / "store", *flags) as server:
        tus = Tus.of(server)
        path = tus.create(11)

        with tus.nothing_stored():
            answers = [
                tus.ask("POST", fields={"Upload-Length": "11", "Upload-Concat": "partial"}),
                tus.ask("POST", fields={"Upload-Concat": f"final;{path}"}),
                tus.ask("POST", fields={"Upload-Length": "11", "Upload-Concat": "nonsense"}),
                tus.ask("POST", fields={**first_chunk, **checksum}, body=b"hello world"),
                tus.ask("POST", fields={**first_chunk, "Trailer": "Upload-Checksum"}, body=b"hello world"),
                tus.patch(path, 0, b"hello world", checksum),
                tus.patch(path, 0, b"hello world", {"Trailer": "Upload-Checksum"}),
            ]
        offset = tus.offset(path)

    assert [(answer.status, answer.body.partition(b":")[0]) for answer in answers] == [
        (400, b"ERR_UNSUPPORTED_EXTENSION")
    ] * 7
    assert offset == 0


def test_termination_switched_off_is_refused(tmp_path: Path) -> None:
    """tus 1.0.0, Termination: off is 405, and the upload stays (T-103, T-109)."""
    with ServerProcess(tmp_path / "store", "--disable-termination") as server:
        tus = Tus.of(server)
        path = tus.create(5)

        with tus.untouched(path):
            refused = tus.ask("DELETE", path)

    assert refused.status == 405
    assert refused.get("Tus-Resumable") == "1.0.0"
    assert refused.get("Allow") == "OPTIONS, HEAD, PATCH, GET"


def test_downloads_can_be_switched_off(tmp_path: Path) -> None:
    """With --disable-download nothing is served: 405 below the base path, 404 below the public one."""
    with ServerProcess(tmp_path / "store", "--disable-download") as server:
        tus = Tus.of(server)
        path = tus.upload(b"abc")
        name = server.published(path).name
        answers = {target: tus.ask("GET", target) for target in (path, f"/uploads/{name}")}
        finished = tus.head(path)

    assert [answer.status for answer in answers.values()] == [405, 404]
    assert all(b"abc" not in answer.body for answer in answers.values())
    assert finished.status == 200
    assert finished.get("Content-Location") is None
