"""Files in one form: what arrives is what was sent, in any order of fields, or nothing is left of it."""

from __future__ import annotations

import io
import re
import uuid
from typing import TYPE_CHECKING

import aiohttp
import pytest
import requests

from tests.support.forms import BOUNDARY, FORM_TYPE, Part, field, file, format_form, format_part
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.conftest import LogLines, check_no_traceback
from tests.wire.forms import CHUNK, UPLOAD, Forms, chunk_parts, new_uuid, tell
from tests.wire.raw import format_chunks
from tests.wire.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MIB = 2**20
LIMIT = 50 * MIB
LARGE = make_bytes(MIB, seed=90)
"""More than the server waits for the fields behind the file with."""

TYPE = field("content_type", "audio/webm;codecs=opus")
BOTH = (UPLOAD, "/file/upload-local-chunked")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the limit that servers come with."""
    folder = tmp_path_factory.mktemp("forms") / "store"
    with ServerProcess(folder, "--max-local-file-size", "50MiB", "--network-timeout", "2s") as process:
        yield process
        check_no_traceback(process)


@pytest.fixture(scope="module")
def forms(server: ServerProcess) -> Forms:
    """A client of it."""
    return Forms(server)


@pytest.fixture
def nothing_left(forms: Forms) -> Iterator[None]:
    """The test, which has to wait for every answer, may not add a single file to the storage."""
    before = forms.stored()
    yield
    assert forms.stored() == before


def post_with_requests(url: str, data: bytes, order: str) -> requests.Response:
    """As programs in Python do it, the file "first" or "last"."""
    parts: dict[str, tuple[str | None, str | bytes, str]]
    parts = {"file": ("speech.webm", data, "audio/webm"), "content_type": (None, "audio/wav", "")}
    names = sorted(parts, reverse=order == "first")
    return requests.post(url, files={name: parts[name] for name in names}, timeout=60)


SIZES = [(target, size, order) for target in BOTH for size in (0, 1, 8192) for order in ("first", "last")]
SIZES += [(BOTH[0], 49 * MIB, "first"), (BOTH[0], LIMIT, "last"), (BOTH[1], 9 * MIB, "first")]


@pytest.mark.parametrize(("target", "size", "order"), SIZES)
def test_a_form_s_file_is_stored_to_the_byte(
    server: ServerProcess, target: str, size: int, order: str
) -> None:
    """With requests: four answers and the published file, whether the file comes first or last."""
    data = make_bytes(size, seed=91)

    told = post_with_requests(server.origin + target, data, order)

    answer = told.json()
    file_id = answer["file_uuid"]
    assert told.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{32}", file_id)
    assert answer == {
        "file_key": f"{file_id}.wav",
        "file_path": f"{server.upload_dir}/uploads/{file_id}.wav",
        "file_uuid": file_id,
        "static_url": f"/uploads/{file_id}.wav",
    }
    assert sha256(server.published(file_id).read_bytes()) == sha256(data)
    assert [path.name for path in server.traces(file_id)] == [f"{file_id}.json", f"{file_id}.wav"]
    server.published(file_id).unlink()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("target", "order"), [(BOTH[0], "first"), (BOTH[1], "last")])
def test_a_byte_too_much_is_413_and_leaves_nothing(server: ServerProcess, target: str, order: str) -> None:
    """--max-local-file-size holds for the file, while it streams; JSON says how much is taken."""
    data = bytes(LIMIT + 1)

    told = post_with_requests(server.origin + target, data, order)

    assert (told.status_code, told.json()["code"]) == (413, "ERR_MAX_SIZE_EXCEEDED")
    assert str(LIMIT) in told.json()["detail"]


@pytest.mark.usefixtures("nothing_left")
def test_what_is_certainly_too_large_is_refused_before_it_is_sent(forms: Forms) -> None:
    """RFC 9110, 10.1.1: a client that waits for 100 Continue gets 413 instead."""
    fields = {"Expect": "100-continue"}
    with forms.connect() as wire:
        wire.send(forms.head(UPLOAD, LIMIT + 100_000, fields))
        told = tell(wire.read())

    assert (told.status, told.code, told.answer.interim) == (413, "ERR_MAX_SIZE_EXCEEDED", ())


def test_a_client_that_waits_is_asked_for_its_form(forms: Forms) -> None:
    """RFC 9110, 10.1.1: 100 Continue, once, and then the form is taken."""
    form = format_form([TYPE, file(b"12345")])
    with forms.connect() as wire:
        wire.send(forms.head(UPLOAD, len(form), {"Expect": "100-continue"}))
        assert wire.read_interim() == 100
        wire.send(form)
        told = tell(wire.read())

    assert forms.content(told) == b"12345"


def test_a_form_may_come_in_chunked_coding(forms: Forms) -> None:
    """Its length is nowhere announced; a second form follows on the same connection."""
    form = format_form([file(LARGE), TYPE])
    with forms.connect() as wire:
        for _ in range(2):
            wire.send(
                forms.head(UPLOAD, None) + format_chunks([form[:100], form[100:70_000], form[70_000:]])
            )
            assert sha256(forms.content(tell(wire.read()))) == sha256(LARGE)


async def test_aiohttp_s_forms_are_taken(server: ServerProcess) -> None:
    """The library's own encoder, which streams."""
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(LARGE), filename="speech.webm", content_type="audio/webm")
    form.add_field("content_type", "audio/webm")
    session = aiohttp.ClientSession()
    async with session, session.post(server.origin + UPLOAD, data=form) as told:
        answer = await told.json()

    assert (told.status, answer["file_key"]) == (200, f"{answer['file_uuid']}.webm")
    assert sha256(server.published(answer["file_uuid"]).read_bytes()) == sha256(LARGE)


