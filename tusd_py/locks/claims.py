"""Who wants an upload, and in which order: what every locker of ours has in common."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from tusd_py.core.errors import UploadLockedError

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiting(Protocol):
    """Somebody in line for an upload."""

    @property
    def silence(self) -> float | None:
        """See tusd_py.core.ports.Locker.hold."""
        ...

    def refuse(self) -> None:
        """Say that it will not get the upload. It is not in the line any more."""
        ...

    def take_over(self, line: deque[Waiting]) -> None:
        """Take the upload, which nobody holds any more, and those who came later."""
        ...


class Claim:
    """One request's claim to an upload: it waits for it, or holds it. A tusd_py.core.ports.Lock."""

    __slots__ = ("_answer", "_on_takeover", "_touched_at", "line", "silence", "timeout", "upload_id")

    def __init__(
        self, upload_id: str, timeout: float, on_takeover: Callable[[], None] | None, silence: float | None
    ) -> None:
        self.upload_id = upload_id
        self.timeout = timeout
        self.silence = silence
        self.line: deque[Waiting] | None = None
        """Those who come after this one; None until there was anybody."""
        self._on_takeover = on_takeover
        self._answer: asyncio.Future[None] | None = None

    def touch(self) -> None:
        """See tusd_py.core.ports.Lock.touch."""
        self._touched_at = time.monotonic()

    def is_silent_for(self, seconds: float) -> bool:
        return time.monotonic() - self._touched_at >= seconds

    def ask_to_leave(self) -> None:
        if self._on_takeover is not None:
            self._on_takeover()

    def line_up(self, newcomer: Waiting) -> bool:
        """Ask the holder, which this is, to leave it to `newcomer`; False if it is not to be disturbed."""
        if newcomer.silence is not None and not self.is_silent_for(newcomer.silence):
            return False
        if self.line is None:
            self.line = deque()
        self.line.append(newcomer)
        self.ask_to_leave()
        return True

    def drop(self, waiting: Waiting) -> None:
        """Forget `waiting`, who does not want the upload any more."""
        if self.line and waiting in self.line:
            self.line.remove(waiting)

    async def answer(self) -> None:
        """Wait until `admit` or `refuse`. UploadLockedError if it is refused, or `timeout` is over."""
        self._answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self.timeout):
                await self._answer
        except TimeoutError:
            raise UploadLockedError(self.upload_id) from None

    def admit(self, line: deque[Waiting]) -> None:
        """Say that it holds the upload now. Who is in line asks this one, unless it disturbs nobody."""
        self.touch()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        self.line = dismiss_probes(line)
        for _ in self.line:
            self.ask_to_leave()

    def refuse(self) -> None:
        """See Waiting.refuse."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(UploadLockedError(self.upload_id))
            self._answer.exception()  # not a loss if the waiter is cancelled before it hears


def dismiss_probes(line: deque[Waiting]) -> deque[Waiting]:
    """Those who stay in line when another one enters: who has a `silence` does not disturb it."""
    staying: deque[Waiting] = deque()
    for waiting in line:
        if waiting.silence is None:
            staying.append(waiting)
        else:
            waiting.refuse()
    return staying
