"""Files in chunks by forms: out of order, in parallel, again; one file, once, and only for who began it."""

from __future__ import annotations

import asyncio
import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.support.forms import field, file, format_form
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.conftest import LogLines, check_no_traceback
from tests.wire.forms import CHUNK, DOWNLOAD, FINALIZE, Forms, chunk_parts, new_uuid, tell
from tests.wire.tus import Tus
from tests.wire.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.forms import Part

DATA = make_bytes(1_500_000, seed=92)
CHUNKS = [DATA[:700_000], DATA[700_000:700_001], DATA[700_001:]]
"""The first and the last are more than the server waits for the fields behind them with."""

LIMIT = 5_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that takes files of 5 MB."""
    folder = tmp_path_factory.mktemp("chunks") / "store"
    with ServerProcess(folder, "--max-size", str(LIMIT), "--network-timeout", "2s") as process:
        yield process
        check_no_traceback(process)


@pytest.fixture(scope="module")
def forms(server: ServerProcess) -> Forms:
    """A client of it."""
    return Forms(server)


def files_of(forms: Forms, file_id: str) -> list[str]:
    """Every file that belongs to it."""
    return sorted(name for name in forms.stored() if file_id in name)


def test_chunks_become_the_file(forms: Forms, server: ServerProcess) -> None:
    """The last one first; the answers say what the file will be, and then is."""
    file_id = new_uuid()
    answers = [forms.chunk(file_id, index, 3, CHUNKS[index]) for index in (2, 0, 1)]

    done = forms.finalize(file_id, "audio/wav")

    facts = {
        "file_key": f"{file_id}.wav",
        "file_path": f"{server.upload_dir}/uploads/{file_id}.wav",
        "file_uuid": file_id,
        "static_url": f"/uploads/{file_id}.wav",
    }
    assert (done.status, done.content) == (200, facts)
    assert [told.content["chunk_index"] for told in answers] == [2, 0, 1]
    assert answers[0].content == {
        **{key: text.replace(".wav", ".webm") for key, text in facts.items()},
        "chunk_index": 2,
        "total_chunks": 3,
    }
    assert sha256(forms.content(done)) == sha256(DATA)
    assert files_of(forms, file_id) == [f"incoming/{file_id}.json", f"uploads/{file_id}.wav"]


@pytest.mark.parametrize("spelling", [str.upper, lambda text: text.replace("-", "")], ids=["upper", "bare"])
def test_the_uuid_stays_as_the_caller_wrote_it(forms: Forms, spelling: type[str]) -> None:
    """In the answer, in the file's name, and where it is asked for."""
    file_id = spelling(new_uuid())
    forms.chunk(file_id, 0, 1, b"12345")

    done = forms.finalize(file_id)
    back = forms.ask("HEAD", f"{DOWNLOAD}?uuid={file_id}&file_extension=webm")

    assert (done.content["file_uuid"], done.content["file_key"]) == (file_id, f"{file_id}.webm")
    assert back.status == 200


async def test_many_tiny_chunks_in_any_order_at_once(server: ServerProcess, forms: Forms) -> None:
    """A hundred and twenty of them, by 24 connections, some twice; fields before and behind the chunk."""
    file_id, count = new_uuid(), 120
    data = make_bytes(count * 37, seed=93)
    order = [*range(count), *range(0, count, 7)]
    random.Random(94).shuffle(order)

    async def send(session: aiohttp.ClientSession, index: int) -> int:
        form = aiohttp.FormData()
        texts = {
            "chunk_index": index,
            "total_chunks": count,
            "file_uuid": file_id,
            "content_type": "audio/webm",
        }
        for name, text in list(texts.items())[: index % 5]:
            form.add_field(name, str(text))
        form.add_field("chunk", data[index * 37 : (index + 1) * 37], filename="blob")
        for name, text in list(texts.items())[index % 5 :]:
            form.add_field(name, str(text))
        async with session.post(server.origin + CHUNK, data=form) as told:
            return told.status

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=24)) as session:
        statuses = await asyncio.gather(*(send(session, index) for index in order))
    done = await asyncio.to_thread(forms.finalize, file_id)

    # A newer request for a chunk cuts the one that is under way, which is told so.
    assert set(statuses) <= {200, 423}
    assert statuses.count(200) >= count
    assert forms.content(done) == data


