"""tus 1.0.0, Expiration: an unfinished upload lives for a time that is told; then it is gone for good."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.server import ServerProcess
from tests.wire.raw import Response
from tests.wire.sums import checksum
from tests.wire.tus import CHUNK_TYPE, Tus, path_of
from tests.wire.waiting import arriving, wait_for_bytes, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PARTIAL = {"Upload-Concat": "partial"}


def moment(answer: Response, field: str) -> datetime:
    """The time in a field that has to be there, in the format of RFC 9110, 5.6.7."""
    text = answer.get(field)
    assert text is not None, answer
    assert IMF_FIXDATE.fullmatch(text), text
    return parsedate_to_datetime(text)


def expires(answer: Response) -> datetime:
    """Upload-Expires."""
    return moment(answer, "Upload-Expires")


def lives(answer: Response) -> timedelta:
    """From the answer to the end, to the second."""
    return expires(answer) - moment(answer, "Date")


def is_about(span: timedelta, expected: timedelta) -> bool:
    """Both ends are cut to seconds, and an answer is a moment younger than its upload."""
    return abs(span - expected) <= timedelta(seconds=3)


def wait_until_expired(tus: Tus, path: str) -> Response:
    """The first HEAD that is refused."""
    answers: list[Response] = []

    def is_refused() -> bool:
        answers.append(tus.head(path))
        return answers[-1].status != 200

    wait_until(is_refused, f"{path} does not expire")
    return answers[-1]


def wait_until_removed(tus: Tus, path: str) -> None:
    """The bytes of an unfinished upload or a partial are gone from the disk."""
    wait_until(lambda: not arriving(tus, path).exists(), f"the bytes of {path} are not removed")


def wait_for_the_clock(tus: Tus, path: str, answer: Response) -> None:
    """The server's clock, which tells seconds, is two of them past `answer`."""
    end = moment(answer, "Date") + timedelta(seconds=1)
    wait_until(lambda: moment(tus.head(path), "Date") > end, "the clock stands still")


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tus]:
    """A client of a server that gives uploads an hour after their last bytes."""
    folder = tmp_path_factory.mktemp("sliding") / "store"
    with ServerProcess(folder, "--expire-after", "1h", "--max-size", "100") as server:
        yield Tus.of(server)


@pytest.fixture(scope="module")
def absolute(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tus]:
    """The same, an hour after the creation, and a day after the end."""
    folder = tmp_path_factory.mktemp("absolute") / "store"
    flags = ("--expire-after", "1h", "--expiration", "absolute", "--finished-retention", "1d")
    with ServerProcess(folder, *flags) as server:
        yield Tus.of(server)


# -- what is told ---------------------------------------------------------------------------------


def test_expiration_is_advertised_where_uploads_expire(tus: Tus, sliding: Tus) -> None:
    """tus 1.0.0, Expiration: named in Tus-Extension if uploads expire, and only then (T-079)."""
    assert "expiration" in sliding.ask("OPTIONS").listed("Tus-Extension")
    assert "expiration" not in tus.ask("OPTIONS").listed("Tus-Extension")


def test_what_does_not_expire_has_no_such_field(tus: Tus) -> None:
    """tus 1.0.0, Upload-Expires: only on uploads that are going to expire (T-080, T-081)."""
    created = tus.ask("POST", fields={"Upload-Length": "9"})
    path = path_of(created)
    answers = [created, tus.patch(path, 0, b"abc"), tus.patch(path, 0, b"abc"), tus.head(path)]

    assert [answer.status for answer in answers] == [201, 204, 409, 200]
    assert [answer.get("Upload-Expires") for answer in answers] == [None] * 4


@pytest.mark.parametrize(
    "fields",
    [
        {"Upload-Length": "9"},
        {"Upload-Defer-Length": "1"},
        {"Upload-Length": "9", "Content-Type": CHUNK_TYPE},
        {"Upload-Length": "9", **PARTIAL},
        {"Upload-Length": "3", "Content-Type": CHUNK_TYPE, **PARTIAL},
    ],
    ids=["fixed", "deferred", "with upload", "partial", "whole partial"],
)
def test_a_creation_tells_when_it_is_over(sliding: Tus, fields: dict[str, str]) -> None:
    """tus 1.0.0, Upload-Expires: on the POST's answer, as an HTTP date (T-081, T-085)."""
    answer = sliding.ask("POST", fields=fields, body=b"abc")

    assert answer.status == 201
    assert is_about(lives(answer), HOUR)


