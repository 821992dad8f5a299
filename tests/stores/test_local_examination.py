"""Everything that can be wrong in a local storage folder is found, and mended only where that is safe."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tusd_py.core.errors import RecordCorruptError
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.core.model import UploadKind, UploadState
from tusd_py.stores.local import LocalStore
from tusd_py.testing.kit import begin_completion, complete_part, content, finish, make_upload, put, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

TOUCHED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something done by hand to a sound storage, and what has to be said about it.

    `touched` is the file whose age counts; `mended` are the files that a repair removes or changes;
    `reveals` is what is found only then.
    """

    kind: FindingKind
    subject: str
    is_repairable: bool
    touched: str
    mended: tuple[str, ...] = ()
    reveals: tuple[FindingKind, ...] = ()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    """A storage with an upload of every kind, all of them sound."""
    store = LocalStore(str(tmp_path))
    await store.create(make_upload("open", length=100))
    await put(store, "open", b"0123456789")
    await start(store, b"finished", "done", name="done.txt")
    await finish(store, "done")
    await complete_part(store, "part", b"partial")
    await start(store, b"", "old")
    await store.save(replace(await store.load("old"), state=UploadState.EXPIRED))
    await store.discard(await store.load("old"))
    yield store
    await store.close()


async def examine(store: LocalStore) -> list[Finding]:
    return [finding async for finding in store.examine()]


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file with its content."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# -- damage, by hand ------------------------------------------------------------------------------


async def lose_open_bytes(store: LocalStore, root: Path) -> Damage:
    (root / "incoming/open").unlink()
    record = "incoming/open.json"
    return Damage(
        kind=FindingKind.RECORD_WITHOUT_DATA,
        subject="open",
        is_repairable=True,
        touched=record,
        mended=(record,),
    )


async def lose_finished_file(store: LocalStore, root: Path) -> Damage:
    (root / "uploads/done.txt").unlink()
    return Damage(
        kind=FindingKind.RECORD_WITHOUT_DATA,
        subject="done",
        is_repairable=False,
        touched="incoming/done.json",
    )


async def shorten_finished_file(store: LocalStore, root: Path) -> Damage:
    os.truncate(root / "uploads/done.txt", 3)
    return Damage(
        kind=FindingKind.RECORD_WITHOUT_DATA,
        subject="done",
        is_repairable=False,
        touched="incoming/done.json",
    )


async def lose_partial_bytes(store: LocalStore, root: Path) -> Damage:
    (root / "incoming/part").unlink()
    return Damage(
        kind=FindingKind.RECORD_WITHOUT_DATA,
        subject="part",
        is_repairable=False,
        touched="incoming/part.json",
    )


async def lose_completing_bytes(store: LocalStore, root: Path) -> Damage:
    await begin_completion(store, "open")
    (root / "incoming/open").unlink()
    return Damage(
        kind=FindingKind.RECORD_WITHOUT_DATA,
        subject="open",
        is_repairable=False,
        touched="incoming/open.json",
    )


async def tear_a_record(store: LocalStore, root: Path) -> Damage:
    os.truncate(root / "incoming/open.json", 20)
    return Damage(
        kind=FindingKind.CORRUPT_RECORD, subject="open", is_repairable=False, touched="incoming/open.json"
    )


async def empty_a_record(store: LocalStore, root: Path) -> Damage:
    os.truncate(root / "incoming/open.json", 0)
    return Damage(
        kind=FindingKind.CORRUPT_RECORD, subject="open", is_repairable=False, touched="incoming/open.json"
    )


async def swap_a_record(store: LocalStore, root: Path) -> Damage:
    (root / "incoming/open.json").write_bytes((root / "incoming/done.json").read_bytes())
    return Damage(
        kind=FindingKind.CORRUPT_RECORD, subject="open", is_repairable=False, touched="incoming/open.json"
    )


async def leave_empty_data(store: LocalStore, root: Path) -> Damage:
    (root / "incoming/stray").touch()
    return Damage(
        kind=FindingKind.DATA_WITHOUT_RECORD,
        subject="stray",
        is_repairable=True,
        touched="incoming/stray",
        mended=("incoming/stray",),
    )


async def lose_a_record(store: LocalStore, root: Path) -> Damage:
    (root / "incoming/open.json").unlink()
    return Damage(
        kind=FindingKind.DATA_WITHOUT_RECORD, subject="open", is_repairable=False, touched="incoming/open"
    )


