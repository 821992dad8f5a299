"""What several processes have counted, as one; nothing of it goes back when one of them ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_ADDED: Final = frozenset({"counter", "histogram", "summary", "unknown"})
"""Kinds that only grow: they outlive the process that counted. Unknown is what our own counters without
suffix are called on the way (exposition.Families.counter)."""

_COMBINED: Final[dict[str, Callable[[float, float], float]]] = {
    "tusd_storage_free_bytes": min,
    "tusd_storage_quick": min,
    "process_start_time_seconds": min,
    "process_max_fds": min,
    "python_info": max,
}
"""Gauges that are about the same thing in each process; others are added."""

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a sample and its labels."""


@dataclass(slots=True, kw_only=True)
class Family:
    """Samples that belong together; `kind` is gauge or one of those that only grow."""

    meaning: str
    kind: str
    samples: dict[Series, float] = field(default_factory=dict)


Snapshot: TypeAlias = dict[str, Family]
"""Families by their names: what one process, or all of them, have to tell at a moment."""


class Sums:
    """The sum over processes that come and go, each known by a number of its own."""

    def __init__(self) -> None:
        self._living: dict[int, Snapshot] = {}
        self._gone: Snapshot = {}

    def note(self, process: int, snapshot: Snapshot) -> None:
        """What that process has to tell now."""
        self._living[process] = snapshot

    def leave(self, process: int) -> None:
        """It has ended. What it counted stays, as far as it was told."""
        self._gone = combine([self._gone, lasting(self._living.pop(process, {}))])

    def total(self, silent: Collection[int] = ()) -> Snapshot:
        """All together. Of those that were `silent` what they counted is as it was last told."""
        living = (lasting(each) if process in silent else each for process, each in self._living.items())
        return combine([self._gone, *living])


def gauge(name: str, meaning: str, value: float) -> Snapshot:
    """One number that goes up and down."""
    return {name: Family(meaning=meaning, kind="gauge", samples={(name, ()): value})}


def counter(name: str, meaning: str, value: float) -> Snapshot:
    """One number that only grows; `<name>_total` is what it is called in the end."""
    return {name: Family(meaning=meaning, kind="counter", samples={(f"{name}_total", ()): value})}


def pack(snapshot: Snapshot) -> list[Any]:
    """The snapshot as JSON can hold it."""
    return [
        [name, family.meaning, family.kind, [[*series, value] for series, value in family.samples.items()]]
        for name, family in snapshot.items()
    ]


def unpack(packed: Iterable[Any]) -> Snapshot:
    """What `pack` made of a snapshot."""
    return {
        name: Family(
            meaning=meaning,
            kind=kind,
            samples={
                (sample, tuple((k, v) for k, v in labels)): value for sample, labels, value in samples
            },
        )
        for name, meaning, kind, samples in packed
    }


def combine(snapshots: Iterable[Snapshot]) -> Snapshot:
    """All of them as one."""
    combined: Snapshot = {}
    for snapshot in snapshots:
        for name, family in snapshot.items():
            known = combined.setdefault(name, Family(meaning=family.meaning, kind=family.kind))
            for series, value in family.samples.items():
                known.samples[series] = _join(name, known.samples.get(series), value)
    return combined


def _join(name: str, known: float | None, value: float) -> float:
    return value if known is None else _COMBINED.get(name, _add)(known, value)


def _add(one: float, other: float) -> float:
    return one + other


def lasting(snapshot: Snapshot) -> Snapshot:
    """What outlives its process: all that only grows."""
    return {name: family for name, family in snapshot.items() if family.kind in _ADDED}
