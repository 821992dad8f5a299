"""The collector: what it does, what it reports, and what it never touches."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.scene import HOUR, Crash, Scene
from tusd_py.core.errors import StoreError, UploadExpiredError, UploadNotFoundError
from tusd_py.core.events import UploadExpired, UploadFinished
from tusd_py.core.findings import FindingKind
from tusd_py.core.model import Lifetime, UploadState
from tusd_py.engine.janitor import Housekeeping, SweepReport
from tusd_py.stores.local import LocalStore
from tusd_py.stores.memory import MemoryStore
from tusd_py.testing import After, FaultyStore
from tusd_py.testing.kit import begin_completion, ids, put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tusd_py.core.ports import Store

LIFETIME = Lifetime(unfinished=timedelta(hours=1), sliding=False)
HOUSEKEEPING = Housekeeping(memory=timedelta(hours=2), litter_age=timedelta(hours=1))


def make_scene(store: MemoryStore | LocalStore | None = None) -> Scene:
    return Scene(store, lifetime=LIFETIME, housekeeping=HOUSEKEEPING)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(str(tmp_path))
    yield store
    await store.close()


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file with its content."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def all_sorts(scene: Scene) -> dict[str, str]:
    """An upload of every sort, by what a sweep has to do with it."""
    made = {"forgotten": (await scene.create(100, b"f")).id}
    scene.clock.advance(HOUR)
    await scene.sweep()
    scene.clock.advance(HOUR)
    made["expired"] = (await scene.create(100, b"e")).id
    scene.clock.advance(HOUR)
    made["kept"] = (await scene.create(100, b"k")).id
    made["done"] = (await scene.create(4, b"done")).id
    made["late"] = (await scene.create(4, b"lat")).id
    await put(scene.store, made["late"], b"e")
    await begin_completion(scene.store, made["late"])
    return made


async def test_a_sweep_reports_what_it_did(local: LocalStore) -> None:
    """Finished, expired, forgotten: each once, and the rest is only looked at."""
    scene = make_scene(local)
    made = await all_sorts(scene)

    report = await scene.sweep()
    again = await scene.sweep()

    assert report == SweepReport(
        is_dry_run=False,
        examined=5,
        finished=[made["late"]],
        expired=[made["expired"]],
        forgotten=[made["forgotten"]],
    )
    assert again == SweepReport(is_dry_run=False, examined=4)
    assert await ids(local) == sorted(made[sort] for sort in ("expired", "kept", "done", "late"))
    assert await scene.stored(made["late"]) == b"late"
    assert await scene.stored(made["done"]) == b"done"
    assert await scene.stored(made["kept"]) == b"k"


async def test_a_dry_run_reports_the_same_and_changes_nothing(local: LocalStore, tmp_path: Path) -> None:
    """Not a byte, not a record, no event, no lock."""
    scene = make_scene(local)
    await all_sorts(scene)
    (tmp_path / "incoming/stray").touch()
    os.utime(tmp_path / "incoming/stray", (0, 0))
    before, told = snapshot(tmp_path), list(scene.sink.events)

    shown = await scene.sweep(is_dry_run=True)
    after, told_after = snapshot(tmp_path), list(scene.sink.events)
    done = await scene.sweep()

    assert (after, told_after) == (before, told)
    assert shown.is_dry_run
    assert len(shown.litter) == 1
    assert replace(shown, is_dry_run=False) == done
    assert snapshot(tmp_path) != before


async def test_without_collecting_only_what_has_its_bytes_is_finished() -> None:
    """With the collector off, an interrupted completion is still driven to its end."""
    scene = make_scene()
    made = await all_sorts(scene)

    report = await scene.janitor.sweep(collects=False)

    assert report == SweepReport(is_dry_run=False, examined=5, finished=[made["late"]])
    assert await ids(scene.store) == sorted(made.values())
    assert await scene.stored(made["expired"]) == b"e"


async def test_litter_is_removed_only_when_it_is_old(local: LocalStore, tmp_path: Path) -> None:
    """What is fresh may be somebody's work in progress; what is not litter stays however old."""
    scene = make_scene(local)
    now = scene.clock().timestamp()
    ages = {"incoming/old": HOUR, "incoming/fresh": HOUR - 1, "uploads/strange.txt": 100 * HOUR}
    for name, age in ages.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age, now - age))
    (tmp_path / "incoming/full").write_bytes(b"bytes that somebody may miss")
    os.utime(tmp_path / "incoming/full", (now - 100 * HOUR,) * 2)

    report = await scene.sweep()

    assert [(finding.kind, finding.subject) for finding in report.litter] == [
        (FindingKind.DATA_WITHOUT_RECORD, "old")
    ]
    assert sorted(snapshot(tmp_path)) == ["incoming/fresh", "incoming/full", "uploads/strange.txt"]


