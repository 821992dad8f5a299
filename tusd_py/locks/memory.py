"""Locks within one process: hand-over in one turn of the event loop, nothing is polled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tusd_py.core.errors import UploadLockedError
from tusd_py.locks.claims import Claim

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from types import TracebackType


class MemoryLocker:
    """See tusd_py.core.ports.Locker. `len()` is the number of uploads held."""

    def __init__(self) -> None:
        self._holders: dict[str, _Claim] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> _Claim:
        """See tusd_py.core.ports.Locker.hold."""
        return _Claim(self._holders, upload_id, timeout, on_takeover, silence)


class _Claim(Claim["_Claim"]):
    """What `hold` gives: to be entered once. It costs no future and no queue where nobody waits."""

    __slots__ = ("_holders",)

    def __init__(
        self,
        holders: dict[str, _Claim],
        upload_id: str,
        timeout: float,
        on_takeover: Callable[[], None] | None,
        silence: float | None,
    ) -> None:
        super().__init__(upload_id, timeout, on_takeover, silence)
        self._holders = holders

    async def __aenter__(self) -> Self:
        holder = self._holders.setdefault(self.upload_id, self)
        if holder is self:
            self.touch()
        else:
            await self._wait_behind(holder)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def take_over(self, line: deque[_Claim]) -> None:
        """Hold the upload, which nobody does any more, with those who came later in line."""
        self._holders[self.upload_id] = self
        self.admit(line)

    async def _wait_behind(self, holder: _Claim) -> None:
        if not holder.line_up(self):
            raise UploadLockedError(self.upload_id)
        self.expect()
        try:
            await self.answer()
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        holder = self._holders.get(self.upload_id)
        if holder is self:  # cancelled in the very moment in which its turn came
            self._leave()
        elif holder is not None:
            holder.drop(self)

    def _leave(self) -> None:
        if self.line:
            self.line.popleft().take_over(self.line)
        else:
            del self._holders[self.upload_id]
