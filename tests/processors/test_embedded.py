"""Processors and streams in an application of one's own."""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import tusd_py
from tests.faults.embedded import embedded
from tests.faults.wire import create, patch
from tests.support.payload import make_bytes
from tests.support.server import upload_id
from tusd_py.app import create_app
from tusd_py.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web

    from tusd_py import Upload

CONTENT = make_bytes(200_000, seed=61)


def test_a_processor_may_be_given_in_python(tmp_path: Path) -> None:
    """`create_app(processors={name: function})`: what a client sends is what the function gets."""
    given: queue.Queue[tuple[str, str, bytes]] = queue.Queue()

    async def keep(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
        data = b"".join([piece async for piece in pieces])
        given.put_nowait((upload.id, upload.metadata.text("filename") or "", data))

    with embedded(tmp_path, processors={"keep": keep}) as (url, _, _):
        made = create(url, len(CONTENT), **{"Upload-Metadata": "filename YS53YXY="})
        patch(made, 0, CONTENT)
        found = given.get(timeout=30)

    assert found == (upload_id(made), "a.wav", CONTENT)


def test_a_stream_follows_what_clients_send(tmp_path: Path) -> None:
    """`tusd_py.stream(app, id, follow=True)`: each PATCH of a real client, and then the end."""

    async def follow(app: web.Application, upload: str) -> list[bytes]:
        pieces = tusd_py.stream(app, upload, chunk_size=30_000, follow=True)
        return [piece async for piece in pieces]

    with ThreadPoolExecutor(1) as pool, embedded(tmp_path) as (url, app, loop):
        made = create(url, len(CONTENT))
        following = pool.submit(lambda: loop.run(follow(app, upload_id(made))))
        for start in range(0, len(CONTENT), 70_000):
            patch(made, start, CONTENT[start : start + 70_000])
        pieces = following.result(timeout=30)

    assert b"".join(pieces) == CONTENT
    assert {len(piece) for piece in pieces[:-1]} == {30_000}


def test_what_cannot_be_called_is_a_wrong_setting(tmp_path: Path) -> None:
    """At once, and no folder is made."""
    with pytest.raises(SettingsError, match=r"^--processor: 'none' is no function; "):
        create_app(Settings(upload_dir=tmp_path / "storage"), processors={"none": dict})

    assert not (tmp_path / "storage").exists()