async def leave_a_strange_file(store: LocalStore, root: Path) -> Damage:
    (root / "incoming/notes of mine.txt").touch()
    return Damage(
        kind=FindingKind.DATA_WITHOUT_RECORD,
        subject="notes of mine.txt",
        is_repairable=False,
        touched="incoming/notes of mine.txt",
    )


async def store_too_much(store: LocalStore, root: Path) -> Damage:
    with (root / "incoming/open").open("ab") as file:
        file.write(b"x" * 200)
    return Damage(
        kind=FindingKind.OFFSET_BEYOND_LENGTH,
        subject="open",
        is_repairable=True,
        touched="incoming/open.json",
        mended=("incoming/open",),
        reveals=(FindingKind.STUCK_COMPLETING,),
    )


async def tear_a_mark(store: LocalStore, root: Path) -> Damage:
    with (root / "incoming/open.json").open("ab") as file:
        file.write(b'{"mark": 1\0}\n')
    return Damage(
        kind=FindingKind.CORRUPT_RECORD,
        subject="open",
        is_repairable=False,
        touched="incoming/open.json",
    )


async def publish_a_stranger(store: LocalStore, root: Path) -> Damage:
    (root / "uploads/stranger.txt").write_bytes(b"whose?")
    return Damage(
        kind=FindingKind.PUBLISHED_WITHOUT_RECORD,
        subject="stranger.txt",
        is_repairable=False,
        touched="uploads/stranger.txt",
    )


async def interrupt_a_save(store: LocalStore, root: Path) -> Damage:
    (root / "incoming/open.json.tmp").write_bytes(b'{"version')
    return Damage(
        kind=FindingKind.TORN_TEMPORARY,
        subject="open.json.tmp",
        is_repairable=True,
        touched="incoming/open.json.tmp",
        mended=("incoming/open.json.tmp",),
    )


async def link_a_claim(store: LocalStore, root: Path) -> Damage:
    os.link(root / "incoming/open.json", root / "incoming/open.json.tmp")
    return Damage(
        kind=FindingKind.TORN_TEMPORARY,
        subject="open.json.tmp",
        is_repairable=True,
        touched="incoming/open.json.tmp",
        mended=("incoming/open.json.tmp",),
    )


async def interrupt_a_completion(store: LocalStore, root: Path) -> Damage:
    await start(store, b"whole", "late")
    await begin_completion(store, "late")
    return Damage(
        kind=FindingKind.STUCK_COMPLETING, subject="late", is_repairable=True, touched="incoming/late.json"
    )


DAMAGES: tuple[Callable[[LocalStore, Path], Awaitable[Damage]], ...] = (
    lose_open_bytes,
    lose_finished_file,
    shorten_finished_file,
    lose_partial_bytes,
    lose_completing_bytes,
    tear_a_record,
    empty_a_record,
    swap_a_record,
    leave_empty_data,
    lose_a_record,
    leave_a_strange_file,
    store_too_much,
    tear_a_mark,
    publish_a_stranger,
    interrupt_a_save,
    link_a_claim,
    interrupt_a_completion,
)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_damage_is_found_and_mended_only_where_it_may_be(
    store: LocalStore, tmp_path: Path, damage: Callable[[LocalStore, Path], Awaitable[Damage]]
) -> None:
    """Store.examine names it once; Store.repair touches that file or none, and again does no harm."""
    done = await damage(store, tmp_path)
    os.utime(tmp_path / done.touched, (TOUCHED_AT.timestamp(),) * 2)
    before = snapshot(tmp_path)

    found = await examine(store)
    looked = snapshot(tmp_path)
    for finding in (*found, *found):
        await store.repair(finding)
    after = snapshot(tmp_path)
    left = await examine(store)

    assert [(f.kind, f.subject, f.is_repairable, f.since) for f in found] == [
        (done.kind, done.subject, done.is_repairable, TOUCHED_AT)
    ]
    assert looked == before
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == set(done.mended)
    assert [f.kind for f in left] == (list(done.reveals) if done.mended else [done.kind])


