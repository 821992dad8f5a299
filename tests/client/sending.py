"""Sending files from within a test, without patience and with small chunks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from yarl import URL

from tests.support.payload import Payload, sha256
from tests.support.server import ServerProcess, head
from tusd_py.client.batch import Batch, Job, JobState
from tusd_py.client.notes import Notebook
from tusd_py.client.uploader import Policy, Uploaded, Watcher
from tusd_py.client.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.proxy import FaultProxy

CHUNK = 100_000
AT_ONCE = (0.0,) * 6
"""Further attempts without waiting."""


def send(
    endpoint: str,
    *paths: Path | str,
    state: Path | None = None,
    timeout: float = 5,
    limit: int = 3,
    watch: Callable[[Job], Watcher] = lambda _: Watcher(),
    metadata: dict[str, str] | None = None,
    **policy: Any,
) -> list[Job]:
    """Upload files as one batch, remembered in `state` if it is given; how each ended."""
    jobs = [Job(path=str(path)) for path in paths]
    rules = replace(Policy(chunk_size=CHUNK, delays=AT_ONCE), **policy)

    async def run() -> None:
        async with Wire(URL(endpoint), timeout=timeout) as wire:
            batch = Batch(
                wire=wire,
                endpoint=URL(endpoint),
                limit=limit,
                policy=rules,
                metadata=metadata or {},
                notebook=Notebook(state) if state else None,
            )
            await batch.run(jobs, watch)

    asyncio.run(run())
    return jobs


def sent(job: Job) -> Uploaded:
    """What a job that succeeded says; AssertionError for one that did not."""
    assert (job.state, job.problem) == (JobState.UPLOADED, None)
    assert job.uploaded is not None
    return job.uploaded


def failed(job: Job) -> str:
    """Why a job failed; AssertionError for one that did not."""
    assert (job.state, job.uploaded) == (JobState.FAILED, None)
    assert job.problem is not None
    return job.problem


def check_arrived(server: ServerProcess, url: object, payload: Payload) -> None:
    """The published file has exactly the payload's bytes, and HEAD says that it is whole."""
    state = head(server.direct(str(url)))

    assert sha256(server.published(str(url)).read_bytes()) == payload.sha256
    assert state.headers["upload-offset"] == state.headers["upload-length"] == str(payload.size)


def write(folder: Path, payload: Payload, name: str = "payload.bin") -> Path:
    """A payload as a file."""
    path = folder / name
    path.write_bytes(payload.data)
    return path


def methods(proxy: FaultProxy) -> list[str]:
    """The methods of the requests so far."""
    return [request.method for request in proxy.requests]


def offsets(proxy: FaultProxy) -> list[int]:
    """Where the PATCH requests so far meant to write, in bytes."""
    return [int(it.headers["upload-offset"]) for it in proxy.requests if it.method == "PATCH"]
