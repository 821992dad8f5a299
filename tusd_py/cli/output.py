"""How results are written: to stdout, for people or for programs."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tusd_py.core.findings import Finding

_SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def say(lines: Iterable[str]) -> None:
    """All lines of a result."""
    _write("".join(f"{line}\n" for line in lines))


def say_json(value: object) -> None:
    """One JSON document. Names that are not Unicode come as lone surrogates, escaped."""
    _write(json.dumps(value, indent=2) + "\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, as `head` does: the result stays what it is
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def inline(text: str) -> str:
    """`text` on one line and in one column: what could move a cursor or does not encode is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def human_size(size: int) -> str:
    """Bytes, rounded to three digits or so: `0 B`, `1.5 KiB`, `20 GiB`."""
    value, unit = float(size), "B"
    for larger in _SIZES:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def human_span(seconds: float) -> str:
    """Seconds in their two largest units, whole: `45s`, `12m 3s`, `3d 4h`."""
    left = int(abs(seconds))
    parts: list[str] = []
    for unit, size in _SPANS:
        if left >= size or parts:
            parts.append(f"{left // size}{unit}")
            left %= size
    shown = " ".join(part for part in parts[:2] if not part.startswith("0")) or "0s"
    return f"-{shown}" if seconds <= -1 else shown


def iso(moment: datetime | None) -> str | None:
    """A moment (UTC) as ISO 8601 has it, in JSON."""
    return None if moment is None else moment.isoformat()


def finding_fields(finding: Finding) -> dict[str, object]:
    """A finding, for JSON."""
    return {
        "kind": finding.kind.value,
        "subject": finding.subject,
        "detail": finding.detail,
        "since": iso(finding.since),
    }