def test_preamble_epilogue_and_foreign_fields_mean_nothing(forms: Forms) -> None:
    """RFC 2046, 5.1.1: they are passed over, and so is a field that nobody knows."""
    parts = [field("user", "x"), file(b"12345"), TYPE, field("user", "y"), file(b"no", "other")]
    form = b"before\r\n" + format_form(parts) + b"behind"

    told = forms.ask("POST", UPLOAD, {"Content-Type": FORM_TYPE}, form)

    assert forms.content(told) == b"12345"


def test_the_file_is_saved_under_its_own_name(forms: Forms, server: ServerProcess) -> None:
    """The client's file name, with the extension of the type, is what a download is called."""
    told = forms.post(
        UPLOAD, [file(b"12345", file_name="Größe 1.webm"), field("content_type", "audio/wav")]
    )
    url = f"{server.origin}{told.content['static_url']}"

    answer = requests.get(url, timeout=20)

    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.wav" in answer.headers["Content-Disposition"]
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.content == b"12345"


def test_chunk_size_may_be_chosen(forms: Forms) -> None:
    """upload-local-chunked hands the file on in pieces of so many bytes, wherever the field stands."""
    chosen = (
        [TYPE, field("chunk_size", "1024"), file(LARGE)],
        [file(LARGE), field("chunk_size", "4096"), TYPE],
    )
    for parts in chosen:
        told = forms.post("/file/upload-local-chunked", parts)
        assert sha256(forms.content(told)) == sha256(LARGE)


