"""Who cleans up a bucket: a lease in an object, so that one of many servers does."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tusd_py.core.errors import StoreError
from tusd_py.stores.s3_calls import ConflictError, MissingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.stores.offload import Offload
    from tusd_py.stores.s3_calls import Bucket

LEASE = timedelta(minutes=3)
"""How long a leader that was killed goes on blocking others."""

RENEWALS = 3
"""How often a lease is renewed before it would end."""


class Lease:
    """The object `key`, which names the leader and says until when it leads. Clocks agree to a minute."""

    def __init__(self, bucket: Bucket, key: str, calls: Offload) -> None:
        self._bucket = bucket
        self._key = key
        self._calls = calls

    @asynccontextmanager
    async def held(self) -> AsyncIterator[bool]:
        """See tusd_py.core.ports.Store.lead. StoreError in the block when the lease cannot be renewed."""
        token = uuid.uuid4().hex
        etag = await self._calls.run(self._claim, token)
        if etag is None:
            yield False
            return
        failures: list[StoreError] = []
        block = asyncio.current_task()
        renewing = asyncio.create_task(self._renew(token, etag, block, failures), name="s3-lease")
        try:
            yield True
        except asyncio.CancelledError:
            if failures and block is not None and block.uncancel() == 0:
                raise failures[0] from None
            raise
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            with suppress(StoreError):
                await self._calls.run(self._give_up, token)

    def _claim(self, token: str) -> str | None:
        """Take the lease if it is free or over; its ETag, or None where somebody else has it."""
        try:
            content, etag = self._bucket.get(self._key)
        except MissingError:
            content, etag = b"", ""
        if content and not _is_over(content):
            return None
        try:
            return self._bucket.put(self._key, [_format(token)], if_match=etag, if_none=not etag)
        except (ConflictError, MissingError):
            return self._own(token)

    def _own(self, token: str) -> str | None:
        """The ETag of the lease if it is ours: a write whose answer was lost."""
        with suppress(MissingError):
            content, etag = self._bucket.get(self._key)
            if _token(content) == token:
                return etag
        return None

    async def _renew(
        self, token: str, etag: str, block: asyncio.Task[object] | None, failures: list[StoreError]
    ) -> None:
        loop = asyncio.get_running_loop()
        span = LEASE.total_seconds()
        renewed = loop.time()
        while loop.time() < renewed + span * (1 - 1 / RENEWALS):
            await asyncio.sleep(span / RENEWALS)
            with suppress(StoreError):
                etag = await self._calls.run(self._extend, token, etag)
                renewed = loop.time()
        failures.append(StoreError("the lease on cleaning up could not be renewed"))
        if block is not None:
            block.cancel()

    def _extend(self, token: str, etag: str) -> str:
        try:
            return self._bucket.put(self._key, [_format(token)], if_match=etag)
        except (ConflictError, MissingError):
            own = self._own(token)
            if own is None:
                raise
            return own

    def _give_up(self, token: str) -> None:
        etag = self._own(token)
        if etag is not None:
            self._bucket.delete(self._key, if_match=etag)


def _format(token: str) -> bytes:
    return json.dumps({"token": token, "until": (datetime.now(UTC) + LEASE).isoformat()}).encode()


def _token(content: bytes) -> str | None:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(content)["token"])
    return None


def _is_over(content: bytes) -> bool:
    """What cannot be read is over: nobody could renew it."""
    with suppress(ValueError, KeyError, TypeError):
        return datetime.now(UTC) >= datetime.fromisoformat(json.loads(content)["until"])
    return True