def test_a_chunk_may_come_again_but_not_another_one(forms: Forms) -> None:
    """The same bytes: the same answer. Others: 409, and the file is the one that came first."""
    file_id = new_uuid()
    first = [forms.chunk(file_id, index, 3, data) for index, data in enumerate(CHUNKS)]

    again = [forms.chunk(file_id, index, 3, data) for index, data in enumerate(CHUNKS)]
    others = [forms.chunk(file_id, index, 3, data + b"x") for index, data in enumerate(CHUNKS)]

    assert [told.content for told in again] == [told.content for told in first]
    assert [(told.status, told.code) for told in others] == [(409, "ERR_CHUNK_MISMATCH")] * 3
    assert forms.content(forms.finalize(file_id)) == DATA


def test_finalize_says_what_is_missing(forms: Forms) -> None:
    """409 with the numbers, for people and for programs; what came stays, and the rest may follow."""
    file_id = new_uuid()
    nothing = forms.finalize(file_id)
    forms.chunk(file_id, 1, 5, b"1")

    missing = forms.finalize(file_id)

    assert (nothing.status, nothing.code) == (404, "ERR_UPLOAD_NOT_FOUND")
    assert (missing.status, missing.code) == (409, "ERR_CHUNKS_MISSING")
    assert missing.content["missing"] == [0, 2, 3, 4]
    assert missing.content["detail"].endswith("0, 2-4")
    for index in (0, 2, 3, 4):
        forms.chunk(file_id, index, 5, str(index).encode())
    assert forms.content(forms.finalize(file_id)) == b"01234"


def test_finalize_may_be_repeated_and_come_in_parallel(forms: Forms) -> None:
    """One file, and the same answer to all."""
    file_id = new_uuid()
    for index, data in enumerate(CHUNKS):
        forms.chunk(file_id, index, 3, data)

    with ThreadPoolExecutor(6) as pool:
        told = [*pool.map(forms.finalize, [file_id] * 6), forms.finalize(file_id)]

    assert {json.dumps(each.content) for each in told} == {json.dumps(told[0].content)}
    assert [each.status for each in told] == [200] * 7
    assert forms.content(told[0]) == DATA
    assert files_of(forms, file_id) == [f"incoming/{file_id}.json", f"uploads/{file_id}.webm"]


def test_a_finished_file_takes_no_chunks(forms: Forms) -> None:
    """409, also for the same bytes and for another type; it stays as it is."""
    file_id = new_uuid()
    forms.chunk(file_id, 0, 1, b"12345")
    done = forms.finalize(file_id)

    late = [
        forms.chunk(file_id, 0, 1, b"12345"),
        forms.chunk(file_id, 1, 2, b"x"),
        forms.finalize(file_id, "a/b"),
    ]

    assert [(told.status, told.code) for told in late] == [(409, "ERR_UPLOAD_EXISTS")] * 3
    assert forms.content(done) == b"12345"


def test_the_id_of_another_upload_cannot_be_taken(forms: Forms, server: ServerProcess) -> None:
    """Whoever knows the id of an upload can neither fill it by chunks nor finalize it."""
    tus = Tus.of(server)
    path = tus.create(10)
    file_id = path.rpartition("/")[2]

    with tus.untouched(path):
        told = [forms.chunk(file_id, 0, 1, b"12345"), forms.finalize(file_id)]

    assert [(each.status, each.code) for each in told] == [(409, "ERR_UPLOAD_EXISTS")] * 2


