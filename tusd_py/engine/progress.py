"""What happens while a body is being received: the lock hears of it, and now and then the hooks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tusd_py.core.errors import UploadRejectedError
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from datetime import datetime

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Body, Clock, Lock
    from tusd_py.engine.hookpoints import Hookpoints


@dataclass(slots=True, kw_only=True)
class Progress:
    """Called after each stored piece: the lock hears of it, and the hooks once in a while."""

    upload: Upload
    body: Body
    lock: Lock
    hooks: Hookpoints
    clock: Clock
    interval: float
    asked_at: datetime

    async def __call__(self, received: int) -> None:
        self.lock.touch()
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
