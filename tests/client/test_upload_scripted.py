"""The uploader and servers that say what cannot be: nothing is done before the server says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.client.scripted import Asked, ScriptedServer, reply
from tests.client.sending import AT_ONCE, failed, send, sent, write
from tests.support.payload import Payload
from tusd_py.client.uploader import Watcher

if TYPE_CHECKING:
    from pathlib import Path

    from tusd_py.client.batch import Job

NO_OPTIONS = reply("404 Not Found")
GONE = reply("404 Not Found", "Tus-Resumable: 1.0.0")
CREATED = reply("201 Created", "Location: /u/1")
SIZE = 10
OFFSET = "204 No Content"


class Script:
    """Answers a creation, and PATCH and HEAD from a list each; the last answer stays."""

    def __init__(
        self,
        *,
        patch: list[bytes],
        head: list[bytes] | None = None,
        options: bytes = NO_OPTIONS,
        post: bytes = CREATED,
    ) -> None:
        self.answers = {"OPTIONS": [options], "POST": [post], "PATCH": patch, "HEAD": head or [NO_OPTIONS]}

    def __call__(self, asked: Asked) -> bytes:
        answers = self.answers[asked.method]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def has(offset: int, *fields: str) -> bytes:
    """An answer that tells an offset."""
    return reply("204 No Content", f"Upload-Offset: {offset}", *fields)


def attempt(script: Script, tmp_path: Path, state: Path | None = None) -> tuple[Job, list[str]]:
    """Upload ten bytes; the job, and the methods the server was asked with."""
    path = write(tmp_path, Payload(size=SIZE, seed=1))
    with ScriptedServer(script) as server:
        [job] = send(server.origin, path, state=state)
        return job, [asked.method for asked in server.asked]


@pytest.mark.parametrize(
    "options",
    [NO_OPTIONS, reply("204 No Content"), reply("200 OK", "Tus-Version: 1.0.0")],
    ids=["refused", "answered by a proxy", "tus"],
)
def test_a_server_that_tells_nothing_of_itself_is_tried(tmp_path: Path, options: bytes) -> None:
    """What OPTIONS says helps, and is not needed: no checksum is sent where none is offered."""
    job, methods = attempt(Script(options=options, patch=[has(10)]), tmp_path)

    assert sent(job).size == 10
    assert methods == ["OPTIONS", "POST", "PATCH"]


def test_a_server_of_another_version_is_refused(tmp_path: Path) -> None:
    """tus 0.2 is another protocol."""
    job, methods = attempt(Script(options=reply("200 OK", "Tus-Version: 0.2.2"), patch=[has(10)]), tmp_path)

    assert failed(job).endswith("speaks tus 0.2.2, but not tus 1.0.0")
    assert methods == ["OPTIONS"]


@pytest.mark.parametrize(
    ("patch", "line"),
    [
        (has(11), "Upload-Offset is 11, where 10 is right"),
        (has(99), "Upload-Offset is 99, where 10 is right"),
        (reply("204 No Content", "Upload-Offset: -1"), "Upload-Offset is '-1', not a number of bytes"),
        (reply("403 Forbidden", body=b"not you"), "was answered 403 Forbidden: not you"),
        (reply("413 Too Large"), "was answered 413 Request Entity Too Large"),
        (reply("301 Moved", "Location: /x"), "301 Moved Permanently, a redirection to /x"),
    ],
)
def test_what_cannot_be_right_ends_the_upload(tmp_path: Path, patch: bytes, line: str) -> None:
    """An offset past what was sent, a refusal, a redirection: nothing is tried again."""
    job, methods = attempt(Script(patch=[patch]), tmp_path)

    assert line in failed(job)
    assert methods == ["OPTIONS", "POST", "PATCH"]


def test_a_refusal_in_the_middle_of_a_chunk_is_heard(tmp_path: Path) -> None:
    """A server that has seen enough answers and hangs up; its words are told, and not its HTML."""
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    path = write(tmp_path, Payload(size=8_000_000, seed=2))
    with ScriptedServer(Script(patch=[refusal]), hasty=True) as server:
        [job] = send(server.origin, path, chunk_size=8_000_000)

        assert [asked.method for asked in server.asked] == ["OPTIONS", "POST", "PATCH"]
    assert failed(job).endswith("was answered 403 Forbidden")


@pytest.mark.parametrize("status", ["409 Conflict", "423 Locked", "429 Slow", "460 Sum", "500 X", "503 X"])
def test_what_may_pass_is_tried_again_from_where_the_server_says(tmp_path: Path, status: str) -> None:
    """409 and 423 as tus-js-client has it, a spoilt chunk, too many requests, and every 5xx: HEAD first."""
    script = Script(patch=[reply(status), has(10)], head=[has(4, "Upload-Length: 10")])
    job, methods = attempt(script, tmp_path)

    assert sent(job).size == 10
    assert methods == ["OPTIONS", "POST", "PATCH", "HEAD", "PATCH"]


def test_the_server_says_how_long_to_wait_at_least(tmp_path: Path) -> None:
    """RFC 9110, Retry-After: 0 of our seconds become 1 of the server's, and the watcher hears of it."""
    waits: list[float] = []
    script = Script(patch=[reply("503 X", "Retry-After: 1"), has(10)], head=[has(0, "Upload-Length: 10")])

    class Listener(Watcher):
        def waits(self, reason: str, seconds: float) -> None:
            waits.append(seconds)

    path = write(tmp_path, Payload(size=SIZE, seed=1))
    with ScriptedServer(script) as server:
        [job] = send(server.origin, path, watch=lambda _: Listener())

    assert sent(job).size == 10
    assert waits == [1]


