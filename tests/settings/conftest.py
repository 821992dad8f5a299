"""Every test here starts from an empty environment, in a folder of its own."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests gets in."""
    for name in [name for name in os.environ if name.upper().startswith("TUSD_PY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
