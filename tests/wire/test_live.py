"""Live audio, between a client and the running server: from the first message to the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.faults.wire import offset_of, published_digest
from tests.support.live import (
    CLOSE,
    CONTINUATION,
    HANDSHAKE,
    PING,
    TEXT,
    connecting,
    converse,
    raw_frame,
)
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess, fetch, head
from tests.wire.conftest import KINDS, check_no_traceback
from tests.wire.tus import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = make_bytes(200_000, seed=56)
FRAMES = [DATA[start : start + 9_999] for start in range(0, len(DATA), 9_999)]


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def any_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server on every event loop and with every parser there is; it is patient."""
    flags, environment = request.param
    folder = tmp_path_factory.mktemp("kinds") / "store"
    with ServerProcess(folder, "--network-timeout", "60s", *flags, environment=environment) as process:
        yield process


async def test_frames_become_a_file(any_server: ServerProcess) -> None:
    """Acknowledged, completed, published under the usual name, and told in the form's words."""
    async with connecting(any_server.origin) as client:
        greeting = await client.greet()
        await client.send(*FRAMES)
        await client.stored(len(DATA))
        result = await client.finish()
        _, code = await client.end()

    upload_id, name = greeting["file_uuid"], f"{greeting['file_uuid']}.webm"
    file = any_server.upload_dir / "uploads" / name
    served = fetch(any_server.origin + result["static_url"])
    assert greeting == {"url": f"{any_server.url}{upload_id}", "file_uuid": upload_id, "offset": 0}
    assert result == {
        "complete": True,
        "offset": len(DATA),
        "file_key": name,
        "file_path": str(file),
        "file_uuid": upload_id,
        "static_url": f"/uploads/{name}",
    }
    assert code == 1000
    assert sha256(file.read_bytes()) == sha256(served.body) == sha256(DATA)
    assert served.headers["content-type"] == "audio/webm"
    assert head(greeting["url"]).headers["upload-length"] == str(len(DATA))


