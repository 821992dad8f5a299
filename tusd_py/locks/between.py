"""Who wants an upload when there are several processes: claims of this one, and callers of others."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Self, TypeAlias

from tusd_py.core.errors import StoreError
from tusd_py.locks import wire
from tusd_py.locks.claims import Claim, dismiss_probes
from tusd_py.locks.lock_files import position_of

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable
    from types import TracebackType

    from tusd_py.locks.lock_files import LockFiles

_HUNG = 1.0
"""Seconds without an answer after which a process is taken to be at work, by who would not disturb it."""

_LOOK_AGAIN = 1.0
"""Seconds after which one who waits makes sure that somebody still has the upload."""

_PAUSE = 0.05
"""Seconds between two tries at most, where the process that has the upload cannot be asked."""

_AT_ONCE = 3
"""How often one looks again without a pause, before the other process seems to be out of order."""


class Here:
    """What this process has: the bytes it holds, and those who call it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, files: LockFiles, addresses: wire.Addresses
    ) -> None:
        self.loop = loop
        self.files = files
        self.addresses = addresses
        self.callers: set[Caller] = set()
        self.holders: dict[int, FileClaim] = {}
        """Who holds a byte, by its position: the byte is this process's exactly as long as it is here."""

    def pass_on(self, position: int, line: deque[Waiter]) -> None:
        """Have the first in line who is still there take over; this process's holder, if any, leaves."""
        while line:
            first = line.popleft()
            if first.is_waiting and first.take_over(line):
                return
        self.let_go(position)

    def let_go(self, position: int) -> None:
        """Let other processes have the byte, if this one has it."""
        if self.holders.pop(position, None) is not None:
            self.files.free(position)


