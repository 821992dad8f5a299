"""When the operator's hooks are asked, in which order, for how long, and what their "no" means."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tusd_py.core.errors import StoreError, UploadRejectedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Hook


class HookFailedError(StoreError):
    """A hook broke or took too long: nothing is decided, the client may try again."""


class Hookpoints:
    """Asks every hook in the order given; the first veto (UploadRejectedError) decides.

    `timeout` is in seconds, for one hook at one point.
    """

    def __init__(self, hooks: Sequence[Hook] = (), *, timeout: float = 15.0) -> None:
        self._hooks = tuple(hooks)
        self._timeout = timeout

    def __bool__(self) -> bool:
        return bool(self._hooks)

    async def pre_create(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Hook.pre_create."""
        for hook in self._hooks:
            await self._ask(hook.pre_create(upload))

    async def post_receive(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Hook.post_receive."""
        for hook in self._hooks:
            await self._ask(hook.post_receive(upload))

    async def pre_finish(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Hook.pre_finish."""
        for hook in self._hooks:
            await self._ask(hook.pre_finish(upload))

    async def pre_terminate(self, upload: Upload) -> None:
        """See tusd_py.core.ports.Hook.pre_terminate."""
        for hook in self._hooks:
            await self._ask(hook.pre_terminate(upload))

    async def _ask(self, answer: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await answer
        except UploadRejectedError:
            raise
        except Exception as error:
            raise HookFailedError(f"a hook failed: {error!r}") from error
