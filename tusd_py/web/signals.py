"""Signals that are heard whatever the event loop is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_NOBODY = -1


@contextlib.contextmanager
def heard(numbers: Collection[signal.Signals], hear: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Have `hear` called, in a thread, with each of these signals that comes.

    A handler of the event loop would have to wait for it, and the loop may hang in a dead disk. For the
    main thread; whoever was told of signals before still is (signal.set_wakeup_fd).
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    # Python's own handlers run between two instructions of the main thread, which may never come to the
    # next one. The number is written to the wakeup descriptor by the handler in C. The descriptor is there
    # first and goes last: no signal is lost in between.
    told = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    before = [(number, signal.signal(number, lambda *_: None)) for number in numbers]

    def listen() -> None:
        with ours:
            while arrived := ours.recv(1):
                if told != _NOBODY:
                    with contextlib.suppress(OSError):
                        os.write(told, arrived)
                if arrived[0] in numbers:
                    hear(signal.Signals(arrived[0]))

    threading.Thread(target=listen, name="tusd-py-signals", daemon=True).start()
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        signal.set_wakeup_fd(told)
        theirs.close()  # which ends the thread
