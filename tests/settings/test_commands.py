"""A command beside `serve` takes the flags it needs; environment and file are the server's own."""

import pytest

from tests.settings.support import write_config
from tusd_py.settings import CommandLine, Option, SettingsError, help_text, load_arguments, load_command

SWEEP = CommandLine(
    command="sweep",
    introduction="Sweep the yard.\n",
    examples="Examples:\n  tusd-py sweep --gently\n",
    options=(
        Option(name="gently", description="Raise no dust."),
        Option(name="broom", description="Which one to take.", choices=("old", "new")),
    ),
    settings=("upload_dir", "durability"),
)
THROW = CommandLine(
    command="throw",
    operands="BALL...",
    introduction="Throw balls.\n",
    examples="Examples:\n  tusd-py throw red\n",
    options=(
        Option(name="times", metavar="N", description="How often.", accepted="a number", parse=int),
        Option(name="at", metavar="WHOM", description="At 100 % of them.", repeated=True),
        Option(name="hard", description="With force."),
    ),
    settings=(),
)


def test_a_command_takes_its_options_and_its_settings() -> None:
    """Options come back by name, settings as settings."""
    settings, options = load_command(SWEEP, ["--upload-dir", "x", "--gently", "--broom", "new"])

    assert (str(settings.upload_dir), options) == ("x", {"gently": "true", "broom": "new"})


def test_options_not_given_are_not_there() -> None:
    """Nothing given, nothing said."""
    assert load_command(SWEEP, [])[1] == {}


def test_the_server_s_environment_and_file_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file serves the server and the commands: what only the server needs is no error there."""
    monkeypatch.setenv("TUSD_PY_PORT", "81")
    config = write_config("base_path = '/tus/'\ndurability = 'commit'")

    settings, _ = load_command(SWEEP, ["--config", config])

    assert (settings.port, settings.base_path, settings.durability) == (81, "/tus/", "commit")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--port", "80"], "--port: no such flag; `tusd-py sweep --help` lists them all"),
        (["--gentle"], "--gentle: no such flag; did you mean --gently?"),
        (["--gently=true"], "--gently: takes no value"),
        (["--gently", "true"], "'true': an argument nobody asked for; flags begin with --"),
        (["--broom"], "--broom: no value given; a value has to follow it"),
        (["--broom", "red"], "--broom: 'red' is not one of old, new"),
        (["--durability", "x"], "--durability: 'x' is not one of os, finish, commit"),
    ],
)
def test_a_wrong_word_is_one_line(argv: list[str], line: str) -> None:
    """A misspelt option must not run the command without it; a flag without effect is refused."""
    with pytest.raises(SettingsError) as caught:
        load_command(SWEEP, argv)

    assert str(caught.value) == line


def test_the_help_of_a_command_shows_what_it_takes_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Options, --config and the command's settings, with variables and defaults."""
    monkeypatch.setenv("COLUMNS", "200")

    text = help_text(SWEEP)

    assert text.startswith(
        "usage: tusd-py sweep [--help] [--gently] [--broom old|new] [--config FILE] [--FLAG VALUE ...]\n"
        "\nSweep the yard.\n"
    )
    assert "\n  --gently\n      Raise no dust.\n  --broom old|new\n      Which one to take.\n" in text
    assert [word for word in text.split() if word.startswith("--")].count("--upload-dir") == 1
    assert "[TUSD_PY_DURABILITY, default os]" in text
    assert "--port" not in text
    assert text.endswith("\nExamples:\n  tusd-py sweep --gently\n")


def test_a_command_without_settings_takes_operands_and_parsed_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Words without a flag are operands, a lone dash included; the server's environment is none of its."""
    monkeypatch.setenv("TUSD_PY_PORT", "nonsense")

    operands, options = load_arguments(THROW, ["red", "--times", "3", "--at", "a", "-", "--at=b", "--hard"])

    assert (operands, options) == (["red", "-"], {"times": 3, "at": ["a", "b"], "hard": "true"})


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--times", "x"], "--times: 'x' is not a number"),
        (["--times"], "--times: no value given; a value has to follow it"),
        (["--config", "x"], "--config: no such flag; `tusd-py throw --help` lists them all"),
        (["--tims", "3"], "--tims: no such flag; did you mean --times?"),
    ],
)
def test_a_wrong_value_is_one_line(argv: list[str], line: str) -> None:
    """What an option does not take is refused before anything runs."""
    with pytest.raises(SettingsError) as caught:
        load_arguments(THROW, argv)

    assert str(caught.value) == line


def test_the_help_of_a_command_without_settings_names_its_operands() -> None:
    """No --config, and what stands behind the flags."""
    text = help_text(THROW)

    assert text.startswith("usage: tusd-py throw [--help] [--FLAG VALUE ...] BALL...\n")
    assert "  --at WHOM\n      At 100 % of them.\n" in text
    assert "--config" not in text