async def test_every_kind_of_finding_is_provoked(tmp_path: Path) -> None:
    """The table above is total, but for what only S3 has."""
    kinds = set()
    for number, damage in enumerate(DAMAGES):
        root = tmp_path / str(number)
        store = LocalStore(str(root))
        await store.create(make_upload("open", length=100))
        await start(store, b"finished", "done", name="done.txt")
        await finish(store, "done")
        await complete_part(store, "part", b"partial")
        kinds.add((await damage(store, root)).kind)
        await store.close()

    assert kinds == set(FindingKind) - {FindingKind.ORPHANED_MULTIPART}


async def test_a_torn_mark_makes_no_offset_certain(store: LocalStore, tmp_path: Path) -> None:
    """How much of the upload counts is not known: that is our failure, not an answer and not a 404."""
    await tear_a_mark(store, tmp_path)

    with pytest.raises(RecordCorruptError):
        await store.load("open")


async def test_a_surplus_is_cut_to_the_length(store: LocalStore, tmp_path: Path) -> None:
    """What was received up to the length stays, to the byte; then the upload can be finished."""
    await store_too_much(store, tmp_path)

    for finding in await examine(store):
        await store.repair(finding)

    assert (tmp_path / "incoming/open").read_bytes() == b"0123456789" + b"x" * 90
    assert (await store.load("open")).offset == 100
    await finish(store, "open")
    assert await content(store, "open") == b"0123456789" + b"x" * 90


async def test_a_repair_looks_again(store: LocalStore, tmp_path: Path) -> None:
    """What was found before, but is not so any more, is left alone."""
    await lose_open_bytes(store, tmp_path)
    await leave_empty_data(store, tmp_path)
    found = await examine(store)
    (tmp_path / "incoming/open").write_bytes(b"restored")
    (tmp_path / "incoming/stray").write_bytes(b"restored")
    before = snapshot(tmp_path)

    for finding in found:
        await store.repair(finding)

    assert len(found) == 2
    assert snapshot(tmp_path) == before


async def test_what_is_not_repairable_is_not_repaired_on_demand(store: LocalStore, tmp_path: Path) -> None:
    """Store.repair: a finding that says it cannot be mended is not touched, whatever its kind."""
    await lose_a_record(store, tmp_path)
    before = snapshot(tmp_path)

    for kind in FindingKind:
        for subject in ("open", "done", "part", "../uploads/done.txt", "done.txt"):
            await store.repair(
                Finding(kind=kind, subject=subject, detail="", is_repairable=False, since=TOUCHED_AT)
            )

    assert snapshot(tmp_path) == before


async def test_a_finding_from_elsewhere_names_no_file_outside(store: LocalStore, tmp_path: Path) -> None:
    """A subject is never a path: nothing but the folder of unfinished uploads is in reach."""
    (tmp_path / "precious.tmp").touch()
    finding = Finding(
        kind=FindingKind.TORN_TEMPORARY,
        subject="../precious.tmp",
        detail="",
        is_repairable=True,
        since=TOUCHED_AT,
    )

    await store.repair(finding)

    assert (tmp_path / "precious.tmp").exists()


async def test_folders_are_not_ours(store: LocalStore, tmp_path: Path) -> None:
    """`lost+found`, or whatever somebody made there, does not disturb an examination."""
    for folder in ("incoming/lost+found", "uploads/lost+found", "incoming/deep.tmp", "uploads/sub"):
        (tmp_path / folder).mkdir()

    found = await examine(store)

    assert found == []


async def test_a_crashed_atomic_append_is_no_finding(store: LocalStore, tmp_path: Path) -> None:
    """The upload simply goes on from its mark."""
    with (tmp_path / "incoming/open.json").open("ab") as record:
        record.write(b'{"mark": 10}\n')
    with (tmp_path / "incoming/open").open("ab") as file:
        file.write(b"does not count")

    found = await examine(store)

    assert found == []
    assert (await store.load("open")).offset == 10


async def test_a_final_joined_half_way_is_stuck_completing(store: LocalStore, tmp_path: Path) -> None:
    """What a crash within a join leaves is told as what it is, and is not touched by a repair."""
    await store.create(make_upload("final", length=14, kind=UploadKind.FINAL, parts=("part", "part")))
    await begin_completion(store, "final")
    (tmp_path / "incoming/final").write_bytes(b"partialpa")

    found = await examine(store)
    await store.repair(found[0])

    assert [(finding.kind, finding.subject) for finding in found] == [
        (FindingKind.STUCK_COMPLETING, "final")
    ]
    assert (tmp_path / "incoming/final").read_bytes() == b"partialpa"
