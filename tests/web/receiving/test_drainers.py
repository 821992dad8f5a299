"""Threads for fast senders are few, and go away: whoever gets none is served without."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tusd_py.web.drainers import Drain, Drainers

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPTLY = 10.0


class Sender:
    """A connection with something on it, and what a thread has made of it."""

    def __init__(self, content: bytes) -> None:
        self.server, self.client = socket.socketpair()
        self.server.setblocking(False)
        self.client.sendall(content)
        self.stored = bytearray()
        self.storing = threading.Event()
        self.may_store = threading.Event()
        self.drain = Drain(self.server.fileno(), len(content), self._store, lambda: None)

    def _store(self, piece: memoryview) -> None:
        self.storing.set()
        self.may_store.wait(PROMPTLY)
        self.stored += piece

    def close(self) -> None:
        self.may_store.set()
        self.server.close()
        self.client.close()


@pytest.fixture
def senders() -> Iterator[list[Sender]]:
    """Three, whose bytes differ."""
    them = [Sender(b"%d" % number * 50_000) for number in range(3)]
    yield them
    for each in them:
        each.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_who_comes_when_all_threads_are_taken_is_not_begun(senders: list[Sender]) -> None:
    """Its connection stays with the loop, untouched; the next free thread takes it."""
    first, second, _ = senders
    drainers = Drainers(threads=1)
    running = drainers.begin(first.drain)
    assert running is not None
    assert first.storing.wait(PROMPTLY)
    before = open_descriptors()

    assert drainers.begin(second.drain) is None
    assert open_descriptors() == before
    assert (second.drain.received, bytes(second.stored)) == (0, b"")

    first.may_store.set()
    running.result(PROMPTLY)
    second.may_store.set()
    again = drainers.begin(second.drain)
    assert again is not None
    again.result(PROMPTLY)
    assert [bytes(each.stored) for each in (first, second)] == [b"0" * 50_000, b"1" * 50_000]
    drainers.close()


def test_after_the_end_nothing_is_begun_and_who_is_at_work_ends(senders: list[Sender]) -> None:
    """No descriptor is left, and the place of the one that was turned away is free."""
    first, second, third = senders
    before = open_descriptors()
    drainers = Drainers(threads=2)
    running = drainers.begin(first.drain)
    assert running is not None
    assert first.storing.wait(PROMPTLY)

    drainers.close()

    assert drainers.begin(second.drain) is None
    assert drainers.begin(third.drain) is None
    first.may_store.set()
    running.result(PROMPTLY)
    assert bytes(first.stored) == b"0" * 50_000
    assert open_descriptors() == before


def test_a_connection_that_is_closed_meanwhile_is_no_other_ones(senders: list[Sender]) -> None:
    """Its number may be given to the next connection at once: the thread has a descriptor of its own."""
    first, second, _ = senders
    drainers = Drainers(threads=1)
    first.drain.left = 100_000
    running = drainers.begin(first.drain)
    assert running is not None
    assert first.storing.wait(PROMPTLY)

    number = first.server.fileno()
    os.dup2(second.server.fileno(), number)
    first.may_store.set()
    running.result(PROMPTLY)

    assert bytes(first.stored) == b"0" * 50_000
    assert second.server.recv(50_000) == b"1" * 50_000
    drainers.close()