def test_every_chunk_says_the_same_total(forms: Forms) -> None:
    """Another one is 409 and changes nothing."""
    file_id = new_uuid()
    forms.chunk(file_id, 0, 2, b"1")
    before = files_of(forms, file_id)

    told = forms.chunk(file_id, 1, 3, b"2")

    assert (told.status, told.code) == (409, "ERR_CHUNK_COUNT_MISMATCH")
    assert files_of(forms, file_id) == before


@pytest.mark.parametrize("is_long", [False, True], ids=["small", "large"])
def test_the_chunks_together_are_held_to_the_limit(forms: Forms, is_long: bool) -> None:
    """413 for the chunk that makes them too large; without it the file is fine."""
    file_id = new_uuid()
    half = make_bytes(LIMIT // 2, seed=95)
    forms.chunk(file_id, 0, 3, half)
    forms.chunk(file_id, 1, 3, half[:-1])

    told = forms.chunk(file_id, 2, 3, half if is_long else b"12")
    forms.chunk(file_id, 2, 3, b"1")

    assert (told.status, told.code) == (413, "ERR_MAX_SIZE_EXCEEDED")
    assert forms.content(forms.finalize(file_id)) == half + half[:-1] + b"1"


@pytest.mark.parametrize("sent", [400, 300_000, -300, -1])
@pytest.mark.parametrize("order", [1, -1], ids=["chunk first", "chunk last"])
def test_a_chunk_that_is_cut_is_as_if_it_never_came(
    forms: Forms, server: ServerProcess, order: int, sent: int
) -> None:
    """No byte of it is kept; it is taken when it comes again."""
    file_id, request_id = new_uuid(), new_uuid()
    forms.chunk(file_id, 1, 2, b"end")
    before = files_of(forms, file_id)
    form = format_form(chunk_parts(file_id, 0, 2, CHUNKS[0])[::order])
    with forms.connect() as wire:
        wire.send(forms.head(CHUNK, len(form), {"X-Request-ID": request_id}) + form[:sent])
    LogLines(server).access(request_id)

    left = files_of(forms, file_id), [name for name in forms.stored() if "aside" in name]
    forms.chunk(file_id, 0, 2, CHUNKS[0])

    assert left == (before, [])
    assert forms.content(forms.finalize(file_id)) == CHUNKS[0] + b"end"


def test_a_newer_request_for_a_chunk_wins(forms: Forms) -> None:
    """Its client lost the connection, and nobody noticed yet: the older one gets 423 and keeps nothing."""
    file_id = new_uuid()
    form = format_form(chunk_parts(file_id, 0, 1, CHUNKS[0])[::-1])
    with forms.connect() as wire:
        wire.send(forms.head(CHUNK, len(form)) + form[:400_000])
        wait_until(lambda: any(name.endswith("-0") for name in files_of(forms, file_id)), "nothing arrives")
        newer = forms.chunk(file_id, 0, 1, CHUNKS[0])
        older = tell(wire.read())

    assert (older.status, older.code, newer.status) == (423, "ERR_UPLOAD_INTERRUPTED", 200)
    assert "newer request" in older.content["detail"]
    assert forms.content(forms.finalize(file_id)) == CHUNKS[0]


UUID = "0b5de3a2-3c0f-4a0e-9d0a-0123456789ab"
GOOD = chunk_parts(UUID, 0, 1, b"12345")


def _with(name: str, value: str) -> list[Part]:
    return [part if part.name != name else field(name, value) for part in GOOD]


WRONG: dict[str, tuple[list[Part], str]] = {
    **{f"no {part.name}": ([each for each in GOOD if each is not part], part.name) for part in GOOD},
    **{f"two of {part.name}": ([*GOOD, part], part.name) for part in GOOD},
    "uuid": (_with("file_uuid", "../../etc/passwd"), "file_uuid"),
    "uuid of a part": (_with("file_uuid", f"form-{UUID}"), "file_uuid"),
    "index": (_with("chunk_index", "-1"), "chunk_index"),
    "index beyond": (_with("chunk_index", "1"), "chunk_index"),
    "total": (_with("total_chunks", "0"), "total_chunks"),
    "too many": (_with("total_chunks", "10001"), "total_chunks"),
    "huge number": (_with("total_chunks", "9" * 4000), "total_chunks"),
    "type": (_with("content_type", "audio"), "content_type"),
    "token": ([*GOOD, field("token", "short")], "token"),
    "large, index beyond": ([file(DATA, "chunk"), *_with("chunk_index", "7")[1:]], "chunk_index"),
}


@pytest.mark.parametrize(("parts", "named"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_chunk_is_422_and_leaves_nothing(forms: Forms, parts: list[Part], named: str) -> None:
    """JSON names the field."""
    before = forms.stored()

    told = forms.post(CHUNK, parts)

    assert (told.status, told.code) == (422, "ERR_INVALID_FORM")
    assert told.content["detail"].startswith(f"{named}: ")
    assert forms.stored() == before


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"", 422),
        ("application/json", b"[]", 422),
        ("application/json", b"{}", 422),
        ("application/json", b"\xff", 422),
        ("application/json", b"[" * 60_000, 422),
        ("application/json", b'{"x":"' + b"x" * 70_000, 422),
        ("application/json", b'{"file_uuid": 1, "content_type": "audio/wav"}', 422),
        ("application/json", b'{"file_uuid": "x", "content_type": "audio/wav"}', 422),
        ("application/json", f'{{"file_uuid": "{UUID}"}}'.encode(), 422),
        ("application/json", f'{{"file_uuid": "{UUID}", "content_type": "wav"}}'.encode(), 422),
        ("application/json", f'{{"file_uuid": "{UUID}", "content_type": "a/b", "token": 7}}'.encode(), 422),
        (
            "application/json; charset=utf-8",
            f'{{"file_uuid": "{UUID}", "content_type": "a/b"}}'.encode(),
            404,
        ),
        ("text/plain", b"{}", 415),
        (None, b"{}", 415),
    ],
)
def test_a_wrong_finalize_is_refused_in_json(
    forms: Forms, content_type: str | None, body: bytes, status: int
) -> None:
    """Whatever comes, it is never an error of the server."""
    told = forms.ask("POST", FINALIZE, {"Content-Type": content_type}, body)

    codes = {404: "ERR_UPLOAD_NOT_FOUND", 415: "ERR_INVALID_CONTENT_TYPE", 422: "ERR_INVALID_FORM"}
    assert (told.status, told.code) == (status, codes[status])


