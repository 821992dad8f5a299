"""The page's modules that touch nothing, in Node: numbers, failures, speed, a recording's bytes."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest

from tests.interop.clients import find_program
from tusd_py.protocol.answers import ANSWERS, INTERRUPTIONS
from tusd_py.web.page import FOLDER

KIB = 1024


def run(module: str, script: str, **given: Any) -> Any:
    """What `script` returns, with the names that the module exports and those that are given."""
    code = base64.b64encode((FOLDER / module).read_bytes()).decode()
    source = f"""
        import * as module from "data:text/javascript;base64,{code}"
        const given = {json.dumps(given)}
        const scope = {{ ...module, ...given }}
        const work = new Function(...Object.keys(scope), `return (async () => {{ {script} }})()`)
        console.log(JSON.stringify(await work(...Object.values(scope))))
    """
    command = [find_program("node"), "--input-type=module", "--no-warnings", "--eval", source]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_sizes_have_as_many_digits_as_tell_something() -> None:
    """Units of 1024; whole numbers stay whole."""
    sizes = [0, 1, 1023, KIB, 1536, 102_400, 1_048_575, KIB**2 * 50, KIB**3 * 2 + 300 * KIB**2, KIB**5]

    assert run("words.js", "return sizes.map(formatSize)", sizes=sizes) == [
        "0 bytes",
        "1 byte",
        "1023 bytes",
        "1 KB",
        "1.5 KB",
        "100 KB",
        "1024 KB",
        "50 MB",
        "2.3 GB",
        "1024 TB",
    ]


def test_times_are_as_exact_as_they_can_be_known() -> None:
    """Seconds up to a minute, then minutes, hours, days."""
    left, clocks = [0.2, 1, 59.5, 90, 3600, 86_400, 604_800], [0, 59.9, 60, 3599, 3661]

    assert run("words.js", "return left.map(formatLeft)", left=left) == [
        "a moment left",
        "1 s left",
        "60 s left",
        "2 min left",
        "1 h left",
        "24 h left",
        "7 days left",
    ]
    assert run("words.js", "return clocks.map(formatClock)", clocks=clocks) == [
        "0:00",
        "0:59",
        "1:00",
        "59:59",
        "1:01:01",
    ]


def test_every_refusal_of_the_server_is_explained_to_people() -> None:
    """A sentence each; a bare code only for what a page that works cannot cause."""
    answers = {(it.status, it.code) for it in (*ANSWERS.values(), *INTERRUPTIONS.values())}
    asked = [{"method": "POST", "status": status, "code": code} for status, code in sorted(answers)]
    said = run("words.js", "return asked.map((it) => explain(new Failure(it)))", asked=asked)

    own = {"ERR_MAX_SIZE_EXCEEDED", "ERR_UPLOAD_REJECTED", "ERR_UPLOAD_STOPPED", "ERR_INSUFFICIENT_STORAGE"}
    coded = {it["code"] for it, text in zip(asked, said, strict=True) if "ERR_" in text}
    assert all(text.endswith((".", "?")) for text in said)
    assert own.isdisjoint(coded)


@pytest.mark.parametrize(
    ("method", "status", "passing"),
    [
        ("POST", 0, True),
        ("PATCH", 500, True),
        ("HEAD", 423, True),
        ("PATCH", 409, True),
        ("POST", 429, True),
        ("POST", 507, True),
        ("PATCH", 404, True),
        ("PATCH", 410, True),
        ("POST", 404, False),
        ("POST", 413, False),
        ("HEAD", 403, False),
        ("POST", 200, False),
    ],
)
def test_what_may_pass_is_tried_again(method: str, status: int, *, passing: bool) -> None:
    """A fault of network or server is; a refusal is not. A HEAD sorts out a PATCH that found nothing."""
    failure = {"method": method, "status": status, "code": ""}

    assert run("words.js", "return new Failure(failure).isPassing", failure=failure) is passing


def test_speed_is_that_of_the_last_seconds() -> None:
    """It follows a change, is 0 while nothing is known, and begins anew when bytes are sent again."""
    script = """
        const pace = new Pace()
        const seen = [pace.rate(0)]
        for (let s = 0; s <= 10; s += 1) pace.note(s * 1000, s * 1000)
        seen.push(pace.rate(10_000))
        for (let s = 11; s <= 20; s += 1) pace.note(10_000 + (s - 10) * 5000, s * 1000)
        seen.push(pace.rate(20_000))
        seen.push(pace.rate(25_000))
        pace.note(100, 26_000)
        seen.push(pace.rate(26_000))
        return seen
    """
    nothing, first, second, stalled, again = run("pace.js", script)

    assert (nothing, first, second, again) == (0, 1000, 5000, 0)
    assert stalled == 2500


def test_a_recording_can_be_read_from_any_byte_on() -> None:
    """Whatever the pieces are, a slice has the bytes of all of them in order."""
    script = """
        const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251)
        const pieces = new Pieces()
        for (let at = 0, size = 1; at < 1000; at += size, size = (size * 3) % 97 + 1) {
          pieces.append(new Blob([bytes.slice(at, at + size)]))
        }
        let wrong = 0
        for (let start = 0; start <= 1000; start += 13) {
          for (const stop of [start, start + 1, start + 100, 1000]) {
            const got = new Uint8Array(await pieces.slice(start, stop).arrayBuffer())
            const wanted = bytes.slice(start, stop)
            if (got.length !== wanted.length || got.some((it, i) => it !== wanted[i])) wrong += 1
          }
        }
        return { wrong, size: pieces.size }
    """

    assert run("pieces.js", script) == {"wrong": 0, "size": 1000}


def test_a_source_waits_for_bytes_and_ends_with_the_recording() -> None:
    """tus 1.0.0, Creation: the length comes with the last bytes, or alone when they are there already."""
    script = """
        const pieces = new Pieces()
        const source = new PieceSource(pieces, new AbortController().signal)
        const early = source.slice(0, 100)
        const waited = source.isWaiting
        pieces.append(new Blob(['abc']))
        const first = await early
        const limited = await source.slice(0, 2)
        const late = source.slice(3, 100)
        pieces.end()
        const end = await late
        const rest = await source.slice(1, 100)
        const beyond = await source.slice(7, 100)
        const tell = async ({ value, done }) => [value && (await value.text()), done]
        return [waited, ...(await Promise.all([first, limited, end, rest, beyond].map(tell)))]
    """

    assert run("pieces.js", script) == [
        True,
        ["abc", False],
        ["ab", False],
        [None, True],
        ["bc", True],
        [None, True],
    ]


def test_a_source_that_was_left_gives_nothing_any_more() -> None:
    """After a pause an old request must not send what has come since."""
    script = """
        const pieces = new Pieces()
        const left = new AbortController()
        let answered = false
        new PieceSource(pieces, left.signal).slice(0, 9).then(() => { answered = true })
        left.abort()
        pieces.append(new Blob(['abc']))
        await new Promise((resolve) => setTimeout(resolve, 0))
        return answered
    """

    assert run("pieces.js", script) is False
