"""Between the last byte and the finished file: whatever fails there, it ends once, and never too soon."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.crashing import CONTENT as CRASH_CONTENT
from tests.faults.crashing import read_journal
from tests.faults.embedded import embedded
from tests.faults.engines import ID, Client, Failing
from tests.faults.leftovers import names_of_files
from tests.faults.wire import (
    Exchange,
    code,
    create,
    delete,
    offset_of,
    patch,
    published_digest,
    wait_until,
)
from tests.support.payload import Payload, make_bytes
from tests.support.server import ServerProcess, head, upload_id
from tusd_py.app import ENGINE
from tusd_py.core.errors import (
    StorageFullError,
    StoreError,
    UploadFailedError,
    UploadNotFoundError,
    UploadRejectedError,
)
from tusd_py.core.events import CompletionDelayed, UploadFinished
from tusd_py.core.intents import Terminate
from tusd_py.core.model import Upload, UploadState
from tusd_py.core.ports import Hook
from tusd_py.stores.local import LocalStore
from tusd_py.testing import After, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tusd_py.testing.fakes import Fault

CONTENT = make_bytes(10_000, seed=3)
BROKEN = StoreError("the disk says no")
FULL = StorageFullError("not one byte more")

# Which calls fail while an upload is finished: for a call's name, an entry for each time it is made.
FAULTS: dict[str, dict[str, list[Fault]]] = {
    "completing is not put on record": {"save": [BROKEN, BROKEN]},
    "completing is put on record, the answer is lost": {"save": [After(BROKEN)]},
    "nothing is published": {"complete": [BROKEN, FULL]},
    "it is published, the answer is lost": {"complete": [After(BROKEN), After(BROKEN)]},
    "complete is not put on record": {"save": [None, BROKEN, FULL]},
    "complete is put on record, the answer is lost": {"save": [None, After(BROKEN)]},
    "one after the other": {"save": [BROKEN, None, BROKEN], "complete": [BROKEN, After(BROKEN)]},
    "the offset is not told": {"commit": [BROKEN]},
    "the offset is told too late": {"commit": [After(BROKEN)]},
}


async def drive_by_head(_root: Path, client: Client) -> None:
    """A client that lost its connection asks where it is."""
    await client.inspect()


async def drive_by_patch(_root: Path, client: Client) -> None:
    """A client that heard of no end sends what it believes is missing: nothing."""
    await client.append(len(CONTENT), b"")


async def drive_by_restart(root: Path, client: Client) -> None:
    """No client comes back at all; the server starts again on the same folder."""
    await Client(LocalStore(str(root)), events=client.events).sweep()


DRIVERS = [drive_by_head, drive_by_patch, drive_by_restart]


def published(root: Path) -> dict[str, bytes]:
    """Every file under the public name folder."""
    return {path.name: path.read_bytes() for path in (root / "uploads").iterdir()}


async def begin(root: Path) -> None:
    """An upload that lacks its last thousand bytes."""
    client = Client(LocalStore(str(root)))
    await client.create(len(CONTENT))
    await client.append(0, CONTENT[:9_000])


async def finish(client: Client) -> Upload | None:
    """Send the last thousand bytes; None where our side failed."""
    try:
        return await client.append(9_000, CONTENT[9_000:])
    except StoreError:
        return None


async def ask(client: Client, root: Path) -> Upload | None:
    """HEAD; None where our side failed. It may not tell of the last byte before the file is there."""
    try:
        upload = await client.inspect()
    except StoreError:
        return None
    assert upload.state is UploadState.COMPLETE
    assert published(root) == {ID: CONTENT}
    return upload


@pytest.mark.parametrize("drive", DRIVERS)
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_a_fault_at_any_step_delays_the_end_and_no_more(
    tmp_path: Path, faults: dict[str, list[Fault]], drive: Callable[[Path, Client], Awaitable[None]]
) -> None:
    """The last PATCH fails or succeeds, HEAD never runs ahead; then anyone drives it to its end, once."""
    await begin(tmp_path)
    store = FaultyStore(LocalStore(str(tmp_path)), **faults)
    client = Client(store)

    answered = await finish(client)
    while store.left:
        await ask(client, tmp_path)
    await drive(tmp_path, client)
    at_last = await Client(LocalStore(str(tmp_path))).inspect()

    assert answered is None or answered == at_last
    assert (at_last.offset, at_last.state) == (len(CONTENT), UploadState.COMPLETE)
    assert published(tmp_path) == {ID: CONTENT}
    assert names_of_files(tmp_path) == [ID, f"{ID}.json"]
    assert [event.upload for event in client.events.of(UploadFinished)] == [at_last]


@pytest.mark.parametrize("drive", DRIVERS)
async def test_a_broken_hook_delays_the_end_and_no_more(
    tmp_path: Path, drive: Callable[[Path, Client], Awaitable[None]]
) -> None:
    """A hook that raises anything but a veto has decided nothing: it is asked again."""
    await begin(tmp_path)
    hook = Failing([RuntimeError("no answer"), TimeoutError(), None])
    client = Client(LocalStore(str(tmp_path)), hooks=[hook])

    answered = await finish(client)
    asked = await ask(client, tmp_path)
    before = published(tmp_path)
    await drive(tmp_path, client)

    assert (answered, asked, before) == (None, None, {})
    assert published(tmp_path) == {ID: CONTENT}
    assert len(client.events.of(UploadFinished)) == 1
    assert len(client.events.of(CompletionDelayed)) == 2


async def test_a_finished_upload_is_not_finished_again(tmp_path: Path) -> None:
    """Any number of HEAD, PATCH and restarts after the end: one event, one file."""
    await begin(tmp_path)
    client = Client(LocalStore(str(tmp_path)))
    await finish(client)

    for drive in DRIVERS * 2:
        await drive(tmp_path, client)

    assert len(client.events.of(UploadFinished)) == 1
    assert published(tmp_path) == {ID: CONTENT}


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_veto_at_the_end_stays(tmp_path: Path, recorded: bool) -> None:
    """pre-finish says no: nothing is published then or later, by whomever; DELETE clears it away.

    Where the failure itself cannot be put on record, the hook is asked again, and says so again.
    """
    await begin(tmp_path)
    veto = UploadRejectedError("a virus")
    saves: list[Fault] = [None if recorded else BROKEN]
    client = Client(FaultyStore(LocalStore(str(tmp_path)), save=saves), hooks=[Failing([veto, veto])])

    with pytest.raises(UploadRejectedError if recorded else StoreError):
        await client.append(9_000, CONTENT[9_000:])
    if not recorded:
        with pytest.raises(UploadRejectedError):
            await client.inspect()
    restarted = Client(LocalStore(str(tmp_path)))  # which has no such hook
    await restarted.sweep()
    for request in (restarted.inspect, lambda: restarted.append(len(CONTENT), b"")):
        with pytest.raises(UploadFailedError):
            await request()
    before = published(tmp_path)
    await restarted.engine.terminate(Terminate(upload_id=ID))

    with pytest.raises(UploadNotFoundError):
        await restarted.inspect()
    assert before == {}
    assert client.events.of(UploadFinished) == restarted.events.of(UploadFinished) == []
    assert names_of_files(tmp_path) == []


async def test_a_hook_that_agreed_is_not_asked_again_after_publication(tmp_path: Path) -> None:
    """A veto that came when the file is out already could not be kept: nobody could unsee it."""
    await begin(tmp_path)
    hook = Failing([None, UploadRejectedError("a change of mind")])
    faulty = FaultyStore(LocalStore(str(tmp_path)), complete=[After(BROKEN)])
    client = Client(faulty, hooks=[hook])

    interrupted = await finish(client)
    upload = await client.inspect()

    assert interrupted is None
    assert (upload.state, hook.asked) == (UploadState.COMPLETE, 1)
    assert published(tmp_path) == {ID: CONTENT}


async def test_one_upload_that_cannot_finish_keeps_no_other_from_it(tmp_path: Path) -> None:
    """A restart finishes what it can: a failing upload and an unreadable record are passed over."""
    names = [f"upload{number}" for number in range(6)]
    for name in names:
        client = Client(LocalStore(str(tmp_path)), hooks=[Failing([BROKEN])], upload_id=name)
        await client.create(len(CONTENT))
        with pytest.raises(StoreError):
            await client.append(0, CONTENT)
    (tmp_path / "uploads" / names[0]).mkdir()
    (tmp_path / "incoming" / f"{names[1]}.json").write_bytes(b'{"version": 1')

    report = await Client(LocalStore(str(tmp_path))).sweep()
    (tmp_path / "uploads" / names[0]).rmdir()

    assert published(tmp_path) == dict.fromkeys(names[2:], CONTENT)
    assert sorted(report.finished) == names[2:]
    assert sorted(report.failed) == names[:2]


# -- through HTTP -----------------------------------------------------------------------------------

FILE = Payload(size=30_000, seed=5)


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "restart"])
def test_a_client_is_not_told_done_before_the_file_is_there(tmp_path: Path, method: str) -> None:
    """The public name is blocked: PATCH 500, HEAD 423 with Retry-After; unblocked, anyone finishes it."""
    with ServerProcess(tmp_path / "storage") as server:
        url = create(server.url, FILE.size)
        obstacle = server.upload_dir / "uploads" / upload_id(url)
        obstacle.mkdir()
        answers = [patch(url, 0, FILE.data), patch(url, FILE.size, b"")]
        asked = head(url)
        server.restart()
        asked_after_restart = head(url)
        obstacle.rmdir()
        if method == "HEAD":
            offset_of(url)
        elif method == "PATCH":
            answers.append(patch(url, FILE.size, b""))
        else:
            server.restart()
            wait_until(lambda: list((server.upload_dir / "uploads").iterdir()))
        digest = published_digest(server, url)
        at_last = head(url)

    assert [code(answer) for answer in answers[:2]] == [(500, "ERR_STORAGE")] * 2
    assert [answer.status for answer in answers[2:]] == [204] * (method == "PATCH")
    for answer in (asked, asked_after_restart):
        assert (answer.status, answer.headers["retry-after"]) == (423, "1")
        assert "upload-offset" not in answer.headers
    assert digest == FILE.sha256
    assert (at_last.status, at_last.headers["upload-offset"]) == (200, "30000")


class Veto(Hook):
    """An operator's hook that lets nothing be finished."""

    async def pre_finish(self, upload: Upload) -> None:
        """No."""
        raise UploadRejectedError("not on my server")


