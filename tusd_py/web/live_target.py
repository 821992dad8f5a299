"""From the name of a live processor to something that can be called."""

from __future__ import annotations

import importlib
from functools import reduce
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tusd_py.core.ports import LiveProcessor


class TargetError(Exception):
    """There is nothing of that name that can be called; the text says what is wrong."""


def load_live_processor(name: str) -> LiveProcessor:
    """What `package.module:callable` names. Raises TargetError."""
    module_name, _, attributes = name.partition(":")
    try:
        target = reduce(getattr, attributes.split("."), importlib.import_module(module_name))
    except Exception as error:  # somebody else's code runs here, and may raise anything
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise TargetError(f"{name!r} cannot be imported: {told}; package.module:callable") from error
    if not callable(target):
        raise TargetError(f"{name!r} cannot be called; an asynchronous generator function")
    return cast("LiveProcessor", target)
