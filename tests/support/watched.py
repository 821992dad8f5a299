"""The real server with a heartbeat in its event loop, which notes how late it is at worst.

with WatchedServer(disk.folder) as server:
    ...
    assert server.worst_lag() < 0.05

Run as `python -m tests.support.watched serve ...` this file is that server.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import struct
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web

_FILE: Final = "WATCHED_FILE"
_LOCAL: Final = "WATCHED_TAKES_IT_FOR_LOCAL"
_QUICK: Final = "WATCHED_TAKES_IT_FOR_QUICK"

_BEAT = 0.002

_ROUND: Final = struct.Struct("=q")
"""The beginning of the shared file: how many times the test has asked."""

_WORST: Final = struct.Struct("=qd")
"""What follows: to which of these the answer is, and the answer. Each side writes its own part alone."""

PATIENCE = 20.0


class WatchedServer(ServerProcess):
    """A `ServerProcess` that tells how long its event loop was kept waiting.

    `takes_for_local`: its file system is taken for a local disk whatever it is. `takes_for_quick`: the
    server does not notice that it is slow either (to see what that would be like).
    """

    def __init__(
        self, upload_dir: Path, *flags: str, takes_for_local: bool = False, takes_for_quick: bool = False
    ) -> None:
        shared = upload_dir.with_name(f"{upload_dir.name}.lag")
        shared.write_bytes(bytes(_ROUND.size + _WORST.size))
        with shared.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)
        self._round = 0
        environment = {_FILE: str(shared)}
        if takes_for_local or takes_for_quick:
            environment[_LOCAL] = "1"
        if takes_for_quick:
            environment[_QUICK] = "1"
        super().__init__(upload_dir, *flags, environment=environment)

    def worst_lag(self) -> float:
        """Seconds that the loop was late at worst since the call before, or the start. Begins anew.

        What the loop's thread had to wait for its turn on a busy machine does not count.
        """
        self._round += 1
        _ROUND.pack_into(self._shared, 0, self._round)
        deadline = time.monotonic() + PATIENCE
        # This includes whatever holds the loop up right now.
        while _WORST.unpack_from(self._shared, _ROUND.size)[0] != self._round:
            assert time.monotonic() < deadline, "the loop does not go round"
            time.sleep(0.001)
        worst: float = _WORST.unpack_from(self._shared, _ROUND.size)[1]
        return worst

    def _command(self, port: int) -> list[str]:
        interpreter, option, _, *rest = super()._command(port)
        return [interpreter, option, "tests.support.watched", *rest]


async def _watch(path: str) -> None:
    """Beat for ever; `path` is the file shared with the test."""
    with open(path, "r+b") as file:  # noqa: ASYNC230 - before there are requests
        shared = mmap.mmap(file.fileno(), 0)
    turns = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    asked, _ = _WORST.unpack_from(shared, _ROUND.size)
    worst = 0.0
    while True:
        begun, in_line = time.perf_counter(), _waiting_for_turn(turns)
        await asyncio.sleep(_BEAT)
        late = time.perf_counter() - begun - _BEAT - (_waiting_for_turn(turns) - in_line)
        worst = max(worst, late)
        if (now := _ROUND.unpack_from(shared)[0]) != asked:
            # The answer first: whoever reads its number reads what belongs to it.
            struct.pack_into("=d", shared, _ROUND.size + 8, worst)
            struct.pack_into("=q", shared, _ROUND.size, now)
            asked, worst = now, 0.0


def _waiting_for_turn(schedstat: int) -> float:
    """Seconds in which this thread could have run while other threads and processes did (sched-stats)."""
    return int(os.pread(schedstat, 100, 0).split()[1]) / 1e9


def _watched(app: web.Application) -> web.Application:
    async def heartbeat(_: web.Application) -> AsyncIterator[None]:
        beating = asyncio.create_task(_watch(os.environ[_FILE]))
        yield
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating

    app.cleanup_ctx.append(heartbeat)
    return app


def _main() -> int:
    from tusd_py import app  # noqa: PLC0415 - the test's process needs none of this
    from tusd_py.stores import local, pace  # noqa: PLC0415

    create_app = app.create_app

    def create_watched(*args: Any, **kwargs: Any) -> web.Application:
        return _watched(create_app(*args, **kwargs))

    app.create_app = create_watched
    if _LOCAL in os.environ:
        vars(local)["is_remote"] = lambda _path: False
    if _QUICK in os.environ:
        pace.Pace.note = lambda _self, _seconds: None  # type: ignore[method-assign,assignment]

    from tusd_py.cli.main import main  # noqa: PLC0415 - it takes what is there by now

    return main()


if __name__ == "__main__":
    sys.exit(_main())
