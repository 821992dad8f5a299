"""Who cleans up a bucket: a lease in an object, so that one of many servers does."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tusd_py.core.errors import StoreError
from tusd_py.stores.offload import outlast
from tusd_py.stores.s3_calls import ConflictError, MissingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tusd_py.stores.offload import Offload
    from tusd_py.stores.s3_calls import Bucket

LEASE = timedelta(minutes=3)
"""How long a leader that was killed goes on blocking others."""

RENEWALS = 3
"""How often a lease is renewed before it would end."""

TRIES = 3
"""How often in a row it is written."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What time it is for everybody, how many seconds have passed here, and waiting for some."""

    now: Callable[[], datetime] = _now
    passed: Callable[[], float] = time.monotonic
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


class Lease:
    """The object `key`, which names the leader and says until when it leads. Clocks agree to a minute."""

    def __init__(self, bucket: Bucket, key: str, calls: Offload, times: Times | None = None) -> None:
        self._bucket = bucket
        self._key = key
        self._calls = calls
        self._times = times or Times()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[bool]:
        """See tusd_py.core.ports.Store.lead. The block ends with StoreError when the lease is lost."""
        token = uuid.uuid4().hex
        etag = await self._calls.run(self._claim, token)
        if etag is None:
            yield False
            return
        failures: list[StoreError] = []
        block = asyncio.current_task()
        renewing = asyncio.create_task(self._renew(token, etag, block, failures), name="s3-lease")
        try:
            try:
                yield True
            finally:
                renewing.cancel()
                await outlast([renewing])  # a cancellation of the block's own is not lost here
                with suppress(StoreError):
                    await self._calls.run(self._give_up, token)
        except asyncio.CancelledError:
            if failures and block is not None and block.uncancel() == 0:
                raise failures[0] from None
            raise

    def _claim(self, token: str) -> str | None:
        """Take the lease if it is free or over; its ETag, or None where somebody else has it."""
        try:
            content, etag = self._bucket.get(self._key)
        except MissingError:
            content, etag = b"", ""
        if content and not self._is_over(content):
            return None
        try:
            return self._bucket.put(self._key, [self._format(token)], if_match=etag, if_none=not etag)
        except (ConflictError, MissingError):
            own = self._own(token)  # a write whose answer was lost
            return None if own is None else own[1]

    def _own(self, token: str) -> tuple[bytes, str] | None:
        """The lease and its ETag, if it is ours."""
        with suppress(MissingError):
            content, etag = self._bucket.get(self._key)
            if _token(content) == token:
                return content, etag
        return None

    async def _renew(
        self, token: str, etag: str, block: asyncio.Task[object] | None, failures: list[StoreError]
    ) -> None:
        times, pause = self._times, LEASE.total_seconds() / RENEWALS
        renewed = times.passed()
        while times.passed() < renewed + (RENEWALS - 1) * pause:
            await times.wait(pause)
            begun = times.passed()
            try:
                etag = await self._calls.run(self._extend, token, etag)
                renewed = begun
            except ConflictError:  # somebody else leads
                break
            except StoreError:
                continue
        failures.append(StoreError("the lease on cleaning up could not be renewed"))
        if block is not None:
            block.cancel()

    def _extend(self, token: str, etag: str) -> str:
        content = self._format(token)
        for _ in range(TRIES):
            with suppress(ConflictError, MissingError):
                return self._bucket.put(self._key, [content], if_match=etag)
            own = self._own(token)
            if own is None:
                raise ConflictError("the lease on cleaning up is another's")
            stored, etag = own  # this write's answer was lost, or an earlier one's
            if stored == content:
                return etag
        raise StoreError("the lease on cleaning up changes all the time")

    def _give_up(self, token: str) -> None:
        own = self._own(token)
        if own is not None:
            self._bucket.delete(self._key, if_match=own[1])

    def _format(self, token: str) -> bytes:
        return json.dumps({"token": token, "until": (self._times.now() + LEASE).isoformat()}).encode()

    def _is_over(self, content: bytes) -> bool:
        """What cannot be read is over: nobody could renew it."""
        with suppress(ValueError, KeyError, TypeError):
            return self._times.now() >= datetime.fromisoformat(json.loads(content)["until"])
        return True


def _token(content: bytes) -> str | None:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(content)["token"])
    return None
