"""The engine on S3 against the model: the same requests, cuts, faults and crashes, and a second server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.properties.storages import S3Storage
from tests.properties.test_engine_machine import QUICK, SHRINKING, EngineMachine
from tusd_py.locks.memory import MemoryLocker

if TYPE_CHECKING:
    from tests.properties.stage import Fate
    from tusd_py.core.ports import Store


class S3EngineMachine(EngineMachine):
    """The same in a bucket, where two servers take turns."""

    make_storage = S3Storage
    other: Store | None = None

    @rule()
    def move(self) -> None:
        """From now on requests come to another server, which remembers what it knew when it was left."""
        self.calm_down()
        next_one = self.storage.open() if self.other is None else self.other
        self.other, self.store = self.store, next_one
        self.world.waiting.clear()
        self.make_process(self.store, MemoryLocker())

    def restart(self, fate: Fate | None = None) -> None:
        """A new process, and no other."""
        self.close_other()
        super().restart(fate)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.close_other()
        super().teardown()

    def close_other(self) -> None:
        """End the other server."""
        if self.other is not None:
            self.runner.run(self.other.close())
            self.other = None


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is made room in by one upload at a time: what is played has to go the same way again."""
    monkeypatch.setattr("tusd_py.stores.s3.PUT_AWAY", 1)


@SHRINKING
def test_the_engine_does_on_s3_what_the_model_says() -> None:
    """Whatever happens, and whichever of two servers is asked: no byte is lost, and none invented."""
    run_state_machine_as_test(S3EngineMachine, settings=settings(QUICK, max_examples=40))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_engine_does_on_s3_what_the_model_says_for_long() -> None:
    """The same for minutes; at random, but in continuous integration always the same."""
    thorough = settings(QUICK, max_examples=300, derandomize="CI" in os.environ)
    run_state_machine_as_test(S3EngineMachine, settings=thorough)
