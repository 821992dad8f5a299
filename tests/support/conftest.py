"""What the tests of the tools share: a recording server, and a proxy in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.proxy import FaultProxy
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A fresh recording server."""
    with Recorder() as server:
        yield server


@pytest.fixture
def proxy(recorder: Recorder) -> Iterator[FaultProxy]:
    """A proxy in front of the recorder."""
    with FaultProxy("127.0.0.1", recorder.port) as it:
        yield it
