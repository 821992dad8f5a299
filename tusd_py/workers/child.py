"""One worker, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tusd_py.workers.channel import READY, Channel
from tusd_py.workers.place import format_place

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Sequence

    from tusd_py.workers.channel import Message
    from tusd_py.workers.folder import Folder

_LAST_WORDS = 1.0
"""Seconds for reading what a process has said that has ended."""

_serials = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a worker is started: the command, which is this process's own, and the folder they share."""

    command: Sequence[str]
    folder: Folder


class Child:
    """A process that was started to be a worker. `serial` is its own, `number` that of its place.

    `settled` is set when it accepts connections, or has ended; `ended` when that, and all it has said was
    heard; `code` is its exit code then, negative for a signal.
    """

    def __init__(self, number: int, process: Process, channel: Channel) -> None:
        self.serial = next(_serials)
        self.number = number
        self.settled = asyncio.Event()
        self.ended = asyncio.Event()
        self.is_ready = False
        self.code: int | None = None
        self.round = 0
        """The last round of samples that it has answered."""
        self._begun_at = time.monotonic()
        self._process = process
        self._channel = channel

    @classmethod
    async def start(cls, recipe: Recipe, number: int, sockets: Sequence[socket.socket]) -> Self:
        """Start one. The caller runs `attend`."""
        ours, theirs = socket.socketpair()
        try:
            process = await _spawn(recipe, number, sockets, theirs)
            return cls(number, process, await Channel.over(ours))
        except BaseException:
            ours.close()  # which ends what has been started
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._begun_at

    @property
    def fate(self) -> str:
        """How it ended, in words."""
        if self.code is None:
            return "it runs"
        return f"exit code {self.code}" if self.code >= 0 else f"killed by signal {-self.code}"

    async def attend(self, hear: Callable[[Child, Message], None]) -> None:
        """Until it has ended: `hear` gets what it says."""
        listening = asyncio.create_task(self._listen(hear), name=f"worker {self.number}")
        try:
            self.code = await self._process.wait()
            await asyncio.wait([listening], timeout=_LAST_WORDS)
        finally:
            listening.cancel()
            self.is_ready = False
            self.settled.set()
            self.ended.set()
            await self._channel.close()

    async def _listen(self, hear: Callable[[Child, Message], None]) -> None:
        async for message in self._channel.hear():
            if message["topic"] == READY:
                self.is_ready = True
                self.settled.set()
            else:
                hear(self, message)

    def say(self, topic: str, **content: Any) -> None:
        """Tell it, if it is still there."""
        self._channel.say(topic, **content)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def outlast(self, seconds: float) -> None:
        """Wait until it has ended; after so many seconds it is killed."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            self.send_signal(signal.SIGKILL)
            await self.ended.wait()


async def _spawn(
    recipe: Recipe, number: int, sockets: Sequence[socket.socket], channel: socket.socket
) -> Process:
    with channel:
        environment, descriptors = format_place(
            number=number,
            channel=channel.fileno(),
            sockets=[each.fileno() for each in sockets],
            folder=recipe.folder.path,
            lock=recipe.folder.descriptor,
        )
        return await asyncio.create_subprocess_exec(
            *recipe.command, env=os.environ | environment, pass_fds=descriptors
        )
