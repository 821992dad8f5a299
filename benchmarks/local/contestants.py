"""Who is measured, and in which cases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.local import programs
from benchmarks.local.cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.local.cases import Case
    from benchmarks.local.programs import Program

BASE = "tusd-py"
"""Everybody is compared with this one."""
ALL = frozenset(case.key for case in CASES)
WHOLE_FILES = frozenset({"one", "sixteen", "small"})
PLACES = ("tmpfs", "disk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A server: how to get it, the path of its collection, and the cases and places that it is measured in.

    `puts`: it speaks no tus, a file is one PUT.
    """

    key: str
    title: str
    provide: Callable[[], Program]
    path: str = "/files/"
    cases: frozenset[str] = ALL
    places: tuple[str, ...] = PLACES
    puts: bool = False

    def takes(self, case: Case, place: str) -> bool:
        """Whether it is measured there at all."""
        return case.key in self.cases and place in self.places


CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(key=BASE, title="tusd-py", provide=programs.our_server),
    Contestant(
        key="tusd-py-finish",
        title="tusd-py, durability finish",
        provide=partial(programs.our_server, "--durability", "finish"),
        cases=frozenset({"one", "sixteen", "small", "sha256"}),
        places=("disk",),  # there is nothing to be synced on tmpfs
    ),
    Contestant(
        key="tusd-py-2",
        title="tusd-py, 2 workers",
        provide=partial(programs.our_server, "--workers", "2"),
        cases=frozenset(case.key for case in CASES if case.is_timed and case.connections > 1),
    ),
    Contestant(
        key="csink",
        title="C receiver",
        provide=programs.c_receiver,
        cases=ALL - {"sha256"},
    ),
    Contestant(key="tusd", title="tusd", provide=programs.tusd),
    Contestant(key="tus-node", title="@tus/server", provide=programs.tus_node, path="/files"),
    Contestant(key="tuspyserver", title="tuspyserver", provide=programs.tuspyserver),
    Contestant(key="rustus", title="rustus", provide=programs.rustus, path="/files"),
    Contestant(key="nginx", title="nginx, PUT", provide=programs.nginx, cases=WHOLE_FILES, puts=True),
)


def choose(names: str | None) -> tuple[Contestant, ...]:
    """Those of a list with commas, in our order; ValueError for a name that nobody has. None is all."""
    keys = {contestant.key for contestant in CONTESTANTS}
    return tuple(each for each in CONTESTANTS if each.key in _among(keys, names))


def choose_cases(names: str | None) -> tuple[Case, ...]:
    """The same for cases."""
    return tuple(case for case in CASES if case.key in _among(ALL, names))


def turns(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """Who comes after whom in a round: the first changes, and every second round goes backwards."""
    count = len(contestants)
    order = [contestants[(index + number // 2) % count] for index in range(count)]
    return order[::-1] if number % 2 else order


def _among(known: set[str] | frozenset[str], names: str | None) -> set[str]:
    if names is None:
        return set(known)
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if not wanted <= known or not wanted:
        strange = ", ".join(sorted(wanted - known)) or "nothing"
        raise ValueError(f"{strange}: not one of {', '.join(sorted(known))}")
    return wanted
