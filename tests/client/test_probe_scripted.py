"""`tusd-py probe` and other servers: those of the IETF draft, those that are wrong, those that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.client.commands import run
from tests.client.scripted import Asked, ScriptedServer, reply
from tusd_py.client.drafts import DRAFTS

if TYPE_CHECKING:
    from pathlib import Path

ABILITIES = ("Tus-Resumable: 1.0.0", "Tus-Version: 1.0.0", "Tus-Extension: creation")
LIMITS = "Upload-Limit: max-size=1000, max-age=60;x=1"
NOT_HERE = reply("404 Not Found")


def first_line(out: str) -> str:
    """What a monitor shows."""
    return out.splitlines()[0]


class DraftServer:
    """Speaks some interop versions, by a 104, or, where it `echoes`, in the final answer alone."""

    def __init__(self, *versions: str, echoes: bool = False, removes: bool = True) -> None:
        self.versions = versions
        self.echoes = echoes
        self.removes = removes
        self.uploads: list[str] = []

    def __call__(self, asked: Asked) -> bytes:
        if asked.method == "OPTIONS":
            return reply("204 No Content", LIMITS)
        version = asked.headers.get("upload-draft-interop-version", "")
        if asked.method == "DELETE" and self.removes:
            self.uploads.remove(asked.target)
            return reply("204 No Content")
        if asked.method != "POST":
            return NOT_HERE
        if version not in self.versions:
            return reply("412 Precondition Failed")
        location = f"Location: /u/{version}"
        self.uploads.append(f"/u/{version}")
        spoken = f"Upload-Draft-Interop-Version: {version}"
        if self.echoes:
            return reply("201 Created", location, spoken)
        interim = f"HTTP/1.1 104 Upload Resumption Supported\r\n{spoken}\r\n{location}\r\n\r\n"
        return interim.encode() + reply("201 Created", location)


def test_a_server_of_the_draft_is_known_by_its_limits(state: Path) -> None:
    """draft-ietf-httpbis-resumable-upload: OPTIONS has Upload-Limit; without tus 1.0.0 it is a warning."""
    with ScriptedServer(DraftServer("8")) as server:
        ended = run(state, "probe", server.origin, "--json")

    assert ended.code == 1
    assert ended.json["server"]["versions"] == []
    assert ended.json["server"]["ietf_draft"] == {
        "signs": ["Upload-Limit (max-size, max-age)"],
        "interop_versions": None,
    }


@pytest.mark.parametrize("echoes", [False, True], ids=["104", "final answer"])
def test_the_versions_of_the_draft_are_asked_for_and_cleared_away(state: Path, echoes: bool) -> None:
    """Only an answer with the version asked for counts (R-090); each upload is removed again."""
    speaker = DraftServer("6", "8", echoes=echoes)
    with ScriptedServer(speaker) as server:
        ended = run(state, "probe", server.origin, "--drafts", "--json")
        posts = [asked for asked in server.asked if asked.method == "POST"]

    assert ended.json["server"]["ietf_draft"]["interop_versions"] == [8, 6]
    assert [int(asked.headers["upload-draft-interop-version"]) for asked in posts] == list(DRAFTS)
    assert [asked.headers.get("upload-incomplete") for asked in posts[-2:]] == [None, "?1"]
    assert (ended.json["left_behind"], speaker.uploads) == ([], [])


def test_uploads_of_the_draft_that_stay_are_named(state: Path) -> None:
    """Where DELETE does not work, every address is told."""
    with ScriptedServer(DraftServer("6", "8", removes=False)) as server:
        ended = run(state, "probe", server.origin, "--drafts")

        assert f"  left behind  {server.origin}/u/8, {server.origin}/u/6\n" in ended.out


def test_a_server_that_speaks_no_draft_is_asked_and_says_no(state: Path) -> None:
    """A tus server answers 412 to each version: none is spoken."""
    with ScriptedServer(
        lambda asked: reply("200 OK", *ABILITIES) if asked.method == "OPTIONS" else NOT_HERE
    ) as server:
        ended = run(state, "probe", server.origin, "--drafts")

    assert (ended.code, "  IETF draft   not spoken\n" in ended.out) == (0, True)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (reply("200 OK", body=b"hello"), "speaks no tus 1.0.0"),
        (reply("204 No Content", "Tus-Version: 0.2.2"), "speaks tus 0.2.2, but not tus 1.0.0"),
        (reply("403 Forbidden", body=b"go\x1b[2J away\nat once"), "403 Forbidden: go?[2J away"),
        (reply("301 Moved", "Location: https://x/"), "301 Moved Permanently, a redirection to https://x/"),
        (reply("204 No Content", *ABILITIES, "Tus-Max-Size: many"), "Tus-Max-Size is 'many', not a number"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what answers there does not speak HTTP"),
    ],
    ids=["any server", "old", "refused", "moved", "nonsense", "no HTTP"],
)
def test_what_is_no_tus_server_is_told_in_one_line(state: Path, options: bytes, line: str) -> None:
    """Critical, and what it is instead; nothing a server says can move the cursor."""
    with ScriptedServer(lambda asked: options if asked.method == "OPTIONS" else NOT_HERE) as server:
        ended = run(state, "probe", server.origin)

    assert (ended.code, ended.err, len(ended.out.splitlines())) == (2, "", 1)
    assert line in ended.out


def liar(patched: str, seen: str) -> ScriptedServer:
    """A server that says `patched` and `seen` for the offset, whatever has come."""

    def answer(asked: Asked) -> bytes:
        match asked.method, asked.target:
            case "OPTIONS", _:
                return reply("204 No Content", *ABILITIES)
            case "POST", _:
                return reply("201 Created", "Location: /u/1")
            case "PATCH", _:
                return reply("204 No Content", f"Upload-Offset: {patched}")
            case "HEAD", "/u/1":
                return reply("200 OK", f"Upload-Offset: {seen}", "Upload-Length: 65536")
        return NOT_HERE

    return ScriptedServer(answer)


@pytest.mark.parametrize(
    ("patched", "seen", "line"),
    [
        ("1", "1", "send: PATCH {url}: Upload-Offset is 1, where 32768 is right"),
        ("32768", "65536", "offset: HEAD {url}: Upload-Offset is 65536, where 32768 is right"),
        ("32768", "0", "offset: HEAD {url}: Upload-Offset is 0, where 32768 is right"),
        ("-1", "0", "send: PATCH {url}: Upload-Offset is '-1', not a number of bytes"),
    ],
)
def test_a_server_that_counts_wrongly_is_found_out(state: Path, patched: str, seen: str, line: str) -> None:
    """An offset other than what was sent is critical, and so is a HEAD that disagrees with it."""
    with liar(patched, seen) as server:
        ended = run(state, "probe", server.origin, "--write")
        url = f"{server.origin}/u/1"

    assert (ended.code, first_line(ended.out)) == (2, f"TUS CRITICAL: {line.format(url=url)}")
    assert f"  left behind  {url}\n" in ended.out


def test_a_file_that_is_served_with_other_bytes_is_found_out(state: Path) -> None:
    """Content-Location leads to bytes that are not those sent."""
    offsets = iter(["32768", "65536"])

    def answer(asked: Asked) -> bytes:
        match asked.method, asked.target:
            case "OPTIONS", _:
                return reply("204 No Content", *ABILITIES)
            case "POST", _:
                return reply("201 Created", "Location: /u/1")
            case "PATCH", _:
                sent = int(asked.headers["upload-offset"]) + len(asked.body)
                return reply("204 No Content", f"Upload-Offset: {sent}")
            case "HEAD", "/u/1":
                said = f"Upload-Offset: {next(offsets)}"
                return reply("200 OK", said, "Upload-Length: 65536", "Content-Location: /file")
            case "GET", "/file":
                return reply("200 OK", body=b"\0" * 65536)
        return NOT_HERE

    with ScriptedServer(answer) as server:
        ended = run(state, "probe", server.origin, "--write")

    assert ended.code == 2
    assert "gave 65536 bytes that are not the ones sent" in first_line(ended.out)


def test_last_modified_dates_an_upload(state: Path) -> None:
    """RFC 9110, 8.8.2: where a server sends it, the age needs no further knowledge."""
    fields = ["Upload-Offset: 1", "Upload-Length: 4", "Date: Thu, 26 Nov 2026 10:00:00 GMT"]
    fields.append("Last-Modified: Thu, 26 Nov 2026 08:58:59 GMT")
    with ScriptedServer(lambda _: reply("200 OK", *fields)) as server:
        ended = run(state, "probe", f"{server.origin}/u/1", "--max-age", "1h", "--json")

    upload = ended.json["upload"]
    assert (ended.code, upload["age_seconds"], upload["age_from"]) == (1, 3661, "Last-Modified")


@pytest.mark.parametrize(
    ("fields", "code", "line"),
    [
        (["Upload-Offset: 5", "Upload-Length: 4"], 2, "has 5 of 4 bytes (125.0 %): more than there is"),
        (["Upload-Offset: 5", "Upload-Defer-Length: 1"], 0, "has 5 of an open end"),
        (["Upload-Offset: x"], 2, "Upload-Offset is 'x', not a number of bytes"),
        (["Upload-Offset: 0", "Upload-Expires: soon"], 2, "Upload-Expires is 'soon', not a date"),
        (
            ["Upload-Offset: 0", "Upload-Metadata: a *"],
            2,
            "Upload-Metadata: the value of 'a' is not Base64",
        ),
    ],
)
def test_an_upload_is_taken_at_its_word(state: Path, fields: list[str], code: int, line: str) -> None:
    """What cannot be is critical; an open length is not."""
    with ScriptedServer(lambda _: reply("200 OK", *fields)) as server:
        ended = run(state, "probe", f"{server.origin}/u/1")

    assert ended.code == code
    assert line in first_line(ended.out)


def test_an_upload_that_is_busy_is_a_warning(state: Path) -> None:
    """423: somebody is sending, and the server does not say how far that is."""
    with ScriptedServer(lambda _: reply("423 Locked", "Retry-After: 1")) as server:
        ended = run(state, "probe", f"{server.origin}/u/1")

    assert (ended.code, first_line(ended.out)[:12]) == (1, "TUS WARNING:")


def test_given_headers_go_to_the_origin_of_the_address_alone(state: Path) -> None:
    """A Location on another host does not get the secret."""
    with ScriptedServer(lambda _: NOT_HERE) as stranger:
        location = f"Location: {stranger.origin}/u/1"

        def answer(asked: Asked) -> bytes:
            if asked.method == "OPTIONS":
                return reply("204 No Content", *ABILITIES)
            return reply("201 Created", location) if asked.method == "POST" else NOT_HERE

        with ScriptedServer(answer) as server:
            run(state, "probe", server.origin, "--write", "--header", "X-Secret: 1")

            assert [asked.headers.get("x-secret") for asked in server.asked] == ["1", "1", "1"]
        assert [asked.headers.get("x-secret") for asked in stranger.asked] == [None]
