"""Forms whose bytes are safe while something else fails: over real sockets."""

from __future__ import annotations

import secrets
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.engine.scene import Scene
from tests.support.forms import FORM_TYPE, field, file, format_form
from tusd_py.core.errors import StoreError
from tusd_py.engine.assembly import Assembler
from tusd_py.protocol.heads import Urls
from tusd_py.testing.kit import sample
from tusd_py.web.form_body import READ_AHEAD
from tusd_py.web.forms import FormEndpoint, FormOptions
from tusd_py.web.heads import head_reader
from tusd_py.web.middleware import identify

if TYPE_CHECKING:
    from tests.support.forms import Part

DATA = sample(4 * READ_AHEAD, 4)
"""More than waits in memory for the fields behind it, so that it is set aside."""

FILE_ID = "8a1f4f9e-6f5c-4d4e-9b0b-0d6c2f2f2b11"
CHUNK = [
    file(DATA, "chunk"),
    field("content_type", "audio/webm"),
    field("chunk_index", "0"),
    field("total_chunks", "1"),
    field("file_uuid", FILE_ID),
]


async def post(scene: Scene, path: str, parts: list[Part]) -> tuple[int, dict[str, object]]:
    """What a server over the engine of `scene` answers."""
    options = FormOptions(
        urls=Urls(),
        max_size=None,
        chunk_size=8192,
        network_timeout=60.0,
        tokens=True,
        chunked=True,
        download=True,
    )
    assembler = Assembler(scene.engine, new_token=secrets.token_urlsafe, tokens=True)
    endpoint = FormEndpoint(scene.engine, assembler, options, lambda: secrets.token_hex(16))
    app = web.Application(middlewares=[identify(head_reader(behind_proxy=False))])
    app.router.add_post("/file/{name}", endpoint.handle)
    async with TestServer(app) as server, ClientSession() as client:
        headers, form = {"Content-Type": FORM_TYPE}, BytesIO(format_form(parts))
        async with client.post(server.make_url(path), data=form, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.mark.parametrize("call", ["load", "delete"])
async def test_what_was_set_aside_and_cannot_be_removed_costs_no_answer(call: str) -> None:
    """The chunk is kept: its client hears so, and of the token without which nobody could go on."""
    scene = Scene()
    before = {"load": 4, "delete": 0}[call]
    store = scene.script(**{call: [*[None] * before, StoreError("the disk")]})

    status, content = await post(scene, "/file/upload-chunk", CHUNK)

    assert status == 200
    assert content["token"]
    assert store.calls[-1] == call
