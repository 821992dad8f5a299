"""Exit codes: what scripts and supervisors may rely on."""

from __future__ import annotations

from enum import IntEnum

from tusd_py.core.errors import TusdError
from tusd_py.settings import SettingsError


class Exit(IntEnum):
    """How the process ended."""

    OK = 0
    FAILURE = 1
    """It could not do what was asked; trying again may help."""
    USAGE = 2
    """A command or setting is wrong; trying again will not help."""
    FINDINGS = 3
    """It was done, and found something wrong that is still there (`fsck`)."""
    INTERRUPTED = 130
    """Ended from the keyboard: 128 + SIGINT, as shells have it."""


EXITS: dict[type[BaseException], Exit] = {
    SettingsError: Exit.USAGE,
    TusdError: Exit.FAILURE,
    OSError: Exit.FAILURE,
    KeyboardInterrupt: Exit.INTERRUPTED,
}
"""What an error that ends a command means. An error of none of these classes is a bug, and shown whole."""


def exit_for(error: BaseException) -> Exit:
    """The exit code of the nearest class in `EXITS`; LookupError if there is none."""
    for kind in type(error).__mro__:
        if kind in EXITS:
            return EXITS[kind]
    raise LookupError(f"{type(error).__name__} has no exit code")
