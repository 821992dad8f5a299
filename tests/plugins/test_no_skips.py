"""The plugin that makes a skipped test a failure."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PASSES = "def test_passes() -> None:\n    assert True\n"
SKIPS = "import pytest\n\n\ndef test_skips() -> None:\n    pytest.skip('no such tool')\n"
SKIPS_WHOLE = "import pytest\n\npytest.skip('no such tool', allow_module_level=True)\n"


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A run of its own over one folder, from the project's root as the Makefile does it."""
    argv = [sys.executable, "-m", "pytest", "-p", "tests.plugins.no_skips", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*argv, "-c", "/dev/null", "--rootdir", str(folder), *options, str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("skipping", "options"), [(SKIPS, []), (SKIPS_WHOLE, ["-n", "1"])], ids=["test", "module, in a worker"]
)
def test_a_skip_fails_the_run(skipping: str, options: list[str], tmp_path: Path) -> None:
    """All others pass, and still the run fails and says why."""
    (tmp_path / "test_passing.py").write_text(PASSES)
    (tmp_path / "test_skipping.py").write_text(skipping)

    run = run_pytest(tmp_path, *options)

    assert run.returncode == 1
    assert "1 skipped, and no test may be skipped in this run" in run.stdout
    assert "1 passed, 1 skipped in " in run.stdout.splitlines()[-1]


def test_a_run_without_skips_passes(tmp_path: Path) -> None:
    """The plugin changes nothing where nothing is skipped."""
    (tmp_path / "test_passing.py").write_text(PASSES)

    run = run_pytest(tmp_path)

    assert run.returncode == 0
    assert "may be skipped" not in run.stdout