PATCHES: dict[str, tuple[int, Mapping[str, str | None]]] = {
    "stored": (204, {}),
    "sum is wrong": (460, checksum(b"?")),
    "sum is unknown": (400, {"Upload-Checksum": "whirlpool AAAA"}),
    "sum is malformed": (400, {"Upload-Checksum": "x"}),
    "sum is missing": (400, {"Trailer": "Upload-Checksum"}),
    "offset is another": (409, {"Upload-Offset": "7"}),
    "offset is malformed": (400, {"Upload-Offset": "x"}),
    "type is another": (415, {"Content-Type": "text/plain"}),
    "type is missing": (415, {"Content-Type": None}),
    "length is another": (400, {"Upload-Length": "8"}),
    "length is malformed": (400, {"Upload-Length": "x"}),
    "body is too long": (413, {"Content-Length": "8"}),
}


@pytest.mark.parametrize(("status", "fields"), PATCHES.values(), ids=PATCHES)
def test_every_answer_to_a_patch_tells_when_it_is_over(
    sliding: Tus, status: int, fields: Mapping[str, str | None]
) -> None:
    """tus 1.0.0, Upload-Expires: on every PATCH response, refusals as well (T-080, T-085)."""
    path = sliding.create(10)
    sliding.patch(path, 0, b"abc")

    answer = sliding.patch(path, 3, b"defg", fields)

    assert answer.status == status
    assert is_about(lives(answer), HOUR)


def test_who_is_superseded_is_told_as_well(sliding: Tus) -> None:
    """tus 1.0.0, Upload-Expires: on the 423 of a PATCH that had to let go, too (T-080)."""
    path = sliding.create(10)
    with sliding.connect() as wire:
        wire.send(sliding.patch_head(path, 0, 10) + b"abc")
        wait_for_bytes(sliding, path, 3)
        newer = sliding.patch(path, 3, b"def")
        older = wire.read("PATCH")

    assert [older.status, newer.status] == [423, 204]
    assert is_about(lives(older), HOUR)


def test_head_tells_when_it_is_over(sliding: Tus) -> None:
    """tus 1.0.0, Upload-Expires: the same on HEAD, for who resumes (T-082, T-085)."""
    path = sliding.create(10)
    patched = sliding.patch(path, 0, b"abc")

    assert sliding.head(path).get("Upload-Expires") == patched.get("Upload-Expires")


def test_a_complete_upload_does_not_expire(sliding: Tus) -> None:
    """tus 1.0.0, Upload-Expires: not on the 204 that completes, as finished files stay (T-080)."""
    path = sliding.create(3)
    whole = {"Upload-Length": "3", "Content-Type": CHUNK_TYPE}
    answers = [
        sliding.patch(path, 0, b"abc"),
        sliding.patch(path, 3, b""),
        sliding.patch(path, 0, b"abc"),
        sliding.head(path),
        sliding.ask("POST", fields=whole, body=b"abc"),
        sliding.ask("POST", fields={"Upload-Length": "0"}),
    ]

    assert [answer.status for answer in answers] == [204, 204, 409, 200, 201, 201]
    assert [answer.get("Upload-Expires") for answer in answers] == [None] * 6


def test_a_complete_upload_expires_where_that_is_wanted(absolute: Tus) -> None:
    """tus 1.0.0, Upload-Expires: with a retention for finished files they tell theirs (T-080, T-082)."""
    path = absolute.create(3)
    answers = [absolute.patch(path, 0, b"abc"), absolute.head(path)]

    assert [answer.status for answer in answers] == [204, 200]
    assert all(is_about(lives(answer), DAY) for answer in answers)


def test_a_join_expires_until_it_is_joined(sliding: Tus) -> None:
    """tus 1.0.0, Upload-Expires: partials expire, and finals that still wait for them (T-080, T-081)."""
    part = sliding.create(3, PARTIAL)
    waiting = sliding.ask("POST", fields={"Upload-Concat": f"final;{part}"})
    completed = sliding.patch(part, 0, b"abc")
    joined = sliding.head(path_of(waiting))

    assert is_about(lives(waiting), HOUR)
    assert is_about(lives(completed), HOUR)
    assert (joined.get("Upload-Offset"), joined.get("Upload-Expires")) == ("3", None)


