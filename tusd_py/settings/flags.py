"""The command line's form of the settings: flags in, and the help that explains them."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from tusd_py.settings.fields import (
    ENV_PREFIX,
    Settings,
    SettingsError,
    default_of,
    flag_of,
    group_of,
    kind_of,
    variable_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG_FLAG, CONFIG_VARIABLE = "--config", f"{ENV_PREFIX}CONFIG"
_INTRODUCTION = """\
Serve resumable uploads (tus 1.0.0) and the files they become.

Each setting can be given as a flag, as an environment variable, or as a key of a TOML file, in this
order of precedence. The key is the flag's name with underscores: max_size = "2GiB".
"""
_EXAMPLES = """\
Examples:
  tusd-py serve
  tusd-py serve --port 9000 --upload-dir /srv/uploads --max-local-file-size 2GiB
  tusd-py serve --config /etc/tusd-py.toml --behind-proxy
"""


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Each flag on a line of its own, its text below it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=6)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [line for paragraph in text.split("\n") for line in textwrap.wrap(paragraph, width)]


def help_text() -> str:
    """What `tusd-py serve --help` prints: every flag with its variable and default, in groups."""
    return _build_parser().format_help()


def parse_flags(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The flags given, by field name (and `config`), still as text; and the words not understood.

    Raises SettingsError for a flag without its value.
    """
    try:
        flags, rest = _build_parser().parse_known_args(list(argv))
    except argparse.ArgumentError as error:
        raise SettingsError(f"{error.argument_name}: no value given; a value has to follow it") from None
    return vars(flags), rest


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tusd-py serve",
        usage="tusd-py serve [--help] [--config FILE] [--FLAG VALUE ...]",
        description=_INTRODUCTION,
        epilog=_EXAMPLES,
        formatter_class=_Layout,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    general = parser.add_argument_group("General")
    general.add_argument(
        CONFIG_FLAG, metavar="FILE", help=f"Read settings from this TOML file.\n[{CONFIG_VARIABLE}]"
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, field in Settings.model_fields.items():
        title = group_of(field)
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_flag(groups[title], name)
    return parser


def _add_flag(group: argparse._ArgumentGroup, name: str) -> None:
    field = Settings.model_fields[name]
    origin = ", default ".join(filter(None, (variable_of(name), default_of(field))))
    text = f"{field.description}\n[{origin}]".replace("%", "%%")
    flag, metavar = flag_of(name), kind_of(field).metavar
    if field.annotation is bool:  # the flag alone switches it on
        group.add_argument(flag, metavar=metavar, nargs="?", const="true", help=text)
    else:
        group.add_argument(flag, metavar=metavar, help=text)
