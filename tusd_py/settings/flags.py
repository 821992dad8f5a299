"""The command line's form of the settings: flags in, and the help that explains them."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tusd_py.settings.fields import Settings, SettingsError
from tusd_py.settings.naming import (
    ENV_PREFIX,
    default_of,
    flag_of,
    group_of,
    kind_of,
    other_flag_of,
    variable_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONFIG_FLAG, CONFIG_VARIABLE = "--config", f"{ENV_PREFIX}CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A flag that belongs to one command and is no setting: it says what to do this once.

    It stands alone, or takes one of the `choices`, or any value that `parse` makes something of
    (ValueError: it does not). `accepted` then completes the sentence "this is not ...". With
    `repeated` it may be given more than once.
    """

    name: str
    description: str
    choices: tuple[str, ...] = ()
    metavar: str = ""
    accepted: str = ""
    parse: Callable[[str], Any] = str
    repeated: bool = False

    @property
    def stands_alone(self) -> bool:
        """No value follows it."""
        return not self.choices and not self.metavar


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What one command understands: its `options`, the flags of some of the settings, and `operands`.

    Those are words without a flag, as the usage line shows them. A command without settings has
    nothing to do with the server's configuration, and reads none.
    """

    command: str
    introduction: str
    examples: str
    options: tuple[Option, ...] = ()
    settings: tuple[str, ...] = tuple(Settings.model_fields)
    operands: str = ""

    def flags(self) -> list[str]:
        """Every name that may stand behind --, as a field would be called."""
        config = ["config"] if self.settings else []
        return [*config, *(option.name for option in self.options), *self.settings]


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
SERVE = CommandLine(command="serve", introduction=_INTRODUCTION, examples=_EXAMPLES)


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Each flag on a line of its own, its text below it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=6)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [line for paragraph in text.split("\n") for line in textwrap.wrap(paragraph, width)]


def help_text(line: CommandLine = SERVE) -> str:
    """What a command's `--help` prints: every flag with its variable and default, in groups."""
    return _build_parser(line).format_help()


def parse_flags(argv: Sequence[str], line: CommandLine = SERVE) -> tuple[dict[str, Any], list[str]]:
    """The flags given, by field name (and `config`), still as text; and the words not understood.

    Of a repeated option there is a list.

    Raises SettingsError for a flag without its value, and for an option with one it does not take.
    """
    try:
        flags, rest = _build_parser(line).parse_known_args(list(argv))
    except argparse.ArgumentError as error:
        raise SettingsError(f"{error.argument_name}: {_problem_with(error.argument_name, line)}") from None
    given = vars(flags)
    for option in line.options:
        if option.choices and given.get(option.name, option.choices[0]) not in option.choices:
            raise SettingsError(
                f"{flag_of(option.name)}: {given[option.name]!r} is not one of {', '.join(option.choices)}"
            )
    for name in given.keys() & set(line.settings):
        if kind_of(Settings.model_fields[name]).repeatable:
            given[name] = ",".join(given[name])
    return given, rest


def _problem_with(flag: str | None, line: CommandLine) -> str:
    if flag in {flag_of(option.name) for option in line.options if option.stands_alone}:
        return "takes no value"
    return "no value given; a value has to follow it"


def _build_parser(line: CommandLine) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"tusd-py {line.command}",
        usage=_usage(line),
        description=line.introduction,
        epilog=line.examples,
        formatter_class=_Layout,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    general = parser.add_argument_group("General")
    for option in line.options:
        _add_option(general, option)
    if line.settings:
        general.add_argument(
            CONFIG_FLAG, metavar="FILE", help=f"Read settings from this TOML file.\n[{CONFIG_VARIABLE}]"
        )
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name in line.settings:
        title = group_of(Settings.model_fields[name])
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_flag(groups[title], name)
    return parser


def _usage(line: CommandLine) -> str:
    operands = f" {line.operands}" if line.operands else ""
    if not line.settings:
        return f"tusd-py {line.command} [--help] [--FLAG VALUE ...]{operands}"
    options = "".join(f" [{flag_of(option.name)}{_value_of(option)}]" for option in line.options)
    return f"tusd-py {line.command} [--help]{options} [--config FILE] [--FLAG VALUE ...]{operands}"


def _value_of(option: Option) -> str:
    return "" if option.stands_alone else f" {option.metavar or '|'.join(option.choices)}"


def _add_option(group: argparse._ArgumentGroup, option: Option) -> None:
    flag, text = flag_of(option.name), option.description.replace("%", "%%")
    if option.stands_alone:
        group.add_argument(flag, action="store_const", const="true", help=text)
    else:
        action = "append" if option.repeated else "store"
        group.add_argument(flag, metavar=_value_of(option).strip(), action=action, help=text)


def _add_flag(group: argparse._ArgumentGroup, name: str) -> None:
    field = Settings.model_fields[name]
    origin = ", default ".join(filter(None, (variable_of(name), default_of(field))))
    text = f"{field.description}\n[{origin}]".replace("%", "%%")
    flag, metavar = flag_of(name), kind_of(field).metavar
    if field.annotation is bool:  # the flag alone switches it on
        group.add_argument(flag, metavar=metavar, nargs="?", const="true", help=text)
        return
    action = "append" if kind_of(field).repeatable else "store"
    group.add_argument(flag, metavar=metavar, action=action, help=text)
    other = other_flag_of(field)
    if other is not None:
        group.add_argument(other, dest=name, help=argparse.SUPPRESS)
