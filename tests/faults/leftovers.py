"""What lies in a storage folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LEADERSHIP = ".janitor.lock"
"""By it the one who cleans up the storage is known; it stays, empty."""


def names_of_files(root: Path) -> list[str]:
    """The name of every file, sorted, but for `LEADERSHIP`."""
    return sorted({path.name for path in root.rglob("*") if path.is_file()} - {LEADERSHIP})
