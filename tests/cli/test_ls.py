"""`tusd-py ls`: every upload on record, for people, pipes and programs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tests.cli.storages import Storage, ago, own_environment, run, run_json, where
from tests.support.payload import make_bytes
from tusd_py.cli.lines import STATES
from tusd_py.cli.output import human_size, human_span
from tusd_py.core.model import Delivery, UploadKind, UploadState

CONTENT = make_bytes(5000)
HEADING = "ID\tKIND\tSTATE\tOFFSET\tLENGTH\tAGE\tEXPIRES IN\tNAME\tPENDING"


def fill(storage: Storage) -> None:
    """Uploads of every sort, born an hour apart in the order of their ids."""
    part = {"kind": UploadKind.PARTIAL, "concat": "partial"}
    storage.put("a", CONTENT[:1536], length=5000, created_at=ago(days=3, hours=4, minutes=30), name="a.mp3",
                expires_at=ago(days=-2, hours=-5, minutes=-30))  # fmt: skip
    storage.put("b", CONTENT[:1000], created_at=ago(hours=9, minutes=5, seconds=5))
    storage.put("c", CONTENT, length=5000, created_at=ago(hours=8, minutes=5, seconds=5), name="c.bin",
                state=UploadState.COMPLETE)  # fmt: skip
    storage.put("d", CONTENT[:10], length=10, created_at=ago(hours=7, minutes=5, seconds=5), **part,
                state=UploadState.COMPLETE, expires_at=ago(hours=2, minutes=30))  # fmt: skip
    storage.put("e", length=10, created_at=ago(hours=6, minutes=5, seconds=5), state=UploadState.EXPIRED)


def spoil(storage: Storage) -> None:
    """Two of which nothing more is known, and two files that are no records of uploads."""
    storage.put("gone", b"", length=5)
    (storage.incoming / "gone").unlink()
    storage.file("incoming/corrupt.json", b"{")
    storage.file("incoming/not an id.json", b"{}")
    storage.file("incoming/a.json.tmp", b"{}")


def test_json_has_exact_bytes_and_times(storage: Storage) -> None:
    """One object for each upload, oldest first, with the same keys; null where there is nothing."""
    fill(storage)
    spoil(storage)

    code, listed = run_json("ls", storage)

    assert code == 0
    assert [each["id"] for each in listed] == ["corrupt", "gone", "a", "b", "c", "d", "e"]
    assert listed[2] == {
        "id": "a",
        "kind": "regular",
        "state": "open",
        "offset": 1536,
        "length": 5000,
        "created_at": ago(days=3, hours=4, minutes=30).isoformat(),
        "expires_at": ago(days=-2, hours=-5, minutes=-30).isoformat(),
        "name": "a.mp3",
        "deliveries": [],
    }
    assert (listed[3]["length"], listed[3]["expires_at"]) == (None, None)
    assert listed[1] == dict.fromkeys(listed[2]) | {"id": "gone", "state": "gone"}
    assert listed[0] == dict.fromkeys(listed[2]) | {"id": "corrupt", "state": "corrupt"}
    assert datetime.fromisoformat(listed[2]["created_at"]).tzinfo == UTC


def test_a_pipe_gets_a_line_each_with_tabs(storage: Storage) -> None:
    """Exact bytes, spans in two units, `-` where there is nothing; the lost ones are listed, exit 0."""
    fill(storage)
    spoil(storage)

    ended = run("ls", storage)

    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr, lines[0]) == (0, "", HEADING)
    assert lines[1:4] == [
        "corrupt\t-\tcorrupt\t-\t-\t-\t-\t-\t-",
        "gone\t-\tgone\t-\t-\t-\t-\t-\t-",
        "a\tregular\topen\t1536\t5000\t3d 4h\t2d 5h\ta.mp3\t-",
    ]
    assert [line.split("\t")[:5] for line in lines[4:]] == [
        ["b", "regular", "open", "1000", "-"],
        ["c", "regular", "complete", "5000", "5000"],
        ["d", "partial", "complete", "10", "10"],
        ["e", "regular", "expired", "0", "10"],
    ]
    assert lines[6].split("\t")[6].startswith("-2h ")


def test_a_terminal_gets_a_table_with_human_sizes(storage: Storage) -> None:
    """Columns under headings, wide enough to be read: 1.5 KiB rather than 1536."""
    fill(storage)

    shown = on_a_terminal(storage)

    first = next(line for line in shown if line.startswith("a "))
    assert shown[0].split() == HEADING.split()
    assert first.split() == [
        *("a", "regular", "open", "1.5", "KiB", "4.9", "KiB", "3d", "4h", "2d", "5h", "a.mp3", "-"),
    ]


def test_what_is_pending_is_listed(storage: Storage) -> None:
    """To whom a finished upload still has to be given, how often that was tried, when it will be again."""
    pending = (
        Delivery(name="thumbnails"),
        Delivery(name="sound.text:write", attempts=3, due_at=ago(hours=-1)),
    )
    storage.put("a", CONTENT, length=5000, state=UploadState.COMPLETE, deliveries=pending)

    [listed] = run_json("ls", storage)[1]
    line = run("ls", storage).stdout.splitlines()[1]

    assert listed["deliveries"] == [
        {"name": "thumbnails", "attempts": 0, "due_at": None},
        {"name": "sound.text:write", "attempts": 3, "due_at": ago(hours=-1).isoformat()},
    ]
    assert line.split("\t")[-1] == "thumbnails (0), sound.text:write (3)"


def test_a_name_is_never_markup(storage: Storage) -> None:
    """A record by hand can hold any name: on a terminal it is shown as it is."""
    storage.put("a", b"", length=5, name="[bold]a\x1b[2J")

    assert r"[bold]a\x1b[2J" in on_a_terminal(storage)[1]


def test_an_empty_storage_is_said_to_be_empty_on_a_terminal(storage: Storage) -> None:
    """A heading alone would leave people wondering."""
    assert on_a_terminal(storage) == ["No uploads."]


def test_one_state_can_be_asked_for(storage: Storage) -> None:
    """--state lists those uploads and no others."""
    fill(storage)
    spoil(storage)

    found = {state: [each["id"] for each in run_json("ls", storage, "--state", state)[1]]
             for state in ("open", "expired", "gone")}  # fmt: skip

    assert found == {"open": ["a", "b"], "expired": ["e"], "gone": ["gone"]}


def test_a_state_that_does_not_exist_is_one_line(storage: Storage) -> None:
    """An empty list would look like an answer."""
    ended = run("ls", storage, "--state", "done")

    assert (ended.returncode, ended.stdout, ended.stderr) == (
        2,
        "",
        f"tusd-py: --state: 'done' is not one of {', '.join(STATES)}\n",
    )


@pytest.mark.parametrize("argv", [(), ("--json",)])
def test_a_reader_that_has_seen_enough_is_no_failure(argv: tuple[str, ...], storage: Storage) -> None:
    """`tusd-py ls | head -1`: no complaint about the broken pipe, exit 0."""
    fill(storage)
    readable, writable = os.pipe()
    os.close(readable)

    with open(writable, "wb") as closed_pipe:
        ended = subprocess.run(
            [sys.executable, "-m", "tusd_py", "ls", *where(storage), *argv],
            env=own_environment(),
            stdout=closed_pipe,
            stderr=subprocess.PIPE,
        )

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_listing_changes_nothing(storage: Storage) -> None:
    """Not a byte, not a time."""
    fill(storage)
    spoil(storage)
    before = storage.traces()

    run("ls", storage)

    assert storage.traces() == before


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (50 * 2**20, "50.0 MiB"),
     (150 * 2**30, "150 GiB"), (2**60, "1024 PiB")],
)  # fmt: skip
def test_sizes_for_people(size: int, text: str) -> None:
    """Binary units, about three digits."""
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.9, "0s"), (-0.9, "0s"), (59.9, "59s"), (60, "1m"), (725, "12m 5s"), (3600, "1h"),
     (86400 + 59, "1d"), (3 * 86400 + 4 * 3600 + 1800, "3d 4h"), (-5400, "-1h 30m")],
)  # fmt: skip
def test_spans_for_people(seconds: float, text: str) -> None:
    """The two largest units, rounded down; what is over is negative."""
    assert human_span(seconds) == text


def on_a_terminal(storage: Storage) -> list[str]:
    """The lines that `ls` shows on a terminal of 160 columns."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "tusd_py", "ls", *where(storage)],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=own_environment(COLUMNS="160", TERM="dumb", NO_COLOR="1"),
        )
        os.close(theirs)
        shown = read_to_end(ours)
        _, problems = process.communicate(timeout=60)
    finally:
        os.close(ours)
    assert (process.returncode, problems) == (0, b"")
    return [line.rstrip() for line in shown.decode().splitlines()]


def read_to_end(terminal: int) -> bytes:
    """All that comes until the other end is closed, which Linux tells by EIO."""
    read = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            return read
        if not piece:
            return read
        read += piece
