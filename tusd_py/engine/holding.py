"""A request that holds an upload, or waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from tusd_py.core.ports import Body, Lock
    from tusd_py.engine.arrivals import Arrivals


class Holding:
    """The lock that `claim` gives, to be entered once; followers hear of its end.

    From the waiting on, `body` is among the `bodies` that are cut when the server stops. Not a generator:
    every request comes through here.
    """

    __slots__ = ("_arrivals", "_bodies", "_body", "_claim", "_upload_id")

    def __init__(
        self,
        upload_id: str,
        claim: AbstractAsyncContextManager[Lock],
        body: Body | None,
        bodies: set[Body],
        arrivals: Arrivals,
    ) -> None:
        self._upload_id = upload_id
        self._claim = claim
        self._body = body
        self._bodies = bodies
        self._arrivals = arrivals

    async def __aenter__(self) -> Lock:
        if self._body is not None:
            self._bodies.add(self._body)
        try:
            return await self._claim.__aenter__()
        except BaseException:
            self._end()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return await self._claim.__aexit__(kind, error, traceback)
        finally:
            self._end()

    def _end(self) -> None:
        if self._body is not None:
            self._bodies.discard(self._body)
        self._arrivals.note(self._upload_id)
