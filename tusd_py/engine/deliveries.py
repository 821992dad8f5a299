"""Giving finished uploads to everybody who is to have them, so that none is forgotten.

The record is the outbox: it says to whom from `completing` on, and for each until it was done.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from tusd_py.core import deliveries
from tusd_py.core.errors import StoreError, UploadError, UploadLockedError
from tusd_py.core.events import (
    DeliveryAbandoned,
    DeliveryFailed,
    DeliveryUnclaimed,
    UploadDelivered,
)
from tusd_py.engine import unforeseen
from tusd_py.engine.completion import NEVER_DISTURB
from tusd_py.engine.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from datetime import datetime

    from tusd_py.core.deliveries import Retry
    from tusd_py.core.model import Delivery, Upload
    from tusd_py.core.ports import Clock, EventSink, Locker, Store

BUSY = timedelta(seconds=30)
"""When to look again after an upload whose storage failed, or that another process is delivering."""

Receiver: TypeAlias = "Callable[[Upload], Awaitable[None]]"
"""Is given a finished upload; whatever it raises, it has to be given it again."""


class Deliveries:
    """Delivers the finished uploads of one storage to its `receivers`, by name.

    Each receiver has `width` uploads at a time at most, and none waits for another. What is pending
    for the names `abandoned` is struck off the records.
    """

    def __init__(
        self,
        *,
        store: Store,
        locker: Locker,
        clock: Clock,
        emit: EventSink,
        receivers: Mapping[str, Receiver],
        abandoned: Collection[str],
        retry: Retry,
        width: int,
        lock_timeout: float,
    ) -> None:
        self._store = store
        self._locker = locker
        self._clock = clock
        self._emit = emit
        self._receivers = receivers
        self._retry = retry
        self._lock_timeout = lock_timeout
        self.wants_sweep = asyncio.Event()
        """Set when something that is on record was forgotten here for want of room."""
        self._lanes = {
            name: Lane(
                partial(self._deliver, name), width=width, clock=clock, wants_more=self.wants_sweep.set
            )
            for name in (*receivers, *abandoned)
        }
        self._unclaimed: set[str] = set()
        self._life: asyncio.Timeout | None = None
        self._grace = 0.0
        self._is_over = asyncio.Event()

    def __len__(self) -> int:
        """Deliveries under way or planned in this process."""
        return sum(map(len, self._lanes.values()))

    def expect(self, upload: Upload) -> None:
        """Deliver what the complete `upload` has on record, each when it is due."""
        for delivery in upload.deliveries if upload.awaits_delivery else ():
            lane = self._lanes.get(delivery.name)
            if lane is not None:
                lane.expect(upload.id, delivery.due_at or upload.created_at)
            elif self._life is not None and delivery.name not in self._unclaimed:
                self._unclaimed.add(delivery.name)
                self._emit(DeliveryUnclaimed(upload=upload, name=delivery.name))

    async def run(self, grace: float) -> None:
        """Deliver until `stop`. Attempts still under way `grace` seconds after that are cancelled, and
        will be made again by whoever meets the record next."""
        self._grace = grace
        try:
            async with asyncio.timeout(None) as self._life, asyncio.TaskGroup() as lanes:
                lanes.create_task(self._is_over.wait(), name="deliveries")
                for name, lane in self._lanes.items():
                    lanes.create_task(lane.run(), name=f"deliveries to {name}")
        except TimeoutError:
            return
        finally:
            self._life = None

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_over.set()
        for lane in self._lanes.values():
            lane.stop()
        if self._life is not None and self._life.when() is None:
            self._life.reschedule(asyncio.get_running_loop().time() + self._grace)

    # -- one attempt --------------------------------------------------------------------------

    async def _deliver(self, name: str, upload_id: str) -> datetime | None:
        """One attempt, if it is due and nobody else is at it; when to try again, None for never."""
        try:
            # A lock of its own: requests to the upload go on, other processes leave the delivery to us.
            async with self._locker.hold(f"{upload_id}.{name}", timeout=0, silence=NEVER_DISTURB):
                return await self._attempt(name, upload_id)
        except (UploadLockedError, StoreError):
            return self._clock() + BUSY
        except UploadError:  # terminated or lost: there is nothing to deliver any more
            return None
        except Exception as error:  # noqa: BLE001 - unforeseen: it is told, and keeps nobody else waiting
            unforeseen.tell(f"delivering upload {upload_id} to {name}", error)
            return self._clock() + BUSY

    async def _attempt(self, name: str, upload_id: str) -> datetime | None:
        now = self._clock()
        async with self._locker.hold(upload_id, timeout=self._lock_timeout):
            upload = await self._store.load(upload_id)
            delivery = deliveries.find(upload, name)
            if delivery is None:
                return None
            if name not in self._receivers or self._retry.is_last(delivery.attempts):
                await self._abandon(upload, delivery)
                return None
            if not deliveries.is_due(delivery, now):
                return delivery.due_at
            # On record before it begins: a receiver that kills the process must not do so in a circle.
            delivery = deliveries.begun(delivery, now, self._retry)
            upload = deliveries.with_delivery(upload, name, delivery)
            await self._store.save(upload)
        return await self._give(upload, delivery)

    async def _give(self, upload: Upload, delivery: Delivery) -> datetime | None:
        try:
            await self._receivers[delivery.name](upload)
            await self._record(upload.id, delivery.name, None)
        except asyncio.CancelledError:  # by a shutdown: it was not the receiver that failed
            undone = replace(delivery, attempts=delivery.attempts - 1, due_at=None)
            with suppress(StoreError, UploadError):
                await self._record(upload.id, delivery.name, undone)
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code
            return await self._postpone(upload, delivery, error)
        self._emit(UploadDelivered(upload=upload, name=delivery.name, attempt=delivery.attempts))
        return None

    async def _postpone(self, upload: Upload, delivery: Delivery, error: BaseException) -> datetime | None:
        later = deliveries.postponed(delivery, self._clock(), self._retry)
        with suppress(StoreError, UploadLockedError):  # what was put on record before the attempt holds
            await self._record(upload.id, delivery.name, later)
        retry_at = later.due_at or self._clock()
        self._emit(
            DeliveryFailed(
                upload=upload,
                name=delivery.name,
                attempt=delivery.attempts,
                retry_at=retry_at,
                error=error,
            )
        )
        return retry_at

    async def _record(self, upload_id: str, name: str, delivery: Delivery | None) -> None:
        async with self._locker.hold(upload_id, timeout=self._lock_timeout):
            upload = await self._store.load(upload_id)
            await self._store.save(deliveries.with_delivery(upload, name, delivery))

    async def _abandon(self, upload: Upload, delivery: Delivery) -> None:
        await self._store.save(deliveries.with_delivery(upload, delivery.name, None))
        self._emit(DeliveryAbandoned(upload=upload, name=delivery.name, attempts=delivery.attempts))