def test_a_client_hears_of_a_veto_for_good(tmp_path: Path) -> None:
    """400 to the last PATCH and to everything after it but DELETE; nothing is published."""
    with embedded(tmp_path, Veto()) as (server_url, _, _):
        url = create(server_url, FILE.size)
        told = patch(url, 0, FILE.data)
        later = [patch(url, FILE.size, b""), patch(url, 0, FILE.data), head(url)]
        before = published(tmp_path)
        removed = [delete(url).status, head(url).status]

    assert code(told) == (400, "ERR_UPLOAD_REJECTED")
    assert told.body == b"ERR_UPLOAD_REJECTED: not on my server\n"
    assert [answer.status for answer in later] == [400, 400, 400]
    assert before == {}
    assert removed == [204, 404]
    assert names_of_files(tmp_path) == []


class Slow(Hook):
    """An operator's hook that takes its time."""

    def __init__(self) -> None:
        self._may_go_on = asyncio.Event()

    async def pre_finish(self, upload: Upload) -> None:
        """Yes, after a while."""
        await self._may_go_on.wait()

    async def go_on(self) -> None:
        """The while is over."""
        self._may_go_on.set()


def test_clients_that_ask_while_an_upload_is_being_finished_all_get_their_answer(tmp_path: Path) -> None:
    """Five empty PATCHes behind the last one, each asking the one before it to let go: all are 204."""
    hook = Slow()
    with embedded(tmp_path, hook) as (server_url, app, loop), ExitStack() as stack:
        url = create(server_url, FILE.size)
        requests = [stack.enter_context(Exchange.patch(url, 0, FILE.size))]
        requests[0].send(FILE.data)
        holders = app[ENGINE].locker._locker._holders  # type: ignore[attr-defined]
        wait_until(lambda: upload_id(url) in holders)
        requests += [stack.enter_context(Exchange.patch(url, FILE.size, 0)) for _ in range(5)]
        wait_until(lambda: len(holders[upload_id(url)].line or ()) == 5)
        loop.run(hook.go_on())
        answers = [request.answer() for request in requests]

    assert [(answer.status, answer.headers["upload-offset"]) for answer in answers] == [(204, "30000")] * 6
    assert published(tmp_path) == {upload_id(url): FILE.data}