async def test_a_busy_upload_is_skipped_and_not_disturbed() -> None:
    """Whoever holds it is not asked to leave; the next sweep comes back to it."""
    scene = make_scene()
    busy, idle = (await scene.create(100, b"b")).id, (await scene.create(100, b"i")).id
    scene.clock.advance(HOUR)
    asked = []

    async with scene.locker.hold(busy, timeout=1, on_takeover=lambda: asked.append(busy)):
        report = await scene.sweep()
    later = await scene.sweep()

    assert (report.busy, report.expired) == ([busy], [idle])
    assert (later.busy, later.expired) == ([], [busy])
    assert asked == []


@pytest.mark.parametrize("call", ["load", "save", "discard"])
async def test_a_fault_at_one_upload_does_not_spare_the_others(call: str) -> None:
    """It is reported by its id and tried again by the next sweep."""
    scene = make_scene()
    first, second = (await scene.create(100, b"1")).id, (await scene.create(100, b"2")).id
    scene.clock.advance(HOUR)
    scene.script(**{call: [StoreError("the disk")]})

    report = await scene.sweep()
    later = await scene.sweep()

    assert (report.failed, report.expired) == ([first], [second])
    assert later.failed == []
    for upload_id in (first, second):
        with pytest.raises(UploadExpiredError):
            await scene.head(upload_id)


