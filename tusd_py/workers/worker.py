"""A worker's side: what it hears from its supervisor, and through that from the others."""

from __future__ import annotations

import asyncio
import itertools
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tusd_py.metrics.sums import pack, unpack
from tusd_py.workers.channel import PARTIAL, READY, SAMPLE, TOTAL, Channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from tusd_py.core.ports import Locker
    from tusd_py.metrics.sums import Snapshot
    from tusd_py.web.server import Departure
    from tusd_py.workers.channel import Message
    from tusd_py.workers.place import Place

LINGER = 0.5
"""Seconds in which a worker that is replaced still serves who is connected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleagues:
    """The other workers, for an application that is one of several.

    `locker` sees their locks. `sum_up` adds up what all have counted, and raises TimeoutError when it
    cannot be told. `tell_partial` lets them know that a partial is complete, by its id.
    """

    locker: Locker
    sum_up: Callable[[], Awaitable[Snapshot]]
    tell_partial: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What a worker does when it is asked to: tell what it has counted, see to the finals of a partial
    that another one has completed, look for what another one has left."""

    sample: Callable[[], Awaitable[Snapshot]]
    see_to_finals: Callable[[str], Coroutine[Any, Any, None]]
    sweep: Callable[[], None]


class Worker:
    """This process, as one of several. `departure` begins when it is told to, or nobody is left to tell.

    Made within the event loop. Signals that the supervisor gets, too, are left to it.
    """

    PATIENCE: ClassVar = 5.0
    """Seconds to wait for what the supervisor has been asked."""

    def __init__(self, channel: Channel, departure: Departure) -> None:
        self._channel = channel
        self._ending = departure
        self._duties: Duties | None = None
        self._numbers = itertools.count(1)
        self._totals: dict[int, asyncio.Future[Snapshot]] = {}
        self._finals: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, departure.begin)
        for number in (signal.SIGINT, signal.SIGHUP):  # from a terminal they come to all
            loop.add_signal_handler(number, lambda: None)
        self._hearing = loop.create_task(self._hear(), name="supervisor")

    @classmethod
    async def take(cls, place: Place, departure: Departure) -> Worker:
        """Take the place."""
        return cls(await Channel.over(place.channel), departure)

    def accept(self, duties: Duties) -> None:
        """Connections are accepted, and duties are done from now on."""
        self._duties = duties
        self._channel.say(READY)

    async def leave(self) -> None:
        """Nothing more is served: say what was counted, and no more."""
        for task in self._finals:
            task.cancel()
        self._hearing.cancel()
        if self._duties is not None:
            self._channel.say(SAMPLE, round=None, families=pack(await self._duties.sample()))
        await self._channel.close()

    # -- what colleagues are for --------------------------------------------------------------

    async def sum_up(self) -> Snapshot:
        """See Colleagues.sum_up."""
        number = next(self._numbers)
        total: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._totals[number] = total
        self._channel.say(TOTAL, number=number)
        try:
            async with asyncio.timeout(self.PATIENCE):
                return await total
        finally:
            del self._totals[number]

    def tell_partial(self, upload_id: str) -> None:
        """See Colleagues.tell_partial."""
        self._channel.say(PARTIAL, upload_id=upload_id)

    # -- what it hears ------------------------------------------------------------------------

    async def _hear(self) -> None:
        async for message in self._channel.hear():
            await self._take(message)
        self._ending.begin()  # nobody is left to tell us to go

    async def _take(self, message: Message) -> None:
        match message["topic"]:
            case "retire":
                self._ending.begin(lingers=LINGER)
            case "total":
                self._take_total(message["number"], message["families"])
            case _ if self._duties is not None:
                await self._do(self._duties, message)

    def _take_total(self, number: int, families: list[Any]) -> None:
        total = self._totals.get(number)
        if total is not None and not total.done():
            total.set_result(unpack(families))

    async def _do(self, duties: Duties, message: Message) -> None:
        match message["topic"]:
            case "sample":
                families = pack(await duties.sample())
                self._channel.say(SAMPLE, round=message["round"], families=families)
            case "partial":
                task = asyncio.create_task(duties.see_to_finals(message["upload_id"]), name="finals")
                self._finals.add(task)
                task.add_done_callback(self._finals.discard)
            case "sweep":
                duties.sweep()
