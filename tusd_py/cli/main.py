"""The command `tusd-py`: finds the command named and runs it."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tusd_py import __version__
from tusd_py.cli.exits import EXITS, Exit, exit_for
from tusd_py.cli.lines import FSCK, GC, LS
from tusd_py.cli.remote import PROBE, UPLOAD
from tusd_py.settings import help_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One word of the command line. `module` has `run(argv) -> int` and is loaded when it is needed."""

    summary: str
    module: str
    help: Callable[[], str]


COMMANDS = {
    "serve": Command(
        summary="Run the upload server.",
        module="tusd_py.cli.serve",
        help=help_text,
    ),
    "gc": Command(
        summary="Remove what has expired and what crashes left; --dry-run shows it first.",
        module="tusd_py.cli.gc",
        help=partial(help_text, GC),
    ),
    "fsck": Command(
        summary="Examine the storage; --repair repairs what can be repaired.",
        module="tusd_py.cli.fsck",
        help=partial(help_text, FSCK),
    ),
    "ls": Command(
        summary="List the uploads in the storage.",
        module="tusd_py.cli.ls",
        help=partial(help_text, LS),
    ),
    "probe": Command(
        summary="Tell what a tus server supports, or how far an upload is; for monitors, too.",
        module="tusd_py.cli.probe",
        help=partial(help_text, PROBE),
    ),
    "upload": Command(
        summary="Send files to a tus server, and go on where an earlier run stopped.",
        module="tusd_py.cli.upload",
        help=partial(help_text, UPLOAD),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (this process's by default) and return the exit code, as `Exit` has it."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        return _say(root_help(), Exit.USAGE)
    name, rest = words[0], words[1:]
    if name in {"-h", "--help", "help"}:
        return _say(root_help())
    if name in {"-V", "--version"}:
        return _say(f"tusd-py {__version__}\n")
    if name not in COMMANDS:
        return _say(
            f"tusd-py: {name!r} is not a command; the commands are: {', '.join(COMMANDS)}\n", Exit.USAGE
        )
    return _run(COMMANDS[name], rest)


def root_help() -> str:
    """What `tusd-py --help` prints."""
    commands = "\n".join(f"  {name:<10}{command.summary}" for name, command in COMMANDS.items())
    return f"""\
usage: tusd-py COMMAND [--help] [--FLAG VALUE ...]

Resumable uploads: a tus 1.0.0 server that does not lose or invent a byte.

Commands:
{commands}

Options:
  --help    Show this text; after a command, what it takes.
  --version Show the version.

Examples:
  tusd-py serve --port 8080 --upload-dir storage
  tusd-py ls --upload-dir storage
"""


def _run(command: Command, argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        return _say(command.help())
    try:
        run: Callable[[Sequence[str]], int] = importlib.import_module(command.module).run
        return run(argv)
    except tuple(EXITS) as error:
        return _say(f"tusd-py: {error}\n" if str(error) else "", exit_for(error))


def _say(text: str, code: Exit = Exit.OK) -> int:
    stream = sys.stderr if code else sys.stdout
    stream.write(text)
    return int(code)
