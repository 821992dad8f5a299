"""What a process remembers of uploads in S3, so that it need not look everything up for each request."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tusd_py.stores.s3_memory import Budget, Rope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tusd_py.stores.s3_appender import S3Appender
    from tusd_py.stores.s3_ledger import Account

REMEMBERED = 10_000
"""Uploads of which a process remembers how far they are, beside those that are being written."""

REMEMBERED_PARTS = 200_000
"""Parts of all those together; a part takes about 300 bytes."""


@dataclass(slots=True, kw_only=True)
class Held:
    """What this process remembers of an upload between two requests.

    `rope`: the last bytes of it, those of the part that is not full; its end is the offset, its beginning
    moves up when its memory is needed elsewhere. `is_pending`: they are in memory alone, because the
    upload is just being completed. `lock` is taken by whoever changes any of this.
    """

    account: Account
    rope: Rope
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    appender: S3Appender | None = None
    is_pending: bool = False
    used_at: float = field(default_factory=time.monotonic)

    @property
    def is_busy(self) -> bool:
        """Somebody works with it, or it has bytes that are nowhere else."""
        return self.appender is not None or self.is_pending or self.lock.locked()


class Remembered:
    """By upload: what is held of it. `budget` is where the bytes of that are from, `writer` who we are.

    What is known of an unfinished upload holds only as long as we are its writer on record: another one
    goes on writing without changing that. `parts`: how many parts of uploads are remembered, beside those
    of what is in use.
    """

    def __init__(self, budget: Budget, *, writer: str, parts: int = REMEMBERED_PARTS) -> None:
        self._budget = budget
        self._writer = writer
        self._most_parts = parts
        self._held: dict[str, Held] = {}
        self._looks: dict[str, object] = {}  # uploads being measured that nobody has changed since

    def get(self, upload_id: str) -> Held | None:
        """What is held of the upload."""
        return self._held.get(upload_id)

    def by_use(self) -> list[Held]:
        """All that is held, what was used least lately first."""
        return sorted(self._held.values(), key=lambda held: held.used_at)

    def by_record(self, found: Account) -> Account | None:
        """What is known, if it holds by that record. Who writes meanwhile knows more than a listing."""
        held = self._held.get(found.upload.id)
        if held is None or not self._still_holds(held.account, found):
            return None
        held.used_at = time.monotonic()
        return held.account

    def _still_holds(self, known: Account, found: Account) -> bool:
        is_ours = known.note.writer == self._writer or not known.is_open_ended
        return is_ours and known.raw == found.raw

    @contextmanager
    def looking(self, upload_id: str) -> Iterator[Callable[[Account], None]]:
        """Around a measurement; yields what remembers it, unless it was overtaken by a change."""
        look = self._looks.setdefault(upload_id, object())

        def note(account: Account) -> None:
            if self._looks.get(upload_id) is look:
                self.add(account)

        try:
            yield note
        finally:
            if self._looks.get(upload_id) is look:
                del self._looks[upload_id]

    def add(self, account: Account) -> Held:
        """Remember it from now on, unless somebody is at work with what is remembered already."""
        known = self._held.get(account.upload.id)
        if known is not None and (known.is_busy or self._still_holds(known.account, account)):
            return known
        self.forget(account.upload.id)
        held = self._held[account.upload.id] = Held(account=account, rope=Rope(account.offset))
        self._forget_oldest()
        return held

    def forget(self, upload_id: str) -> None:
        """Look it up the next time. Who writes to it right now finds out by the record."""
        self._looks.pop(upload_id, None)
        held = self._held.get(upload_id)
        if held is not None and held.appender is None:
            del self._held[upload_id]
            self._budget.release(held.rope.clear())

    def _forget_oldest(self) -> None:
        """When it is too much: until a tenth is free."""
        count, parts = len(self._held), sum(len(held.account.parts) for held in self._held.values())
        if count <= REMEMBERED and parts <= self._most_parts:
            return
        for held in [held for held in self.by_use() if not held.is_busy]:
            if count <= REMEMBERED * 0.9 and parts <= self._most_parts * 0.9:
                return
            count, parts = count - 1, parts - len(held.account.parts)
            self.forget(held.account.upload.id)
