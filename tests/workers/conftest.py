"""A crew of two on a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workers.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """Two workers."""
    with Crew(tmp_path / "store") as it:
        yield it


@pytest.fixture
def two(crew: Crew) -> tuple[int, int]:
    """The process ids of the two."""
    one, other = sorted(crew.workers())
    return one, other
