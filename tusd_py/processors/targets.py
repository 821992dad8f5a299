"""From the name of a processor to something that can be called."""

from __future__ import annotations

import importlib
import inspect
from contextlib import contextmanager
from functools import reduce
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from tusd_py.processors.threads import Threaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tusd_py.core.ports import LiveProcessor, Processor

GROUP = "tusd_py.processors"
"""The group of entry points in which installed packages offer processors."""


class TargetError(Exception):
    """There is no usable processor of this name; the text says what is wrong and what would do."""


def load_processor(name: str, *, threads: int) -> Processor:
    """The processor called `name`: `package.module:callable`, or an entry point's name.

    Raises TargetError.
    """
    return adapt(name, _import(name) if ":" in name else _load_entry_point(name), threads=threads)


def load_live_processor(name: str) -> LiveProcessor:
    """The live processor called `name`, which is `package.module:callable`. Raises TargetError."""
    target = _import(name)
    if not callable(target) or _is_coroutine_function(target):
        raise TargetError(
            f"{name!r} is no asynchronous generator function; one of an upload and its pieces"
        )
    _check_arguments(name, target)
    return cast("LiveProcessor", target)


def adapt(name: str, target: object, *, threads: int) -> Processor:
    """`target` as the engine calls it. What is no coroutine function runs in one of `threads` threads of
    its own. Raises TargetError for what cannot be called with an upload and its pieces."""
    if isinstance(target, type) or not callable(target):
        raise TargetError(f"{name!r} is no function; a function of an upload and its pieces")
    _check_arguments(name, target)
    if _is_coroutine_function(target):
        return target
    return Threaded(target, name=name, threads=threads)


def _is_coroutine_function(target: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
        getattr(target, "__call__", None)  # noqa: B004 - an object whose call is a coroutine function
    )


def _check_arguments(name: str, target: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(target)
    except ValueError:  # made in C, it does not tell
        return
    try:
        signature.bind(object(), object())
    except TypeError as error:
        raise TargetError(
            f"{name!r} cannot be called: {error}; a function of two arguments, an upload and its pieces"
        ) from None


def _import(name: str) -> object:
    module_name, _, attributes = name.partition(":")
    with _importing(name, "package.module:callable, installed or on PYTHONPATH"):
        return reduce(getattr, attributes.split("."), importlib.import_module(module_name))


def _load_entry_point(name: str) -> object:
    found = {each.name: each for each in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise TargetError(f"{name!r} is no entry point of {GROUP} ({known}); package.module:callable")
    with _importing(name, "a package that works"):
        return found[name].load()


@contextmanager
def _importing(name: str, accepted: str) -> Iterator[None]:
    """Somebody else's code runs, and may raise anything."""
    try:
        yield
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise TargetError(f"{name!r} cannot be imported: {told}; {accepted}") from error
