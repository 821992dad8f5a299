"""Storage that is away or damaged: an upload that nobody can see now is never said not to exist."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.engines import Client
from tests.faults.mounts import plugged_in, small_disk
from tests.faults.wire import (
    VERSION,
    Exchange,
    code,
    create,
    delete,
    offset_of,
    patch,
    published_digest,
    resume,
    wait_until_stored,
)
from tests.support.payload import Payload, make_bytes
from tests.support.server import Answer, ServerProcess, fetch, head, upload_id
from tusd_py.core.errors import StoreError
from tusd_py.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = Payload(size=40_000, seed=6)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with a storage that can be taken away."""
    with ServerProcess(tmp_path / "storage", "--holder-silence", "60s") as it:
        yield it


def half(server: ServerProcess) -> str:
    """An upload with 20,000 of its bytes."""
    url = create(server.url, FILE.size)
    assert patch(url, 0, FILE.data[:20_000]).status == 204
    return url


def whole(server: ServerProcess) -> str:
    """A finished upload."""
    url = create(server.url, FILE.size)
    assert patch(url, 0, FILE.data).status == 204
    return url


def make_nothing(_folder: Path) -> None:
    """Nothing takes the folder's place."""


def make_empty(folder: Path) -> None:
    """An empty folder takes its place."""
    folder.mkdir()


def make_layout(folder: Path) -> None:
    """A folder of the same layout takes its place, as under a mount point that was used unmounted."""
    (folder / "incoming").mkdir(parents=True)
    (folder / "uploads").mkdir()


def assert_keeps_to_itself(server: ServerProcess, *answers: Answer) -> None:
    """No answer tells a path, a class or a line of code."""
    for answer in answers:
        text = answer.body.decode() + repr(answer.headers)
        for secret in (str(server.upload_dir), "incoming", "Traceback", "Error:", ".py", ".json", "errno"):
            assert secret not in text, answer


@pytest.mark.parametrize("replace", [make_nothing, make_empty, make_layout])
def test_uploads_of_a_folder_that_is_away_are_not_said_to_be_gone(
    server: ServerProcess, replace: Callable[[Path], None]
) -> None:
    """HEAD 423 with Retry-After, the rest 5xx; when the folder is back, everything goes on."""
    running, finished = half(server), whole(server)
    public = server.public_url(finished)
    away = server.upload_dir.with_name("away")
    server.upload_dir.rename(away)
    replace(server.upload_dir)

    probes = [head(running), head(finished)]
    requests = [
        patch(running, 20_000, FILE.data[20_000:]),
        patch(finished, FILE.size, b""),
        delete(running),
        delete(finished),
        fetch(server.url, "POST", VERSION | {"Upload-Length": "5"}),
        fetch(public),
        fetch(running),
    ]
    ready = fetch(f"{server.origin}/readyz").status
    strays = [path for path in server.upload_dir.rglob("*") if path.is_file()]
    if server.upload_dir.exists():
        server.upload_dir.rename(server.upload_dir.with_name("foreign"))
    away.rename(server.upload_dir)

    assert [(answer.status, answer.headers["retry-after"]) for answer in probes] == [(423, "1")] * 2
    assert [answer.status for answer in requests] == [500] * 7
    assert_keeps_to_itself(server, *probes, *requests)
    assert (ready, strays) == (503, [])
    assert resume(running, FILE.data) == 20_000
    assert published_digest(server, running) == published_digest(server, finished) == FILE.sha256
    assert offset_of(finished) == FILE.size
    assert fetch(f"{server.origin}/readyz").status == 200


def test_a_disk_that_is_unplugged_and_plugged_in_again_has_lost_nothing(tmp_path: Path) -> None:
    """A real mount goes away under an idle server: 423 and 500 meanwhile, then it goes on."""
    disk, folder = tmp_path / "disk", tmp_path / "storage"
    disk.mkdir()
    make_layout(folder)
    server, stack = ServerProcess(folder), ExitStack()
    with plugged_in(disk, folder):
        stack.enter_context(server)
        running, finished = half(server), whole(server)
    with stack:
        probes = [head(running), head(finished)]
        requests = [patch(running, 20_000, FILE.data[20_000:]), delete(finished)]
        with plugged_in(disk, folder):
            resumed_at = resume(running, FILE.data)
            digests = {published_digest(server, url) for url in (running, finished)}

    assert [(answer.status, answer.headers["retry-after"]) for answer in probes] == [(423, "1")] * 2
    assert [answer.status for answer in requests] == [500] * 2
    assert resumed_at == 20_000
    assert digests == {FILE.sha256}


