"""Waiting for what a server does in its own time: looked for again and again, up to a limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.wire.raw import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.wire.tus import Tus


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Return as soon as `holds()`; AssertionError with `what` if that takes too long."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)  # between two looks; nothing is proven by it


def arriving(tus: Tus, path: str) -> Path:
    """The file in which the bytes of an unfinished upload or a partial are."""
    return tus.folder / "incoming" / path.rpartition("/")[2]


def wait_for_bytes(tus: Tus, path: str, size: int) -> None:
    """Wait until exactly `size` bytes are in the upload's file, whether they count or not."""
    file = arriving(tus, path)
    wait_until(lambda: file.stat().st_size == size, f"{file.stat().st_size} bytes in the file, not {size}")
