"""The lines of a log, which are the same with and without what writes them faster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import pytest

from tusd_py.cli import logs
from tusd_py.core.model import UploadState

EVENTS: dict[str, dict[str, Any]] = {
    "plain": {"event": "request", "status": 204, "duration_ms": 0.3, "client_gone": False, "upload": None},
    "nested": {"event": "failed", "exception": [{"exc_type": "OSError", "frames": []}]},
    "words": {"event": "größer als 中", "tab": '\t\x00"\\/\x7f'},
    "half a pair": {"event": "request", "path": "/files/\udce4"},
    "long": {"event": "request", "length": 2**64},
    "ours": {"event": "state", "state": UploadState.OPEN},
    "others": {"event": "sweep", "at": datetime(2026, 1, 2, tzinfo=UTC), "error": ValueError("no")},
}


@pytest.fixture(params=["orjson", "json"], autouse=True)
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two has to be there: neither stands in for the other."""
    assert find_spec("orjson")
    if request.param == "json":
        monkeypatch.setattr("tusd_py.cli.logs.orjson", None)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_a_line_is_ascii_without_spaces(event: dict[str, Any]) -> None:
    """The same bytes, whoever writes it, and whatever encoding stderr has."""
    line = logs._dumps(event, repr)

    assert line == json.dumps(event, default=repr, separators=(",", ":"))
    assert line.isascii()
    assert "\n" not in line
