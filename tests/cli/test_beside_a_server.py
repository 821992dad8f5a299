"""One process cleans a storage up: beside a running server the commands only look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.storages import Storage, ago, run
from tests.faults.wire import wait_until
from tests.support.payload import make_bytes
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = make_bytes(5000)
LED = "tusd-py: a running server cleans this storage up by itself, every --gc-interval; "


@pytest.fixture
def served(storage: Storage) -> Iterator[Storage]:
    """A storage whose server has swept it and goes on leading it; then an upload's time was over."""
    storage.put("first", CONTENT, length=9000, expires_at=ago(hours=1))
    with ServerProcess(storage.root, "--gc-interval", "1h"):
        wait_until(lambda: not (storage.incoming / "first").exists(), "the server does not sweep")
        storage.put("overdue", CONTENT, length=9000, expires_at=ago(hours=1))
        storage.file("incoming/empty", b"")
        yield storage


@pytest.mark.parametrize(
    ("argv", "harmless"),
    [
        (["gc"], "--dry-run only looks"),
        (["gc", "--json"], "--dry-run only looks"),
        (["fsck", "--repair"], "without --repair, fsck only looks"),
    ],
)
def test_beside_a_server_nothing_is_cleaned_up(argv: list[str], harmless: str, served: Storage) -> None:
    """Its work in progress could pass for litter: one line says so, nothing changes, exit 1."""
    before = {name: trace for name, trace in served.traces().items() if name.startswith("incoming/")}

    ended = run(argv[0], served, *argv[1:])

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"{LED}{harmless}\n")
    assert before.items() <= served.traces().items()


def test_beside_a_server_looking_is_allowed(served: Storage) -> None:
    """A dry run, an examination and a list tell what is there, and change nothing."""
    before = served.traces()

    sweep, examination, listing = run("gc", served, "--dry-run"), run("fsck", served), run("ls", served)

    assert (sweep.returncode, sweep.stdout.splitlines()[0]) == (0, "would expire  overdue")
    assert (examination.returncode, examination.stdout.splitlines()[-1]) == (
        3,
        "1 finding: 0 repaired, 1 left.",
    )
    assert (listing.returncode, len(listing.stdout.splitlines())) == (0, 3)
    assert served.traces() == before


def test_after_the_server_has_gone_cleaning_up_is_allowed(storage: Storage) -> None:
    """Also after it was killed: the lead ends with the process, nothing has to be removed by hand."""
    with ServerProcess(storage.root) as server:
        server.kill9()
        storage.put("overdue", CONTENT, length=9000, expires_at=ago(hours=1))

        ended = run("gc", storage)

        assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "expired       overdue")
