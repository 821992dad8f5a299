"""Reading our Markdown: as much of it as the tests ask about."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ELSEWHERE = re.compile(r"(^|/)(\.|node_modules/|build/|dist/)")  # tools keep theirs in hidden folders
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")


def read(name: str) -> str:
    """A document by its path from the project's folder."""
    return (ROOT / name).read_text(encoding="utf-8")


def documents() -> list[str]:
    """Every Markdown file of the project, by its path."""
    paths = (str(path.relative_to(ROOT)) for path in ROOT.rglob("*.md"))
    return sorted(path for path in paths if not _ELSEWHERE.search(path))


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [body for name, body in _FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """The text without its code."""
    return _CODE.sub("", _FENCE.sub("", text))


def rows(text: str, first_cell: str) -> list[list[str]]:
    """The cells of every table row whose first cell matches a regular expression."""
    lines = (line for line in text.splitlines() if line.startswith("| ") and line.endswith(" |"))
    cells = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return [row for row in cells if re.fullmatch(first_cell, row[0])]


def codes(cell: str) -> list[str]:
    """What stands in backquotes in a cell."""
    return re.findall(r"`([^`]+)`", cell)
