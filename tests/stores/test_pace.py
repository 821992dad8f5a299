"""When short calls to the storage are made in the event loop, and when not any more."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from tusd_py.stores.offload import Offload
from tusd_py.stores.pace import FIRST_SPAN, LIMIT, LONG, LONGEST_SPAN, TANGIBLE, WINDOW, Pace, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    """Of a disk in the machine."""
    return Pace(clock=clock)


def test_a_disk_is_quick_until_it_was_waited_for(pace: Pace) -> None:
    """Short calls say nothing, however many there are."""
    for _ in range(10_000):
        pace.note(TANGIBLE / 2)
    assert pace.is_quick

    pace.note(LIMIT)
    assert not pace.is_quick


def test_waiting_adds_up_within_a_window(pace: Pace, clock: Clock) -> None:
    """A few calls, none of which is long enough by itself; what was before the window is forgotten."""
    share = LIMIT / 4
    for _ in range(3):
        pace.note(share)
    clock.now += WINDOW
    for _ in range(3):
        pace.note(share)
        assert pace.is_quick
    pace.note(share)
    assert not pace.is_quick


def test_it_passes_for_quick_again_when_no_call_was_long_for_a_while(pace: Pace, clock: Clock) -> None:
    """Every long call begins the while anew; one that is merely felt does not."""
    pace.note(LIMIT)
    clock.now += FIRST_SPAN * 0.9
    pace.note(LONG)
    clock.now += FIRST_SPAN * 0.9
    assert not pace.is_quick
    pace.note(LONG / 2)
    clock.now += FIRST_SPAN * 0.2

    assert pace.is_quick


def test_the_while_doubles_when_it_was_too_short(pace: Pace, clock: Clock) -> None:
    """A disk that is slow for hours is tried once a minute; a good minute makes it as good as new."""
    spans = []
    for _ in range(9):
        pace.note(LIMIT)
        begun = clock.now
        while not pace.is_quick:
            clock.now += FIRST_SPAN / 8
        spans.append(clock.now - begun)
        clock.now += FIRST_SPAN / 8

    assert spans == [1, 2, 4, 8, 16, 32, LONGEST_SPAN, LONGEST_SPAN, LONGEST_SPAN]
    clock.now += 2 * LONGEST_SPAN
    pace.note(LIMIT)
    clock.now += FIRST_SPAN
    assert pace.is_quick


def test_what_is_far_away_is_never_quick(clock: Clock) -> None:
    """The next call can take any time, whatever the last thousand did."""
    pace = Pace(is_remote=True, clock=clock)
    clock.now += 2 * LONGEST_SPAN

    assert not pace.is_quick


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /dev/shm rw,nosuid - tmpfs tmpfs rw
40 22 0:40 / /net rw,relatime shared:7 - nfs4 host:/export rw,vers=4.2
41 40 8:2 / /net/disk rw,relatime - xfs /dev/sdb1 rw
50 22 0:50 / /home/a\\040name rw - fuse.sshfs sshfs#host:/ rw
51 22 0:51 / /mine rw - fuse program rw
60 22 0:60 / /twice rw - ext4 /dev/sdc1 rw
61 60 0:61 / /twice rw - cifs //host/share rw
not a line of it
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", False),
        ("/srv/uploads", False),
        ("/dev/shm/uploads", False),
        ("/net", True),
        ("/net/uploads/here", True),
        ("/network", False),
        ("/net/disk/uploads", False),
        ("/home/a name/uploads", True),
        ("/home/another", False),
        ("/mine/uploads", True),
        ("/twice/uploads", True),
    ],
)
def test_what_is_reached_over_a_network_or_through_a_program(
    tmp_path: Path, path: str, expected: bool
) -> None:
    """proc_pid_mountinfo(5): by the nearest mount above it, and of several on one place by the last."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS, encoding="utf-8")

    assert is_remote(path, str(mounts)) is expected


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What counts is where the files are."""
    mounts, link = tmp_path / "mountinfo", tmp_path / "link"
    mounts.write_text(MOUNTS, encoding="utf-8")
    link.symlink_to("/net/uploads")

    assert is_remote(str(link), str(mounts))


def test_a_system_that_does_not_tell_has_disks(tmp_path: Path) -> None:
    """Where there is no such file."""
    assert not is_remote("/net", str(tmp_path / "missing"))


@pytest.fixture
def offload(pace: Pace) -> Iterator[Offload]:
    """Threads for a storage with that pace."""
    it = Offload(1, "test", pace)
    yield it
    it.close()


async def test_short_calls_are_made_here_while_the_storage_is_quick(offload: Offload, pace: Pace) -> None:
    """And in a thread from the moment on in which it is not."""
    loop = threading.get_ident()
    assert await offload.brief(threading.get_ident) == loop
    assert await offload.acquire_briefly(threading.get_ident, release=print) == loop

    pace.note(LIMIT)

    assert await offload.brief(threading.get_ident) != loop
    assert await offload.acquire_briefly(threading.get_ident, release=print) != loop


async def test_a_call_that_took_long_is_the_last_of_its_kind(clock: Clock) -> None:
    """It is noted wherever it was made, also when it failed."""
    pace = Pace(clock=clock)
    offload = Offload(1, "test", pace)

    def stall() -> None:
        threading.Event().wait(LIMIT * 1.5)
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        await offload.brief(stall)
    assert not pace.is_quick

    clock.now += FIRST_SPAN * 0.9
    with pytest.raises(OSError, match="Input/output"):
        await offload.brief(stall)  # in a thread now, and noted there
    clock.now += FIRST_SPAN * 0.9
    assert not pace.is_quick
    offload.close()


async def test_what_is_acquired_slowly_is_given_back_when_nobody_wants_it_any_more(
    offload: Offload, pace: Pace
) -> None:
    """Cancelled while the thread is at work: the caller never gets to see it."""
    pace.note(LIMIT)
    go = threading.Event()
    released: list[str] = []

    def acquire() -> str:
        go.wait()
        return "a descriptor"

    task = asyncio.create_task(offload.acquire_briefly(acquire, release=released.append))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert released == ["a descriptor"]
