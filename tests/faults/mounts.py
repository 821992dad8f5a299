"""Small file systems of a test's own: a disk that can be full, a disk that can be pulled out."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = f"{' '.join(command)}: {done.stderr.strip()}"
        if "CI" in os.environ:
            pytest.fail(f"this test has to mount a file system: {reason}")
        pytest.skip(f"mounting needs root: {reason}")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A tmpfs of `size` bytes on the new folder `folder`."""
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


@contextmanager
def plugged_in(source: Path, folder: Path) -> Iterator[None]:
    """What is in `source` appears on `folder`, like a disk that is mounted there."""
    _run("mount", "--bind", str(source), str(folder))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(folder))


def free_bytes(folder: Path) -> int:
    """Bytes that still fit."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def fill(folder: Path) -> Path:
    """A file in `folder` that takes all the space there is; removing it gives the space back."""
    filler = folder / "filler"
    filler.write_bytes(b"\0" * free_bytes(folder))
    return filler
