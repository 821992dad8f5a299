"""`tusd-py gc`: sweep a storage once, or say what a sweep would do."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from tusd_py.app import make_janitor
from tusd_py.cli.exits import Exit
from tusd_py.cli.lines import GC
from tusd_py.cli.output import count, finding_fields, inline, say, say_json
from tusd_py.cli.storage import check_is_storage, leading, opened
from tusd_py.settings import Settings, load_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tusd_py.engine.janitor import SweepReport

WORDS = {
    # part of the report: what was done, what would be done
    "finished": ("finished", "would finish"),
    "expired": ("expired", "would expire"),
    "forgotten": ("forgot", "would forget"),
    "litter": ("removed", "would remove"),
    "busy": ("busy", "busy"),
    "failed": ("failed", "failed"),
}


def run(argv: Sequence[str]) -> int:
    """Sweep as `argv` says. Raises SettingsError, StoreError, and StorageLedError beside a server."""
    settings, options = load_command(GC, argv)
    check_is_storage(settings)
    with asyncio.Runner() as runner:
        report = runner.run(_sweep(settings, is_dry_run="dry_run" in options))
    if "json" in options:
        say_json(_fields(report))
    else:
        say(_lines(report))
    return Exit.FAILURE if report.failed else Exit.OK


async def _sweep(settings: Settings, *, is_dry_run: bool) -> SweepReport:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(opened(settings))
        if not is_dry_run:
            await stack.enter_async_context(leading(engine, harmless="--dry-run only looks"))
        return await make_janitor(settings, engine).sweep(is_dry_run=is_dry_run)


def _fields(report: SweepReport) -> dict[str, object]:
    found = {name: getattr(report, name) for name in WORDS if name != "litter"}
    litter = [finding_fields(finding) for finding in report.litter]
    return {"dry_run": report.is_dry_run, "examined": report.examined, **found, "litter": litter}


def _lines(report: SweepReport) -> Iterator[str]:
    for name, words in WORDS.items():
        for found in getattr(report, name):
            subject = f"{found.subject} ({found.kind}: {found.detail})" if name == "litter" else found
            yield f"{words[report.is_dry_run]:<12}  {inline(subject)}"
    did = ", ".join(f"{words[report.is_dry_run]} {len(getattr(report, n))}" for n, words in WORDS.items())
    yield f"{count(report.examined, 'upload')} examined: {did}"
    if report.is_dry_run:
        yield "Nothing was changed."
