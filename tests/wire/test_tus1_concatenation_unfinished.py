"""tus 1.0.0, Concatenation of unfinished partials: a final that waits for its parts."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.joins import PARTIAL, ask_to_join, id_of, join, progress
from tests.wire.sums import checksum
from tests.wire.tus import Tus, path_of
from tests.wire.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.wire.conftest import LogLines

DATA = [make_bytes(size, seed=size) for size in (120_000, 80_001, 3)]


def test_a_final_may_be_asked_for_before_its_parts_are_there(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: 201, and no offset yet (T-115, T-122, T-125).

    Upload-Length is known all the same: it is the sum of the parts' lengths.
    """
    parts = [tus.upload(b"abc", PARTIAL), tus.create(5, PARTIAL)]

    answer = ask_to_join(tus, *parts)

    final = path_of(answer)
    assert "concatenation-unfinished" in tus.ask("OPTIONS").listed("Tus-Extension")
    assert (answer.status, answer.get("Upload-Offset"), answer.get("Content-Location")) == (201, None, None)
    assert progress(tus, final) == (None, "8", None)
    assert tus.head(final).get("Upload-Concat") == "final;" + " ".join(parts)
    assert tus.ask("GET", f"/uploads/{id_of(final)}").status == 404


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_last_part_completes_the_join(tus: Tus, order: tuple[int, ...]) -> None:
    """tus 1.0.0, Concatenation: in whatever order the parts arrive (T-113, T-114, T-122 to T-125)."""
    parts = [tus.create(len(data), PARTIAL) for data in DATA]
    final = join(tus, *parts)
    told = []
    for n in order:
        told.append(progress(tus, final))
        assert tus.patch(parts[n], 0, DATA[n]).status == 204

    assert told == [(None, "200004", None)] * 3
    assert progress(tus, final) == ("200004", "200004", None)
    assert sha256(tus.content(final)) == sha256(b"".join(DATA))


def test_nobody_has_to_ask_for_the_join(tus: Tus, server_log: LogLines) -> None:
    """tus 1.0.0, Concatenation: all finals that wait for a part are joined when it comes (T-112, T-119)."""
    a, b = tus.upload(DATA[0], PARTIAL), tus.create(len(DATA[1]), PARTIAL)
    finals = {join(tus, a, b): DATA[0] + DATA[1], join(tus, b, b, a): DATA[1] * 2 + DATA[0]}

    tus.patch(b, 0, DATA[1])

    for final, data in finals.items():
        file = tus.folder / "uploads" / id_of(final)
        wait_until(file.exists, "the final is not joined")
        assert sha256(file.read_bytes()) == sha256(data)
        wait_until(partial(_is_told_once, server_log, final), "nobody is told")


def _is_told_once(log: LogLines, path: str) -> bool:
    return sum("upload finished" in line and id_of(path) in line for line in log) == 1


def test_a_part_without_a_length_is_unfinished(tus: Tus) -> None:
    """tus 1.0.0, Concatenation: a deferred part counts once its length is reached (T-125, T-136)."""
    a, deferred = tus.upload(b"abc", PARTIAL), tus.create(None, PARTIAL)
    final = join(tus, a, deferred)
    told = [progress(tus, final)]
    for offset, piece, fields in ((0, b"de", {}), (2, b"f", {"Upload-Length": "4"}), (3, b"g", {})):
        tus.patch(deferred, offset, piece, fields)
        told.append(progress(tus, final))

    unknown, known = (None, None, "1"), (None, "7", None)
    assert told == [unknown, unknown, known, ("7", "7", None)]
    assert tus.content(final) == b"abcdefg"


def test_a_length_that_was_reached_before_it_was_told_completes_the_join(tus: Tus) -> None:
    """tus 1.0.0, Creation: an empty PATCH may bring the length, and with it the join (T-054, T-136)."""
    deferred = tus.create(None, PARTIAL)
    tus.patch(deferred, 0, b"abc")
    final = join(tus, deferred)
    before = progress(tus, final)

    tus.patch(deferred, 3, b"", {"Upload-Length": "3"})

    assert before == (None, None, "1")
    assert progress(tus, final) == ("3", "3", None)
    assert tus.content(final) == b"abc"


def test_a_chunk_that_is_discarded_completes_no_join(tus: Tus) -> None:
    """tus 1.0.0, Checksum: on 460 nothing is updated, nothing that waits for it either (T-093, T-122)."""
    part = tus.create(3, PARTIAL)
    final = join(tus, part)

    with tus.untouched(part), tus.untouched(final):
        wrong = tus.patch(part, 0, b"abc", checksum(b"xyz"))
    right = tus.patch(part, 0, b"abc", checksum(b"abc"))

    assert [wrong.status, right.status] == [460, 204]
    assert tus.content(final) == b"abc"


def test_a_waiting_final_can_be_removed(tus: Tus) -> None:
    """tus 1.0.0, Termination: 204, and its parts go on as if nothing had been (T-105, T-121)."""
    part = tus.create(3, PARTIAL)
    final = join(tus, part)

    deleted = tus.ask("DELETE", final)
    patched = tus.patch(part, 0, b"abc")

    assert [deleted.status, patched.status, tus.head(final).status] == [204, 204, 404]
    assert tus.files(id_of(final)) == {}
    assert tus.content(part) == b"abc"


def test_a_final_waits_across_a_restart(tmp_path: Path) -> None:
    """tus 1.0.0, Concatenation: what it waits for is on record, not in memory (T-115, T-123)."""
    with ServerProcess(tmp_path / "store") as server:
        tus = Tus.of(server)
        parts = [tus.upload(b"abc", PARTIAL), tus.create(2, PARTIAL)]
        final = join(tus, *parts)
        server.restart()
        tus = Tus.of(server)
        waiting = progress(tus, final)
        tus.patch(parts[1], 0, b"de")
        joined = progress(tus, final)
        content = tus.content(final)

    assert waiting == (None, "5", None)
    assert joined == ("5", "5", None)
    assert content == b"abcde"
