"""A command that looks after a storage works on the one that is there, and makes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.storages import Storage, run

COMMANDS = pytest.mark.parametrize(
    "argv", [["gc"], ["gc", "--dry-run"], ["fsck"], ["fsck", "--repair"], ["ls"]]
)


@COMMANDS
def test_a_missing_folder_is_not_made(argv: list[str], tmp_path: Path) -> None:
    """A misspelt path must not look like a storage without uploads: one line, exit 2, nothing made."""
    ended = run(argv[0], tmp_path / "storaeg", *argv[1:])

    assert (ended.returncode, ended.stdout, ended.stderr) == (
        2,
        "",
        f"tusd-py: --upload-dir: there is no folder '{tmp_path}/storaeg'; the one of the server\n",
    )
    assert list(tmp_path.iterdir()) == []


@COMMANDS
def test_a_folder_that_is_no_storage_is_left_alone(argv: list[str], storage: Storage) -> None:
    """Without one of its two folders, as when a disk is not mounted, nothing can be said of any upload."""
    storage.published.rmdir()

    ended = run(argv[0], storage, *argv[1:])

    problem = f"'{storage.root}' is not a storage, it has no folder 'uploads'"
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        2,
        "",
        f"tusd-py: --upload-dir: {problem}; the one of the server\n",
    )
    assert [path.name for path in storage.root.iterdir()] == ["incoming"]
