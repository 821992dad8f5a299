"""A storage of its own for every test."""

from pathlib import Path

import pytest

from tests.cli.storages import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A storage as a server leaves it that nobody has uploaded to."""
    return Storage(tmp_path / "storage")
