"""What a worker had still to do is done by another one, and what one does the others leave alone."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import create, patch, wait_until
from tests.workers.crew import Crew
from tusd_py.stores.records import latest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPLOADS = 8


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where the processor puts down its calls."""
    return tmp_path / "record"


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """The file that the processor waits for."""
    return tmp_path / "hold"


@pytest.fixture
def crew(tmp_path: Path, record: Path, hold: Path) -> Iterator[Crew]:
    """Three workers that give finished uploads to the processor, and do not clean up by themselves."""
    environment = {"RECORD": str(record), "HOLD": str(hold)}
    flags = [
        "--shutdown-timeout",
        "1s",
        "--gc-interval",
        "0",
        "--processor",
        "tests.workers.recording:take",
    ]
    with Crew(tmp_path / "store", *flags, workers=3, environment=environment) as it:
        yield it


def upload(crew: Crew, count: int) -> list[str]:
    """The ids of finished uploads, made at whichever worker."""
    urls = [create(crew.url, 5) for _ in range(count)]
    assert [patch(url, 0, b"hello").status for url in urls] == [204] * count
    return sorted(url.rpartition("/")[2] for url in urls)


def called(record: Path) -> list[str]:
    """Whom the processor was called for, once for each call."""
    return sorted(line.split()[0] for line in record.read_text().splitlines()) if record.exists() else []


def is_delivered(crew: Crew) -> bool:
    """Whether no record says that something is still to be delivered."""
    records = (crew.upload_dir / "incoming").glob("*.json")
    return not any(b'"deliveries"' in latest(each.read_bytes()) for each in records)


def test_each_finished_upload_is_processed_once(crew: Crew, record: Path, hold: Path) -> None:
    """Neither several workers nor their sweeps at a start give it to the processor a second time."""
    hold.touch()
    ids = upload(crew, UPLOADS)
    wait_until(lambda: is_delivered(crew), "not all are delivered")
    crew.renew()

    assert called(record) == ids


def test_what_was_waiting_for_a_processor_outlives_every_worker(
    crew: Crew, record: Path, hold: Path
) -> None:
    """Renewed while the processor is at work and more is waiting: all are processed by those who come."""
    ids = upload(crew, UPLOADS)
    wait_until(lambda: called(record), "the processor is not called")
    crew.renew()
    hold.touch()

    wait_until(lambda: is_delivered(crew), "not all are delivered")
    assert sorted(set(called(record))) == ids


def test_what_a_killed_worker_had_to_deliver_is_delivered_by_another(
    crew: Crew, record: Path, hold: Path
) -> None:
    """The one that leads the storage hears of its end and looks, though it never does by itself."""
    ids = upload(crew, UPLOADS)
    wait_until(lambda: called(record), "the processor is not called")
    for worker in sorted(crew.workers())[:2]:
        os.kill(worker, signal.SIGKILL)
    hold.touch()

    wait_until(lambda: is_delivered(crew), "not all are delivered")
    assert sorted(set(called(record))) == ids