async def test_every_acknowledgement_counts_what_is_stored(open_server: ServerProcess) -> None:
    """No offset is told that HEAD does not know; pieces are counted in chunks of 4096 bytes."""
    async with connecting(open_server.origin) as client:
        url = (await client.greet())["url"]
        sent = pieces = 0
        for frame in FRAMES:
            await client.send(frame)
            sent, pieces = sent + len(frame), pieces + -(-len(frame) // 4096)
            await client.stored(sent)

            assert offset_of(url) == sent
            assert client.said[-1] == {"offset": sent, "chunks_processed": pieces}


async def test_who_does_not_wait_for_the_greeting_loses_nothing(open_server: ServerProcess) -> None:
    """A new upload begins at 0, so frames may come, and even the end, before a word was heard."""
    async with connecting(open_server.origin) as client:
        await client.send(*FRAMES)
        await client.socket.send_json({"complete": True})
        greeting = await client.greet()
        result = await client.result()

    assert result["offset"] == len(DATA)
    assert published_digest(open_server, greeting["url"]) == sha256(DATA)


@pytest.mark.parametrize(
    ("query", "suffix", "content_type"),
    [
        ({"content_type": "audio/wav"}, ".wav", "audio/wav"),
        ({"content_type": "audio/webm;codecs=opus"}, ".webm", "audio/webm; codecs=opus"),
        ({"filename": "Vortrag.ogg", "content_type": "audio/ogg"}, ".ogg", "audio/ogg"),
    ],
)
async def test_the_client_says_what_it_records(
    open_server: ServerProcess, query: dict[str, str], suffix: str, content_type: str
) -> None:
    """In the query; the file is served as what it was said to be."""
    async with connecting(open_server.origin, query) as client:
        await client.send(b"sound")
        result = await client.finish()

    assert result["file_key"] == result["file_uuid"] + suffix
    assert fetch(open_server.origin + result["static_url"]).headers["content-type"] == content_type


async def test_an_empty_recording_is_a_file_of_no_bytes(open_server: ServerProcess) -> None:
    """Who completes without a byte has completed."""
    async with connecting(open_server.origin) as client:
        result = await client.finish()

    assert open_server.published(result["file_uuid"]).read_bytes() == b""


async def test_frames_in_fragments_are_put_together(any_server: ServerProcess) -> None:
    """RFC 6455, 5.4: a message is one frame or many, with pings between them."""
    said = await converse(
        any_server.origin,
        raw_frame(b"abc", is_final=False),
        raw_frame(b"are you there?", PING),
        raw_frame(b"def", CONTINUATION, is_final=False),
        raw_frame(b"ghi", CONTINUATION),
        raw_frame(b'{"complete": true}', TEXT),
        raw_frame(b"\x03\xe8", CLOSE),
    )

    result = json.loads(said[said.index(b'{"complete"') :].partition(b"}")[0] + b"}")
    assert any_server.published(result["file_uuid"]).read_bytes() == b"abcdefghi"
    assert b"\x8a\x0eare you there?" in said  # the pong


async def test_an_empty_frame_shows_that_the_client_is_there(open_server: ServerProcess) -> None:
    """It is answered with how far everything is, and changes nothing."""
    async with connecting(open_server.origin) as client:
        await client.greet()
        await client.send(b"")
        answers = [await client.hear()]
        await client.send(b"abc")
        await client.stored(3)
        await client.send(b"")
        answers.append(await client.hear())

    assert answers == [{"offset": 0, "chunks_processed": 0}, {"offset": 3, "chunks_processed": 1}]


OPENINGS: list[tuple[dict[str, str | int], str]] = [
    ({"content_type": "webm"}, "ERR_INVALID_CONTENT_TYPE"),
    ({"content_type": "audio/../webm"}, "ERR_INVALID_CONTENT_TYPE"),
    ({"content_type": ""}, "ERR_INVALID_CONTENT_TYPE"),
    ({"offset": 5}, "ERR_INVALID_OFFSET"),
    ({"id": UNKNOWN, "offset": "five"}, "ERR_INVALID_OFFSET"),
    ({"id": UNKNOWN}, "ERR_UPLOAD_NOT_FOUND"),
    ({"id": "../../etc/passwd"}, "ERR_UPLOAD_NOT_FOUND"),
    ({"id": ""}, "ERR_UPLOAD_NOT_FOUND"),
]


@pytest.mark.parametrize(("query", "code"), OPENINGS)
async def test_an_opening_that_is_wrong_is_explained(
    open_server: ServerProcess, query: dict[str, str | int], code: str
) -> None:
    """In JSON, then the connection is closed with 1008; nothing is put on record."""
    before = sorted((open_server.upload_dir / "incoming").iterdir())
    async with connecting(open_server.origin, query) as client:
        refusal = await client.refusal()

    assert refusal == (code, 1008)
    assert len(client.said) == 1
    assert sorted((open_server.upload_dir / "incoming").iterdir()) == before


@pytest.mark.parametrize(
    "text", ["complete", "[]", "{}", '{"complete": false}', '{"bytes": 3}', '{"offset": "3"}', "x" * 5000]
)
async def test_a_message_that_is_wrong_is_explained(open_server: ServerProcess, text: str) -> None:
    """The connection is closed with 1008; what came before it is stored, and told."""
    async with connecting(open_server.origin) as client:
        url = (await client.greet())["url"]
        await client.send(b"abc")
        await client.socket.send_str(text)
        refusal = await client.refusal()

    assert refusal == ("ERR_INVALID_MESSAGE", 1008)
    assert (client.said[-1]["offset"], offset_of(url)) == (3, 3)


BROKEN = {
    "text that is not UTF-8": raw_frame(b"\xff", TEXT),
    "reserved bits": b"\xf2\x80\0\0\0\0",
    "an unknown opcode": raw_frame(b"x", 5),
    "a continuation of nothing": raw_frame(b"x", CONTINUATION),
    "a long ping": raw_frame(bytes(126), PING),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
async def test_a_frame_that_is_none_is_explained(any_server: ServerProcess, broken: bytes) -> None:
    """RFC 6455, 5: what came before it is stored; the words reach a client that goes on sending."""
    said = await converse(any_server.origin, raw_frame(b"abc"), broken, raw_frame(bytes(60_000)))

    assert b"ERR_INVALID_MESSAGE" in said
    assert b'"offset": 3}\x88\x02\x03\xf0' in said  # closed with 1008
    check_no_traceback(any_server)


@pytest.mark.parametrize(
    ("method", "fields", "status", "code"),
    [
        ("GET", {}, 426, "ERR_UPGRADE_REQUIRED"),
        ("GET", {"Upgrade": "websocket"}, 426, "ERR_UPGRADE_REQUIRED"),
        ("GET", {**HANDSHAKE, "Sec-WebSocket-Version": "99"}, 426, "ERR_UPGRADE_REQUIRED"),
        ("GET", {**HANDSHAKE, "Sec-WebSocket-Key": "short"}, 426, "ERR_UPGRADE_REQUIRED"),
        ("POST", HANDSHAKE, 405, "ERR_METHOD_NOT_ALLOWED"),
        ("POST", {**HANDSHAKE, "X-HTTP-Method-Override": "GET"}, 405, "ERR_METHOD_NOT_ALLOWED"),
        ("OPTIONS", {}, 405, "ERR_METHOD_NOT_ALLOWED"),
    ],
)
def test_what_is_no_handshake_is_refused(
    open_server: ServerProcess, method: str, fields: dict[str, str], status: int, code: str
) -> None:
    """RFC 6455, 4.2.1: a GET that asks for version 13 with a key; the refusal says so."""
    answer = fetch(open_server.origin + "/live", method, fields)

    assert (answer.status, answer.body.partition(b":")[0].decode()) == (status, code)
    assert (answer.headers.get("sec-websocket-version") == "13") is (status == 426)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that lets one origin in, leaves CORS headers to a proxy, and has another path."""
    flags = ("--cors-allow-origin", r"https://app\.example", "--disable-cors", "--live-path", "/mic")
    with ServerProcess(tmp_path_factory.mktemp("strict") / "store", *flags) as server:
        yield server


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil", "null", ""])
async def test_a_page_of_a_strange_origin_gets_no_connection(strict: ServerProcess, origin: str) -> None:
    """RFC 6455, 10.2: CORS does not hold a browser back, so the handshake is refused, with 403."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with connecting(strict.origin, path="/mic", headers={"Origin": origin}):
            pass

    assert caught.value.status == 403


@pytest.mark.parametrize("headers", [{"Origin": "https://app.example"}, {}])
async def test_everybody_else_gets_one(strict: ServerProcess, headers: dict[str, str]) -> None:
    """A page of the allowed origin, and what is no page: it sends no Origin. The path is a setting."""
    for path in ("/mic", "/mic/"):
        async with connecting(strict.origin, path=path, headers=headers) as client:
            assert (await client.greet())["offset"] == 0
    assert fetch(strict.origin + "/live").status == 404


def test_live_audio_can_be_switched_off(tmp_path: Path) -> None:
    """Then nothing is at its address."""
    with ServerProcess(tmp_path / "store", "--disable-live") as server:
        assert fetch(server.origin + "/live", headers=HANDSHAKE).status == 404
