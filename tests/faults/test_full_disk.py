"""A disk that fills up: what fitted is kept, what did not fit is told, and nothing is called done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.engines import ID, Client
from tests.faults.leftovers import names_of_files
from tests.faults.mounts import fill, free_bytes, small_disk
from tests.faults.wire import (
    CHUNK,
    VERSION,
    Exchange,
    code,
    create,
    delete,
    offset_of,
    patch,
    published_digest,
    resume,
    stored,
    wait_until,
)
from tests.support.payload import Payload, make_bytes
from tests.support.server import ServerProcess, fetch, head, upload_id
from tusd_py.core.errors import InsufficientSpaceError, StorageFullError
from tusd_py.core.events import UploadFinished
from tusd_py.core.model import UploadState
from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import FaultyStore
from tusd_py.testing.kit import content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK = 1 << 20
LONG = {"Upload-Metadata": f"note {'QUJD' * 600}"}
"""With a record so long that a change of it takes new room on the disk."""
FULL = (507, "ERR_INSUFFICIENT_STORAGE")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that may fill a disk of 1 MiB to the last byte.

    It finishes what it finds at its start and examines nothing: who has a record open that is replaced at
    that moment takes up its pages, and of them a test counts every one.
    """
    flags = ("--min-free-space", "0", "--gc-interval", "0")
    with small_disk(tmp_path / "disk", DISK) as disk, ServerProcess(disk, *flags) as it:
        yield it


def files(server: ServerProcess) -> list[str]:
    """The name of every file of the storage."""
    return names_of_files(server.upload_dir)


def is_ready(server: ServerProcess) -> int:
    """What a load balancer hears."""
    return fetch(f"{server.origin}/readyz").status


