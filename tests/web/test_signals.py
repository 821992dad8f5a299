"""Signals that are heard whatever the main thread is doing."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import wait_until
from tusd_py.web.signals import heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON = 10.0
"""Seconds; what is waited for comes within milliseconds."""


def test_a_signal_is_heard_while_the_main_thread_hangs_in_a_system_call(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to returns when who heard the signal opens its other end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    told: queue.Queue[signal.Signals] = queue.Queue()

    def hear(number: signal.Signals) -> None:
        told.put(number)
        os.close(os.open(pipe, os.O_WRONLY))

    with heard({signal.SIGUSR1}, hear):
        killer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        killer.start()
        os.close(os.open(pipe, os.O_RDONLY))
        assert told.get(timeout=SOON) is signal.SIGUSR1
        killer.join()


def test_who_was_told_of_signals_before_still_is() -> None:
    """asyncio has a handler for another signal, and is told of it through the same descriptor."""
    heard_here: queue.Queue[signal.Signals] = queue.Queue()

    async def scene() -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR2, told.set)
        with heard({signal.SIGUSR1}, heard_here.put):
            os.kill(os.getpid(), signal.SIGUSR2)
            async with asyncio.timeout(SOON):
                await told.wait()

    asyncio.run(scene())
    assert heard_here.empty()


@pytest.mark.usefixtures("usual")
def test_afterwards_all_is_as_it_was() -> None:
    """The handler, the wakeup descriptor and the threads."""
    with heard({signal.SIGUSR1}, lambda _: None):
        assert signal.getsignal(signal.SIGUSR1) is not _usual

    descriptor = signal.set_wakeup_fd(-1)
    assert (signal.getsignal(signal.SIGUSR1), descriptor) == (_usual, -1)
    wait_until(lambda: "tusd-py-signals" not in {thread.name for thread in threading.enumerate()})


def _usual(_number: int, _frame: object) -> None:
    """Somebody's handler."""


@pytest.fixture
def usual() -> Iterator[None]:
    """The process has a handler of its own for the signal."""
    before = signal.signal(signal.SIGUSR1, _usual)
    yield
    signal.signal(signal.SIGUSR1, before)