def test_sliding_moves_with_every_append(sliding: Tus) -> None:
    """tus 1.0.0, Upload-Expires: the time may change: here it is an hour after the last bytes (T-082)."""
    created = sliding.ask("POST", fields={"Upload-Length": "10"})
    path = path_of(created)
    wait_for_the_clock(sliding, path, created)

    answer = sliding.patch(path, 0, b"abc")

    assert answer.status == 204
    assert expires(answer) > expires(created)
    assert is_about(lives(answer), HOUR)
    assert sliding.head(path).get("Upload-Expires") == answer.get("Upload-Expires")


def test_refusals_move_nothing(sliding: Tus) -> None:
    """tus 1.0.0, Checksum and PATCH: on 409 and 460 the upload is not updated, its time neither (T-093)."""
    path = sliding.create(10)
    stored = sliding.patch(path, 0, b"abc")
    wait_for_the_clock(sliding, path, stored)

    answers = [sliding.patch(path, 3, b"defg", checksum(b"?")), sliding.patch(path, 0, b"defg")]

    assert [answer.status for answer in answers] == [460, 409]
    assert {expires(answer) for answer in answers} == {expires(stored)}
    assert expires(sliding.head(path)) == expires(stored)


def test_absolute_does_not_move(absolute: Tus) -> None:
    """tus 1.0.0, Upload-Expires: an hour after the creation, whatever comes (T-082)."""
    created = absolute.ask("POST", fields={"Upload-Length": "10"})
    path = path_of(created)
    wait_for_the_clock(absolute, path, created)

    answer = absolute.patch(path, 0, b"abc")

    assert answer.status == 204
    assert is_about(lives(created), HOUR)
    assert expires(answer) == expires(created) == expires(absolute.head(path))


# -- when it is over ------------------------------------------------------------------------------

SOON = ("--expire-after", "1s")


def test_what_has_expired_is_refused_before_anybody_sweeps(tmp_path: Path) -> None:
    """tus 1.0.0, Upload-Expires: 410 from the moment that was told, with the bytes still there.

    (T-078, T-083, T-084)
    """
    with ServerProcess(tmp_path / "store", *SOON, "--gc-interval", "1h") as server:
        tus = Tus.of(server)
        path, part = tus.create(10), tus.create(10, PARTIAL)
        told = tus.head(path)
        first = wait_until_expired(tus, path)
        wait_until_expired(tus, part)
        before = tus.files()
        answers = [
            tus.patch(path, 0, b"abc"),
            tus.patch(path, 0, b"abc", {"Content-Type": "text/plain"}),
            tus.ask("DELETE", path),
            tus.ask("GET", path),
            tus.ask("POST", fields={"Upload-Concat": f"final;{part}"}),
        ]
        after = tus.files()

    assert told.status == 200
    assert (first.status, first.get("Upload-Offset")) == (410, None)
    assert moment(first, "Date") >= expires(told)
    assert [answer.status for answer in answers] == [410] * 5
    assert [answer.body.partition(b":")[0] for answer in answers] == [b"ERR_UPLOAD_EXPIRED"] * 5
    assert before == after
    assert f"incoming/{path.rpartition('/')[2]}" in after


def test_bytes_that_keep_coming_keep_an_upload_alive(tmp_path: Path) -> None:
    """tus 1.0.0, Upload-Expires: past the first time told, the moved one holds (T-078, T-082)."""
    with ServerProcess(tmp_path / "store", "--expire-after", "2s", "--gc-interval", "1s") as server:
        tus = Tus.of(server)
        created = tus.ask("POST", fields={"Upload-Defer-Length": "1"})
        path, answer, size = path_of(created), created, 0
        while moment(answer, "Date") <= expires(created) + timedelta(seconds=1):
            answer = tus.patch(path, size, b"x")
            assert answer.status == 204
            size += 1
        last = tus.patch(path, size, b"", {"Upload-Length": str(size)})
        content = tus.content(path)

    assert last.status == 204
    assert content == b"x" * size


