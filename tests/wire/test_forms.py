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
from tests.wire.conftest import LogLines
from tests.wire.forms import DOWNLOAD, UPLOAD, Forms, tell
from tests.wire.raw import format_chunks
from tests.wire.tus import Tus
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


# -- addresses, pages, tus --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("GET", UPLOAD, "OPTIONS, POST"),
        ("DELETE", UPLOAD, "OPTIONS, POST"),
        ("PUT", "/file/upload-chunk", "OPTIONS, POST"),
        ("PATCH", "/file/finalize-chunked-upload", "OPTIONS, POST"),
        ("POST", DOWNLOAD, "OPTIONS, GET, HEAD"),
        ("DELETE", DOWNLOAD, "OPTIONS, GET, HEAD"),
    ],
)
def test_other_methods_are_405(forms: Forms, method: str, target: str, allow: str) -> None:
    """RFC 9110, 15.5.6: Allow has those there are."""
    told = forms.ask(method, target, body=b"")

    assert (told.status, told.code) == (405, "ERR_METHOD_NOT_ALLOWED")
    assert told.answer.get("Allow") == allow


@pytest.mark.parametrize(
    "target", ["/file/", "/file/x", "/file/upload-local/x", "/file/../file/x", "/file//upload-local"]
)
def test_other_addresses_are_404_in_json(forms: Forms, target: str) -> None:
    """Below the forms' path everything speaks JSON."""
    told = forms.ask("POST", target, body=b"")

    assert (told.status, told.code) == (404, "ERR_NOT_FOUND")


def test_a_page_may_send_forms(forms: Forms) -> None:
    """Fetch, CORS: preflights are answered, and every answer can be read, refusals too."""
    page = {"Origin": "https://app.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    preflight = forms.ask("OPTIONS", "/file/finalize-chunked-upload", page | asked)
    answers = [
        forms.post(UPLOAD, [TYPE, file(b"x")], page),
        forms.post(UPLOAD, [TYPE], page),
        forms.ask("GET", "/file/nothing", page),
        forms.ask("GET", DOWNLOAD, page),
    ]

    assert preflight.status == 204
    assert preflight.answer.get("Allow") == "OPTIONS, POST"
    assert "content-type" in preflight.answer.listed("Access-Control-Allow-Headers")
    assert "post" in preflight.answer.listed("Access-Control-Allow-Methods")
    assert [told.status for told in answers] == [200, 422, 404, 422]
    for told in [preflight, *answers]:
        assert told.answer.get("Access-Control-Allow-Origin") == "https://app.example"


def test_a_strangers_page_is_told_so_in_json(tmp_path_factory: pytest.TempPathFactory) -> None:
    """--cors-allow-origin: the form is not read, and nothing is stored."""
    folder = tmp_path_factory.mktemp("forms") / "store"
    with ServerProcess(folder, "--cors-allow-origin", "https://app\\.example") as server:
        forms = Forms(server)
        before = forms.stored()
        told = forms.post(UPLOAD, [TYPE, file(b"x")], {"Origin": "https://evil.example"})

        assert (told.status, told.code) == (403, "ERR_ORIGIN_NOT_ALLOWED")
        assert forms.stored() - before <= {".janitor.lock"}


def test_the_method_that_counts_is_the_effective_one(forms: Forms) -> None:
    """X-HTTP-Method-Override, as everywhere."""
    told = forms.post(UPLOAD, [TYPE, file(b"x")], {"X-HTTP-Method-Override": "DELETE"})

    assert told.status == 405


def test_the_log_tells_of_forms(forms: Forms, server: ServerProcess) -> None:
    """The access line has the upload, what came of the request, and how many bytes came."""
    form = format_form([TYPE, file(LARGE)])
    told = forms.ask("POST", UPLOAD, {"Content-Type": FORM_TYPE, "X-Request-ID": "forms-1"}, form)
    forms.post(UPLOAD, [TYPE], {"X-Request-ID": "forms-2"})
    log = LogLines(server)

    line, refused = log.access("forms-1"), log.access("forms-2")

    assert told.answer.get("X-Request-ID") == "forms-1"
    assert (line["upload"], line["received"]) == (told.content["file_uuid"], len(form))
    assert (refused["status"], refused["outcome"]) == (422, "InvalidForm")


def test_tus_knows_what_came_by_form(forms: Forms, server: ServerProcess) -> None:
    """It is an upload like any other: HEAD tells its length, its type and its file; DELETE removes it."""
    told = forms.upload(LARGE)
    tus, path = Tus.of(server), f"/files/{told.content['file_uuid']}"

    head = tus.head(path)
    refused = tus.patch(path, 0, b"x")
    gone = [tus.ask("DELETE", path).status, tus.head(path).status]

    assert (head.status, head.get("Upload-Offset"), head.get("Upload-Length")) == (
        200,
        f"{MIB}",
        f"{MIB}",
    )
    assert head.get("Content-Location") == f"http://files.test{told.content['static_url']}"
    assert head.get("Upload-Concat") is None
    assert refused.status in {403, 409}
    assert gone == [204, 404]


# -- and back ---------------------------------------------------------------------------------


def test_a_file_comes_back_as_an_attachment(forms: Forms, server: ServerProcess) -> None:
    """RFC 6266: to be saved, though a browser could show it; by its extension, or its type's subtype."""
    told = forms.upload(LARGE, "audio/mpeg")
    answers = [
        requests.get(f"{server.origin}{DOWNLOAD}?uuid={told.content['file_uuid']}{more}", timeout=20)
        for more in (
            "&file_extension=mp3",
            "&file_extension=.mp3",
            "&file_extension=mpeg",
            "&file_extension=",
            "",
        )
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert {sha256(answer.content) for answer in answers} == {sha256(LARGE)}
    for answer in answers:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="speech.mp3"'
        assert answer.headers["Content-Type"] == "audio/mpeg"


def test_a_download_has_ranges_and_conditions(forms: Forms, server: ServerProcess) -> None:
    """RFC 9110, 13 and 14, as under the public path; refusals are JSON."""
    file_id = forms.upload(b"0123456789", "audio/wav").content["file_uuid"]
    url = f"{server.origin}{DOWNLOAD}?uuid={file_id}&file_extension=wav"

    part = requests.get(url, headers={"Range": "bytes=2-4"}, timeout=20)
    known = requests.get(url, headers={"If-None-Match": part.headers["ETag"]}, timeout=20)
    beyond = requests.get(url, headers={"Range": "bytes=10-"}, timeout=20)
    changed = requests.get(url, headers={"If-Match": '"x"'}, timeout=20)
    head = requests.head(url, timeout=20)

    assert (part.status_code, part.content, known.status_code) == (206, b"234", 304)
    assert (beyond.status_code, beyond.json()["code"]) == (416, "ERR_RANGE_NOT_SATISFIABLE")
    assert beyond.headers["Content-Range"] == "bytes */10"
    assert (changed.status_code, changed.json()["code"]) == (412, "ERR_PRECONDITION_FAILED")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "10", b"")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "ERR_INVALID_FORM"),
        ("?uuid=", 422, "ERR_INVALID_FORM"),
        ("?uuid=../../etc/passwd", 422, "ERR_INVALID_FORM"),
        ("?uuid=form-0123456789abcdef0123456789abcdef", 422, "ERR_INVALID_FORM"),
        ("?file_extension=wav", 422, "ERR_INVALID_FORM"),
        ("?uuid=0123456789abcdef0123456789abcdef&file_extension=../x", 422, "ERR_INVALID_FORM"),
        ("?uuid=0123456789abcdef0123456789abcdef&file_extension=wav", 404, "ERR_UPLOAD_NOT_FOUND"),
        ("?uuid=01234567-89ab-cdef-0123-456789abcdef", 404, "ERR_UPLOAD_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_404_and_what_cannot_be_is_422(
    forms: Forms, query: str, status: int, code: str
) -> None:
    """In JSON; a HEAD says the same without words."""
    told = forms.ask("GET", f"{DOWNLOAD}{query}")
    silent = forms.ask("HEAD", f"{DOWNLOAD}{query}")

    assert (told.status, told.code) == (status, code)
    assert (silent.status, silent.content) == (status, None)


