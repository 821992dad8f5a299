"""The parent of the workers: starts them, replaces those that die, renews them one after another."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import structlog

from tusd_py.core.errors import TusdError
from tusd_py.workers.channel import PARTIAL, RETIRE, SWEEP, TOTAL
from tusd_py.workers.child import Child
from tusd_py.workers.survey import Survey

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from tusd_py.workers.channel import Message
    from tusd_py.workers.child import Recipe

log = structlog.get_logger(__name__)

START = 120.0
"""Seconds in which a worker has to accept connections; one that does not is killed."""

YOUNG = 10.0
"""Seconds that a worker has to live, or it counts as one that cannot start."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before a place is tried again whose worker could not start. Each time it is twice as long."""

HOPELESS = 5
"""So many workers in a row that could not start, in each place, are enough."""

MARGIN = 2.0
"""Seconds beyond those that a worker may take to go down, after which it is killed."""


class WorkersError(TusdError):
    """No worker can start; the message says how the last one ended."""


@dataclass(slots=True, kw_only=True)
class _Post:
    """A place of which there is always one worker, with its own listening sockets."""

    number: int
    sockets: Sequence[socket.socket]
    child: Child | None = None
    failures: int = 0
    renewal: asyncio.Future[bool] | None = None
    wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pause(self) -> float:
        """Seconds before the next attempt."""
        return min(FIRST_PAUSE * 2.0 ** (self.failures - 1), LONGEST_PAUSE) if self.failures else 0.0

    async def renew(self) -> bool:
        """Have a new worker take the place of the one that is there; whether that came about."""
        self.renewal = asyncio.get_running_loop().create_future()
        self.wanted.set()
        return await self.renewal

    def tell_renewal(self, *, succeeded: bool) -> None:
        """Answer `renew`, if anybody asked."""
        self.wanted.clear()
        if self.renewal is not None and not self.renewal.done():
            self.renewal.set_result(succeeded)


