"""A wrong setting ends `tusd-py serve` before it touches anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOT_FOUND = "cannot be imported: ModuleNotFoundError: No module named 'nothing'"
PLACE = "package.module:callable, installed or on PYTHONPATH"


@pytest.mark.parametrize(
    ("argv", "environment", "line"),
    [
        (["--port", "eighty"], {}, "tusd-py: --port: 'eighty' is not a whole number from 0 to 65535\n"),
        (["--prot", "80"], {}, "tusd-py: --prot: no such flag; did you mean --port?\n"),
        (
            [],
            {"TUSD_PY_DURABILITY": "always"},
            "tusd-py: TUSD_PY_DURABILITY: 'always' is not one of os, finish, commit\n",
        ),
        (
            ["--processor", "nothing.here:call"],
            {},
            f"tusd-py: --processor: 'nothing.here:call' {NOT_FOUND}; {PLACE}\n",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(
    argv: list[str], environment: dict[str, str], line: str, tmp_path: Path
) -> None:
    """One clear line on stderr, nothing on stdout, exit 2, and no storage folder made."""
    run = subprocess.run(
        [sys.executable, "-m", "tusd_py", "serve", *argv],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )

    assert (run.returncode, run.stdout, run.stderr) == (2, "", line)
    assert list(tmp_path.iterdir()) == []
