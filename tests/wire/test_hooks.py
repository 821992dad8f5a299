"""What an operator's code refuses, as clients see it: a whole server, within the test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestServer

from tests.wire.raw import Wire
from tests.wire.tus import CHUNK_TYPE, Tus
from tusd_py.app import create_app
from tusd_py.core.errors import UploadRejectedError
from tusd_py.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tusd_py.core.model import Upload


class NoScripts:
    """Refuses shell scripts before they begin, and all else that is five bytes long when it is whole."""

    async def pre_create(self, upload: Upload) -> None:
        """By what the client says of the file."""
        if upload.name.endswith(".sh"):
            raise UploadRejectedError("no scripts here")

    async def post_receive(self, upload: Upload) -> None:
        """Nothing against it."""

    async def pre_finish(self, upload: Upload) -> None:
        """By what the file is."""
        if upload.length == 5:
            raise UploadRejectedError("five is not enough")

    async def pre_terminate(self, upload: Upload) -> None:
        """Nothing against it."""


@pytest.mark.parametrize("body", [b"", b"12345"], ids=["empty", "first chunk"])
async def test_metadata_may_be_a_reason_to_refuse(tmp_path: Path, body: bytes) -> None:
    """tus 1.0.0, Upload-Metadata: the server may reject the upload because of it (T-063)."""
    fields = {"Upload-Length": "9", "Upload-Metadata": "filename YS5zaA==", "Content-Type": CHUNK_TYPE}
    async with TestServer(create_app(Settings(upload_dir=tmp_path), hooks=[NoScripts()])) as server:
        port = server.port or 0
        tus = Tus(lambda: Wire.to(port), "/files/", tmp_path)

        answer = await asyncio.to_thread(tus.ask, "POST", "/files/", fields, body)

    assert (answer.status, answer.body) == (400, b"ERR_UPLOAD_REJECTED: no scripts here\n")
    assert answer.get("Location") is None
    assert tus.files() == {}


async def test_a_refused_file_is_never_published(tmp_path: Path) -> None:
    """A veto at the end sticks: no request brings the upload through, until it is terminated (T-106)."""
    async with TestServer(create_app(Settings(upload_dir=tmp_path), hooks=[NoScripts()])) as server:
        port = server.port or 0
        tus = Tus(lambda: Wire.to(port), "/files/", tmp_path)
        path = await asyncio.to_thread(tus.create, 5)
        answers = [
            await asyncio.to_thread(tus.patch, path, 0, b"12345"),
            await asyncio.to_thread(tus.patch, path, 5),
            await asyncio.to_thread(tus.head, path),
            await asyncio.to_thread(tus.ask, "GET", path),
        ]
        published = [name for name in tus.files() if name.startswith("uploads/")]
        deleted = await asyncio.to_thread(tus.ask, "DELETE", path)

    assert [answer.status for answer in answers] == [400] * 4
    assert answers[0].body == b"ERR_UPLOAD_REJECTED: five is not enough\n"
    assert answers[2].get("Upload-Offset") is None
    assert published == []
    assert deleted.status == 204
    assert tus.files() == {}
