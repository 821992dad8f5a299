"""examples/nginx/nginx.conf, in a real nginx in front of two real servers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.forms import FORM_TYPE, field, file, format_form
from tests.support.live import connecting
from tests.support.payload import Payload, sha256
from tests.wire.tus import CHUNK_TYPE, Tus, path_of

if TYPE_CHECKING:
    from tests.deploy.conftest import Fleet
    from tests.wire.raw import Response

MIB = 2**20
RECEIVED = "tusd_bytes_received"
PAYLOAD = Payload(size=5 * MIB + 7, seed=11)
REQUESTS = 'tusd_requests_total{method="%s"}'
REQUESTS_EACH = {"PATCH": 2, "HEAD": 1, "GET": 2, "DELETE": 1}
FORM_UUID = "0b5de3a2-3c0f-4a0e-9d0a-0123456789ab"
NOBODY_S = {"date", "x-request-id"}
"""Fields that differ between any two answers."""


def published(fleet: Fleet, path: str) -> str:
    """The digest of the finished file, as a client gets it."""
    return sha256(fleet.tus.ask("GET", f"/uploads/{path.rpartition('/')[2]}").body)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_bodies_may_be_large(fleet: Fleet, framing: str) -> None:
    """A PATCH of more than nginx takes by itself arrives to the byte, its length announced or not."""
    tus = fleet.tus
    path = tus.create(PAYLOAD.size)
    length = PAYLOAD.size if framing == "length" else None
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, length))
        if length is None:
            wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (PAYLOAD.size, PAYLOAD.data))
        else:
            wire.send(PAYLOAD.data)
        answer = wire.read("PATCH")

    assert (answer.status, answer.get("Upload-Offset")) == (204, str(PAYLOAD.size))
    assert published(fleet, path) == PAYLOAD.sha256


def test_a_creation_may_bring_the_whole_file(fleet: Fleet) -> None:
    """tus 1.0.0, Creation With Upload: nginx lets that through as well."""
    fields = {"Upload-Length": str(PAYLOAD.size), "Content-Type": CHUNK_TYPE}

    answer = fleet.tus.ask("POST", fields=fields, body=PAYLOAD.data)

    assert (answer.status, answer.get("Upload-Offset")) == (201, str(PAYLOAD.size))
    assert published(fleet, path_of(answer)) == PAYLOAD.sha256


def test_bytes_go_on_as_they_come(fleet: Fleet) -> None:
    """The server has the first bytes while the client still holds the last ones back."""
    tus = fleet.tus
    path = tus.create(10)
    before = sum(fleet.counts(RECEIVED))
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, 10) + b"1")
        fleet.until(RECEIVED, lambda now: sum(now) == before + 1)
        wire.send(b"234567890")
        answer = wire.read("PATCH")

    assert (answer.status, answer.get("Upload-Offset")) == (204, "10")


def test_a_cut_connection_costs_no_byte_that_arrived(fleet: Fleet) -> None:
    """The client vanishes in the middle, asks, and goes on exactly there."""
    tus, half = fleet.tus, PAYLOAD.size // 2
    path = tus.create(PAYLOAD.size)
    before = sum(fleet.counts(RECEIVED))
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, PAYLOAD.size) + PAYLOAD.data[:half])
        fleet.until(RECEIVED, lambda now: sum(now) == before + half)
    fleet.until("tusd_uploads_active", lambda now: sum(now) == 0)

    offset = tus.offset(path)
    answer = tus.patch(path, offset, PAYLOAD.data[offset:])

    assert offset == half
    assert answer.get("Upload-Offset") == str(PAYLOAD.size)
    assert published(fleet, path) == PAYLOAD.sha256


@pytest.mark.parametrize("host", ["files.example", "files.example:8443", "127.0.0.1:8080"])
def test_location_has_the_address_that_the_client_knows(fleet: Fleet, host: str) -> None:
    """Not the one of the servers, which nobody can reach."""
    fields = {"Upload-Length": "3", "Content-Type": CHUNK_TYPE, "Host": host}

    answer = fleet.tus.ask("POST", fields=fields, body=b"abc")

    location = answer.get("Location") or ""
    assert location.startswith(f"http://{host}/files/")
    assert answer.get("Content-Location") == f"http://{host}/uploads/{location.rpartition('/')[2]}"


@pytest.mark.parametrize(
    "fields",
    [
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Host": ["evil.example", "worse.example"]},
        {"Forwarded": "host=evil.example;proto=https"},
        {"Forwarded": ["host=evil.example", "proto=https"]},
    ],
)
def test_nobody_outside_says_where_a_client_came_to(
    fleet: Fleet, fields: dict[str, str | list[str]]
) -> None:
    """What only a proxy may say is nginx's to say: from outside it is not believed."""
    answer = fleet.tus.ask("POST", fields={"Upload-Length": "3", "Host": "files.example", **fields})

    assert (answer.get("Location") or "").startswith("http://files.example/files/")


