"""tusd_py: a resumable upload server (tus 1.0.0) on aiohttp that does not lose or invent a byte."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tusd_py.app import create_app, stream
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Hook, Locker, Store
    from tusd_py.settings import Settings

__version__ = "0.1.0"
__all__ = ["Hook", "Locker", "Settings", "Store", "Upload", "__version__", "create_app", "stream"]

_HOMES = {
    "Hook": "tusd_py.core.ports",
    "Locker": "tusd_py.core.ports",
    "Settings": "tusd_py.settings",
    "Store": "tusd_py.core.ports",
    "Upload": "tusd_py.core.model",
    "create_app": "tusd_py.app",
    "stream": "tusd_py.app",
}


def __getattr__(name: str) -> object:
    """The public names, loaded when they are asked for: the core must not bring a web framework along."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