class Supervisor:
    """Keeps a worker for each of `sockets`, until SIGTERM or SIGINT; SIGHUP renews them.

    `shutdown_timeout` in seconds is how long a worker may take to go down. `announce` is called once, when
    they accept connections. `counts`: they have samples for a survey.
    """

    def __init__(
        self,
        recipe: Recipe,
        sockets: Sequence[Sequence[socket.socket]],
        *,
        shutdown_timeout: float,
        announce: Callable[[], None],
        counts: bool,
    ) -> None:
        self._recipe = recipe
        self._posts = [_Post(number=number, sockets=each) for number, each in enumerate(sockets)]
        self._patience = shutdown_timeout + MARGIN
        self._announce = announce
        self._counts = counts
        self._children: dict[Child, asyncio.Task[None]] = {}
        self._survey = Survey()
        self._stopping = asyncio.Event()
        self._renewing = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """The exit code: 0 after a signal, that of the first worker if that cannot start.

        A second signal ends everything at once. No process is left behind. Raises WorkersError.
        """
        self._watch_signals()
        serving = asyncio.create_task(self._serve(), name="workers")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            stopping.cancel()
            await asyncio.wait([serving, stopping])
            await self._end()
        return 0 if self._stopping.is_set() else serving.result()

    # -- signals ------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._renewing.set)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            for child in self._children:
                child.send_signal(signal.SIGKILL)
            os._exit(128 + number)
        log.info("shutting down the workers", within_seconds=self._patience)
        self._stopping.set()

    async def _end(self) -> None:
        """All workers at once."""
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        await asyncio.gather(*(child.outlast(self._patience) for child in list(self._children)))
        for task in (*self._children.values(), *self._asking):
            task.cancel()

    # -- the life of a worker -----------------------------------------------------------------

    async def _serve(self) -> int:
        first, *others = self._posts
        first.child = child = await self._launch(first)
        if not child.is_ready:
            return self._explain(child)
        starts = await asyncio.gather(*(self._start(post) for post in others))
        for post, started in zip(others, starts, strict=True):
            post.child = started
        self._announce()
        try:
            async with asyncio.TaskGroup() as lives:
                for post in self._posts:
                    lives.create_task(self._keep(post), name=f"place {post.number}")
                lives.create_task(self._renew_all(), name="renewal")
                lives.create_task(self._look_regularly(), name="survey")
        except* WorkersError as errors:
            raise errors.exceptions[0] from None
        return 0

    @staticmethod
    def _explain(child: Child) -> int:
        """The exit code of a first worker that did not start; it has said why."""
        if child.code is None or child.code <= 0:
            raise WorkersError(f"a worker ended before it accepted connections: {child.fate}")
        return child.code

    async def _launch(self, post: _Post) -> Child:
        """A worker that accepts connections, or has ended."""
        child = await Child.start(self._recipe, post.number, post.sockets)
        self._children[child] = asyncio.create_task(self._attend(child), name=f"worker {child.serial}")
        try:
            async with asyncio.timeout(START):
                await child.settled.wait()
        except TimeoutError:
            await child.outlast(0)
        return child

    async def _attend(self, child: Child) -> None:
        try:
            await child.attend(self._hear)
        finally:
            del self._children[child]
            self._survey.leave(child)
            self._tell_others(child, SWEEP)

    async def _start(self, post: _Post) -> Child | None:
        """A worker that accepts connections; None, and it is told, where that was not to be had."""
        try:
            child = await self._launch(post)
        except OSError as error:  # no memory, or no process, to be had
            log.error("a worker did not start", place=post.number, reason=str(error))  # noqa: TRY400
            return None
        if child.is_ready:
            log.info("a worker accepts connections", place=post.number, pid=child.pid)
            return child
        log.error("a worker did not start", place=post.number, pid=child.pid, reason=child.fate)
        return None

    async def _keep(self, post: _Post) -> NoReturn:
        """See to it that there is a worker in this place."""
        while True:
            if post.child is None:
                post.child = await self._replace(post)
            await self._wait_for_news(post, post.child)
            if post.child.ended.is_set():
                self._survey.note_loss()
                post.failures = 0 if post.child.age > YOUNG else post.failures + 1
                log.error("a worker died", place=post.number, pid=post.child.pid, reason=post.child.fate)
                post.child = None
            else:
                await self._renew(post, post.child)

    @staticmethod
    async def _wait_for_news(post: _Post, child: Child) -> None:
        """Until the worker has ended, or another one is wanted."""
        waits = [asyncio.ensure_future(event.wait()) for event in (child.ended, post.wanted)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _replace(self, post: _Post) -> Child:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(post.pause):
                    await post.wanted.wait()
            child = await self._start(post)
            post.tell_renewal(succeeded=child is not None)
            if child is not None:
                return child
            post.failures += 1
            self._keep_hoping()

    def _keep_hoping(self) -> None:
        if all(post.child is None and post.failures >= HOPELESS for post in self._posts):
            raise WorkersError(f"no worker can start, after {HOPELESS} attempts for each; the log has why")

    # -- renewal ------------------------------------------------------------------------------

    async def _renew_all(self) -> NoReturn:
        """At each SIGHUP. Where a new worker does not start, the old one and all others stay."""
        while True:
            await self._renewing.wait()
            self._renewing.clear()
            log.info("renewing the workers, one after another")
            for post in self._posts:
                if not await post.renew():
                    log.error("the workers are not renewed: what serves, goes on", place=post.number)
                    break
            else:
                log.info("the workers are renewed")

    async def _renew(self, post: _Post, old: Child) -> None:
        """The new worker accepts from the same sockets before the old one stops."""
        new = await self._start(post)
        if new is not None:
            post.child, post.failures = new, 0
            old.say(RETIRE)
            await old.outlast(self._patience)
        post.tell_renewal(succeeded=new is not None)

    # -- what workers say ---------------------------------------------------------------------

    def _hear(self, child: Child, message: Message) -> None:
        match message["topic"]:
            case "sample":
                self._survey.note(child, message)
            case "total":
                task = asyncio.create_task(self._tell_total(child, message["number"]), name="total")
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
            case "partial":
                self._tell_others(child, PARTIAL, upload_id=message["upload_id"])

    def _tell_others(self, child: Child, topic: str, **content: str) -> None:
        for other in self._children:
            if other is not child:
                other.say(topic, **content)

    async def _tell_total(self, child: Child, number: int) -> None:
        child.say(TOTAL, number=number, families=await self._survey.hold(list(self._children)))

    async def _look_regularly(self) -> None:
        """What a worker has counted since the last look is lost when it is killed."""
        while self._counts:
            await asyncio.sleep(Survey.INTERVAL)
            await self._survey.hold(list(self._children))
