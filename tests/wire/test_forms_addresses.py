"""What surrounds forms: addresses, pages of other sites, the log, tus, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.support.forms import FORM_TYPE, field, file, format_form
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.conftest import LogLines, check_no_traceback
from tests.wire.forms import DOWNLOAD, UPLOAD, Forms
from tests.wire.tus import Tus

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20
LARGE = make_bytes(MIB, seed=90)
TYPE = field("content_type", "audio/webm;codecs=opus")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for this module."""
    folder = tmp_path_factory.mktemp("forms") / "store"
    with ServerProcess(folder) as process:
        yield process
        check_no_traceback(process)


@pytest.fixture(scope="module")
def forms(server: ServerProcess) -> Forms:
    """A client of it."""
    return Forms(server)


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
