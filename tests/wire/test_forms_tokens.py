"""--form-tokens: whoever began a file in chunks goes on with it, over the wire."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.payload import make_bytes
from tests.support.server import ServerProcess
from tests.wire.conftest import check_no_traceback
from tests.wire.forms import Forms, new_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = make_bytes(1_500_000, seed=92)
CHUNKS = [DATA[:700_000], DATA[700_000:700_001], DATA[700_001:]]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forms]:
    """A client of a server with --form-tokens."""
    folder = tmp_path_factory.mktemp("chunks") / "guarded"
    with ServerProcess(folder, "--form-tokens") as process:
        yield Forms(process)
        check_no_traceback(process)


def files_of(forms: Forms, file_id: str) -> list[str]:
    """Every file that belongs to it."""
    return sorted(name for name in forms.stored() if file_id in name)


def test_only_who_began_a_file_goes_on_with_it(guarded: Forms) -> None:
    """--form-tokens: the first answer has the token; without it chunks and finalize are 403."""
    file_id = new_uuid()
    first = guarded.chunk(file_id, 0, 2, CHUNKS[0])
    token = first.content["token"]
    before = guarded.stored()

    refused = [
        guarded.chunk(file_id, 1, 2, b"evil"),
        guarded.chunk(file_id, 1, 2, CHUNKS[2], "x" * 43),
        guarded.chunk(file_id, 0, 2, CHUNKS[0]),
        guarded.finalize(file_id),
        guarded.finalize(file_id, token="x" * 43),
    ]
    assert [(told.status, told.code) for told in refused] == [(403, "ERR_WRONG_TOKEN")] * 5
    assert guarded.stored() == before

    second = guarded.chunk(file_id, 1, 2, CHUNKS[2], token)
    done = guarded.finalize(file_id, token=token)

    assert ("token" in second.content, "token" in done.content) == (False, False)
    assert guarded.content(done) == CHUNKS[0] + CHUNKS[2]
    assert guarded.finalize(file_id).code == "ERR_WRONG_TOKEN"
    assert guarded.finalize(file_id, token=token).content == done.content


def test_of_parallel_first_chunks_one_gets_the_token(guarded: Forms) -> None:
    """The others are told so, and keep nothing."""
    file_id = new_uuid()

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda index: guarded.chunk(file_id, index, 4, b"x"), range(4)))

    assert sorted(each.status for each in told) == [200, 403, 403, 403]
    (winner,) = (each for each in told if each.status == 200)
    assert len(winner.content["token"]) >= 40
    assert len([name for name in files_of(guarded, file_id) if not name.endswith(".json")]) == 2


def test_a_caller_may_choose_the_token(guarded: Forms) -> None:
    """Then its chunks may come in parallel from the first on, and a lost answer costs nothing."""
    file_id, token = new_uuid(), new_uuid()

    with ThreadPoolExecutor(3) as pool:
        told = list(
            pool.map(lambda index: guarded.chunk(file_id, index, 3, CHUNKS[index], token), range(3))
        )
    stranger = guarded.finalize(file_id, token=new_uuid())
    done = guarded.finalize(file_id, token=token)

    assert [(each.status, "token" in each.content) for each in told] == [(200, False)] * 3
    assert stranger.code == "ERR_WRONG_TOKEN"
    assert guarded.content(done) == DATA


def test_nobody_is_shown_what_guards_a_file(guarded: Forms) -> None:
    """Neither the token nor its digest is in the storage's names, or in what tus tells of the file."""
    file_id = new_uuid()
    token = guarded.chunk(file_id, 0, 1, b"12345").content["token"]
    guarded.finalize(file_id, token=token)
    records = [path.read_text() for path in (guarded.folder / "incoming").glob(f"*{file_id}*.json")]
    secret = json.loads(records[0].splitlines()[-1])["secret"]

    told = guarded.ask("HEAD", f"/files/{file_id}", {"Tus-Resumable": "1.0.0"})

    assert len(records) == 1
    assert len(secret) == 64
    assert token not in records[0]
    assert told.status == 200
    assert not [value for _, value in told.answer.fields if secret in value or token in value]