def test_tus_knows_nothing_of_chunks(forms: Forms, server: ServerProcess) -> None:
    """Whoever guesses their addresses can neither read, fill, remove nor join them: 404."""
    file_id, tus = new_uuid(), Tus.of(server)
    forms.chunk(file_id, 0, 2, CHUNKS[0])
    paths = [f"/files/form-{file_id}", f"/files/form-{file_id}-0"]

    with tus.nothing_stored():
        answers = [
            answer
            for path in paths
            for answer in (
                tus.head(path),
                tus.ask("GET", path),
                tus.ask("DELETE", path),
                tus.patch(path, 0, b"x"),
                tus.patch(path, "wrong", b"x"),
                tus.ask("POST", fields={"Upload-Concat": f"final;{path}"}),
            )
        ]

    assert [answer.status for answer in answers] == [404] * 12


async def test_a_live_connection_knows_nothing_of_chunks(forms: Forms, server: ServerProcess) -> None:
    """Nor does the address of live audio: who asks for a chunk there hears that there is none."""
    file_id = new_uuid()
    await asyncio.to_thread(forms.chunk, file_id, 0, 2, CHUNKS[0])

    session = aiohttp.ClientSession()
    async with session, session.ws_connect(f"{server.origin}/live?id=form-{file_id}-0") as socket:
        said = await socket.receive_json()

    assert said["error"]["code"] == "ERR_UPLOAD_NOT_FOUND"