def test_answers_pass_unchanged(fleet: Fleet) -> None:
    """Every field of an answer is the server's own, also those that proxies like to replace."""
    tus = fleet.tus
    path = tus.upload(b"abc", {"Upload-Metadata": "filename YS50eHQ="})
    home, host = Tus.of(fleet.home_of(path)), {"Host": "files.example"}

    for method, target in (
        ("HEAD", path),
        ("OPTIONS", "/files/"),
        ("GET", f"/uploads/{path.rpartition('/')[2]}.txt"),
        ("PATCH", path),
        ("GET", "/nowhere"),
    ):
        direct = home.ask(method, target, host)
        through = tus.ask(method, target, host)
        assert through.status == direct.status
        assert through.body == direct.body
        assert fields_of(through) == fields_of(direct)


def fields_of(answer: Response) -> list[tuple[str, str]]:
    """What the answer says of the upload and of itself; not what it says of its connection."""
    told = ((name.lower(), value) for name, value in answer.fields)
    return sorted((name, value) for name, value in told if name not in {*NOBODY_S, "connection"})


def test_new_uploads_are_spread_and_each_stays_where_it_is(fleet: Fleet) -> None:
    """Both servers get uploads, and one upload's requests never meet two servers: locks are per process."""
    tus = fleet.tus
    paths = [tus.create(6) for _ in range(24)]
    homes = [fleet.home_of(path) for path in paths]
    at_home = [homes.count(server) for server in fleet.servers]
    before = {method: fleet.counts(REQUESTS % method) for method in REQUESTS_EACH}
    for path in paths:
        tus.patch(path, 0, b"abc")
        tus.head(path)
        tus.patch(path, 3, b"def")
        tus.ask("GET", path)
        tus.ask("GET", f"/uploads/{path.rpartition('/')[2]}")
        tus.ask("DELETE", path)

    assert all(at_home)
    assert {method: fleet.counts(REQUESTS % method) for method in before} == {
        method: tuple(was + uploads * each for was, uploads in zip(before[method], at_home, strict=True))
        for method, each in REQUESTS_EACH.items()
    }


def test_creations_do_not_all_go_to_one_server(fleet: Fleet) -> None:
    """They have no upload yet that could decide, so chance does."""
    before = fleet.counts("tusd_uploads_created")
    for _ in range(24):
        fleet.tus.create(1)

    after = fleet.counts("tusd_uploads_created")

    assert sum(after) == sum(before) + 24
    assert all(now > was for was, now in zip(before, after, strict=True))


def test_forms_all_go_to_one_server(fleet: Fleet) -> None:
    """Which file a chunk belongs to stands in its body, so chunks of one file must not meet two servers."""
    chunks = [PAYLOAD.data[at : at + MIB] for at in range(0, PAYLOAD.size, MIB)]
    common = [field("file_uuid", FORM_UUID), field("content_type", "audio/wav")]
    count = field("total_chunks", str(len(chunks)))
    before = fleet.counts(REQUESTS % "POST")
    for index, chunk in enumerate(chunks):
        form = format_form([*common, count, field("chunk_index", str(index)), file(chunk, "chunk")])
        assert fleet.tus.ask("POST", "/file/upload-chunk", {"Content-Type": FORM_TYPE}, form).status == 200
    asked = json.dumps({"file_uuid": FORM_UUID, "content_type": "audio/wav"}).encode()
    fields = {"Content-Type": "application/json"}
    finished = fleet.tus.ask("POST", "/file/finalize-chunked-upload", fields, asked)

    after = fleet.counts(REQUESTS % "POST")
    stored = fleet.tus.ask("GET", json.loads(finished.body)["static_url"])

    assert sorted(now - was for was, now in zip(before, after, strict=True)) == [0, len(chunks) + 1]
    assert sha256(stored.body) == PAYLOAD.sha256


@pytest.mark.parametrize("upload", ["0123456789abcdef", FORM_UUID])
def test_a_file_is_where_its_upload_is(fleet: Fleet, upload: str) -> None:
    """The public name has the upload's id before its extension, dashes and all."""
    before = fleet.counts(REQUESTS % "GET")
    for target in (f"/files/{upload}", f"/uploads/{upload}.wav", f"/uploads/{upload}"):
        fleet.tus.ask("GET", target)

    after = fleet.counts(REQUESTS % "GET")

    assert sorted(now - was for was, now in zip(before, after, strict=True)) == [0, 3]


