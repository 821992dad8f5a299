"""What a document points to is there."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest

from tests.docs.pages import ROOT, blocks, documents, prose, read

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FAR = re.compile(r"[a-z]+:", re.IGNORECASE)


def anchors(text: str) -> set[str]:
    """The anchors that headings get."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", documents())
def test_relative_links_lead_somewhere(name: str) -> None:
    """Every link to a file of ours names one, and its anchor a heading there."""
    links = [link for link in _LINK.findall(prose(read(name))) if not _FAR.match(link)]

    for link in links:
        path, _, anchor = unquote(link).partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        assert target.resolve().is_relative_to(ROOT.resolve()), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_decisions_have_a_number_each() -> None:
    """Each record has the number of its file name in its title, and no two have the same."""
    names = [PurePosixPath(name).name for name in documents() if name.startswith("docs/decisions/")]
    titles = [read(f"docs/decisions/{name}").partition("\n")[0] for name in names]

    assert len({int(name[:4]) for name in names}) == len(names)
    assert [title.split()[:2] for title in titles] == [["#", f"{int(name[:4])}."] for name in names]


def test_the_architecture_opens_with_one_patch() -> None:
    """Who picks the code up begins with the way of one request."""
    text = read("docs/architecture.md")

    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == "One PATCH, by name"
    assert len(blocks(text, "mermaid")) == 1
