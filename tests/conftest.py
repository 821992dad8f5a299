"""What every test has: the log of a real server when a test with one fails, a loop never blocked, an S3."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

from tests.support.seaweed import SeaweedProcess

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_LOG_CHARACTERS = 8000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of the log of each server, or fleet, among the test's fixtures to its failure."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(log := getattr(value, "log", None), str):
                report.sections.append((f"log of {name}", log[-_LOG_CHARACTERS:]))
    return report


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """A blocking call of ours within an event loop fails the test that makes it.

    A store or a locker may be made there, and a locker closed: that happens once, without requests.
    """
    with blockbuster_ctx(scanned_modules=["tusd_py"], excluded_modules=["tusd_py.testing"]) as guard:
        for function in guard.functions.values():
            function.can_block_in("tusd_py/stores/local_files.py", {"__init__"})
            function.can_block_in("tusd_py/locks/file.py", {"__init__", "close"})
            function.can_block_in("tusd_py/stores/pace.py", {"is_remote"})
            function.can_block_in("tusd_py/stores/offload.py", {"_timed"})
            function.can_block_in("tusd_py/stores/local.py", {"__call__"})
            function.can_block_in("tests/web/download_scene.py", {"chunks"})
            function.can_block_in("tests/properties/storages.py", {"freeze"})
        yield


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedProcess]:
    """One SeaweedFS for all tests of a process that ask for one. Take a `fresh_prefix` of its bucket.

    Who stops or kills it starts one of their own.
    """
    folder = tmp_path_factory.mktemp("seaweed")
    with SeaweedProcess(folder) as server:
        yield server
    shutil.rmtree(folder)  # it never gives back the space of what was deleted
