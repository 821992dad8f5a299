"""`tusd-py fsck`: examine a storage, and repair what can be repaired."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tusd_py.cli.exits import Exit
from tusd_py.cli.lines import FSCK
from tusd_py.cli.output import count, finding_fields, inline, say, say_json
from tusd_py.cli.storage import check_is_storage, leading, opened
from tusd_py.core.findings import FindingKind
from tusd_py.engine.fsck import Examiner, Outcome, Verdict
from tusd_py.settings import Settings, load_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REMEDIES = {
    # kind: what --repair does about it; what it has done
    FindingKind.RECORD_WITHOUT_DATA: ("remove the record", "removed the record"),
    FindingKind.DATA_WITHOUT_RECORD: ("remove the empty file", "removed the empty file"),
    FindingKind.OFFSET_BEYOND_LENGTH: ("cut what is too much", "cut what was too much"),
    FindingKind.ORPHANED_MULTIPART: ("abort it", "aborted it"),
    FindingKind.TORN_TEMPORARY: ("remove it", "removed it"),
    FindingKind.STUCK_COMPLETING: ("finish it", "finished it"),
}
_REPAIR = ("repair it", "repaired it")


def run(argv: Sequence[str]) -> int:
    """Examine as `argv` says. Raises SettingsError, StoreError, and StorageLedError for a repair."""
    settings, options = load_command(FSCK, argv)
    check_is_storage(settings)
    repairs = "repair" in options
    with asyncio.Runner() as runner:
        verdicts = runner.run(_judge(settings, repairs=repairs))
    if "json" in options:
        say_json(_fields(verdicts, repairs=repairs))
    else:
        say(_lines(verdicts))
    return exit_of(verdicts)


def exit_of(verdicts: Sequence[Verdict]) -> Exit:
    """Nothing left: 0; a repair that failed: 1; anything else that is left: 3."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if Outcome.FAILED in outcomes:
        return Exit.FAILURE
    return Exit.OK if outcomes <= {Outcome.REPAIRED} else Exit.FINDINGS


async def _judge(settings: Settings, *, repairs: bool) -> list[Verdict]:
    async with opened(settings) as engine:
        examiner = Examiner(store=engine.store, locker=engine.locker, completion=engine.completion)
        if not repairs:
            return await examiner.examine()
        async with leading(engine, harmless="without --repair, fsck only looks"):
            return await examiner.repair()


def _fields(verdicts: Sequence[Verdict], *, repairs: bool) -> dict[str, object]:
    findings = [
        finding_fields(verdict.finding)
        | {"outcome": verdict.outcome.value, "problem": verdict.problem or None}
        for verdict in verdicts
    ]
    return {"repair": repairs, "sound": exit_of(verdicts) is Exit.OK, "findings": findings}


def _lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        finding = verdict.finding
        yield inline(f"{finding.kind} {finding.subject}: {finding.detail}; {_outcome(verdict)}")
    repaired = sum(verdict.outcome is Outcome.REPAIRED for verdict in verdicts)
    left = len(verdicts) - repaired
    if not verdicts:
        yield "The storage is sound."
    elif not left:
        yield f"{count(repaired, 'finding')} repaired: the storage is sound."
    else:
        yield f"{count(len(verdicts), 'finding')}: {repaired} repaired, {left} left."


def _outcome(verdict: Verdict) -> str:
    todo, done = REMEDIES.get(verdict.finding.kind, _REPAIR)
    match verdict.outcome:
        case Outcome.REPAIRABLE:
            return f"--repair would {todo}"
        case Outcome.REPAIRED:
            return done
        case Outcome.FAILED:
            return f"could not {todo}: {verdict.problem or 'it is still there'}"
        case Outcome.LEFT:
            return "left for a person to look at"
