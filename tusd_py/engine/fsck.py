"""Examination and repair of a storage: what does not fit together, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tusd_py.core.errors import TusdError
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.engine.completion import NEVER_DISTURB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tusd_py.core.ports import Locker, Store
    from tusd_py.engine.completion import Completion

Key = tuple[FindingKind, str]
"""What makes two findings of different examinations the same one."""


class Outcome(StrEnum):
    """What became of a finding."""

    REPAIRABLE = "repairable"
    """Nothing yet; it can be repaired."""
    REPAIRED = "repaired"
    """A later examination does not find it any more."""
    FAILED = "failed"
    """Its repair was tried, and it is still there."""
    LEFT = "left"
    """It is for a person to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A finding and what became of it; `problem` says why its repair failed, where that is known."""

    finding: Finding
    outcome: Outcome
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """Examines one storage. Whoever lets it repair leads that storage (`Store.lead`)."""

    store: Store
    locker: Locker
    completion: Completion

    async def examine(self) -> list[Verdict]:
        """Look, and change nothing. Raises StoreError."""
        return [_judge(finding, {}) for finding in await self._look()]

    async def repair(self) -> list[Verdict]:
        """Repair what can be, and look again until nothing new is found.

        Every finding is tried once; one repair may bring another finding to light. A repair that fails
        is told and keeps none of the others back. Raises StoreError when the storage cannot be examined.
        """
        seen: dict[Key, Finding] = {}
        problems: dict[Key, str] = {}
        while True:
            present = {_key(finding): finding for finding in await self._look()}
            new = {key: finding for key, finding in present.items() if key not in seen}
            seen |= new
            repairable = {key: finding for key, finding in new.items() if finding.is_repairable}
            if not repairable:
                break
            for key, finding in repairable.items():
                problems[key] = await self._try(finding)
        return [
            _judge(present[key], problems)
            if key in present
            else Verdict(finding=finding, outcome=Outcome.REPAIRED)
            for key, finding in seen.items()
        ]

    async def _look(self) -> list[Finding]:
        return [finding async for finding in self.store.examine()]

    async def _try(self, finding: Finding) -> str:
        try:
            await self._repair(finding)
        except TusdError as error:
            return str(error)
        return ""

    async def _repair(self, finding: Finding) -> None:
        if finding.kind is not FindingKind.STUCK_COMPLETING:
            await self.store.repair(finding)
            return
        async with self.locker.hold(finding.subject, timeout=0, silence=NEVER_DISTURB):
            await self.completion.settle(await self.store.load(finding.subject))


def _key(finding: Finding) -> Key:
    return finding.kind, finding.subject


def _judge(finding: Finding, problems: Mapping[Key, str]) -> Verdict:
    """What a finding is that is there now. `problems`: those whose repair was tried, and what it said."""
    if _key(finding) in problems:
        return Verdict(finding=finding, outcome=Outcome.FAILED, problem=problems[_key(finding)])
    outcome = Outcome.REPAIRABLE if finding.is_repairable else Outcome.LEFT
    return Verdict(finding=finding, outcome=outcome)
