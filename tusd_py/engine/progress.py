"""What happens while a body is being received: the lock hears of it, now and then the hooks, and who waits
for every commit."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeAlias

from tusd_py.core import rules
from tusd_py.core.errors import UploadRejectedError
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tusd_py.core.model import Lifetime, Upload
    from tusd_py.core.ports import Appender, Body, Clock, Lock, Store
    from tusd_py.engine.activity import Activity
    from tusd_py.engine.hookpoints import Hookpoints

OnCommit: TypeAlias = "Callable[[int], None] | None"
"""Hears every offset in bytes that a body has reached for good, while it goes on."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """Called after each stored piece: it is counted, the lock hears of it, the hooks once in a while.

    A body may last longer than uploads live unfinished, so with `lifetime` the expiry moves on record while
    it comes in: neither a crash nor the collector of another process must find it long expired.
    """

    upload: Upload
    body: Body
    lock: Lock
    hooks: Hookpoints
    clock: Clock
    interval: float
    asked_at: datetime
    activity: Activity
    store: Store
    lifetime: Lifetime

    async def __call__(self, received: int) -> None:
        self.activity.received += received
        self.lock.touch()
        if received and self.lifetime.unfinished is not None:
            await self._move_expiry()
        if not self.hooks:
            return
        self.upload = replace(self.upload, offset=self.upload.offset + received)
        now = self.clock()
        if (now - self.asked_at).total_seconds() >= self.interval:
            self.asked_at = now
            try:
                await self.hooks.post_receive(self.upload)
            except UploadRejectedError:
                self.body.cut(BodyEnd.STOPPED)

    async def _move_expiry(self) -> None:
        upload = rules.after_append(self.upload, self.lifetime, self.clock())
        if rules.expiry_lags(self.upload, upload, self.lifetime):
            await self.store.save(upload)
            self.upload = upload

    def committing(self, appender: Appender, on_commit: Callable[[int], None]) -> CommittingProgress:
        """The same, with a commit after each piece."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return CommittingProgress(**own, appender=appender, on_commit=on_commit)


@dataclass(slots=True, kw_only=True)
class CommittingProgress(Progress):
    """Where every piece has to count at once: `on_commit` hears the new offset in bytes."""

    appender: Appender
    on_commit: Callable[[int], None]

    async def __call__(self, received: int) -> None:
        if received:
            self.on_commit(await self.appender.commit())
        await Progress.__call__(self, received)
