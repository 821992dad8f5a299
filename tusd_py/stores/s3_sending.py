"""What all appends to one bucket share: threads, memory, and how a part is sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tusd_py.stores.offload import Offload

if TYPE_CHECKING:
    from tusd_py.stores.s3_body import PartBody
    from tusd_py.stores.s3_calls import Bucket
    from tusd_py.stores.s3_memory import Budget
    from tusd_py.stores.s3_parts import Part

CALLS = 16
"""Threads for everything that is neither a part nor a download: such calls are short."""

READS = 8
"""Threads that wait for the next piece of a download."""


@dataclass(slots=True, kw_only=True)
class Sending:
    """Threads and memory for the uploads of one bucket.

    `concurrency` parts are on their way at once, of all uploads together. `refetching`: who has to read
    back what had to make room for others does so one at a time, beyond the budget: it frees memory.
    """

    bucket: Bucket
    budget: Budget
    concurrency: int
    calls: Offload = field(default_factory=lambda: Offload(CALLS, "tusd-py-s3"))
    reads: Offload = field(default_factory=lambda: Offload(READS, "tusd-py-s3-read"))
    parts: Offload = field(init=False)
    refetching: asyncio.Lock = field(default_factory=asyncio.Lock)
    in_flight: int = 0
    """Parts that are being sent, or wait for a thread."""

    def __post_init__(self) -> None:
        self.parts = Offload(self.concurrency, "tusd-py-s3-part")

    async def send(self, key: str, multipart: str, number: int, body: PartBody) -> Part:
        """Store a part. Waits for a thread, which is busy only as long as S3 is."""
        self.in_flight += 1
        try:
            return await self.parts.run(self.bucket.upload_part, key, multipart, number, body)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Take no more."""
        await self.budget.close()
        for offload in (self.parts, self.calls, self.reads):
            offload.close()
