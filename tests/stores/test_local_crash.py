"""The process dies at every step of the local store's work; the next one finds everything in order."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stores.crashing import BEFORE, CHUNK, ORDER, PARTS, SCENARIOS
from tusd_py.core.errors import UploadGoneError, UploadNotFoundError
from tusd_py.core.findings import FindingKind
from tusd_py.core.model import UploadState
from tusd_py.stores.local import LocalStore
from tusd_py.testing.kit import content, finish, ids, make_upload, put

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROJECT = Path(__file__).parents[2]
JOINED = b"".join(PARTS[part] for part in ORDER)


async def created(store: LocalStore, root: Path) -> str:
    """The upload is there as it was given, or its id can be given again; saving never tears a record."""
    outcome = "there"
    try:
        upload = await store.load("one")
    except UploadNotFoundError:
        outcome = "absent"
        assert await ids(store) == []
        await store.create(make_upload(length=61_000))
        upload = await store.load("one")
    assert upload == make_upload(length=61_000)
    record = root / "incoming" / "one.json"
    with record.open("rb") as before:
        expected = record.read_bytes()
        await store.save(replace(upload, length=7))
        assert before.read().startswith(expected), "a reader saw the record change under its hands"
    assert (await store.load("one")).length == 7
    return outcome


async def saved(store: LocalStore, root: Path) -> str:
    """The record is the old one or the new one; the bytes are the same."""
    upload = await store.load("one")
    assert (upload.length, upload.state) in {(61_000, UploadState.OPEN), (None, UploadState.FAILED)}
    assert await content(store) == BEFORE
    await store.save(replace(upload, length=4000))
    assert (await store.load("one")).length == 4000
    return upload.state.value


async def appended(store: LocalStore, root: Path) -> str:
    """The chunk counts whole or not at all, and whatever kind of append comes next starts there."""
    stored = await content(store)
    assert (await store.load("one")).offset == len(stored)
    assert stored in {BEFORE, BEFORE + CHUNK}
    after = BEFORE if stored == BEFORE else BEFORE + CHUNK
    await store.save(replace(await store.load("one"), length=None))
    assert await put(store, "one", b"plain") == len(after) + 5
    assert await put(store, "one", b"atomic", atomic=True) == len(after) + 11
    assert await content(store) == after + b"plainatomic"
    return "old" if stored == BEFORE else "new"


async def appended_plainly(store: LocalStore, root: Path) -> str:
    """Bytes count as they come, and never one of the append that crashed before."""
    whole = BEFORE + CHUNK[::-1]
    stored = await content(store)
    assert (await store.load("one")).offset == len(stored)
    assert len(stored) >= 1000
    assert stored == whole[: len(stored)]
    await put(store, "one", whole[len(stored) :])
    assert await content(store) == whole
    return {1000: "old", len(whole): "new"}.get(len(stored), "part")


async def joined(store: LocalStore, root: Path) -> str:
    """A final that is not complete can be joined and finished; its partials are as they were."""
    published = root / "uploads" / "one.bin"
    outcome = "published" if published.exists() else "not yet"
    if published.exists():
        assert sha256(published.read_bytes()).digest() == sha256(JOINED).digest()
    found = await store.load("one")
    if found.state is not UploadState.COMPLETE:
        assert found.state is UploadState.COMPLETING
        await store.concatenate(found, [await store.load(part) for part in ORDER])
        await finish(store)
    assert (await store.load("one")).offset == len(JOINED)
    assert await content(store) == JOINED
    assert {part: await content(store, part) for part in PARTS} == PARTS
    return outcome


async def done(store: LocalStore, root: Path) -> str:
    """Whatever was interrupted, no byte is lost, and the way to the end can be taken again."""
    found = await store.load("one")
    assert await content(store) == CHUNK
    if found.state is not UploadState.COMPLETE:
        await finish(store)
    assert (root / "uploads" / "one.bin").read_bytes() == CHUNK
    assert await content(store) == CHUNK
    return found.state.value


async def expired(store: LocalStore, root: Path) -> str:
    """As long as it is not marked it is whole; once it is marked a repetition removes what is left."""
    found = await store.load("one")
    if found.state is not UploadState.EXPIRED:
        assert await content(store) == (CHUNK if found.state is UploadState.COMPLETE else BEFORE)
        await store.save(replace(found, state=UploadState.EXPIRED))
    await store.discard(await store.load("one"))
    assert (await store.load("one")).offset == 0
    await mend(store)
    assert files(root) == ["incoming/one.json"]
    return "marked" if found.state is UploadState.EXPIRED else "whole"


async def deleted(store: LocalStore, root: Path) -> str:
    """It is whole, or known to be gone; until it is unknown it can be deleted again, and is gone then."""
    outcome = "whole"
    try:
        found = await store.load("one")
        assert await content(store) == (CHUNK if found.state is UploadState.COMPLETE else BEFORE)
    except UploadGoneError:
        outcome = "gone"
    except UploadNotFoundError:
        outcome = "unknown"
    if outcome != "unknown":
        await store.delete("one")
    await mend(store)
    assert files(root) == []
    return outcome


CHECKS: dict[str, tuple[Callable[[LocalStore, Path], Awaitable[str]], set[str]]] = {
    # scenario: what must be true after each crash, and all the outcomes that have to be met
    "create": (created, {"absent", "there"}),
    "save": (saved, {"open", "failed"}),
    "atomic-append": (appended, {"old", "new"}),
    "revoked-append": (appended, {"old"}),
    "plain-append-after-a-crash": (appended_plainly, {"old", "part", "new"}),
    "atomic-append-after-a-crash": (appended, {"old", "new"}),
    "join": (joined, {"not yet"}),
    "finish-a-final": (joined, {"not yet", "published"}),
    "finish": (done, {"open", "completing", "complete"}),
    "expire-unfinished": (expired, {"whole", "marked"}),
    "expire-finished": (expired, {"whole", "marked"}),
    "delete-unfinished": (deleted, {"whole", "gone", "unknown"}),
    "delete-finished": (deleted, {"whole", "gone", "unknown"}),
}


def test_every_scenario_has_its_check() -> None:
    """Both tables are about the same work."""
    assert set(CHECKS) == set(SCENARIOS)


@pytest.mark.parametrize("durability", ["os", "commit"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_at_any_step_costs_nothing_that_counted(
    scenario: str, durability: str, tmp_path: Path
) -> None:
    """Design of the storage: a crash leaves the old or the new, and nothing in between is believed."""
    check, expected = CHECKS[scenario]
    command = [sys.executable, "-m", "tests.stores.crashing", scenario, durability, str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=60)
    wrecks = sorted((path for path in tmp_path.iterdir() if path.name.isdigit()), key=lambda p: int(p.name))

    outcomes = [asyncio.run(inspect(root, durability, check)) for root in wrecks]

    assert len(outcomes) > 2
    assert set(outcomes) == expected


async def inspect(root: Path, durability: str, check: Callable[[LocalStore, Path], Awaitable[str]]) -> str:
    """What `check` says of the storage, which afterwards has nothing in it that cannot be mended."""
    store = LocalStore(str(root), durability=durability)
    try:
        outcome = await check(store, root)
        await mend(store)
        assert {finding.kind async for finding in store.examine()} <= {FindingKind.STUCK_COMPLETING}
    except AssertionError as error:
        error.add_note(f"after the crash at step {root.name}")
        raise
    else:
        return outcome
    finally:
        await store.close()


HARMLESS = {
    FindingKind.TORN_TEMPORARY,
    FindingKind.DATA_WITHOUT_RECORD,
    FindingKind.STUCK_COMPLETING,  # for the engine to finish
}


async def mend(store: LocalStore) -> None:
    """Repair everything; a crash leaves nothing that only a person can judge."""
    async for finding in store.examine():
        assert finding.kind in HARMLESS, finding
        assert finding.is_repairable, finding
        await store.repair(finding)


def files(root: Path) -> list[str]:
    """Every file of the two folders that hold uploads."""
    found = (path for folder in ("incoming", "uploads") for path in (root / folder).iterdir())
    return sorted(str(path.relative_to(root)) for path in found)


LEADING = """
import asyncio, sys
from tusd_py.stores.local import LocalStore

async def main():
    async with LocalStore(sys.argv[1]).lead() as leads:
        print(leads, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_lead_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    """Store.lead: exclusive between processes, and nobody has to wait for one that is dead."""
    command = [sys.executable, "-c", LEADING, str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        beside = asyncio.run(leads(tmp_path))
        process.kill()
        process.wait()
        after = asyncio.run(leads(tmp_path))

    assert told == b"True\n"
    assert (beside, after) == (False, True)


async def leads(root: Path) -> bool:
    """Whether somebody who asks now leads the storage."""
    store = LocalStore(str(root))
    try:
        async with store.lead() as answer:
            return answer
    finally:
        await store.close()
