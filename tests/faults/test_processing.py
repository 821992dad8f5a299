"""A running server and its processors: killed, stopped, failing; every finished upload is processed."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.faults.processing import Notes
from tests.faults.wire import create, patch, wait_until
from tests.support.payload import Payload, make_bytes, sha256
from tests.support.server import ServerProcess, upload_id
from tusd_py.stores.records import latest

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "tests.faults.processing:digest"


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    (tmp_path / "notes").mkdir()
    return Notes(tmp_path / "notes")


def served(tmp_path: Path, notes: Notes, *flags: str) -> ServerProcess:
    """A server whose failed attempts are repeated almost at once."""
    fixed = ("--processor-retry", "1ms", "--processor-retry-max", "10ms")
    return ServerProcess(tmp_path / "storage", *fixed, *flags, environment=notes.environment)


def upload(server: ServerProcess, data: bytes) -> str:
    """The id of a finished upload."""
    url = create(server.url, len(data))
    assert patch(url, 0, data).status == 204
    return upload_id(url)


def pending(server: ServerProcess) -> list[dict[str, object]]:
    """All deliveries on record."""
    records = [json.loads(latest(path.read_bytes())) for path in server.upload_dir.glob("incoming/*.json")]
    return [delivery for record in records for delivery in record.get("deliveries", [])]


def test_a_finished_upload_is_processed(tmp_path: Path, notes: Notes) -> None:
    """By a coroutine function and by one that blocks: the very bytes; and then nothing is pending."""
    payload = Payload(size=1_000_000, seed=41)
    notes.open_gate()
    flags = ("--processor", DIGEST, "--processor", "tests.faults.processing:blocking")

    with served(tmp_path, notes, *flags) as server:
        finished = upload(server, payload.data)
        wait_until(lambda: len(notes.done()) == 2)
        wait_until(lambda: not pending(server))

    assert notes.done() == [(finished, payload.sha256)] * 2


def test_a_kill_between_the_end_and_the_processing_loses_nothing(tmp_path: Path, notes: Notes) -> None:
    """The client was told that its upload is complete; the processor had not heard of it."""
    data = [make_bytes(300_000, seed=seed) for seed in (42, 43)]

    with served(tmp_path, notes, "--processor", DIGEST, "--processor-concurrency", "1") as server:
        first = upload(server, data[0])
        wait_until(lambda: notes.begun() == [first])
        second = upload(server, data[1])
        server.kill9()
        begun = notes.begun()
        notes.open_gate()
        server.start()
        digests = notes.wait_until_done(first, second)

    assert begun == [first]
    assert digests == {first: {sha256(data[0])}, second: {sha256(data[1])}}


def test_a_kill_within_the_processing_repeats_it(tmp_path: Path, notes: Notes) -> None:
    """At least once: what did not get to its end is called again, with every byte, and is then done."""
    payload = Payload(size=300_000, seed=44)

    with served(tmp_path, notes, "--processor", DIGEST) as server:
        finished = upload(server, payload.data)
        for kills in (1, 2):
            wait_until(lambda kills=kills: len(notes.begun()) == kills)  # type: ignore[misc]
            server.kill9()
            server.start()
        notes.open_gate()
        digests = notes.wait_until_done(finished)
        wait_until(lambda: not pending(server))

    assert notes.begun() == [finished] * 3
    assert digests == {finished: {payload.sha256}}


def test_kills_at_any_moment_lose_nothing(tmp_path: Path, notes: Notes) -> None:
    """Uploads and kills, again and again: all that were finished are processed, each with its own bytes."""
    source, sent = random.Random(45), dict[str, str]()
    notes.open_gate()

    with served(tmp_path, notes, "--processor", DIGEST) as server:
        for number in range(4):
            for _ in range(source.randrange(1, 6)):
                data = make_bytes(source.choice((0, 10, 70_000, 400_000)), seed=source.randrange(10**6))
                sent[upload(server, data) if data else upload_id(create(server.url, 0))] = sha256(data)
            wait_until(lambda least=number: len({*notes.begun()}) >= least)  # type: ignore[misc]
            server.kill9()
            server.start()
        digests = notes.wait_until_done(*sent)
        wait_until(lambda: not pending(server))

    assert digests == {finished: {digest} for finished, digest in sent.items()}
    assert max(Counter(notes.begun()).values()) <= 5


def test_a_stop_gives_the_running_ones_time_and_calls_them_again(tmp_path: Path, notes: Notes) -> None:
    """SIGTERM: it ends in time, with 0, and the attempt that was cut short is no failed one."""
    payload = Payload(size=5_000, seed=46)

    with served(tmp_path, notes, "--processor", DIGEST, "--shutdown-timeout", "2s") as server:
        finished = upload(server, payload.data)
        wait_until(lambda: len(notes.begun()) == 1)
        code = server.terminate()
        left = pending(server)
        notes.open_gate()
        server.start()
        digests = notes.wait_until_done(finished)

    assert code == 0
    assert left == [{"name": DIGEST, "attempts": 0, "due_at": None}]
    assert digests == {finished: {payload.sha256}}


def test_a_failed_attempt_is_in_the_log(tmp_path: Path, notes: Notes) -> None:
    """Upload, processor, number of the attempt, the time of the next, and what went wrong."""
    payload = Payload(size=5_000, seed=47)
    notes.open_gate()

    with served(tmp_path, notes, "--processor", "tests.faults.processing:flaky") as server:
        finished = upload(server, payload.data)
        notes.wait_until_done(finished)
        wait_until(lambda: "upload delivered" in server.log)

    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    failed = [line for line in lines if line["event"] == "upload not delivered, will be tried again"]
    assert [(line["upload"], line["to"], line["attempt"]) for line in failed] == [
        (finished, "tests.faults.processing:flaky", attempt) for attempt in (1, 2)
    ]
    assert all(line["next_try"] and "the model is not there" in str(line["exception"]) for line in failed)
    assert [line["attempt"] for line in lines if line["event"] == "upload delivered"] == [3]


def test_a_renamed_processor_is_told_and_can_be_given_up(tmp_path: Path, notes: Notes) -> None:
    """What is pending for a name out of use stays on record until the operator gives it up by name."""
    with served(tmp_path, notes, "--processor", DIGEST) as server:
        upload(server, b"abc")
        wait_until(lambda: len(notes.begun()) == 1)
        server.kill9()
        server.flags = [flag for flag in server.flags if flag not in {"--processor", DIGEST}]
        server.start()
        wait_until(lambda: "no processor of this name" in server.log)
        kept = pending(server)
        server.kill9()
        server.flags = [*server.flags, "--processor-abandon", DIGEST]
        server.start()
        wait_until(lambda: "given up" in server.log)
        left = pending(server)

    assert [delivery["name"] for delivery in kept] == [DIGEST]
    assert left == []