@pytest.mark.parametrize("call", ["load", "list", "examine"])
async def test_an_unforeseen_error_ends_no_collector(call: str) -> None:
    """A bug of a store is told where bugs are told, and the sweep, or the next one, does its work."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: told.append(context["exception"])
    )
    scene = make_scene()
    made = [(await scene.create(100, b"1")).id, (await scene.create(100, b"2")).id]
    scene.clock.advance(HOUR)
    bug = KeyError("nobody foresaw this")
    scene.script(**{call: [bug]})

    reports = [await scene.sweep(), await scene.sweep()]

    assert told == [bug]
    assert reports[0].failed == [made[0] if call == "load" else "KeyError"]
    assert sorted(upload_id for report in reports for upload_id in report.expired) == sorted(made)


async def test_a_fault_at_forgetting_is_reported_as_failed_only() -> None:
    """What was not removed is not said to be."""
    scene = make_scene()
    upload_id = (await scene.create(100)).id
    scene.clock.advance(HOUR)
    await scene.sweep()
    scene.clock.advance(2 * HOUR)
    scene.script(delete=[StoreError("the disk")])

    report = await scene.sweep()
    later = await scene.sweep()

    assert (report.failed, report.forgotten) == ([upload_id], [])
    assert (later.failed, later.forgotten) == ([], [upload_id])


async def test_a_fault_at_one_piece_of_litter_does_not_spare_the_rest(
    local: LocalStore, tmp_path: Path
) -> None:
    """It is reported by its subject; the others are removed."""
    scene = make_scene(local)
    for name in ("a", "b"):
        (tmp_path / "incoming" / name).touch()
        os.utime(tmp_path / "incoming" / name, (0, 0))
    scene.script(repair=[StoreError("the disk")])

    report = await scene.sweep()

    assert report.failed == ["a"]
    assert [finding.subject for finding in report.litter] == ["b"]
    assert sorted(snapshot(tmp_path)) == ["incoming/a"]


@pytest.mark.parametrize("call", ["list", "examine"])
async def test_a_storage_that_cannot_be_looked_at_is_reported(call: str) -> None:
    """The sweep ends with the reason and raises nothing."""
    scene = make_scene()
    await scene.create(100)
    scene.script(**{call: [StoreError("unmounted")]})

    report = await scene.sweep()

    assert report.failed == ["unmounted"]


async def test_a_failing_completion_is_reported_and_tried_again() -> None:
    """What has all its bytes stays until it can be finished."""
    scene = make_scene()
    upload_id = (await scene.create(4, b"lat")).id
    await put(scene.store, upload_id, b"e")
    scene.script(complete=[StoreError("the disk")])

    report = await scene.sweep()
    later = await scene.sweep()

    assert (report.failed, report.finished) == ([upload_id], [])
    assert (later.failed, later.finished) == ([], [upload_id])
    assert [event.upload.id for event in scene.sink.of(UploadFinished)] == [upload_id]


@pytest.mark.parametrize("is_finished", [False, True], ids=["unfinished", "finished"])
@pytest.mark.parametrize(
    "faults",
    [
        {"save": [After(Crash())]},
        {"discard": [Crash()]},
        {"discard": [After(Crash())]},
    ],
    ids=["after-mark", "before-discard", "after-discard"],
)
async def test_a_crash_between_mark_and_discard_is_made_good(
    faults: dict[str, list[Crash | After]], is_finished: bool, tmp_path: Path, local: LocalStore
) -> None:
    """Marked, it is refused at once; the next sweep removes its bytes, and forgetting leaves nothing."""
    lifetime = Lifetime(unfinished=timedelta(hours=1), finished=timedelta(hours=1))
    scene = Scene(local, lifetime=lifetime, housekeeping=HOUSEKEEPING)
    upload_id = (await scene.create(4 if is_finished else 5, b"data")).id
    scene.clock.advance(HOUR)
    scene.script(**faults)
    with pytest.raises(Crash):
        await scene.sweep()
    scene.restart(local)

    with pytest.raises(UploadExpiredError):
        await scene.head(upload_id)
    report = await scene.sweep()
    remembered = sorted(snapshot(tmp_path))
    scene.clock.advance(2 * HOUR)
    last = await scene.sweep()

    assert report.failed == last.failed == []
    assert remembered == [f"incoming/{upload_id}.json"]
    assert last.forgotten == [upload_id]
    assert snapshot(tmp_path) == {}
    with pytest.raises(UploadNotFoundError):
        await scene.head(upload_id)


async def test_a_crash_before_the_mark_changes_nothing() -> None:
    """Until it is marked, the upload is whole, and the next sweep begins anew."""
    scene = make_scene()
    upload_id = (await scene.create(100, b"data")).id
    sound = scene.store
    scene.clock.advance(HOUR)
    scene.script(save=[Crash()])
    with pytest.raises(Crash):
        await scene.sweep()
    scene.restart(sound)
    between = await scene.store.load(upload_id)

    report = await scene.sweep()

    assert (between.state, between.offset) == (UploadState.OPEN, 4)
    assert report.expired == [upload_id]
    assert len(scene.sink.of(UploadExpired)) == 1


async def test_an_upload_removed_while_it_is_listed_is_nothing_to_report() -> None:
    """Somebody terminated it between the list and the look at it."""
    scene = make_scene()
    upload_id = (await scene.create(100)).id
    scene.script(load=[UploadNotFoundError(upload_id)])

    report = await scene.sweep()

    assert report == SweepReport(is_dry_run=False, examined=1)


async def test_a_running_collector_leads_and_tells() -> None:
    """`run` sweeps at once, tells of it, leads from then on, and lets go when it is cancelled."""
    scene = make_scene()
    upload_id = (await scene.create(100)).id
    scene.clock.advance(HOUR)
    told: asyncio.Queue[SweepReport] = asyncio.Queue()

    running = asyncio.create_task(scene.janitor.run(HOUR, told.put_nowait))
    report = await told.get()
    async with scene.store.lead() as beside:
        pass
    running.cancel()
    await asyncio.wait([running])
    async with scene.store.lead() as after:
        pass

    assert report.expired == [upload_id]
    assert (beside, after) == (False, True)


class Watched(FaultyStore):
    """Tells when somebody has asked for the lead and was answered."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[bool]:
        async with super().lead() as leads:
            yield leads
        self.asked.set()


async def test_a_collector_that_cannot_even_ask_for_the_lead_tells() -> None:
    """A storage that does not answer, as a wrong bucket does, is told and not passed over in silence."""
    scene = make_scene()
    scene.restart(FaultyStore(scene.store, lead=[StoreError("no such bucket")]))
    told: asyncio.Queue[SweepReport] = asyncio.Queue()

    running = asyncio.create_task(scene.janitor.run(HOUR, told.put_nowait))
    report = await told.get()
    running.cancel()
    await asyncio.wait([running])

    assert report == SweepReport(is_dry_run=False, failed=["no such bucket"])


async def test_a_collector_that_does_not_lead_does_nothing() -> None:
    """Where somebody else leads, not a single call goes to the uploads."""
    scene = make_scene()
    await scene.create(100)
    watched = Watched(scene.store)

    async with scene.store.lead():
        scene.restart(watched)
        running = asyncio.create_task(scene.janitor.run(HOUR, lambda _: None))
        await watched.asked.wait()
        running.cancel()
        await asyncio.wait([running])

    assert watched.calls == ["lead"]
