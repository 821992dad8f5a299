"""The load generator's report, and the comparison of what was stored."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from benchmarks.local.cases import Unit
from benchmarks.local.content import wrong_files
from benchmarks.local.load import LoadError, checksum_field, parse

PATTERN = bytes(range(251)) * 16
REPORT = (
    '{"seconds":2.0,"bytes":4194304,"requests":9,"uploads":3,"errors":0,"cpu":0.5,'
    '"post":{"n":3,"p50_ms":0.1,"p99_ms":0.2,"max_ms":0.3},"patch":{"n":6,"p50_ms":1,"p99_ms":2,"max_ms":3}}\n'
)


def test_the_last_line_is_the_report() -> None:
    """The slow load says "open" before it."""
    load = parse("open\n" + REPORT)

    assert (load.seconds, load.cpu, load.errors) == (2.0, 0.5, 0)
    assert load.counts == {"post": 3, "patch": 6}
    assert load.slowest["patch"] == 2


@pytest.mark.parametrize(
    ("unit", "amount"), [(Unit.MIB, 4), (Unit.PATCHES, 6), (Unit.HEADS, 0), (Unit.UPLOADS, 3)]
)
def test_every_unit_counts_something_else(unit: Unit, amount: float) -> None:
    """No unit is without an amount."""
    assert parse(REPORT).amount(unit) == amount


@pytest.mark.parametrize("output", ["", "open\n", "{}", "[]", '{"seconds":'])
def test_what_is_no_report_is_an_error(output: str) -> None:
    """Nothing is measured by it."""
    with pytest.raises(LoadError, match="no report"):
        parse(output)


@pytest.mark.parametrize("size", [1, len(PATTERN), 3 * len(PATTERN) + 7])
def test_the_checksum_is_that_of_the_file(size: int) -> None:
    """tus 1.0.0, Upload-Checksum: name and digest in Base64; the file is the pattern, over and over."""
    digest = hashlib.sha256((PATTERN * 4)[:size]).digest()

    assert checksum_field(PATTERN, size) == f"Upload-Checksum: sha256 {base64.b64encode(digest).decode()}"


def test_files_are_right_when_they_are_the_pattern(tmp_path: Path) -> None:
    """Wherever they lie, with whatever suffix, and with a record beside them."""
    size = 2 * len(PATTERN) + 5
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "a.bin").write_bytes((PATTERN * 3)[:size])
    (tmp_path / "a.info").write_text("{}")

    assert wrong_files(tmp_path, ["/files/a"], size, PATTERN) == []


@pytest.mark.parametrize("fault", ["flipped", "short", "long", "missing"])
def test_a_file_that_is_not_what_was_sent_is_found(fault: str, tmp_path: Path) -> None:
    """One byte is enough."""
    size = 2 * len(PATTERN) + 5
    right = (PATTERN * 3)[:size]
    faulty = {"flipped": right[:-1] + b"\xff", "short": right[:-1], "long": right + b"x"}
    if fault in faulty:
        (tmp_path / "a").write_bytes(faulty[fault])

    assert wrong_files(tmp_path, ["/files/a"], size, PATTERN) == ["/files/a"]