def test_what_is_not_finished_or_not_of_that_type_is_404(forms: Forms, server: ServerProcess) -> None:
    """Nobody reads a file before it is whole, or under an extension that it does not have."""
    tus = Tus.of(server)
    unfinished = tus.create(10).rpartition("/")[2]
    finished = forms.upload(b"x", "audio/wav").content["file_uuid"]

    answers = [
        forms.ask("GET", f"{DOWNLOAD}?uuid={unfinished}"),
        forms.ask("GET", f"{DOWNLOAD}?uuid={finished}&file_extension=webm"),
    ]

    assert [(told.status, told.code) for told in answers] == [(404, "ERR_UPLOAD_NOT_FOUND")] * 2


def test_switches_move_and_remove_forms(tmp_path_factory: pytest.TempPathFactory) -> None:
    """--form-path, --disable-download and --use-chunked-local-upload=false; a root base path is no harm."""
    flags = ("--form-path", "/api/forms/", "--base-path", "/", "--disable-download")
    folder = tmp_path_factory.mktemp("forms") / "store"
    with ServerProcess(folder, *flags, "--use-chunked-local-upload=false") as server:
        forms = Forms(server)
        taken = forms.upload(b"12345", target="/api/forms/upload-local")
        others = ("upload-chunk", "finalize-chunked-upload", "download-local/")
        answers = [forms.ask("POST", f"/api/forms/{name}", body=b"") for name in others]

        assert forms.content(taken) == b"12345"
        assert [(told.status, told.code) for told in answers] == [(404, "ERR_NOT_FOUND")] * 3
