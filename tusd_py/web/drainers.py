"""Threads that empty the sockets of fast senders: the loop would meet each of them once per buffer."""

from __future__ import annotations

import os
import select
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8
"""Senders that can have a thread at once; the others stay with the event loop."""

_BUFFER = 1 << 20
"""Bytes read, and written, at once. On ext4 larger writes take several times as long now and then."""

_DRY = 20
"""Milliseconds in which nothing came, until a connection is given back to the loop."""


@dataclass(slots=True, eq=False)
class Drain:
    """One connection in the hands of a thread. `left` bytes of its body have not come.

    `received` grows as they are stored, which `heard` is told of; `failure` is what `write` raised. `stop`
    ends it within `_DRY`.
    """

    descriptor: int
    left: int
    write: Callable[[memoryview], None]
    heard: Callable[[], None]
    received: int = 0
    failure: BaseException | None = None
    is_storing: bool = False
    stop: bool = False

    def run(self, buffer: memoryview) -> None:
        """Receive and store until the body is over, the socket dry or broken, or somebody says stop."""
        readable = select.poll()
        readable.register(self.descriptor, select.POLLIN)
        while self.left and not self.stop:
            room = buffer if self.left >= _BUFFER else buffer[: self.left]
            try:
                count = os.readv(self.descriptor, [room])
            except BlockingIOError:
                if not readable.poll(_DRY):
                    return
                continue
            except OSError:
                return  # the loop will meet it, too
            if not count or not self._store(room[:count]):
                return  # the end of the stream, which the loop will meet, too, or a write that failed

    def _store(self, piece: memoryview) -> bool:
        self.left -= len(piece)
        self.is_storing = True
        try:
            self.write(piece)
            self.received += len(piece)  # while it is storing: nobody sees that it is not and has nothing
        except BaseException as failure:  # noqa: BLE001 - who reads the body raises it
            self.failure = failure
            return False
        finally:
            self.is_storing = False
        self.heard()
        return True


class Drainers:
    """A bounded pool of such threads, started as they are needed."""

    def __init__(self, threads: int = THREADS) -> None:
        self._free = threading.BoundedSemaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tusd-py-drain")
        self._local = threading.local()

    def begin(self, drain: Drain) -> Future[None] | None:
        """Begin `drain` at once, in a thread of its own; None, and it is not begun, when all are taken."""
        if not self._free.acquire(blocking=False):
            return None
        # The transport may close its descriptor at any time, and the number be given to another connection.
        drain.descriptor = os.dup(drain.descriptor)
        try:
            return self._pool.submit(self._run, drain)
        except RuntimeError:  # closed
            self._end(drain)
            return None

    def _run(self, drain: Drain) -> None:
        try:
            drain.run(self._buffer())
        finally:
            self._end(drain)

    def _end(self, drain: Drain) -> None:
        os.close(drain.descriptor)
        self._free.release()

    def _buffer(self) -> memoryview:
        try:
            buffer: memoryview = self._local.buffer
        except AttributeError:
            buffer = self._local.buffer = memoryview(bytearray(_BUFFER))
        return buffer

    def close(self) -> None:
        """Begin nothing any more; who is at work ends by itself."""
        self._pool.shutdown(wait=False)
