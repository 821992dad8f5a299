"""Who wants an upload, and in which order: what every locker of ours has in common."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from tusd_py.core.errors import UploadLockedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tusd_py.core.errors import TusdError


class Waiting(Protocol):
    """Somebody in line for an upload."""

    @property
    def silence(self) -> float | None:
        """See tusd_py.core.ports.Locker.hold."""
        ...

    def refuse(self) -> None:
        """Say that it will not get the upload. It is not in the line any more."""
        ...


W = TypeVar("W", bound=Waiting)


class Claim(Generic[W]):
    """One request's claim to an upload: it waits for it, or holds it. A tusd_py.core.ports.Lock."""

    __slots__ = ("_answer", "_on_takeover", "_touched_at", "line", "silence", "timeout", "upload_id")

    def __init__(
        self, upload_id: str, timeout: float, on_takeover: Callable[[], None] | None, silence: float | None
    ) -> None:
        self.upload_id = upload_id
        self.timeout = timeout
        self.silence = silence
        self.line: deque[W] | None = None
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

    def line_up(self, newcomer: W, *, ahead: bool = False) -> bool:
        """Ask the holder, which this is, to leave it to `newcomer`; False if it is not to be disturbed.

        `ahead`: before all others who wait.
        """
        if newcomer.silence is not None and not self.is_silent_for(newcomer.silence):
            return False
        if self.line is None:
            self.line = deque()
        if ahead:
            self.line.appendleft(newcomer)
        else:
            self.line.append(newcomer)
        self.ask_to_leave()
        return True

    def drop(self, waiting: W) -> None:
        """Forget `waiting`, who does not want the upload any more."""
        if self.line and waiting in self.line:
            self.line.remove(waiting)

    @property
    def is_waiting(self) -> bool:
        """Whether it is still to be told what became of it."""
        return self._answer is not None and not self._answer.done()

    def expect(self) -> asyncio.Future[None]:
        """Say that `answer` is going to be called: from now on there may be one."""
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    async def answer(self) -> None:
        """Wait until `admit` or `refuse`. UploadLockedError if it is refused, or `timeout` is over."""
        answer = self._answer or self.expect()
        try:
            async with asyncio.timeout(self.timeout):
                await answer
        except TimeoutError:
            raise UploadLockedError(self.upload_id) from None

    def admit(self, line: deque[W]) -> None:
        """Say that it holds the upload now. Who is in line asks this one, unless it disturbs nobody."""
        self.touch()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        self.line = dismiss_probes(line)
        for _ in self.line:
            self.ask_to_leave()

    def refuse(self, error: TusdError | None = None) -> None:
        """See Waiting.refuse. UploadLockedError, where there is no other `error`."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or UploadLockedError(self.upload_id))
            self._answer.exception()  # not a loss if the waiter is cancelled before it hears


def dismiss_probes(line: deque[W]) -> deque[W]:
    """Those who stay in line when another one enters: who has a `silence` does not disturb it."""
    staying: deque[W] = deque()
    for waiting in line:
        if waiting.silence is None:
            staying.append(waiting)
        else:
            waiting.refuse()
    return staying