def test_an_upload_that_cannot_fit_is_refused_at_once(server: ServerProcess) -> None:
    """507 before a byte of it is sent, and nothing is left of it."""
    answer = fetch(server.url, "POST", VERSION | {"Upload-Length": str(DISK + 1)})

    assert code(answer) == FULL
    assert files(server) == []
    assert create(server.url, DISK // 2)


@pytest.mark.parametrize(
    "fields",
    [
        VERSION | {"Upload-Length": "1"},
        VERSION | {"Upload-Length": "0"},
        VERSION | {"Upload-Defer-Length": "1"},
        CHUNK | {"Upload-Defer-Length": "1"},
    ],
    ids=["one byte", "nothing", "deferred", "with a body"],
)
def test_a_full_disk_takes_no_new_upload_and_keeps_no_trace(
    server: ServerProcess, fields: dict[str, str]
) -> None:
    """Even the record does not fit: 507, no file is left; with space again, the same request is taken."""
    filler = fill(server.upload_dir)
    answer = fetch(server.url, "POST", fields, b"")
    left, ready = files(server), is_ready(server)
    filler.unlink()

    assert code(answer) == FULL
    assert left == ["filler"]
    assert (ready, is_ready(server)) == (503, 200)
    assert fetch(server.url, "POST", fields, b"").status == 201


def test_a_body_that_fills_the_disk_is_kept_as_far_as_it_fitted(server: ServerProcess) -> None:
    """507, HEAD says exactly what is in the file; when another upload has gone, it goes on from there."""
    file = Payload(size=700_000, seed=1)
    other, url = create(server.url, 600_000), create(server.url, file.size)
    assert patch(other, 0, make_bytes(500_000)).status == 204

    answer = patch(url, 0, file.data)
    offset = offset_of(url)
    data = stored(server, url).read_bytes()
    repeated = patch(url, offset, file.data[offset:])
    full = (free_bytes(server.upload_dir), is_ready(server), offset_of(other))
    server.kill9()
    server.start()
    url, other = (server.url + upload_id(each) for each in (url, other))
    offset_after_restart = offset_of(url)
    freed = delete(other).status
    ready = is_ready(server)

    assert code(answer) == code(repeated) == FULL
    assert answer.headers["retry-after"] == "1"
    assert 0 < offset < file.size
    assert data == file.data[:offset]
    assert full == (0, 503, 500_000)
    assert offset_after_restart == offset
    assert (freed, ready) == (204, 200)
    assert resume(url, file.data) == offset
    assert published_digest(server, url) == file.sha256


def test_a_creation_whose_body_fills_the_disk_keeps_what_fitted(server: ServerProcess) -> None:
    """The length is not known beforehand, so only the disk itself can say no: 507, the prefix stays."""
    body = make_bytes(DISK + 100_000, seed=2)
    filler = server.upload_dir / "filler"
    filler.write_bytes(bytes(300_000))
    announced = {"Upload-Defer-Length": "1", "Transfer-Encoding": "chunked"}
    with Exchange(server.url, "POST", CHUNK | announced) as request:
        for position in range(0, len(body), 50_000):
            request.send_chunk(body[position : position + 50_000])
            if request.is_answered(within=0.01):
                break
        answer = request.answer()
    (record,) = (server.upload_dir / "incoming").glob("*.json")
    url = server.url + record.stem
    offset = offset_of(url)
    data = stored(server, url).read_bytes()
    filler.unlink()

    assert code(answer) == FULL
    assert 0 < offset < DISK - 300_000
    assert data == body[:offset]
    assert patch(url, offset, body[offset : offset + 9]).headers["upload-offset"] == str(offset + 9)


def test_a_disk_too_full_for_the_last_record_delays_the_end(server: ServerProcess) -> None:
    """Every byte fitted, to the last free one: nobody is told so before it is on record and published."""
    filler = server.upload_dir / "filler"
    filler.write_bytes(bytes(100_000))
    url = create(server.url, None, **LONG)
    file = Payload(size=free_bytes(server.upload_dir), seed=3)
    answers = [patch(url, 0, file.data, {"Upload-Length": str(file.size)})]
    full = (free_bytes(server.upload_dir), stored(server, url).stat().st_size)
    answers.append(patch(url, file.size, b""))
    probes = [head(url)]
    server.kill9()
    server.start()
    url = server.url + upload_id(url)
    probes.append(head(url))
    answers.append(patch(url, file.size, b""))
    too_soon = list((server.upload_dir / "uploads").iterdir())
    filler.unlink()

    assert full == (0, file.size)
    assert [code(answer) for answer in answers] == [FULL] * 3
    assert [(probe.status, probe.headers["retry-after"]) for probe in probes] == [(423, "1")] * 2
    assert too_soon == []
    assert offset_of(url) == file.size
    assert published_digest(server, url) == file.sha256
    assert files(server) == sorted([upload_id(url), f"{upload_id(url)}.json"])


def test_an_upload_that_fills_the_disk_to_the_last_byte_is_finished(server: ServerProcess) -> None:
    """Its record needs no more room for what is still to be said."""
    url = create(server.url, None)
    file = Payload(size=free_bytes(server.upload_dir), seed=6)

    answer = patch(url, 0, file.data, {"Upload-Length": str(file.size)})

    assert answer.status == 204
    assert free_bytes(server.upload_dir) == 0
    assert published_digest(server, url) == file.sha256


def test_a_disk_too_full_for_the_last_record_is_looked_at_again_at_the_start(server: ServerProcess) -> None:
    """No client comes back: with space again, the next start finishes the upload by itself."""
    filler = server.upload_dir / "filler"
    filler.write_bytes(bytes(100_000))
    url = create(server.url, None, **LONG)
    file = Payload(size=free_bytes(server.upload_dir), seed=4)
    assert code(patch(url, 0, file.data, {"Upload-Length": str(file.size)})) == FULL
    assert stored(server, url).stat().st_size == file.size
    server.kill9()
    filler.unlink()

    server.start()
    wait_until(lambda: list((server.upload_dir / "uploads").iterdir()))

    assert published_digest(server, url) == file.sha256


def test_a_declared_length_that_cannot_be_recorded_changes_nothing(server: ServerProcess) -> None:
    """507 before the body is read: the upload is as long and as open as before."""
    file = Payload(size=50_000, seed=5)
    url = create(server.url, None, **LONG)
    patch(url, 0, file.data[:10_000])
    filler = fill(server.upload_dir)
    answer = patch(url, 10_000, file.data[10_000:], {"Upload-Length": "50000"})
    state = head(url).headers
    filler.unlink()

    assert code(answer) == FULL
    assert (state["upload-offset"], state["upload-defer-length"]) == ("10000", "1")
    assert patch(url, 10_000, file.data[10_000:], {"Upload-Length": "50000"}).status == 204
    assert published_digest(server, url) == file.sha256


# -- scripted: needs no mount -------------------------------------------------------------------------


async def test_an_upload_beyond_the_capacity_is_refused() -> None:
    """The rule alone: a length above the free space is no upload, and is not put on record."""
    store = MemoryStore(capacity=1_000)
    client = Client(store)

    with pytest.raises(InsufficientSpaceError) as refusal:
        await client.create(1_001)

    assert (refusal.value.needed, refusal.value.available) == (1_001, 1_000)
    assert [known async for known in store.list()] == []


async def test_what_fitted_is_kept_to_the_byte() -> None:
    """A store that is full in the middle of a piece: the offset is exactly the capacity."""
    data = make_bytes(1_500)
    store = MemoryStore(capacity=1_000)
    client = Client(store)
    await client.create(None)

    with pytest.raises(StorageFullError):
        await client.append(0, data)

    assert (await client.inspect()).offset == 1_000
    assert await content(store, ID) == data[:1_000]


@pytest.mark.parametrize("call", ["save", "append", "write", "commit", "complete"])
async def test_a_full_disk_at_any_call_of_the_last_append_loses_nothing(tmp_path: Path, call: str) -> None:
    """ENOSPC wherever it strikes, twice: the client goes on from what HEAD says, to the end, once."""
    data = make_bytes(5_000)
    full = [StorageFullError(os.strerror(28))] * 2
    client = Client(FaultyStore(LocalStore(str(tmp_path)), **{call: full}))
    await client.create(len(data))
    offset = failures = 0
    while offset < len(data):
        try:
            offset = (await client.append(offset, data[offset:])).offset
        except StorageFullError:
            failures += 1
            offset = await ask_until_told(client)
    at_last = await client.inspect()

    assert failures >= 1
    assert (at_last.offset, at_last.state) == (len(data), UploadState.COMPLETE)
    assert (tmp_path / "uploads" / ID).read_bytes() == data
    assert len(client.events.of(UploadFinished)) == 1


async def ask_until_told(client: Client) -> int:
    """The offset, from the first HEAD that is answered."""
    while True:
        try:
            return (await client.inspect()).offset
        except StorageFullError:
            continue
