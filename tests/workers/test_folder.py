"""The folder that workers share: their own, wherever there is room, and gone with the last of them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tusd_py.workers import folder
from tusd_py.workers.folder import Folder, FolderError


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where systemd says that folders of a running service belong."""
    given = tmp_path / "run"
    given.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{given}:/elsewhere")
    return given


def age(path: str) -> None:
    """Make it look as if it had been there for long."""
    os.utime(path, (0, 0))


def test_nobody_else_can_look_into_it(base: Path) -> None:
    """Mode 0700, in the folder that the service manager has made."""
    made = Folder.make()

    assert Path(made.path).parent == base
    assert stat.S_IMODE(Path(made.path).stat().st_mode) == 0o700
    made.remove()
    assert list(base.iterdir()) == []


def test_a_folder_in_use_is_left_alone_and_an_abandoned_one_is_removed(base: Path) -> None:
    """Its lock tells them apart, not its age; it is that of whoever has inherited the descriptor."""
    used, abandoned = Folder.make(), Folder.make()
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[used.descriptor]) as heir:
        os.close(used.descriptor)
        os.close(abandoned.descriptor)
        age(used.path)
        age(abandoned.path)
        first = Folder.make()
        left = {path.name for path in base.iterdir()}
        heir.communicate()
    age(used.path)
    second = Folder.make()

    assert left == {Path(used.path).name, Path(first.path).name}
    assert {str(path) for path in base.iterdir()} == {first.path, second.path}
    first.remove()
    second.remove()


def test_a_young_folder_may_be_one_that_is_just_being_made(base: Path) -> None:
    """Between its making and its locking it must not be taken for an abandoned one."""
    young = base / "tusd-py-young"
    young.mkdir()

    Folder.make().remove()

    assert young.exists()


def test_what_only_looks_like_one_is_left_alone(base: Path, tmp_path: Path) -> None:
    """A link leads elsewhere, a file is none of ours."""
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (base / "tusd-py-link").symlink_to(treasure)
    (base / "tusd-py-file").write_bytes(b"")
    age(str(treasure))
    age(str(base / "tusd-py-file"))

    Folder.make().remove()

    assert {path.name for path in base.iterdir()} == {"tusd-py-link", "tusd-py-file"}
    assert treasure.exists()


def test_where_there_is_no_room_the_next_place_is_taken(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that cannot be written to is no reason not to start."""
    base.rmdir()
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(folder, "_MEMORY", str(tmp_path / "memory"))

    made = Folder.make()

    assert Path(made.path).parent == tmp_path / "memory"
    made.remove()


def test_without_any_place_it_says_where_it_looked(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names every place and what is wrong with it."""
    base.rmdir()
    monkeypatch.setattr(folder, "_MEMORY", str(tmp_path / "memory"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    with pytest.raises(FolderError) as failure:
        Folder.make()

    for name in ("run", "memory", "temporary"):
        assert f"{tmp_path / name}: No such file or directory" in str(failure.value)
