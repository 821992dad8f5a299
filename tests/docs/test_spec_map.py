"""docs/spec-map.md: every rule has its row, and what a row names is there."""

from __future__ import annotations

import ast
import pkgutil
import re

import pytest

from tests.docs.pages import ROOT, codes, read, rows

RULES = [f"T-{number:03}" for number in range(1, 137)]
_ABOUT_CLIENTS_ALONE = {24}
CONVENTIONS = [f"C-{number:02}" for number in range(1, 28) if number not in _ABOUT_CLIENTS_ALONE]
WITHOUT_TEST = {"T-015"}
"""Rows that no test shows: the case cannot arise. Nothing else may be added here."""

ROWS = rows(read("docs/spec-map.md"), r"[TCB]-[0-9]+")
_IDS = [row[0] for row in ROWS]
_CITATION = re.compile(r"\b([TC])-(\d+)(?: to [TC]-(\d+))?")


def cited(docstring: str) -> set[str]:
    """The ids that a test's docstring names, one by one or as `T-001 to T-003`."""
    found: set[str] = set()
    for letter, first, last in _CITATION.findall(docstring):
        numbers = range(int(first), int(last or first) + 1)
        found |= {f"{letter}-{number:0{len(first)}}" for number in numbers}
    return found


def docstring_of(test: str) -> str:
    """The docstring of `path::name`; LookupError where there is no such test."""
    path, _, name = test.partition("::")
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return ast.get_docstring(node) or ""
    raise LookupError(test)


def test_every_rule_has_exactly_one_row() -> None:
    """All those of the protocol in its order, the clients' conventions, then what is beyond both."""
    numbers = [name for name in _IDS if not name.startswith("B-")]
    own = [name for name in _IDS if name.startswith("B-")]

    assert numbers == [*RULES, *CONVENTIONS]
    assert own == [f"B-{number:02}" for number in range(1, len(own) + 1)]


@pytest.mark.parametrize("row", ROWS, ids=_IDS)
def test_the_functions_of_a_row_exist(row: list[str]) -> None:
    """`module:qualname` can be imported and looked up."""
    functions = codes(row[3])

    assert functions
    for function in functions:
        found = pkgutil.resolve_name(function)
        assert callable(found) or isinstance(found, property)


@pytest.mark.parametrize("row", ROWS, ids=_IDS)
def test_the_tests_of_a_row_exist_and_cite_it(row: list[str]) -> None:
    """`path::name` is a test, and its docstring names the rule; ours (B-) are not numbered there."""
    tests = codes(row[4])

    assert bool(tests) == (row[0] not in WITHOUT_TEST)
    for test in tests:
        docstring = docstring_of(test)
        assert row[0].startswith("B-") or row[0] in cited(docstring), test


def test_the_core_is_whole() -> None:
    """tus 1.0.0, Core Protocol: every rule of HEAD, PATCH and OPTIONS has its test (T-001)."""
    core = {f"T-{number:03}" for number in range(20, 46)}

    assert core == {row[0] for row in ROWS if row[0] in core and codes(row[4])}


def test_every_test_cites_rules_that_are_on_the_map() -> None:
    """A number in a test's docstring that no row explains is a slip."""
    strangers = {
        f"{path.relative_to(ROOT)}: {number}"
        for path in ROOT.glob("tests/*/test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for number in cited(ast.get_docstring(node) or "") - set(_IDS)
    }

    assert strangers == set()
