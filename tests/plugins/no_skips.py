"""`pytest -p tests.plugins.no_skips`: a skipped test fails the run, so that no missing tool hides one."""

import pytest


def skipped_in(config: pytest.Config) -> int:
    """How many tests and modules were skipped so far."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0  # a worker process has no reporter


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn success into failure."""
    if skipped_in(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why the run failed."""
    if skipped := skipped_in(terminalreporter.config):
        terminalreporter.write_line(f"{skipped} skipped, and no test may be skipped in this run", red=True)