WRONG: dict[str, tuple[Sequence[Part], str]] = {
    "no file": ([TYPE], "file"),
    "no type": ([file(b"12345")], "content_type"),
    "no type, large": ([file(LARGE)], "content_type"),
    "nothing": ([], "file"),
    "two types": ([TYPE, TYPE, file(b"12345")], "content_type"),
    "a type on either side": ([TYPE, file(b"12345"), TYPE], "content_type"),
    "a type on either side, large": ([TYPE, file(LARGE), TYPE], "content_type"),
    "two files": ([TYPE, file(b"12345"), file(b"67890")], "file"),
    "two files, large": ([TYPE, file(LARGE), file(LARGE)], "file"),
    "no slash": ([field("content_type", "audio"), file(b"12345")], "content_type"),
    "a path": ([file(b"12345"), field("content_type", "audio/../../x")], "content_type"),
    "a path, large": ([file(LARGE), field("content_type", "audio/../../x")], "content_type"),
    "empty type": ([file(b"12345"), field("content_type", "")], "content_type"),
    "long type": ([file(b"12345"), field("content_type", f"audio/{'x' * 300}")], "content_type"),
    "huge type": ([file(b"12345"), field("content_type", "x" * 60_000)], "content_type"),
    "a line break": ([file(b"12345"), field("content_type", "audio/wav\r\nX: y")], "content_type"),
    "no text": ([file(b"12345"), Part("content_type", b"audio/w\xffav")], "content_type"),
    "chunk size": ([TYPE, file(b"12345"), field("chunk_size", "0")], "chunk_size"),
    "chunk size, large": ([TYPE, file(LARGE), field("chunk_size", "many")], "chunk_size"),
    "too much beside": ([TYPE, file(b"12345"), field("x", "x" * 70_000)], "the form"),
    "too much beside, first": ([field("x", "x" * 70_000), TYPE, file(LARGE)], "the form"),
    "encoded": ([TYPE, Part("file", b"eA==", "x", "Content-Transfer-Encoding: base64\r\n")], "the form"),
    "headless": ([TYPE, Part("file", LARGE, "x", "no field\r\n")], "the form"),
}


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("parts", "named"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_form_is_422_and_leaves_nothing(forms: Forms, parts: Sequence[Part], named: str) -> None:
    """JSON names the field that is missing, doubled or malformed, wherever in the form it stands."""
    told = forms.post(UPLOAD, parts)

    assert (told.status, told.code) == (422, "ERR_INVALID_FORM")
    assert told.content["detail"].startswith(f"{named}: ")
    assert told.answer.get("Cache-Control") == "no-store"


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("data", [b"12345", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("order", ["file first", "file last"])
@pytest.mark.parametrize("missing", [1, 3, 40, 3000])
def test_a_form_that_ends_before_its_end_is_422(
    forms: Forms, data: bytes, order: str, missing: int
) -> None:
    """Even if all that is missing is the last hyphen of the last boundary: it may have been cut."""
    parts = [file(data), TYPE] if order == "file first" else [TYPE, file(data)]
    form = format_form(parts)[: -2 - missing]

    told = forms.ask("POST", UPLOAD, {"Content-Type": FORM_TYPE}, form)

    assert (told.status, told.code) == (422, "ERR_INVALID_FORM")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (None, b"x"),
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded", b"content_type=audio/wav"),
        ("multipart/form-data", format_form([TYPE])),
        (f"multipart/mixed; boundary={BOUNDARY}", format_form([TYPE])),
    ],
)
def test_what_is_no_form_is_415(forms: Forms, content_type: str | None, body: bytes) -> None:
    """Also a form that does not say where its parts end."""
    told = forms.ask("POST", UPLOAD, {"Content-Type": content_type}, body)

    assert (told.status, told.code) == (415, "ERR_INVALID_CONTENT_TYPE")


@pytest.mark.usefixtures("nothing_left")
def test_a_packed_form_is_415(forms: Forms) -> None:
    """What a few bytes unfold to is nobody's limit."""
    told = forms.post(UPLOAD, [TYPE, file(b"x")], {"Content-Encoding": "gzip"})

    assert (told.status, told.code) == (415, "ERR_INVALID_CONTENT_TYPE")


FILE_FIRST = format_part(file(LARGE)) + format_form([TYPE])
FILE_LAST = format_form([TYPE, file(LARGE)])


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("form", [FILE_FIRST, FILE_LAST], ids=["file first", "file last"])
@pytest.mark.parametrize("sent", [0, 30, 200, 400, 300_000, 900_000, -200, -60, -10, -1])
def test_a_form_that_is_cut_leaves_nothing(
    forms: Forms, server: ServerProcess, form: bytes, sent: int
) -> None:
    """The client is gone and never learned of an upload: before, within and behind the file."""
    request_id = str(uuid.uuid4())
    with forms.connect() as wire:
        wire.send(forms.head(UPLOAD, len(form), {"X-Request-ID": request_id}) + form[:sent])

    line = LogLines(server).access(request_id)

    assert (line["outcome"], line["status"]) == ("disconnected", 500)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("sent", [100, 900_000])
def test_a_client_that_falls_silent_is_told_and_leaves_nothing(forms: Forms, sent: int) -> None:
    """After --network-timeout: JSON, and the connection is closed."""
    with forms.connect() as wire:
        wire.send(forms.head(UPLOAD, len(FILE_FIRST)) + FILE_FIRST[:sent])
        told = tell(wire.read())

        assert (told.status, told.code) == (500, "ERR_READ_TIMEOUT")
        assert wire.rest() == b""


@pytest.mark.usefixtures("nothing_left")
def test_broken_framing_is_told_and_leaves_nothing(forms: Forms) -> None:
    """RFC 9112, 7.1: chunked coding that is none."""
    with forms.connect() as wire:
        wire.send(forms.head(UPLOAD, None) + format_chunks([FILE_LAST[:900_000]], end=False) + b"zz\r\n")
        told = tell(wire.read())

    assert (told.status, told.code) == (400, "ERR_INVALID_BODY")


def test_a_server_that_goes_down_keeps_no_half_form(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SIGTERM ends the form with 503, in JSON; nothing of it is stored."""
    with ServerProcess(tmp_path_factory.mktemp("forms") / "store") as server:
        forms = Forms(server)
        before = forms.stored()
        with forms.connect() as wire:
            wire.send(forms.head(UPLOAD, len(FILE_FIRST)) + FILE_FIRST[:900_000])
            wait_until(lambda: forms.stored() > before, "nothing arrives")
            server.terminate()
            told = tell(wire.read())

        assert (told.status, told.code) == (503, "ERR_SERVER_SHUTDOWN")
        assert told.answer.get("Retry-After") == "1"
        assert forms.stored() - before <= {".janitor.lock"}


@pytest.mark.parametrize("order", [1, -1], ids=["file first", "file last"])
def test_a_small_limit_holds_for_what_arrives_at_once(
    tmp_path_factory: pytest.TempPathFactory, order: int
) -> None:
    """The whole form is here before the first byte is stored: a byte too much is 413 all the same."""
    with ServerProcess(tmp_path_factory.mktemp("forms") / "store", "--max-size", "10") as server:
        forms = Forms(server)
        fitting = forms.post(UPLOAD, [file(b"1234567890"), TYPE][::order])
        before = forms.stored()
        refused = [
            forms.post(UPLOAD, [file(b"12345678901"), TYPE][::order]),
            forms.post(CHUNK, chunk_parts(new_uuid(), 0, 2, b"12345678901", new_uuid())[::order]),
        ]

        assert forms.content(fitting) == b"1234567890"
        assert [(told.status, told.code) for told in refused] == [(413, "ERR_MAX_SIZE_EXCEEDED")] * 2
        left = forms.stored() - before
        assert not [name for name in left if not name.startswith("incoming/form-") or name.count("-") > 5]