def test_the_metrics_are_not_for_strangers(fleet: Fleet) -> None:
    """Prometheus asks the servers themselves."""
    answer = fleet.tus.ask("GET", "/metrics")

    assert (answer.status, answer.body) == (404, b"ERR_NOT_FOUND: nothing has this address\n")


def test_uploads_go_on_at_the_other_server_when_theirs_dies(own_fleet: Fleet) -> None:
    """A killed server's uploads are taken over with every byte it had; the others notice nothing."""
    tus = own_fleet.tus
    paths = {path: own_fleet.home_of(path) for path in (tus.create(6) for _ in range(8))}
    for path in paths:
        tus.patch(path, 0, b"abc")
    dead = next(iter(paths.values()))
    dead.kill9()

    answers = [(tus.offset(path), tus.patch(path, 3, b"def").status) for path in paths]
    created = [tus.create(1) for _ in range(8)]

    assert answers == [(3, 204)] * 8
    assert len(set(created)) == 8
    assert all(published(own_fleet, path) == sha256(b"abcdef") for path in paths)


def test_a_server_that_dies_within_a_body_costs_a_retry(own_fleet: Fleet) -> None:
    """The client hears 503, or nothing, and finds its bytes at the other server."""
    tus = own_fleet.tus
    path = tus.create(6)
    home = own_fleet.home_of(path)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, 6) + b"abc")
        own_fleet.until(RECEIVED, lambda now: sum(now) == 3)
        home.kill9()
        answer = wire.read("PATCH")

    assert (answer.status, answer.get("Retry-After")) == (503, "3")
    assert tus.offset(path) == 3
    assert tus.patch(path, 3, b"def").status == 204


def test_nobody_begins_again_because_all_servers_are_away(own_fleet: Fleet) -> None:
    """A HEAD that nobody can answer is 423: clients take any other failure for a lost upload (C-08)."""
    tus = own_fleet.tus
    path = tus.create(6)
    for server in own_fleet.servers:
        server.kill9()

    asked, sent = tus.head(path), tus.patch(path, 0, b"abcdef")

    assert (asked.status, asked.get("Retry-After"), asked.get("Tus-Resumable")) == (423, "3", "1.0.0")
    assert (sent.status, sent.get("Retry-After")) == (503, "3")
    assert sent.body.startswith(b"ERR_SERVER_UNAVAILABLE: ")


def test_a_checksum_behind_the_body_does_not_pass(fleet: Fleet) -> None:
    """nginx drops trailers: the chunk is refused and counts for nothing, so nothing unverified is kept."""
    tus = fleet.tus
    path = tus.create(3)
    fields = {
        "Upload-Offset": "0",
        "Content-Type": CHUNK_TYPE,
        "Transfer-Encoding": "chunked",
        "Trailer": "Upload-Checksum",
    }
    with tus.connect() as wire:
        wire.send(tus.head_of("PATCH", path, fields) + b"3\r\nabc\r\n0\r\n")
        wire.send(b"Upload-Checksum: sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\r\n\r\n")
        answer = wire.read("PATCH")

    assert answer.status == 400
    assert answer.body.startswith(b"ERR_INVALID_CHECKSUM: ")
    assert tus.offset(path) == 0


async def test_a_live_connection_passes_and_comes_back_to_its_upload(fleet: Fleet) -> None:
    """A WebSocket goes through; with the upload's id it goes where all about that upload goes."""
    recording = PAYLOAD.data[:100_000]
    async with connecting(fleet.nginx.origin) as live:
        upload = (await live.greet())["file_uuid"]
        await live.send(recording[:60_000])
        await live.stored(60_000)
    home = await asyncio.to_thread(fleet.home_of, f"/files/{upload}")
    before = await asyncio.to_thread(fleet.counts, REQUESTS % "GET")
    async with connecting(fleet.nginx.origin, {"id": upload, "offset": 60_000}) as live:
        greeting = await live.greet()
        await live.send(recording[60_000:])
        finished = await live.finish()
        await live.end()
    after = await asyncio.to_thread(fleet.until, REQUESTS % "GET", lambda now: sum(now) > sum(before))

    asked = [server for server, was, now in zip(fleet.servers, before, after, strict=True) if now > was]
    file = await asyncio.to_thread(fleet.tus.ask, "GET", finished["static_url"])

    assert greeting["offset"] == 60_000
    assert asked == [home]
    assert sha256(file.body) == sha256(recording)