def test_a_sweep_removes_the_bytes_and_remembers(tmp_path: Path) -> None:
    """tus 1.0.0, Expiration: what has expired is removed, 410 goes on; finished files stay.

    (T-078, T-083, T-084)
    """
    with ServerProcess(tmp_path / "store", "--expire-after", "2s", "--gc-interval", "1s") as server:
        tus = Tus.of(server)
        finished = tus.upload(b"finished")
        part = tus.upload(b"part", PARTIAL)
        joined = path_of(tus.ask("POST", fields={"Upload-Concat": f"final;{part}"}))
        path = tus.create(10)
        tus.patch(path, 0, b"abc")
        for over in (path, part):
            wait_until_removed(tus, over)
        told = [tus.head(over) for over in (path, part)]
        patched = tus.patch(path, 3, b"def")
        server.restart()
        again = [Tus.of(server).head(over).status for over in (path, part)]
        kept = [Tus.of(server).head(whole).get("Upload-Offset") for whole in (finished, joined)]
        contents = [tus.content(whole) for whole in (finished, joined)]

    assert [answer.status for answer in told] == again == [410, 410]
    assert [answer.get("Upload-Offset") for answer in told] == [None, None]
    assert (patched.status, patched.body.partition(b":")[0]) == (410, b"ERR_UPLOAD_EXPIRED")
    assert kept == ["8", "4"]
    assert contents == [b"finished", b"part"]


def test_what_has_expired_is_forgotten_at_last(tmp_path: Path) -> None:
    """tus 1.0.0, Upload-Expires: 410 while it is remembered, then 404 and no trace (T-083, T-084)."""
    flags = (*SOON, "--gc-interval", "1s", "--remember-expired", "2s")
    with ServerProcess(tmp_path / "store", *flags) as server:
        tus = Tus.of(server)
        path = tus.create(10)
        tus.patch(path, 0, b"abc")
        statuses = [wait_until_expired(tus, path).status]

        def is_forgotten() -> bool:
            statuses.append(tus.head(path).status)
            return statuses[-1] != 410

        wait_until(is_forgotten, "it is not forgotten")
        patched = tus.patch(path, 3, b"def")
        left = tus.files(path.rpartition("/")[2])

    assert set(statuses[:-1]) == {410}
    assert statuses[-1] == patched.status == 404
    assert left == {}


def test_finished_files_go_when_that_was_said_by_name(tmp_path: Path) -> None:
    """tus 1.0.0, Expiration: with a retention the finished file is removed as well (T-078, T-084)."""
    flags = ("--finished-retention", "500ms", "--gc-interval", "1s")
    with ServerProcess(tmp_path / "store", *flags) as server:
        tus = Tus.of(server)
        running = tus.create(10)
        path = tus.upload(b"abc")
        first = wait_until_expired(tus, path)
        file = server.upload_dir / "uploads" / path.rpartition("/")[2]
        wait_until(lambda: not file.exists(), "the file is not removed")
        served = tus.ask("GET", f"/uploads/{file.name}")
        kept = tus.head(running)

    assert first.status == 410
    assert served.status in {404, 410}
    assert kept.status == 200


def test_a_running_patch_is_not_swept(tmp_path: Path) -> None:
    """tus 1.0.0, Expiration: who is sending loses nothing to the collector, which goes on (T-078)."""
    flags = (*SOON, "--gc-interval", "1s", "--holder-silence", "60s", "--network-timeout", "60s")
    with ServerProcess(tmp_path / "store", *flags) as server:
        tus = Tus.of(server)
        path = tus.create(6)
        with tus.connect() as wire:
            wire.send(tus.patch_head(path, 0, 6) + b"abc")
            wait_for_bytes(tus, path, 3)
            for _ in range(2):  # the second was created when the first had been swept
                wait_until_removed(tus, tus.create(6))
            meanwhile = tus.head(path)
            wire.send(b"def")
            answer = wire.read("PATCH")
        content = tus.content(path)

    assert (meanwhile.status, meanwhile.get("Upload-Offset")) == (200, "3")
    assert (answer.status, answer.get("Upload-Offset")) == (204, "6")
    assert content == b"abcdef"
