"""`tusd-py gc`: one sweep, as a person or cron asks for it."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime, timedelta

from tests.cli.storages import LONG_AGO, Storage, ago, finish, run, run_json, where
from tests.support.payload import make_bytes
from tusd_py.core.model import UploadKind, UploadState

CONTENT = make_bytes(5000)
WOULD = "would finish 1, would expire 1, would forget 0, would remove 1"
DIES_AFTER_THE_MARK = """\
import os, signal, sys
from tusd_py.cli.main import main
from tusd_py.stores.local import LocalStore

async def die(self, upload):
    os.kill(os.getpid(), signal.SIGKILL)

LocalStore.discard = die
main(sys.argv[1:])
"""


def fill(storage: Storage) -> None:
    """One upload for everything that a sweep can do, and for everything that it must leave alone."""
    storage.put("running", CONTENT[:1000], length=5000, expires_at=ago(hours=-1))
    storage.put("forever", CONTENT[:1000], length=5000)
    storage.put("finished", CONTENT, length=5000, state=UploadState.COMPLETE, name="finished.bin")
    storage.put("failed", CONTENT, length=5000, state=UploadState.FAILED)
    storage.put("stuck", CONTENT, length=5000, state=UploadState.COMPLETING, name="stuck.bin")
    storage.put("overdue", CONTENT[:1000], length=5000, expires_at=ago(hours=1))
    storage.put("part", CONTENT, length=5000, state=UploadState.COMPLETE, kind=UploadKind.PARTIAL,
                concat="partial", expires_at=ago(hours=1))  # fmt: skip
    storage.put("remembered", length=5000, state=UploadState.EXPIRED, expires_at=ago(hours=1))
    storage.put("bygone", length=5000, state=UploadState.EXPIRED, expires_at=ago(days=2))
    storage.file("incoming/running.json.tmp", b"{", LONG_AGO)
    storage.file("incoming/fresh.json.tmp", b"{")


REPORT = {
    "dry_run": False,
    "examined": 9,
    "finished": ["stuck"],
    "expired": ["overdue", "part"],
    "forgotten": ["bygone"],
    "busy": [],
    "failed": [],
}


def sorted_report(report: dict[str, object]) -> dict[str, object]:
    """The report with its ids in order: uploads are met in none."""
    return {name: sorted(found) if isinstance(found, list) else found for name, found in report.items()}


def test_a_sweep_does_all_there_is_to_do_and_nothing_else(storage: Storage) -> None:
    """Expired: bytes go, the record remembers. Forgotten: all goes. Stuck: published. The rest stays."""
    fill(storage)
    kept = {name: trace for name, trace in storage.traces().items() if name.startswith("incoming/f")}

    code, report = run_json("gc", storage)

    litter = report.pop("litter")
    assert (code, sorted_report(report)) == (0, REPORT)
    assert [(each["kind"], each["subject"]) for each in litter] == [("torn-temporary", "running.json.tmp")]
    assert storage.names() == {
        *("incoming/running", "incoming/running.json", "incoming/forever", "incoming/forever.json"),
        *("incoming/finished.json", "uploads/finished.bin", "incoming/failed", "incoming/failed.json"),
        *("incoming/stuck.json", "uploads/stuck.bin", "incoming/fresh.json.tmp"),
        *("incoming/overdue.json", "incoming/part.json", "incoming/remembered.json"),
    }
    assert (storage.published / "stuck.bin").read_bytes() == CONTENT
    assert (storage.published / "finished.bin").read_bytes() == CONTENT
    assert kept.items() <= storage.traces().items()
    assert storage.load("overdue").state is UploadState.EXPIRED
    assert storage.load("stuck").state is UploadState.COMPLETE


def test_a_dry_run_says_the_same_and_changes_nothing(storage: Storage) -> None:
    """What --dry-run announces is what the next sweep does; until then no byte and no time differs."""
    fill(storage)
    before = storage.traces()

    code, announced = run_json("gc", storage, "--dry-run")

    assert storage.traces() == before
    assert (code, announced.pop("dry_run")) == (0, True)
    _, done = run_json("gc", storage)
    assert done.pop("dry_run") is False
    assert announced == done


def test_a_sweep_tells_people_line_by_line(storage: Storage) -> None:
    """A line for each thing done, and a last one that counts them."""
    storage.put("stuck", CONTENT, length=5000, state=UploadState.COMPLETING)
    storage.put("overdue", b"", length=5, expires_at=ago(hours=1))
    storage.file("incoming/x.json.tmp", b"{", LONG_AGO)

    planned, done = run("gc", storage, "--dry-run"), run("gc", storage)

    assert planned.stdout.splitlines() == [
        "would finish  stuck",
        "would expire  overdue",
        "would remove  x.json.tmp (torn-temporary: a write that a crash interrupted)",
        f"2 uploads examined: {WOULD}, busy 0, failed 0",
        "Nothing was changed.",
    ]
    assert done.stdout.splitlines() == [
        "finished      stuck",
        "expired       overdue",
        "removed       x.json.tmp (torn-temporary: a write that a crash interrupted)",
        "2 uploads examined: finished 1, expired 1, forgot 0, removed 1, busy 0, failed 0",
    ]
    assert (planned.stderr, planned.returncode, done.stderr, done.returncode) == ("", 0, "", 0)


def test_a_swept_storage_needs_no_sweep(storage: Storage) -> None:
    """The second sweep finds everything done."""
    fill(storage)
    run("gc", storage)

    code, report = run_json("gc", storage)

    done = {name: found for name, found in report.items() if found}
    assert (code, done) == (0, {"examined": 8})


def test_finished_files_stay_unless_their_time_was_set_when_they_finished(storage: Storage) -> None:
    """A finished upload is never touched; --finished-retention holds for what finishes under it."""
    storage.put("old", CONTENT, length=5000, state=UploadState.COMPLETE, created_at=ago(days=400))
    storage.put("timed", CONTENT, length=5000, state=UploadState.COMPLETE, expires_at=ago(hours=1))

    _, report = run_json("gc", storage, "--finished-retention", "1s")

    assert report["expired"] == ["timed"]
    assert (storage.published / "old").read_bytes() == CONTENT
    assert not (storage.published / "timed").exists()


def test_what_is_finished_by_a_sweep_gets_the_retention_of_that_sweep(storage: Storage) -> None:
    """`gc` finishes as the server would: with --finished-retention the record says how long it stays."""
    storage.put("stuck", CONTENT, length=5000, state=UploadState.COMPLETING)

    before = datetime.now(UTC)
    run("gc", storage, "--finished-retention", "30d")

    expires_at = storage.load("stuck").expires_at
    assert expires_at is not None
    assert before <= expires_at - timedelta(days=30) <= datetime.now(UTC)


def test_how_long_expired_uploads_are_remembered_is_a_setting(storage: Storage) -> None:
    """--remember-expired: the address answers 410 as long as the record is there, 404 after."""
    storage.put("bygone", length=5, state=UploadState.EXPIRED, expires_at=ago(days=2))

    _, kept = run_json("gc", storage, "--remember-expired", "3d")
    _, forgotten = run_json("gc", storage, "--remember-expired", "1h")

    assert (kept["forgotten"], forgotten["forgotten"]) == ([], ["bygone"])
    assert storage.names() == set()


def test_what_cannot_be_done_is_told_and_keeps_nothing_else_back(storage: Storage) -> None:
    """A corrupt record fails alone: the others are swept, and the exit code is 1."""
    storage.file("incoming/broken.json", b'{"version": 1')
    storage.put("overdue", b"", length=5, expires_at=ago(hours=1))

    ended = run("gc", storage)

    assert (ended.returncode, ended.stdout.splitlines()) == (
        1,
        [
            "expired       overdue",
            "failed        broken",
            "2 uploads examined: finished 0, expired 1, forgot 0, removed 0, busy 0, failed 1",
        ],
    )


def test_a_sweep_that_is_killed_is_finished_by_the_next(storage: Storage) -> None:
    """Killed between mark and removal: the upload has expired, and the next sweep takes its bytes."""
    storage.put("overdue", CONTENT, length=9000, expires_at=ago(hours=1))

    killed = finish([sys.executable, "-c", DIES_AFTER_THE_MARK, "gc", *where(storage)])

    assert killed.returncode == -signal.SIGKILL
    assert (storage.load("overdue").state, storage.load("overdue").offset) == (UploadState.EXPIRED, 0)
    assert (storage.incoming / "overdue").read_bytes() == CONTENT
    assert run("gc", storage).returncode == 0
    assert storage.names() == {"incoming/overdue.json"}
