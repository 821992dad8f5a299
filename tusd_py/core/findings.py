"""What an examination of a storage can find."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class FindingKind(StrEnum):
    """What is wrong."""

    RECORD_WITHOUT_DATA = "record-without-data"
    CORRUPT_RECORD = "corrupt-record"
    DATA_WITHOUT_RECORD = "data-without-record"
    OFFSET_BEYOND_LENGTH = "offset-beyond-length"
    PUBLISHED_WITHOUT_RECORD = "published-without-record"
    ORPHANED_MULTIPART = "orphaned-multipart"
    TORN_TEMPORARY = "torn-temporary"
    STUCK_COMPLETING = "stuck-completing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not fit together.

    `subject` is the upload's id or the public name; `detail` is for people. `is_repairable`: mending
    it cannot cost a byte that anybody was promised. `since` is when it was last touched (UTC):
    what is fresh may be work in progress.
    """

    kind: FindingKind
    subject: str
    detail: str
    is_repairable: bool
    since: datetime
