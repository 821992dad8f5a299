"""SIGKILL at any moment of running uploads: nothing acknowledged is lost, every file is right at last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.fleet import Fleet
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path


def survive(folder: Path, *, seed: int, kills: int, durability: str) -> Fleet:
    """Upload to a server that is killed `kills` times; every rule is asserted after each of them."""
    flags = ("--durability", durability, "--holder-silence", "60s")
    with ServerProcess(folder, *flags) as server:
        fleet = Fleet(server, seed)
        for _ in range(kills):
            fleet.sail_until_killed()
            sizes = fleet.examine_the_dead()
            server.start()
            fleet.go_back(sizes)
        fleet.arrive()
    return fleet


RUNS = [(1, "os"), (2, "os"), (3, "os"), (4, "os"), (5, "commit")]


@pytest.mark.timeout(300)  # each of the eleven starts takes half a second, and more on a busy machine
@pytest.mark.parametrize(("seed", "durability"), RUNS)
def test_a_killed_server_loses_nothing_it_acknowledged(tmp_path: Path, seed: int, durability: str) -> None:
    """Ten times kill -9, restart, HEAD, resume: no offset falls, each file is there once, and right."""
    fleet = survive(tmp_path / "storage", seed=seed, kills=10, durability=durability)

    assert len(fleet.done) >= 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10, 14))
def test_a_thousand_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    """The same, 250 times for each of four seeds."""
    fleet = survive(tmp_path / "storage", seed=seed, kills=250, durability="os")

    assert len(fleet.done) >= 60
