"""Whether the storage answers so fast that an event loop may wait for it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LONG: Final = 0.01
"""Seconds after which a call was a long one. The way to a thread and back takes a hundredth of that."""

FIRST_SPAN: Final = 1.0
LONGEST_SPAN: Final = 60.0
"""Seconds without a long call after which the storage passes for quick again: at first, and at most."""

_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs", "ocfs2", "gfs2"}
_PROGRAMS = ("fuse.", "fuseblk.")
_MOUNTS = "/proc/self/mountinfo"


class Pace:
    """What is to be expected of the next call, after those that were noted. Any thread may note one.

    A long call makes the storage slow at once. It is quick again when none has been noted for a span,
    which doubles each time that was too early. `is_remote`: it is slow for good, since what happens behind
    a network can take any time. `clock` gives seconds.
    """

    def __init__(self, *, is_remote: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._is_remote = is_remote
        self._is_slow = is_remote
        self._span = FIRST_SPAN
        self._slow_until = 0.0

    @property
    def is_quick(self) -> bool:
        """The next call will hardly be a long one."""
        if not self._is_slow:
            return True
        if self._is_remote or self._clock() < self._slow_until:
            return False
        self._is_slow = False
        return True

    def note(self, seconds: float) -> None:
        """A call took so long."""
        if seconds < LONG:
            return
        now = self._clock()
        if not self._is_slow:
            returned_soon = now < self._slow_until + self._span
            self._span = min(2 * self._span, LONGEST_SPAN) if returned_soon else FIRST_SPAN
        self._is_slow = True
        self._slow_until = now + self._span


def is_remote(path: str, mounts: str = _MOUNTS) -> bool:
    """Whether what lies at `path` is reached over a network, or through a program (FUSE).

    False where the system does not tell. `mounts` has the format of proc_pid_mountinfo(5).
    """
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    real = os.path.realpath(path)
    # Of several on one place the last is the one that is seen.
    kinds = dict(_parse(line) for line in lines if " - " in line)
    while real not in kinds and real != "/":
        real = os.path.dirname(real)
    kind = kinds.get(real, "")
    return kind in _REMOTE or f"{kind}.".startswith(_PROGRAMS)


def _parse(line: str) -> tuple[str, str]:
    """Where it is mounted, and what kind of file system it is."""
    place = line.split(" ")[4]
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(code, character)
    return place, line.partition(" - ")[2].split(" ")[0]
