"""The code that documents name exists."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import tusd_py
from tests.docs.pages import read

_DOTTED = re.compile(
    r"`((?:core|protocol|engine|stores|locks|metrics|web|settings|cli|testing)(?:\.\w+)+)(?:\(\w*\))?`"
)
_METHOD = re.compile(r"`([A-Z]\w+)\.(\w+)(?:\(\w*\))?`")


def resolves(dotted: str) -> bool:
    """Whether a dotted name below the package is a module, or an attribute in one."""
    try:
        pkgutil.resolve_name(f"tusd_py.{dotted}")
    except (ImportError, AttributeError):
        return False
    return True


def classes() -> dict[str, type]:
    """Every class of the package by its name."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(tusd_py.__path__, "tusd_py.")
        if not module.name.endswith("__main__")
    ]
    return {
        name: member
        for module in modules
        for name, member in vars(module).items()
        if isinstance(member, type)
    }


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/threat-model.md"])
def test_dotted_names_are_in_the_package(name: str) -> None:
    """`layer.module.name` can be imported."""
    dotted = _DOTTED.findall(read(name))

    assert dotted
    assert [each for each in dotted if not resolves(each)] == []


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/threat-model.md"])
def test_methods_are_in_their_classes(name: str) -> None:
    """`Class.method` is an attribute of one of our classes."""
    named, known = _METHOD.findall(read(name)), classes()

    assert named
    assert [(owner, method) for owner, method in named if not hasattr(known.get(owner), method)] == []
