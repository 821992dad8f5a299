"""The collector: what has expired, what a crash left, what still has to be finished or delivered.

A finished upload is never touched unless finished ones were given a time of their own.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tusd_py.core import rules
from tusd_py.core.errors import StoreError, UploadError, UploadLockedError
from tusd_py.core.events import UploadExpired
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.core.model import Upload, UploadKind, UploadState
from tusd_py.engine import unforeseen
from tusd_py.engine.completion import NEVER_DISTURB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tusd_py.core.ports import Clock, EventSink, Locker, Store
    from tusd_py.engine.completion import Completion

LEAD_RETRY = 10.0
"""Seconds between two attempts to lead a storage that somebody else leads."""

A_DAY = 86400.0

LITTER = {
    FindingKind.TORN_TEMPORARY,
    FindingKind.ORPHANED_MULTIPART,
    FindingKind.RECORD_WITHOUT_DATA,
    FindingKind.DATA_WITHOUT_RECORD,
}
"""What crashes leave and nobody can ask for any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """How the collector works: how long an expired upload is remembered (410 until then, 404 after), and
    how old a crash's leftovers have to be before they are not somebody's work in progress."""

    memory: timedelta = timedelta(days=1)
    litter_age: timedelta = timedelta(hours=1)


@dataclass(slots=True, kw_only=True)
class SweepReport:
    """What a sweep did, or would do: ids, in the order they were met."""

    is_dry_run: bool
    examined: int = 0
    finished: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    litter: list[Finding] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Janitor:
    """Sweeps one storage. The caller leads it (`Store.lead`), or only looks."""

    def __init__(
        self,
        *,
        store: Store,
        locker: Locker,
        completion: Completion,
        clock: Clock,
        emit: EventSink,
        housekeeping: Housekeeping | None = None,
    ) -> None:
        self._store = store
        self._locker = locker
        self._completion = completion
        self._clock = clock
        self._emit = emit
        self._housekeeping = housekeeping or Housekeeping()

    async def run(self, interval: float, tell: Callable[[SweepReport], None]) -> None:
        """Sweep now and every `interval` seconds, leading this storage from then on.

        While somebody else leads it, ask again and again: a server that takes over from another
        finishes what that one left. With an interval of 0 nothing is collected, uploads on their last
        steps are finished all the same.
        """
        while True:
            try:
                async with self._store.lead() as leads:
                    await self._completion.review_delayed()
                    while leads:
                        tell(await self.sweep(collects=interval > 0))
                        await self._completion.review_delayed()
                        await self._rest(interval or A_DAY)
            except StoreError as error:
                tell(SweepReport(is_dry_run=False, failed=[str(error)]))
            except Exception as error:  # noqa: BLE001 - unforeseen: the next try begins anew
                unforeseen.tell("leading the storage", error)
            await asyncio.sleep(LEAD_RETRY)

    async def _rest(self, interval: float) -> None:
        """Until the next sweep is due, or the deliveries have room for more than they could remember."""
        wanted = self._completion.deliveries.wants_sweep
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await wanted.wait()
        wanted.clear()

    async def sweep(self, *, is_dry_run: bool = False, collects: bool = True) -> SweepReport:
        """Look at every upload once. `is_dry_run`: change nothing. Not `collects`: only finish."""
        report = SweepReport(is_dry_run=is_dry_run)
        try:
            await self._visit_all(report, collects=collects)
            if collects:
                await self._clear_litter(report)
        except StoreError as error:
            report.failed.append(str(error))
        except Exception as error:  # noqa: BLE001 - unforeseen: the next sweep begins anew
            unforeseen.tell("a sweep", error)
            report.failed.append(type(error).__name__)
        return report

    async def _visit_all(self, report: SweepReport, *, collects: bool) -> None:
        unfinished: list[Upload] = []
        finals: list[Upload] = []
        expired: list[Upload] = []
        async for upload_id in self._store.list():
            report.examined += 1
            if self._store.is_settled(upload_id):
                continue
            with _noting(upload_id, report):
                upload = await self._store.load(upload_id)
                if not report.is_dry_run:
                    self._completion.deliveries.expect(upload)
                if not upload.awaits_completion and rules.is_expired(upload, self._clock()):
                    expired.append(upload)
                elif upload.awaits_completion or upload.is_waiting_final or upload.holds_own_parts:
                    (finals if upload.kind is UploadKind.FINAL else unfinished).append(upload)
        # Finals come after the partials that they wait for, partials go after the finals that need them.
        for upload in (*unfinished, *finals):
            with _noting(upload.id, report):
                await self._finish(upload, report)
        # What could not be finished now will be tried again, and takes the same partials.
        hindered = {*report.busy, *report.failed}
        needed = {part for final in finals if final.id in hindered for part in final.parts}
        for upload in expired if collects else ():
            if upload.id in needed:
                continue
            with _noting(upload.id, report):
                await self._collect(upload, report)

    async def _collect(self, upload: Upload, report: SweepReport) -> None:
        if upload.state is not UploadState.EXPIRED:
            await self._expire(upload, report)
            return
        is_forgotten = self._is_forgotten(upload)
        if not report.is_dry_run:
            async with self._alone(upload.id):
                # A crash may have kept the bytes of what is only remembered.
                await (self._store.delete(upload.id) if is_forgotten else self._store.discard(upload))
        if is_forgotten:
            report.forgotten.append(upload.id)

    def _is_forgotten(self, upload: Upload) -> bool:
        return upload.expires_at is None or self._clock() >= upload.expires_at + self._housekeeping.memory

    async def _expire(self, upload: Upload, report: SweepReport) -> None:
        if report.is_dry_run:
            report.expired.append(upload.id)
            return
        async with self._alone(upload.id) as current:
            if not rules.is_expired(current, self._clock()):
                return  # bytes came in the meantime
            # The mark comes first: a crash after it leaves bytes that nobody is promised.
            await self._store.save(replace(current, state=UploadState.EXPIRED))
            await self._store.discard(current)
        report.expired.append(upload.id)
        self._emit(UploadExpired(upload=upload))

    async def _finish(self, upload: Upload, report: SweepReport) -> None:
        if report.is_dry_run:
            if await self._completion.would_settle(upload, report.finished):
                report.finished.append(upload.id)
            return
        async with self._alone(upload.id) as current:
            settled = await self._completion.settle(current)
        if settled.state is UploadState.COMPLETE:
            report.finished.append(upload.id)

    @asynccontextmanager
    async def _alone(self, upload_id: str) -> AsyncIterator[Upload]:
        """The upload as it is under its lock. Nobody is disturbed: UploadLockedError where it is held."""
        async with self._locker.hold(upload_id, timeout=0, silence=NEVER_DISTURB):
            yield await self._store.load(upload_id)

    async def _clear_litter(self, report: SweepReport) -> None:
        old = self._clock() - self._housekeeping.litter_age
        async for finding in self._store.examine():
            if finding.kind in LITTER and finding.is_repairable and finding.since <= old:
                with _noting(finding.subject, report):
                    if not report.is_dry_run:
                        await self._store.repair(finding)
                    report.litter.append(finding)


@contextmanager
def _noting(subject: str, report: SweepReport) -> Iterator[None]:
    """What goes wrong with one of them is noted and does not keep us from the others."""
    try:
        yield
    except UploadLockedError:
        report.busy.append(subject)
    except UploadError:  # removed, or its bytes lost, since it was listed: litter, if anything
        return
    except StoreError:
        report.failed.append(subject)
    except Exception as error:  # noqa: BLE001 - unforeseen: it is told
        unforeseen.tell(f"cleaning up {subject}", error)
        report.failed.append(subject)
