"""A locker that tells how long its locks are waited for."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from tusd_py.core.errors import UploadLockedError
from tusd_py.core.measurements import LockRefused, LockTaken

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from tusd_py.core.ports import Lock, Locker, Meter


class MeasuredLocker:
    """`locker`, with its waits and refusals told to `meter`.

    Who only looks whether somebody is there, as the collector does, neither waits nor is refused. A
    newcomer with `silence` can do without the lock, so it is not refused either.
    """

    def __init__(self, locker: Locker, meter: Meter) -> None:
        self._locker = locker
        self._meter = meter

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AbstractAsyncContextManager[Lock]:
        """See tusd_py.core.ports.Locker.hold."""
        holding = self._locker.hold(upload_id, timeout=timeout, on_takeover=on_takeover, silence=silence)
        if silence == math.inf:
            return holding
        return _Measured(holding, self._meter, needs_it=silence is None)


class _Measured:
    __slots__ = ("_holding", "_meter", "_needs_it")

    def __init__(self, holding: AbstractAsyncContextManager[Lock], meter: Meter, *, needs_it: bool) -> None:
        self._holding = holding
        self._meter = meter
        self._needs_it = needs_it

    async def __aenter__(self) -> Lock:
        begun = time.monotonic()
        try:
            lock = await self._holding.__aenter__()
        except UploadLockedError:
            if self._needs_it:
                self._meter(LockRefused())
            raise
        self._meter(LockTaken(seconds=time.monotonic() - begun))
        return lock

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Coroutine[Any, Any, bool | None]:
        return self._holding.__aexit__(kind, error, traceback)
