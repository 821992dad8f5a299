"""`tusd-py fsck`: what does not fit together, and what --repair does about it."""

from __future__ import annotations

import pytest

from tests.cli.storages import LONG_AGO, Storage, run, run_json
from tests.support.payload import make_bytes
from tusd_py.cli.exits import Exit
from tusd_py.cli.fsck import exit_of
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.core.model import UploadState
from tusd_py.engine.fsck import Outcome, Verdict
from tusd_py.testing.fakes import ManualClock

CONTENT = make_bytes(5000)
EMPTY = "data-without-record empty: 0 bytes of an upload that is not on record"
STUCK = "stuck-completing stuck: all bytes are stored, but it is not finished"


def spoil(storage: Storage) -> None:
    """One finding of every kind, and for the kinds that have both, one that is for a person."""
    storage.put("running", CONTENT[:1000], length=5000)
    storage.put("finished", CONTENT, length=5000, state=UploadState.COMPLETE, name="finished.bin")
    storage.put("stuck", CONTENT, length=5000, state=UploadState.COMPLETING, name="stuck.bin")
    storage.put("lost", CONTENT[:1000], length=5000)
    (storage.incoming / "lost").unlink()
    storage.put("missing", CONTENT, length=5000, state=UploadState.COMPLETE, name="missing.bin")
    (storage.published / "missing.bin").unlink()
    storage.put("long", CONTENT[:1000], length=1200)
    storage.file("incoming/long", CONTENT[:1300])
    storage.file("incoming/broken.json", b'{"version": 1')
    storage.file("incoming/empty", b"")
    storage.file("incoming/orphan", CONTENT)
    storage.file("incoming/running.json.tmp", b"{", LONG_AGO)
    storage.file("uploads/stranger.bin", CONTENT)


REPAIRABLE = {
    ("data-without-record", "empty"),
    ("offset-beyond-length", "long"),
    ("record-without-data", "lost"),
    ("stuck-completing", "stuck"),
    ("torn-temporary", "running.json.tmp"),
}
FOR_A_PERSON = {
    ("corrupt-record", "broken"),
    ("data-without-record", "orphan"),
    ("published-without-record", "stranger.bin"),
    ("record-without-data", "missing"),
}


def test_a_sound_storage_is_said_to_be_sound(storage: Storage) -> None:
    """Uploads in all their states are no findings: one line, exit 0."""
    storage.put("running", CONTENT[:1000], length=5000)
    storage.put("deferred", CONTENT[:1000])
    storage.put("finished", CONTENT, length=5000, state=UploadState.COMPLETE)
    storage.put("failed", CONTENT, length=5000, state=UploadState.FAILED)
    storage.put("expired", length=5000, state=UploadState.EXPIRED)

    ended = run("fsck", storage)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "The storage is sound.\n", "")


def test_an_examination_finds_everything_and_changes_nothing(storage: Storage) -> None:
    """Every kind of finding, each with what can be done about it; exit 3; no byte and no time differs."""
    spoil(storage)
    before = storage.traces()

    code, examined = run_json("fsck", storage)

    assert storage.traces() == before
    assert (code, examined["repair"], examined["sound"]) == (3, False, False)
    assert {(each["kind"], each["subject"]): each["outcome"] for each in examined["findings"]} == {
        **dict.fromkeys(REPAIRABLE, "repairable"),
        **dict.fromkeys(FOR_A_PERSON, "left"),
    }


def test_a_repair_does_what_is_safe_and_leaves_the_rest(storage: Storage) -> None:
    """What costs no promised byte is repaired; the rest is untouched, told again, and makes it exit 3."""
    spoil(storage)

    code, repaired = run_json("fsck", storage, "--repair")

    assert (code, repaired["repair"], repaired["sound"]) == (3, True, False)
    assert {(each["kind"], each["subject"]): each["outcome"] for each in repaired["findings"]} == {
        **dict.fromkeys(REPAIRABLE, "repaired"),
        ("stuck-completing", "long"): "repaired",  # what is left of it once its surplus is cut
        **dict.fromkeys(FOR_A_PERSON, "left"),
    }
    assert storage.names() == {
        *("incoming/running", "incoming/running.json", "incoming/long.json", "uploads/long"),
        *("incoming/finished.json", "uploads/finished.bin", "incoming/missing.json"),
        *("incoming/stuck.json", "uploads/stuck.bin", "incoming/broken.json", "incoming/orphan"),
        "uploads/stranger.bin",
    }
    assert (storage.published / "stuck.bin").read_bytes() == CONTENT
    assert (storage.published / "long").read_bytes() == CONTENT[:1200]
    assert (storage.incoming / "orphan").read_bytes() == CONTENT
    assert storage.load("stuck").state is UploadState.COMPLETE