def test_a_body_that_was_running_when_the_folder_went_is_kept(server: ServerProcess) -> None:
    """The open file takes the bytes; the end is told when the file can be published where it belongs."""
    url = create(server.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as request:
        request.send(FILE.data[:20_000])
        wait_until_stored(server, url, 20_000)
        away = server.upload_dir.with_name("away")
        server.upload_dir.rename(away)
        make_layout(server.upload_dir)
        request.send(FILE.data[20_000:])
        answer = request.answer()
    probe = head(url)
    strays = list((server.upload_dir / "uploads").iterdir())
    server.upload_dir.rename(server.upload_dir.with_name("foreign"))
    away.rename(server.upload_dir)

    assert code(answer) == (500, "ERR_STORAGE")
    assert (probe.status, probe.headers["retry-after"]) == (423, "1")
    assert strays == []
    assert offset_of(url) == FILE.size
    assert published_digest(server, url) == FILE.sha256


@pytest.mark.parametrize("replace", [make_nothing, make_empty])
def test_finished_files_that_are_away_are_not_said_to_be_lost(
    server: ServerProcess, replace: Callable[[Path], None]
) -> None:
    """Only the folder of finished files is gone: nothing is certain, nothing is published elsewhere."""
    running, finished = half(server), whole(server)
    folder = server.upload_dir / "uploads"
    away = server.upload_dir / "away"
    folder.rename(away)
    replace(folder)

    probe = head(finished)
    requests = [patch(running, 20_000, FILE.data[20_000:]), delete(finished)]
    if folder.exists():
        folder.rmdir()  # which shows that it is empty
    away.rename(folder)

    assert (probe.status, probe.headers["retry-after"]) == (423, "1")
    assert [code(answer) for answer in requests] == [(500, "ERR_STORAGE")] * 2
    assert offset_of(running) == offset_of(finished) == FILE.size
    assert published_digest(server, running) == published_digest(server, finished) == FILE.sha256


# -- damaged records --------------------------------------------------------------------------------

GOOD = {
    "version": 1,
    "id": "ID",
    "name": "ID",
    "created_at": "2026-01-01T00:00:00+00:00",
    "length": 40_000,
    "state": "open",
    "metadata": "",
}


def record(**changes: object) -> bytes:
    """A record that differs from a good one."""
    return json.dumps(GOOD | changes).encode()


DAMAGED = {
    "empty": b"",
    "torn": record()[:70],
    "noise": make_bytes(200, seed=1),
    "zeros": bytes(200),
    "a list": b"[]",
    "too deep": b"[" * 100_000,
    "no length": json.dumps({key: value for key, value in GOOD.items() if key != "length"}).encode(),
    "length is a text": record(length="40000"),
    "length is negative": record(length=-1),
    "length is a truth": record(length=True),
    "name is a number": record(name=7),
    "another upload's": record(id="other"),
    "unknown state": record(state="done"),
    "another version": record(version=2),
    "no date": record(created_at="yesterday"),
    "bad metadata": record(metadata="a b c"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose records are damaged one by one."""
    with ServerProcess(tmp_path_factory.mktemp("damaged") / "storage") as it:
        yield it


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_an_upload_with_a_damaged_record_waits_for_a_person(shared: ServerProcess, damage: bytes) -> None:
    """HEAD 423, the rest 500 without a word of what is inside; repaired, it goes on."""
    url = half(shared)
    file = shared.upload_dir / "incoming" / f"{upload_id(url)}.json"
    before = file.read_bytes()
    file.write_bytes(damage.replace(b'"ID"', f'"{upload_id(url)}"'.encode()))

    probe = head(url)
    requests = [patch(url, 20_000, FILE.data[20_000:]), delete(url), fetch(url)]
    file.write_bytes(before)

    assert (probe.status, probe.headers["retry-after"]) == (423, "1")
    assert [code(answer) for answer in requests] == [(500, "ERR_STORAGE")] * 3
    assert_keeps_to_itself(shared, probe, *requests)
    assert resume(url, FILE.data) == 20_000
    assert published_digest(shared, url) == FILE.sha256


def test_damaged_records_keep_no_server_from_starting_or_ending(tmp_path: Path) -> None:
    """Recovery passes them over, finishes the one that waits for it, and the process ends with 0."""
    with ServerProcess(tmp_path / "storage") as server:
        url = create(server.url, FILE.size)
        server.kill9()
        incoming = server.upload_dir / "incoming"
        for number, damage in enumerate(DAMAGED.values()):
            (incoming / f"damaged{number}").write_bytes(b"")
            (incoming / f"damaged{number}.json").write_bytes(damage)
        (incoming / upload_id(url)).write_bytes(FILE.data)
        server.start()
        url = server.url + upload_id(url)
        offset = offset_of(url)
        digest = published_digest(server, url)
        exit_code = server.terminate()

    assert (offset, digest, exit_code) == (FILE.size, FILE.sha256, 0)
    assert "Traceback" not in server.log


# -- what is forced to the device ---------------------------------------------------------------------


async def test_a_publication_is_forced_to_the_device_also_when_it_is_found_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durability `finish`: a process died after the rename; the next one still has to sync the folder."""
    client = Client(LocalStore(str(tmp_path), durability="finish"))
    await client.create(FILE.size)
    async with client.store.append(await client.store.load("one")) as appender:
        await appender.write(FILE.data)
    (tmp_path / "incoming" / "one").rename(tmp_path / "uploads" / "one")
    forced = listen(monkeypatch)

    await Client(LocalStore(str(tmp_path), durability="finish")).inspect()

    assert tmp_path / "uploads" in forced


@pytest.mark.parametrize("durability", ["finish", "commit"])
async def test_the_record_of_a_finished_upload_and_its_name_are_forced_to_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    """A line in a file whose name a loss of power takes away would be no record."""
    forced = listen(monkeypatch)
    client = Client(LocalStore(str(tmp_path), durability=durability))

    await client.create(FILE.size)
    at_the_creation = len(forced)
    await client.append(0, FILE.data)

    record = tmp_path / "incoming" / "one.json"
    assert forced[-1] == (record if durability == "commit" else tmp_path / "incoming")
    assert record in forced[at_the_creation:]
    assert (tmp_path / "incoming" in forced[:at_the_creation]) == (durability == "commit")


def listen(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is forced to the device from now on, in order."""
    forced: list[Path] = []
    force = os.fsync

    def note(descriptor: int) -> None:
        forced.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        force(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return forced


def test_folders_on_two_devices_are_refused_at_the_start(tmp_path: Path) -> None:
    """Publishing is atomic only within one device: better to hear of it before there are uploads."""
    with small_disk(tmp_path / "uploads", 1 << 20), pytest.raises(StoreError, match="different devices"):
        LocalStore(str(tmp_path))
