"""A file system that takes its time, and as much of it as a test likes.

with SlowDisk(tmp_path / "disk") as disk:
    disk.slow_down(write=0.1)
    ...  # what is written below disk.folder waits; disk.source has the same files, and nothing waits there
    disk.slow_down()
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn, Self

import pytest

from tests.support.slow_fuse import DELAYS, WAITED

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 20.0
"""Seconds until it is mounted, and gone, at most."""


class SlowDisk:
    """`folder` is a FUSE file system whose files are those of the new folder `source`.

    Mounting needs root and /dev/fuse. Without them the test is skipped, but fails where CI is set.
    """

    def __init__(self, place: Path) -> None:
        self.folder = place / "slow"
        self.source = place / "source"
        for each in (place, self.folder, self.source):
            each.mkdir()
        self._control_path = place / "control"
        self._control_path.write_bytes(bytes(DELAYS.size + WAITED.size))

    def __enter__(self) -> Self:
        with self._control_path.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 0)
        paths = [str(self.source), str(self.folder), str(self._control_path)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.slow_fuse", *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + PATIENCE
        while not os.path.ismount(self.folder):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._give_up()
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.slow_down()
        subprocess.run(["umount", "--lazy", self.folder], check=True)
        try:
            self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._end()
            raise
        self._control.close()

    def slow_down(self, *, write: float = 0.0, others: float = 0.0) -> None:
        """From now on each write takes so many seconds, and so does every other operation."""
        DELAYS.pack_into(self._control, 0, write, others)

    @property
    def waited(self) -> int:
        """How many operations had to wait so far."""
        waited: int = WAITED.unpack_from(self._control, DELAYS.size)[0]
        return waited

    def _end(self) -> str:
        self._process.kill()
        said, _ = self._process.communicate()
        return said.decode(errors="replace").strip()

    def _give_up(self) -> NoReturn:
        reason = self._end() or "no word"
        if "CI" in os.environ:
            pytest.fail(f"this test has to mount a FUSE file system: {reason}")
        pytest.skip(f"mounting a FUSE file system needs root, /dev/fuse and libfuse: {reason}")
