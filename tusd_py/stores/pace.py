"""Whether the storage answers so fast that an event loop may wait for it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TANGIBLE: Final = 0.002
"""Seconds from which a call counts as waiting. The way to a thread and back takes a twentieth of that."""

WINDOW: Final = 0.1
LIMIT: Final = 0.02
"""Seconds of waiting within a window that make the storage slow. One call may take as long where more
processes want to run than there are processors, and the storage has nothing to do with it."""

LONG: Final = 0.01
"""Seconds after which a call says that a slow storage still is."""

FIRST_SPAN: Final = 1.0
LONGEST_SPAN: Final = 60.0
"""Seconds without a long call after which the storage passes for quick again: at first, and at most."""

_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs", "ocfs2", "gfs2"}
_PROGRAMS = ("fuse.", "fuseblk.")
_MOUNTS = "/proc/self/mountinfo"


class Pace:
    """What is to be expected of the next call, after those that were noted. Any thread may note one.

    Too much waiting within a window makes the storage slow at once. It is quick again when no long call has
    been noted for a span, which doubles each time that was too early. `is_remote`: it is slow for good,
    since what happens behind a network can take any time. `clock` gives seconds.
    """

    def __init__(self, *, is_remote: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._is_remote = is_remote
        self._is_slow = is_remote
        self._window_ends = 0.0
        self._waited = 0.0
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
        if seconds < TANGIBLE:
            return
        now = self._clock()
        if self._is_slow:
            if seconds >= LONG:
                self._slow_until = now + self._span
            return
        if now >= self._window_ends:
            self._window_ends, self._waited = now + WINDOW, 0.0
        self._waited += seconds
        if self._waited >= LIMIT:
            self._become_slow(now)

    def _become_slow(self, now: float) -> None:
        was_too_early = 0 < now - self._slow_until < self._span
        self._span = min(2 * self._span, LONGEST_SPAN) if was_too_early else FIRST_SPAN
        self._slow_until = now + self._span
        self._is_slow = True


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
