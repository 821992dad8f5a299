"""Records: what those of earlier versions mean, and what they must not lose."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tusd_py.core.errors import RecordCorruptError
from tusd_py.core.model import Delivery
from tusd_py.stores.records import format_record, parse_record
from tusd_py.testing.kit import make_upload

BEFORE_DELIVERIES = b"""\
{"version": 1, "id": "one", "name": "one.bin", "created_at": "2026-02-03T04:05:06.789012+00:00",
 "length": 7, "state": "complete", "metadata": "", "kind": "regular", "concat": "", "parts": [],
 "expires_at": null}"""
PENDING = (
    Delivery(name="package.module:call"),
    Delivery(name="b", attempts=3, due_at=datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)),
)


def test_a_record_of_before_there_were_deliveries_has_none() -> None:
    """A storage is taken over as it is: what was finished then is not delivered now."""
    assert parse_record(BEFORE_DELIVERIES).deliveries == ()


def test_a_record_without_deliveries_is_what_it_was_before_there_were_any() -> None:
    """Whoever goes back to the release before finds records that it can read."""
    upload = parse_record(BEFORE_DELIVERIES)

    assert json.loads(format_record(upload)) == json.loads(BEFORE_DELIVERIES)


def test_deliveries_are_readable_for_people() -> None:
    """By name, with the attempts so far and the time of the next one."""
    upload = replace(make_upload(length=7), deliveries=PENDING)

    assert json.loads(format_record(upload))["deliveries"] == [
        {"name": "package.module:call", "attempts": 0, "due_at": None},
        {"name": "b", "attempts": 3, "due_at": "2026-03-04T05:06:07.000008+00:00"},
    ]
    assert parse_record(format_record(upload)) == upload


@pytest.mark.parametrize("wrong", [1, ["b"], [{"name": "b"}], [{"name": 1, "attempts": 0, "due_at": None}],
                                   [{"name": "b", "attempts": -1, "due_at": None}],
                                   [{"name": "b", "attempts": 0, "due_at": 7}]])  # fmt: skip
def test_deliveries_that_cannot_be_read_are_no_record(wrong: object) -> None:
    """Nobody guesses whom an upload still has to be given to."""
    fields = json.loads(BEFORE_DELIVERIES) | {"deliveries": wrong}

    with pytest.raises(RecordCorruptError):
        parse_record(json.dumps(fields).encode())