# -- the process dies -------------------------------------------------------------------------------


async def check_what_is_left(folder: Path, durability: str) -> None:
    """A new process on a crashed folder: nothing told is lost or was told too soon, and it can go on."""
    told = read_journal(folder.with_name(f"{folder.name}.journal"))
    store = LocalStore(str(folder), durability=durability)
    for known in [upload async for upload in store.list()]:
        found = await store.load(known)
        data = folder / "incoming" / known
        assert (data if data.exists() else folder / "uploads" / known).read_bytes() == (
            CRASH_CONTENT[: found.offset]
        ), folder
    if told.upload_id is not None:
        client = Client(store, upload_id=told.upload_id)
        upload = await client.inspect()
        assert upload.offset >= told.offset, folder
        if upload.has_all_bytes:
            assert published(folder)[told.upload_id] == CRASH_CONTENT, folder
        rest = CRASH_CONTENT[upload.offset :]
        upload = await client.append(upload.offset, rest, length=len(CRASH_CONTENT))
        assert upload.state is UploadState.COMPLETE, folder
        assert published(folder)[told.upload_id] == CRASH_CONTENT, folder
        assert {path.name for path in (folder / "incoming").glob(f"{told.upload_id}*")} == {
            f"{told.upload_id}.json"
        }, folder
    await store.close()


def crash(root: Path, durability: str, *options: str) -> list[Path]:
    """Die at every step; the folders left behind."""
    command = [sys.executable, "-m", "tests.faults.crashing", str(root), durability, *options]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    return [path for path in root.iterdir() if path.is_dir()]


@pytest.mark.parametrize(("durability", "steps"), [("os", 28), ("finish", 37), ("commit", 46)])
async def test_a_process_that_dies_at_any_step_loses_nothing(
    tmp_path: Path, durability: str, steps: int
) -> None:
    """Between any two calls to the operating system, and in the middle of every write."""
    folders = await asyncio.to_thread(crash, tmp_path, durability)

    assert len(folders) >= steps
    for folder in folders:
        await check_what_is_left(folder, durability)


@pytest.mark.timeout(300)  # hundreds of processes
async def test_a_process_that_dies_again_on_the_way_back_loses_nothing(tmp_path: Path) -> None:
    """Every step of the first process, and for each of them every step of the second."""
    folders = await asyncio.to_thread(crash, tmp_path, "os", "--again")

    assert len(folders) >= 200
    for folder in folders:
        await check_what_is_left(folder, "os")
