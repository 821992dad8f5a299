"""The browser's own FormData, from a page of another origin: whole files, and files in chunks."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.payload import Payload, sha256
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.clients import Driver
    from tests.interop.pages import PageServer

MIB = 2**20
TYPE: list[Any] = ["content_type", "audio/webm;codecs=opus"]


@pytest.fixture(scope="module")
def taker(pages: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the limit that servers come with, which lets our page in."""
    folder = tmp_path_factory.mktemp("forms") / "storage"
    flags = ("--max-local-file-size", "50MiB", "--cors-allow-origin", pages.origin.replace(".", r"\."))
    with ServerProcess(folder, *flags) as process:
        yield process


@pytest.fixture
def page(browser: Driver, pages: PageServer) -> Iterator[Driver]:
    """A page that sends forms."""
    browser.ask("open", url=f"{pages.origin}/form.html")
    yield browser
    browser.ask("close")


def blob(pages: PageServer, payload: Payload, name: str = "") -> dict[str, str]:
    """A file for the page; without a name it is a Blob, as a recorder makes it."""
    return {"path": pages.offer(payload), "name": name, "type": "audio/webm"}


def send(page: Driver, url: str, parts: list[list[Any]]) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer, as the page sees them."""
    told = page.ask("send", url=url, parts=parts)
    return told["status"], told["json"]


@pytest.mark.parametrize("size", [1, 8 * 1024, 49 * MIB])
@pytest.mark.parametrize("order", [1, -1], ids=["file first", "file last"])
def test_a_page_uploads_a_file_by_form(
    page: Driver, pages: PageServer, taker: ServerProcess, size: int, order: int
) -> None:
    """As the old page did: a Blob and its type; the file is stored to the byte."""
    payload = Payload(size=size, seed=99)
    status, told = send(
        page, f"{taker.origin}/file/upload-local", [["file", blob(pages, payload)], TYPE][::order]
    )

    assert status == 200
    assert told["file_key"] == f"{told['file_uuid']}.webm"
    assert sha256(taker.published(told["file_uuid"]).read_bytes()) == payload.sha256


def test_a_page_reads_why_its_file_is_refused(
    page: Driver, pages: PageServer, taker: ServerProcess
) -> None:
    """A byte too much: 413 with words, not a network error."""
    payload = Payload(size=50 * MIB + 1, seed=99)
    status, told = send(page, f"{taker.origin}/file/upload-local", [["file", blob(pages, payload)], TYPE])

    assert (status, told["code"]) == (413, "ERR_MAX_SIZE_EXCEEDED")
    assert not [path for path in (taker.upload_dir / "incoming").iterdir() if "aside" in path.name]


def test_a_page_uploads_a_file_in_chunks(page: Driver, pages: PageServer, taker: ServerProcess) -> None:
    """A JSON finalize needs a preflight, which is answered."""
    chunks = [Payload(size=size, seed=seed) for seed, size in enumerate((300_000, 1, 400_000))]
    file_id = str(uuid.uuid4())
    for index in (2, 0, 1):
        texts = {"chunk_index": str(index), "total_chunks": "3", "file_uuid": file_id}
        parts: list[list[Any]] = [["chunk", blob(pages, chunks[index])], TYPE]
        parts += [[name, text] for name, text in texts.items()]
        status, _ = send(page, f"{taker.origin}/file/upload-chunk", parts)
        assert status == 200

    wanted = {"file_uuid": file_id, "content_type": "audio/webm"}
    told = page.ask("post", url=f"{taker.origin}/file/finalize-chunked-upload", json=wanted)

    assert (told["status"], told["json"]["static_url"]) == (200, f"/uploads/{file_id}.webm")
    whole = b"".join(chunk.data for chunk in chunks)
    assert taker.published(file_id).read_bytes() == whole