def test_a_repair_that_leaves_nothing_succeeds(storage: Storage) -> None:
    """All repaired: said line by line, exit 0, and the next examination finds nothing."""
    storage.put("stuck", CONTENT, length=5000, state=UploadState.COMPLETING)
    storage.file("incoming/empty", b"")

    found, repaired, again = run("fsck", storage), run("fsck", storage, "--repair"), run("fsck", storage)

    assert (found.returncode, found.stdout.splitlines()) == (
        3,
        [
            f"{EMPTY}; --repair would remove the empty file",
            f"{STUCK}; --repair would finish it",
            "2 findings: 0 repaired, 2 left.",
        ],
    )
    assert (repaired.returncode, repaired.stdout.splitlines()) == (
        0,
        [
            f"{EMPTY}; removed the empty file",
            f"{STUCK}; finished it",
            "2 findings repaired: the storage is sound.",
        ],
    )
    assert (again.returncode, again.stdout) == (0, "The storage is sound.\n")


def test_what_a_repair_brings_to_light_is_repaired_as_well(storage: Storage) -> None:
    """Too many bytes hid that an upload had stopped short of its end: it is cut, then published."""
    storage.put("both", CONTENT[:1200], length=1200, state=UploadState.COMPLETING, name="both.bin")
    storage.file("incoming/both", CONTENT[:1300])

    code, repaired = run_json("fsck", storage, "--repair")

    assert (code, [(each["kind"], each["outcome"]) for each in repaired["findings"]]) == (
        0,
        [("offset-beyond-length", "repaired"), ("stuck-completing", "repaired")],
    )
    assert (storage.published / "both.bin").read_bytes() == CONTENT[:1200]


def test_a_repair_that_fails_is_told_with_its_reason(storage: Storage) -> None:
    """A public name that another file has is never taken: the finding stays, the others go, exit 1."""
    storage.put("stuck", CONTENT, length=5000, state=UploadState.COMPLETING, name="stuck.bin")
    storage.file("uploads/stuck.bin", b"another's")
    storage.file("incoming/empty", b"")

    ended = run("fsck", storage, "--repair")

    assert (ended.returncode, ended.stdout.splitlines()) == (
        1,
        [
            f"{EMPTY}; removed the empty file",
            f"{STUCK}; could not finish it: stuck.bin is taken",
            "2 findings: 1 repaired, 1 left.",
        ],
    )
    assert (storage.published / "stuck.bin").read_bytes() == b"another's"
    assert (storage.incoming / "stuck").read_bytes() == CONTENT


def test_a_name_from_the_disk_cannot_write_on_the_terminal(storage: Storage) -> None:
    """A published name with an escape sequence or a line break in it is shown as text, on one line."""
    storage.file("uploads/a\x1b[2J\nb\udcff.bin", b"x")

    ended = run("fsck", storage)

    assert ended.stdout.splitlines()[0] == (
        r"published-without-record a\x1b[2J\nb\udcff.bin: a finished file of 1 bytes that no record knows;"
        " left for a person to look at"
    )


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], Exit.OK),
        ([Outcome.REPAIRED, Outcome.REPAIRED], Exit.OK),
        ([Outcome.REPAIRABLE], Exit.FINDINGS),
        ([Outcome.LEFT, Outcome.REPAIRED], Exit.FINDINGS),
        ([Outcome.FAILED, Outcome.LEFT], Exit.FAILURE),
    ],
)
def test_the_exit_code_says_what_is_left(outcomes: list[Outcome], code: Exit) -> None:
    """0: nothing. 3: something for a person, or for --repair. 1: a repair failed."""
    finding = Finding(
        kind=FindingKind.TORN_TEMPORARY, subject="x", detail="", is_repairable=True, since=ManualClock()()
    )

    assert exit_of([Verdict(finding=finding, outcome=outcome) for outcome in outcomes]) == code
