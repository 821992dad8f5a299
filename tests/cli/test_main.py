"""`tusd-py`: which words do what, where the text goes, and how the process ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tusd_py import __version__
from tusd_py.cli.exits import EXITS, Exit, exit_for
from tusd_py.cli.lines import FSCK, GC, LS
from tusd_py.cli.main import COMMANDS, main, root_help
from tusd_py.cli.remote import PROBE, UPLOAD
from tusd_py.core.errors import StoreError, TusdError
from tusd_py.settings import CommandLine, SettingsError, help_text


def test_version_names_the_program_and_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints one line on stdout and succeeds."""
    code = main(["--version"])

    assert (code, *capsys.readouterr()) == (0, f"tusd-py {__version__}\n", "")


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_that_was_asked_for_goes_to_stdout(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help is the answer, not an error: stdout and exit 0, so that it can be paged."""
    code = main([word])

    assert (code, *capsys.readouterr()) == (0, root_help(), "")


def test_no_command_is_a_usage_error_that_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command nothing runs: the help on stderr and exit 2."""
    code = main([])

    assert (code, *capsys.readouterr()) == (2, "", root_help())


def test_an_unknown_command_is_one_line_that_names_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A misspelt command: one line on stderr and exit 2."""
    code = main(["sevre", "--port", "1"])

    assert (code, *capsys.readouterr()) == (
        2,
        "",
        "tusd-py: 'sevre' is not a command; the commands are: serve, gc, fsck, ls, probe, upload\n",
    )


def test_the_help_lists_every_command_with_a_line() -> None:
    """Each row of the table of commands is in the help."""
    lines = root_help().splitlines()

    for name, command in COMMANDS.items():
        assert f"  {name:<10}{command.summary}" in lines


@pytest.mark.parametrize("argv", [["serve", "--help"], ["serve", "--port", "1", "-h"]])
def test_help_after_a_command_explains_the_command(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`serve --help` shows the settings and starts nothing."""
    code = main(argv)

    assert (code, *capsys.readouterr()) == (0, help_text(), "")


@pytest.mark.parametrize("line", [GC, FSCK, LS, PROBE, UPLOAD], ids=lambda line: line.command)
def test_each_command_explains_what_it_takes(line: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` behind a command shows its own options and the settings it needs, and nothing runs."""
    code = main([line.command, "--help"])

    assert (code, *capsys.readouterr()) == (0, help_text(line), "")
    assert COMMANDS[line.command].module == f"tusd_py.cli.{line.command}"


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m tusd_py` does what `tusd-py` does, from any folder."""
    argv = [sys.executable, "-m", "tusd_py", "--version"]

    run = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)

    assert (run.returncode, run.stdout, run.stderr) == (0, f"tusd-py {__version__}\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (StoreError("x"), 1),
        (TusdError("x"), 1),
        (PermissionError(13, "x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_exit_code_is_that_of_the_nearest_class(error: BaseException, code: int) -> None:
    """Scripts can tell a wrong setting (2) from a failure (1) and from Ctrl-C (130)."""
    assert exit_for(error) == code


def test_a_bug_has_no_exit_code() -> None:
    """What nobody foresaw is not dressed up as a failure: it keeps its traceback."""
    with pytest.raises(LookupError, match="ZeroDivisionError"):
        exit_for(ZeroDivisionError())


def test_every_exit_code_that_is_no_result_has_an_error() -> None:
    """The table of exit codes is total; success and findings are what a command returns."""
    assert set(EXITS.values()) == set(Exit) - {Exit.OK, Exit.FINDINGS}
