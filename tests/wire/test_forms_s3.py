"""Forms into S3: objects with the right key, type and bytes, whatever the order of the fields."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests.support.forms import field, file, format_form
from tests.support.payload import make_bytes, sha256
from tests.support.s3_server import S3ServerProcess
from tests.wire.conftest import LogLines
from tests.wire.forms import CHUNK, DOWNLOAD, UPLOAD, Forms, chunk_parts, new_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.seaweed import SeaweedProcess
    from tests.wire.forms import Told

MIB = 2**20
LIMIT = 14 * MIB
LARGE = make_bytes(13 * MIB + 17, seed=100)
"""Several parts of S3, the last one short."""

TYPE = field("content_type", "audio/webm;codecs=opus")


@pytest.fixture(scope="module")
def server(seaweed: SeaweedProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3ServerProcess]:
    """A server on S3 with a limit, and with tokens."""
    folder = tmp_path_factory.mktemp("forms-s3")
    with S3ServerProcess(seaweed, folder, "--max-size", str(LIMIT), "--form-tokens") as process:
        yield process


@pytest.fixture(scope="module")
def forms(server: S3ServerProcess) -> Forms:
    """A client of it."""
    return Forms(server)


def check_object(server: S3ServerProcess, told: Told, data: bytes, content_type: str) -> None:
    """The answer tells the key of an object with these bytes and this type; nothing is left beside it."""
    assert told.status == 200, told
    key, file_id = told.content["file_path"], told.content["file_uuid"]
    seaweed = server.seaweed
    shown = seaweed.client().head_object(Bucket=seaweed.bucket, Key=key)
    assert key == f"{server.prefix}uploads/{told.content['file_key']}"
    assert seaweed.digest(key) == sha256(data)
    assert shown["ContentType"] == content_type
    assert server.traces(file_id) == [f"{server.prefix}state/{file_id}.json", key]
    assert [name for name in server.ids() if name.startswith("form-")] == []
    assert seaweed.unfinished(server.prefix) == []


@pytest.mark.parametrize("size", [0, 1, 300_000, len(LARGE)])
@pytest.mark.parametrize("order", [1, -1], ids=["file first", "file last"])
def test_a_form_s_file_becomes_an_object(
    forms: Forms, server: S3ServerProcess, order: int, size: int
) -> None:
    """Key and type are fixed when an object is begun, and right all the same when they come behind it."""
    told = forms.post(UPLOAD, [file(LARGE[:size]), TYPE][::order])

    check_object(server, told, LARGE[:size], "audio/webm; codecs=opus")


@pytest.mark.parametrize("order", [1, -1], ids=["file first", "file last"])
def test_a_byte_too_much_leaves_no_object(forms: Forms, server: S3ServerProcess, order: int) -> None:
    """413 while it streams; nothing of it is in the bucket, no part of an upload either."""
    before = server.seaweed.objects(server.prefix)

    told = forms.post(UPLOAD, [file(bytes(LIMIT + 1)), TYPE][::order])

    assert (told.status, told.code) == (413, "ERR_MAX_SIZE_EXCEEDED")
    assert server.seaweed.objects(server.prefix) == before
    assert server.seaweed.unfinished(server.prefix) == []


@pytest.mark.parametrize("order", [1, -1], ids=["file first", "file last"])
def test_a_form_that_is_cut_leaves_no_object(forms: Forms, server: S3ServerProcess, order: int) -> None:
    """The client is gone in the middle of the second part."""
    before, request_id = server.seaweed.objects(server.prefix), new_uuid()
    form = format_form([file(LARGE), TYPE][::order])
    with forms.connect() as wire:
        wire.send(forms.head(UPLOAD, len(form), {"X-Request-ID": request_id}) + form[: 7 * MIB])
    LogLines(server).access(request_id)

    assert server.seaweed.objects(server.prefix) == before
    assert server.seaweed.unfinished(server.prefix) == []


def test_chunks_become_an_object(forms: Forms, server: S3ServerProcess) -> None:
    """Out of order, in parallel, again, after a missing one; the same answer twice, and a way back."""
    file_id, token = new_uuid(), new_uuid()
    chunks = [LARGE[: 6 * MIB], LARGE[6 * MIB : 6 * MIB + 1], LARGE[6 * MIB + 1 :]]

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda index: forms.chunk(file_id, index, 3, chunks[index], token), (2, 0)))
    missing = forms.finalize(file_id, token=token)
    again = [forms.chunk(file_id, index, 3, chunks[index], token) for index in (1, 2)]
    other = forms.post(CHUNK, chunk_parts(file_id, 0, 3, chunks[0][:-1] + b"x", token)[::-1])
    stranger = forms.finalize(file_id, token=new_uuid())
    done = forms.finalize(file_id, token=token)
    back = requests.get(f"{server.origin}{DOWNLOAD}?uuid={file_id}&file_extension=webm", timeout=60)

    assert [each.status for each in [*told, *again]] == [200] * 4
    assert (missing.code, missing.content["missing"]) == ("ERR_CHUNKS_MISSING", [1])
    assert (other.code, stranger.code) == ("ERR_CHUNK_MISMATCH", "ERR_WRONG_TOKEN")
    check_object(server, done, LARGE, "audio/webm")
    assert json.dumps(forms.finalize(file_id, token=token).content) == json.dumps(done.content)
    assert sha256(back.content) == sha256(LARGE)
    assert back.headers["Content-Disposition"].startswith("attachment; ")
