"""Which uploads are finished for good: whoever goes through all of them need not read those again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tusd_py.stores.s3_ledger import Account

SETTLED = 50_000
"""Finished uploads that a process knows; each takes about 500 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A settled upload: the ETag of the record that says so, its object and its parts."""

    etag: str
    key: str
    size: int
    multipart: str | None


class Settled:
    """Finished uploads by their ids, as they were found. Beyond SETTLED it begins anew."""

    def __init__(self) -> None:
        self._finished: dict[str, Finished] = {}

    def note(self, account: Account) -> None:
        """Remember it, if it is settled."""
        upload, note = account.upload, account.note
        if not upload.is_settled:
            return
        if len(self._finished) >= SETTLED:
            self._finished.clear()
        self._finished[upload.id] = Finished(
            etag=account.etag, key=note.key, size=account.offset, multipart=note.multipart
        )

    def meet(self, upload_id: str, etag: str) -> Finished | None:
        """What is known of it, if a listing shows that record; any other is news."""
        finished = self._finished.get(upload_id)
        if finished is not None and finished.etag != etag:
            self._finished.pop(upload_id, None)
            return None
        return finished

    def __contains__(self, upload_id: str) -> bool:
        return upload_id in self._finished