class FileClaim(Claim["Waiter"]):
    """What `hold` gives: to be entered once. Two system calls, and nothing else, where nobody waits."""

    __slots__ = ("_here", "_is_back", "_link", "_position", "_timer", "_tries")

    def __init__(
        self,
        here: Here,
        upload_id: str,
        timeout: float,
        on_takeover: Callable[[], None] | None,
        silence: float | None,
    ) -> None:
        super().__init__(upload_id, timeout, on_takeover, silence)
        self._here = here
        self._position = position_of(upload_id)
        self._link: socket.socket | None = None
        """This one's place in the line of another process."""
        self._timer: asyncio.Handle | None = None
        self._tries = 0
        self._is_back = False

    async def __aenter__(self) -> Self:
        holders = self._here.holders
        if self._position not in holders and self._here.files.take(self._position):
            holders[self._position] = self
            self.touch()
        else:
            await self._wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def take_over(self, line: deque[Waiter]) -> bool:
        """Hold the upload, with those who came later in line, or make sure to get it."""
        if self._position in self._here.holders:
            self._enter(line)
        else:
            self.line, self._is_back = line, True
            self.seek()
        return True

    def to_caller(self) -> Caller | None:
        """Wait by a connection from now on; its other end can be sent away. None if there can be none."""
        try:
            near, far = wire.pair()
        except OSError:
            self._seek_later()
            return None
        self._listen(near)
        return Caller(self._here, far, self._position, self.silence)

    def seek(self) -> None:
        """Enter, or line up for the upload, wherever it is."""
        self._set_timer(None)
        if self.is_waiting:
            try:
                self._seek()
            except StoreError as error:
                self.refuse(error)

    def _seek(self) -> None:
        holder = self._here.holders.get(self._position)
        if holder is not None:
            self._line_up(holder)
        elif self._here.files.take(self._position):
            self._enter(self.line or deque())
        elif self.silence == math.inf:  # nobody has been silent for so long
            self.refuse()
        elif not self._ask():
            self._seek_later()

    def _seek_later(self) -> None:
        self._tries += 1
        pause = 0.0 if self._tries <= _AT_ONCE else min(0.001 * 2 ** (self._tries - _AT_ONCE), _PAUSE)
        self._set_timer(self._here.loop.call_later(pause, self.seek))

    def _set_timer(self, timer: asyncio.Handle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _enter(self, line: deque[Waiter]) -> None:
        self._here.holders[self._position] = self
        self.admit(deque(waiting for waiting in line if waiting.is_waiting))

    def _line_up(self, holder: FileClaim) -> None:
        followers, self.line = self.line or deque(), None
        for waiting in reversed(followers):
            holder.line_up(waiting, ahead=True)
        if not holder.line_up(self, ahead=self._is_back):
            self.refuse()

    def _ask(self) -> bool:
        """Line up in the process that has the upload; False if it cannot be asked."""
        process = self._here.files.holder(self._position)
        if process is None:
            return False
        try:
            link = self._here.addresses.connect(process)
        except OSError:
            return False
        request = wire.Request(self._is_back, self._position, self.silence)
        if not _send_along(link, request.pack(), self.line or deque()):
            link.close()
            return False
        self.line = None
        self._listen(link)
        if self.silence is not None:
            self._set_timer(self._here.loop.call_later(_HUNG, self.refuse))
        return True

    def _listen(self, link: socket.socket) -> None:
        self._link = link
        self._here.loop.add_reader(link, self._hear)
        self._set_timer(self._here.loop.call_later(_LOOK_AGAIN, self._look))

    def _hear(self) -> None:
        packet = wire.receive(self._link) if self._link else None
        if packet is None:
            return
        if packet.message == wire.WAIT:
            self._tries = 0
            self._set_timer(self._here.loop.call_later(_LOOK_AGAIN, self._look))
            return
        self._unlink()
        if packet.message == wire.YOURS:
            self.line, self._is_back = self._callers(packet), True
            self.seek()
        elif packet.message == wire.REFUSED:
            self.refuse()
        else:
            self._seek_later()

    def _callers(self, packet: wire.Packet) -> deque[Waiter]:
        callers = [Caller(self._here, end, self._position) for end in packet.followers]
        for caller in callers:
            caller.listen()
        return deque(callers)

    def _look(self) -> None:
        """Seek anew if nobody has the upload: who was to tell of it is stopped, or has lost this one."""
        try:
            is_lost = self._here.files.holder(self._position) is None
        except StoreError:
            is_lost = False
        if is_lost and self._position not in self._here.holders:
            self.line = self._unlink()
            self.seek()
        else:
            self._set_timer(self._here.loop.call_later(_LOOK_AGAIN, self._look))

    def _unlink(self) -> deque[Waiter]:
        """Give the place up. Those who come after this one, if its turn has come meanwhile."""
        link, self._link = self._link, None
        followers: deque[Waiter] = deque()
        if link is not None:
            self._here.loop.remove_reader(link)
            while (packet := wire.receive(link)) and packet.message:
                followers += self._callers(packet)
            link.close()
        return followers

    async def _wait(self) -> None:
        self.expect()
        try:
            self.seek()
            await self.answer()
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        self._set_timer(None)
        followers = (self.line or deque()) + self._unlink()
        holder = self._here.holders.get(self._position)
        if holder is self:  # cancelled in the very moment in which its turn came
            self._leave()
        elif holder is None:
            self._here.pass_on(self._position, followers)
        else:
            holder.drop(self)
            for waiting in reversed(followers):
                holder.line_up(waiting, ahead=True)

    def _leave(self) -> None:
        if self.line:
            self._here.pass_on(self._position, self.line)
        else:
            self._here.let_go(self._position)


class Caller:
    """One in line who waits at the other end of a connection, mostly in another process."""

    __slots__ = ("_connection", "_here", "_position", "silence")

    def __init__(
        self,
        here: Here,
        connection: socket.socket,
        position: int | None = None,
        silence: float | None = None,
    ) -> None:
        """`position` is None where it is still to be heard."""
        self.silence = silence
        self._here = here
        self._connection = connection
        self._position = position
        here.callers.add(self)

    @property
    def is_waiting(self) -> bool:
        return self._connection.fileno() >= 0

    def listen(self) -> None:
        """Hear what it wants, and when it does not want it any more."""
        self._here.loop.add_reader(self._connection, self._hear)
        self._hear()

    def leave(self) -> None:
        """Have no more to do with it."""
        if not self.is_waiting:
            return
        self._here.loop.remove_reader(self._connection)
        self._connection.close()
        self._here.callers.discard(self)

    def refuse(self) -> None:
        """See Waiting.refuse."""
        wire.send(self._connection, wire.REFUSED)
        self.leave()

    def look_again(self) -> None:
        """Say that the upload has to be sought elsewhere."""
        wire.send(self._connection, wire.AGAIN)
        self.leave()

    def to_caller(self) -> Caller:
        """See FileClaim.to_caller."""
        return self

    def take_over(self, line: deque[Waiter]) -> bool:
        """Tell it that the upload is its own, with those who came later; False if it is gone."""
        if self._position is not None:
            self._here.let_go(self._position)
        is_told = _send_along(self._connection, wire.YOURS, line)
        self.leave()
        return is_told

    def end(self) -> socket.socket:
        """Its connection, to be sent away."""
        return self._connection

    def _hear(self) -> None:
        packet = wire.receive(self._connection)
        if packet is None:
            return
        request = wire.Request.unpack(packet.message)
        if self._position is None and request is not None:
            self._line_up(request, [Caller(self._here, end, request.position) for end in packet.followers])
        else:
            self._forget()

    def _line_up(self, request: wire.Request, followers: list[Caller]) -> None:
        self._position, self.silence = request.position, request.silence
        holder = self._here.holders.get(request.position)
        if holder is None:
            for caller in (self, *followers):
                caller.look_again()
            return
        for caller in reversed(followers):
            holder.line_up(caller, ahead=True)
            caller.listen()
        if holder.line_up(self, ahead=request.is_back):
            wire.send(self._connection, wire.WAIT)
        else:
            self.refuse()

    def _forget(self) -> None:
        self.leave()
        holder = None if self._position is None else self._here.holders.get(self._position)
        if holder is not None:
            holder.drop(self)


Waiter: TypeAlias = FileClaim | Caller


def _send_along(connection: socket.socket, message: bytes, line: deque[Waiter]) -> bool:
    """Send a packet, and with it everybody in line; False, and all stay, if nobody is there to take it.

    Who cannot go along is told to look again. Who disturbs nobody is refused: another is about to enter.
    """
    present = dismiss_probes(deque(waiting for waiting in line if waiting.is_waiting))
    callers = [caller for waiting in present if (caller := waiting.to_caller())]
    line.clear()
    going, staying = callers[: wire.MOST_FOLLOWERS], callers[wire.MOST_FOLLOWERS :]
    if wire.send(connection, message, [caller.end() for caller in going]):
        for caller in going:
            caller.leave()
    elif going and wire.send(connection, message):
        staying = callers
    else:
        line.extend(callers)
        return False
    for caller in staying:
        caller.look_again()
    return True
