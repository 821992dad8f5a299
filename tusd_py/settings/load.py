"""From the outside world to Settings: flags before environment before file before default."""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from tusd_py.settings.fields import Settings, SettingsError
from tusd_py.settings.flags import CONFIG_FLAG, CONFIG_VARIABLE, SERVE, CommandLine, parse_flags
from tusd_py.settings.naming import ENV_PREFIX, flag_of, kind_of, variable_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_core import ErrorDetails

    from tusd_py.settings.flags import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """What each source says, by field name."""

    flags: dict[str, Any]
    environment: dict[str, Any]
    file: dict[str, Any]
    file_name: str

    def merged(self) -> dict[str, Any]:
        return {**self.file, **self.environment, **self.flags}

    def label(self, name: str) -> str:
        """The setting as the operator wrote it."""
        if name in self.flags:
            return flag_of(name)
        if name in self.environment:
            return variable_of(name)
        if name in self.file:
            return f"{name} in {self.file_name}"
        return flag_of(name)


def load_settings(argv: Sequence[str]) -> Settings:
    """The settings in force for a command line, this process's environment and the file they name.

    Raises SettingsError for the first thing that is wrong, unknown names included: a misspelt setting
    must not be a silently missing one.
    """
    return load_command(SERVE, argv)[0]


def load_command(line: CommandLine, argv: Sequence[str]) -> tuple[Settings, dict[str, str]]:
    """The settings in force for one of the commands, and the options given to it, by name.

    The environment and the file may hold any setting: they are the server's, and shared. Raises
    SettingsError as `load_settings` does.
    """
    flags, _ = _read_flags(argv, line)
    options = {option.name: flags.pop(option.name) for option in line.options if option.name in flags}
    environment = _read_environment()
    config, source = _choose_config(flags)
    file = _read_file(config, source) if config is not None else {}
    layers = _Layers(flags=flags, environment=environment, file=file, file_name=config or "")
    try:
        return Settings(**layers.merged()), options
    except ValidationError as error:
        raise SettingsError(_explain(error.errors()[0], layers)) from None


def load_arguments(line: CommandLine, argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The operands of a command without settings, and the options given to it, parsed, by name.

    Of a repeated option there is a list. Raises SettingsError for what is not accepted.
    """
    flags, operands = _read_flags(argv, line)
    options = {option.name: option for option in line.options}
    return operands, {name: _parse(options[name], given) for name, given in flags.items()}


def _parse(option: Option, given: str | list[str]) -> Any:
    if isinstance(given, list):
        return [_parse(option, each) for each in given]
    try:
        return option.parse(given)
    except ValueError:
        raise SettingsError(f"{flag_of(option.name)}: {given!r} is not {option.accepted}") from None


def _read_flags(argv: Sequence[str], line: CommandLine) -> tuple[dict[str, Any], list[str]]:
    flags, rest = parse_flags(argv, line)
    for word in (word for word in rest if word.startswith("-") and word != "-"):
        flag = word.partition("=")[0]
        raise SettingsError(f"{flag}: no such flag{_suggest(flag, flag_of, line)}")
    if rest and not line.operands:
        raise SettingsError(f"{rest[0]!r}: an argument nobody asked for; flags begin with --")
    return flags, rest


def _read_environment() -> dict[str, Any]:
    known = {CONFIG_VARIABLE, *map(variable_of, Settings.model_fields)}
    for variable in sorted(os.environ):
        if variable.upper().startswith(ENV_PREFIX) and variable.upper() not in known:
            raise SettingsError(f"{variable}: no such setting{_suggest(variable, variable_of)}")
    return EnvSettingsSource(Settings)()


def _choose_config(flags: dict[str, Any]) -> tuple[str | None, str]:
    if "config" in flags:
        return flags.pop("config"), CONFIG_FLAG
    return os.environ.get(CONFIG_VARIABLE) or None, CONFIG_VARIABLE


def _read_file(path: str, source: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{source}: cannot read {path!r}: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise SettingsError(f"{source}: {path!r} is not a TOML file: {error}") from None
    for key in content.keys() - Settings.model_fields.keys():
        raise SettingsError(f"{key} in {path}: no such setting{_suggest(key, str)}")
    return content


def _explain(error: ErrorDetails, layers: _Layers) -> str:
    if error["type"] == "conflict":
        facts = error["ctx"]
        return f"{layers.label(facts['field'])}: {facts['problem']}"
    name = str(error["loc"][0])
    return (
        f"{layers.label(name)}: {error['input']!r} is not {kind_of(Settings.model_fields[name]).accepted}"
    )


def _suggest(word: str, spell: Callable[[str], str], line: CommandLine = SERVE) -> str:
    name = word.lower().removeprefix(ENV_PREFIX.lower()).lstrip("-").replace("-", "_")
    close = difflib.get_close_matches(name, line.flags(), n=1)
    if close:
        return f"; did you mean {spell(close[0])}?"
    return f"; `tusd-py {line.command} --help` lists them all"