def test_a_success_without_an_offset_is_none(tmp_path: Path) -> None:
    """204 alone does not say what arrived: HEAD does."""
    script = Script(
        patch=[reply("204 No Content"), has(10)],
        head=[has(0, "Upload-Length: 10"), has(10, "Upload-Length: 10")],
    )
    job, methods = attempt(script, tmp_path)

    assert sent(job).size == 10
    assert methods == ["OPTIONS", "POST", "PATCH", "HEAD", "PATCH"]


def test_a_server_that_never_has_it_all_is_given_up(tmp_path: Path) -> None:
    """Good answers, but the offset stays at 9 of 10: no success is made of that."""
    script = Script(patch=[has(9)], head=[has(9, "Upload-Length: 10")])
    job, methods = attempt(script, tmp_path)

    assert "not all bytes acknowledged" in failed(job)
    assert methods.count("PATCH") == len(AT_ONCE) + 2  # the first brought bytes, and so a row of its own


def test_an_empty_file_is_done_when_the_server_says_so(tmp_path: Path) -> None:
    """No byte has to be sent, and still the answer to the creation is not taken for the end."""
    path = write(tmp_path, Payload(size=0))
    with ScriptedServer(Script(patch=[], head=[GONE])) as server:
        [job] = send(server.origin, path, delays=(0,))

    assert "is gone (404); starting again" in failed(job)


def test_an_upload_that_vanishes_is_begun_anew_a_few_times(tmp_path: Path, state: Path) -> None:
    """A server that forgets every upload is given up when the attempts are."""
    job, methods = attempt(Script(patch=[GONE]), tmp_path, state)

    assert "is gone (404); starting again" in failed(job)
    assert methods.count("POST") == len(AT_ONCE) + 1
    assert list(state.iterdir()) == []


def test_a_proxy_that_has_lost_its_way_does_not_end_an_upload(tmp_path: Path, state: Path) -> None:
    """tus 1.0.0, Tus-Resumable: a 404 without it is not the server's, and nothing is begun anew for it."""
    script = Script(patch=[reply("503 X"), has(10)], head=[NO_OPTIONS, has(4, "Upload-Length: 10")])
    job, methods = attempt(script, tmp_path, state)

    assert sent(job).size == 10
    assert methods == ["OPTIONS", "POST", "PATCH", "HEAD", "HEAD", "PATCH"]


def test_an_upload_that_only_a_proxy_has_lost_is_still_remembered(tmp_path: Path, state: Path) -> None:
    """When the attempts are spent, the next run looks at the same address."""
    job, methods = attempt(Script(patch=[reply("503 X")], head=[NO_OPTIONS]), tmp_path, state)

    assert failed(job).endswith("404 came from something that speaks no tus")
    assert methods.count("POST") == 1
    assert len(list(state.iterdir())) == 1


def test_a_remembered_address_with_another_upload_is_left_alone(tmp_path: Path, state: Path) -> None:
    """The server was set up anew, and the address is somebody else's: not a byte is sent there."""
    refused = Script(patch=[reply("403 Forbidden")])
    path = write(tmp_path, Payload(size=SIZE, seed=1))
    with ScriptedServer(refused) as server:
        [first] = send(server.origin, path, state=state)
        refused.answers |= {
            "HEAD": [has(3, "Upload-Length: 11")],
            "POST": [reply("201 Created", "Location: /u/2")],
            "PATCH": [has(10)],
        }
        [second] = send(server.origin, path, state=state)
        patched = [asked.target for asked in server.asked if asked.method == "PATCH"]

    assert failed(first)
    assert sent(second).resumed_from == 0
    assert patched == ["/u/1", "/u/2"]


@pytest.mark.parametrize(
    ("post", "line"),
    [
        (reply("201 Created"), "the answer has no Location; is this a tus server?"),
        (reply("201 Created", "Location: ftp://x/y"), "Location is 'ftp://x/y', no address"),
        (reply("405 Method Not Allowed"), "was answered 405 Method Not Allowed"),
    ],
)
def test_a_creation_needs_an_address(tmp_path: Path, post: bytes, line: str) -> None:
    """Nothing can be sent to nowhere."""
    job, methods = attempt(Script(post=post, patch=[]), tmp_path)

    assert line in failed(job)
    assert methods == ["OPTIONS", "POST"]


@pytest.mark.parametrize("spoilt", [b"{", b"[]", b'{"url": "x"}', b"\xff"])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, state: Path, spoilt: bytes) -> None:
    """Half a file, other JSON, no text: the upload is begun anew."""
    path = write(tmp_path, Payload(size=SIZE, seed=1))
    script = Script(patch=[reply("403 Forbidden"), has(10)])
    with ScriptedServer(script) as server:
        send(server.origin, path, state=state)
        [note] = state.iterdir()
        note.write_bytes(spoilt)
        [job] = send(server.origin, path, state=state)

        assert [asked.method for asked in server.asked][3:] == ["OPTIONS", "POST", "PATCH"]
    assert sent(job).resumed_from == 0


def test_notes_are_their_owner_s_alone(tmp_path: Path, state: Path) -> None:
    """Whoever knows an upload's address can write to it."""
    attempt(Script(patch=[reply("403 Forbidden")]), tmp_path, state)

    [note] = state.iterdir()
    assert (note.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o600, 0o700)
