"""What the log says of uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import structlog

from tusd_py.core.events import (
    CompletionDelayed,
    DeliveryAbandoned,
    DeliveryFailed,
    DeliveryUnclaimed,
    UploadCreated,
    UploadDelivered,
    UploadExpired,
    UploadFinished,
    UploadTerminated,
)

if TYPE_CHECKING:
    from tusd_py.core.events import Event
    from tusd_py.engine.janitor import SweepReport

log = structlog.get_logger("tusd_py.uploads")


def log_sweep(report: SweepReport) -> None:
    """A sweep that did something, or failed at something."""
    did = {
        name: found
        for name in ("finished", "expired", "forgotten", "failed")
        if (found := getattr(report, name))
    }
    if report.litter:
        did["litter"] = [finding.subject for finding in report.litter]
    level = log.error if report.failed else log.info if did else log.debug
    level("swept", examined=report.examined, busy=len(report.busy), **did)


def log_event(event: Event) -> None:
    """One line for each event."""
    match event:
        case UploadCreated(upload=upload):
            log.info("upload created", upload=upload.id, length=upload.length)
        case UploadFinished(upload=upload):
            log.info("upload finished", upload=upload.id, length=upload.length, name=upload.name)
        case UploadTerminated(upload=upload):
            log.info("upload terminated", upload=upload.id, offset=upload.offset)
        case UploadExpired(upload=upload):
            log.info("upload expired", upload=upload.id, offset=upload.offset)
        case CompletionDelayed(upload=upload, error=error):
            log.error("upload not finished yet, will be tried again", upload=upload.id, error=str(error))
        case UploadDelivered(upload=upload, name=name, attempt=attempt):
            log.info("upload delivered", upload=upload.id, to=name, attempt=attempt)
        case DeliveryFailed(upload=upload, name=name, attempt=attempt, retry_at=retry_at, error=error):
            log.error(
                "upload not delivered, will be tried again",
                upload=upload.id,
                to=name,
                attempt=attempt,
                next_try=retry_at.isoformat(timespec="seconds"),
                exc_info=error,
            )
        case DeliveryAbandoned(upload=upload, name=name, attempts=attempts):
            log.error("upload not delivered, given up", upload=upload.id, to=name, attempts=attempts)
        case DeliveryUnclaimed(upload=upload, name=name):
            log.warning("no processor of this name, its uploads wait", upload=upload.id, to=name)
        case _:
            assert_never(event)
