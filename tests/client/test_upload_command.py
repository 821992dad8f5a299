"""`tusd-py upload` as it is typed: what it prints, how it ends, and that the next run goes on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.client.commands import command_line, environment, feed, run
from tests.client.scripted import ScriptedServer, reply
from tests.client.sending import CHUNK, check_arrived, methods, offsets, write
from tests.support.faults import lose_response, refuse, reset_after, silence_after
from tests.support.payload import Payload, cut_points
from tests.support.server import ServerProcess, head

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.proxy import FaultProxy

SMALL = ("--chunk-size", str(CHUNK), "--retry-delays", "0,0,0,0")
SIZE = 5 * CHUNK + 7


def test_each_file_that_has_arrived_is_a_line(server: ServerProcess, tmp_path: Path, state: Path) -> None:
    """Name, tab, address of the file; nothing else, and exit code 0."""
    payloads = [Payload(size=size, seed=size) for size in (0, 1000, SIZE)]
    paths = [str(write(tmp_path, payload, f"{payload.size}.txt")) for payload in payloads]
    ended = run(state, "upload", *paths, "--to", server.url, "--verify")

    lines = [line.split("\t") for line in ended.out.splitlines()]
    assert (ended.code, ended.err, [path for path, _ in lines]) == (0, "", paths)
    for (_, location), payload in zip(lines, payloads, strict=True):
        upload = location.rpartition("/")[2].removesuffix(".txt")
        assert location == server.public_url(upload)
        check_arrived(server, f"{server.url}{upload}", payload)


def test_json_has_the_facts(server: ServerProcess, tmp_path: Path, state: Path) -> None:
    """One object for each file, in the order they were named."""
    payload = Payload(size=SIZE, seed=50)
    path = str(write(tmp_path, payload))
    ended = run(state, "upload", path, "--to", server.url, "--json", "--verify", "--metadata", "a=b=c")

    [told] = ended.json
    assert told == {
        "file": path,
        "state": "uploaded",
        "url": told["url"],
        "location": server.public_url(told["url"]),
        "offset": SIZE,
        "length": SIZE,
        "resumed_from": 0,
        "sha256": payload.sha256,
        "problem": None,
    }
    assert "a Yj1j" in head(told["url"]).headers["upload-metadata"].split(",")


def test_a_failure_says_what_is_there_and_the_next_run_goes_on(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """Exit code 1, the reason, what has arrived and where; the same command again finishes it."""
    payload = Payload(size=SIZE, seed=51)
    words = ["upload", str(write(tmp_path, payload)), "--to", endpoint, *SMALL]
    proxy.script(refuse("PATCH", nth=3), *(refuse("PATCH") for _ in range(4)))
    first = run(state, *words)
    second = run(state, *words, "--json")

    reasons = first.err.splitlines()
    assert (first.code, first.out, len(reasons)) == (1, "", 6)
    assert reasons[0].endswith("the connection broke off; again in 0 s")
    assert "195 KiB of 488 KiB are at http://" in reasons[-1]
    assert reasons[-1].endswith("; the same command goes on from there")
    [told] = second.json
    assert (second.code, told["resumed_from"]) == (0, 2 * CHUNK)
    assert methods(proxy).count("POST") == 1
    check_arrived(server, told["url"], payload)


def start(state: Path, *words: str) -> subprocess.Popen[bytes]:
    """The command, running. It heeds Ctrl-C, also where the tests run in the background and do not."""
    heeding = ["env", "--default-signal=INT", *command_line(*words)]
    return subprocess.Popen(heeding, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(state))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_is_gone_on_with(
    *,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    tmp_path: Path,
    state: Path,
    ending: signal.Signals,
) -> None:
    """Ctrl-C says what is kept and how to go on; and however the process ends, the next one does."""
    payload = Payload(size=SIZE, seed=52)
    words = ["upload", str(write(tmp_path, payload)), "--to", endpoint, *SMALL]
    proxy.script(silence_after(10, nth=4))
    process = start(state, *words)
    proxy.wait(lambda it: bool(it.fired))
    process.send_signal(ending)
    out, err = process.communicate(timeout=30)
    proxy.cut()
    ended = run(state, *words, "--json")

    assert out == b""
    if ending == signal.SIGINT:
        lines = err.decode().splitlines()
        assert (process.returncode, len(lines)) == (130, 2)
        assert lines[0].endswith(": interrupted")
        assert lines[1].endswith("; the same command goes on from there")
    [told] = ended.json
    assert (ended.code, told["resumed_from"]) == (0, 3 * CHUNK)
    assert methods(proxy).count("POST") == 1
    check_arrived(server, told["url"], payload)


def test_no_resume_remembers_nothing(proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path) -> None:
    """--no-resume: every run begins anew, and what failed is not promised to go on."""
    words = ["upload", str(write(tmp_path, Payload(size=SIZE, seed=53))), "--to", endpoint, *SMALL]
    words += ["--no-resume", "--json"]
    proxy.script(refuse("PATCH"), *(refuse("PATCH") for _ in range(4)))
    first = run(state, *words)
    second = run(state, *words)

    assert (first.code, second.code) == (1, 0)
    assert second.json[0]["url"] != first.json[0]["url"]
    assert "goes on" not in first.err
    assert not state.exists()


@pytest.mark.parametrize("size", [0, 1, 3 * CHUNK, SIZE])
def test_standard_input_of_unknown_length_arrives_through_a_breaking_network(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, state: Path, size: int
) -> None:
    """tus 1.0.0, Creation: the length is deferred, and told with the first chunk after the end is seen."""
    payload = Payload(size=size, seed=54)
    cuts = cut_points(60_000, 3, size)
    proxy.script(*(reset_after(cut) for cut in cuts), lose_response("PATCH", nth=2))
    words = ["upload", "-", "--to", endpoint, *SMALL, "--json", "--verify", "--metadata", "filename=x.tar"]
    ended = feed(payload.data, state, *words)

    [told] = ended.json
    creation = next(it for it in proxy.requests if it.method == "POST")
    assert (ended.code, told["file"], told["sha256"]) == (0, "-", payload.sha256)
    assert creation.headers["upload-defer-length"] == "1"
    assert told["location"].endswith(".tar")
    check_arrived(server, told["url"], payload)


def test_standard_input_may_be_a_file(server: ServerProcess, tmp_path: Path, state: Path) -> None:
    """`tusd-py upload - < file`: read like a stream."""
    payload = Payload(size=SIZE, seed=55)
    with write(tmp_path, payload).open("rb") as file:
        done = subprocess.run(
            command_line("upload", "-", "--to", server.url, *SMALL, "--no-checksum"),
            stdin=file, capture_output=True, env=environment(state), timeout=60,
        )  # fmt: skip

    upload = done.stdout.decode().strip().rpartition("/")[2]
    assert (done.returncode, done.stderr) == (0, b"")
    check_arrived(server, f"{server.url}{upload}", payload)


def test_a_stream_cannot_be_read_twice(state: Path) -> None:
    """A server that loses acknowledged bytes loses the upload: they are not made up."""
    answers = iter(
        [
            reply("204 No Content", f"Upload-Offset: {CHUNK}"),
            reply("500 Internal Server Error"),
            reply("200 OK", "Upload-Offset: 5", "Upload-Defer-Length: 1"),
        ]
    )

    def answer(asked: object) -> bytes:
        method = getattr(asked, "method", "")
        if method == "OPTIONS":
            return reply(
                "204 No Content", "Tus-Version: 1.0.0", "Tus-Extension: creation,creation-defer-length"
            )
        return reply("201 Created", "Location: /u/1") if method == "POST" else next(answers)

    with ScriptedServer(answer) as server:
        ended = feed(b"x" * SIZE, state, "upload", "-", "--to", server.origin, *SMALL)

    assert ended.code == 1
    assert (
        "the server needs standard input again from byte 5 on; only the bytes from 100000 on" in ended.err
    )
    assert "goes on from there" not in ended.err


def test_a_server_without_deferred_lengths_takes_no_standard_input(state: Path) -> None:
    """tus 1.0.0, creation-defer-length: asked for before anything is sent."""
    options = reply("204 No Content", "Tus-Version: 1.0.0", "Tus-Extension: creation")
    with ScriptedServer(lambda _: options) as server:
        ended = feed(b"x", state, "upload", "-", "--to", server.origin)

        assert [asked.method for asked in server.asked] == ["OPTIONS"]
    assert ended.code == 1
    assert "takes nothing whose length is not known beforehand" in ended.err


def test_headers_and_errors_of_an_authenticating_server(tmp_path: Path, state: Path) -> None:
    """--header goes along with every request; a 401 is one line, and nothing is tried again."""
    with ScriptedServer(lambda _: reply("401 Unauthorized", body=b"who are you?")) as server:
        ended = run(
            state, "upload", str(write(tmp_path, Payload(size=5))), "--to", server.origin,
            "--header", "Authorization: Bearer x",
        )  # fmt: skip

        assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer x", "Bearer x"]
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
    assert ended.err.strip().endswith("was answered 401 Unauthorized: who are you?")


def test_a_terminal_shows_bars(server: ServerProcess, tmp_path: Path, state: Path) -> None:
    """On a terminal each file has a bar; the addresses still come on stdout."""
    path = str(write(tmp_path, Payload(size=SIZE, seed=56), "[bold]x.bin"))
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        command_line("upload", path, "--to", server.url, *SMALL),
        stdout=subprocess.PIPE, stderr=theirs, env=environment(state) | {"TERM": "xterm", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)

    assert (process.returncode, out.decode().count("\n")) == (0, 1)
    assert "[bold]x.bin" in shown
    assert "488.3/488.3 KiB" in shown


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "no file is named: tusd-py upload FILE..."),
        (["{folder}/none"], "'{folder}/none' cannot be read: No such file or directory"),
        (["{folder}"], "'{folder}' is no file; `-` is standard input"),
        (["{file}", "{folder}/./x"], "'{file}' is named twice"),
        (["{file}", "--to", "nowhere"], "'nowhere' is not an address such as"),
        (["{file}", "--jobs", "0"], "--jobs: '0' is not a whole number from 1 to 64"),
        (["{file}", "--chunk-size", "1TiB"], "--chunk-size: '1TiB' is not a size from 1 to 256MiB"),
        (["{file}", "--chunk-size", "0"], "--chunk-size: '0' is not a size from 1 to 256MiB"),
        (["{file}", "--retry-delays", "0,x"], "--retry-delays: '0,x' is not a list such as"),
        (["{file}", "--metadata", "a b=c"], "--metadata: 'a b=c' is not metadata such as author=Ada"),
    ],
)
def test_a_wrong_command_line_sends_nothing(
    tmp_path: Path, state: Path, words: list[str], line: str
) -> None:
    """One line and exit code 2, before anybody is asked."""
    folder, file = str(tmp_path), str(write(tmp_path, Payload(size=1), "x"))
    ended = run(state, "upload", *(word.format(folder=folder, file=file) for word in words))

    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1)
    assert line.format(folder=folder, file=file) in ended.err


def test_the_last_chunk_s_offset_is_the_length(
    proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """--chunk-size with a unit: no byte is sent twice, and none is left out."""
    path = str(write(tmp_path, Payload(size=SIZE, seed=57)))
    ended = run(state, "upload", path, "--to", endpoint, "--chunk-size", "128KiB")

    assert ended.code == 0
    assert offsets(proxy) == [0, 131072, 262144, 393216]
