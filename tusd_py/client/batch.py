"""Several uploads to one server, some of them at once; one that fails leaves the others alone."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tusd_py.client.discovery import Server, discover
from tusd_py.client.errors import ClientError, RefusedError
from tusd_py.client.notes import Errand, Memory
from tusd_py.client.patience import Patience
from tusd_py.client.sources import FileSource, open_standard_input
from tusd_py.client.uploader import Policy, Uploaded, Uploader, Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from yarl import URL

    from tusd_py.client.notes import Notebook
    from tusd_py.client.sources import Source
    from tusd_py.client.wire import Wire

STANDARD_INPUT = "-"


class JobState(StrEnum):
    """How far one upload of a batch is."""

    WAITING = "waiting"
    SENDING = "sending"
    UPLOADED = "uploaded"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class Job:
    """One file to upload, and what has become of it. `path` may be `-`: standard input."""

    path: str
    state: JobState = JobState.WAITING
    uploader: Uploader | None = None
    length: int | None = None
    uploaded: Uploaded | None = None
    problem: str | None = None

    @property
    def url(self) -> URL | None:
        """Where the upload is, as soon as there is one."""
        return self.uploader.url if self.uploader else None

    @property
    def offset(self) -> int:
        """How many bytes the server is known to have."""
        return self.uploader.offset if self.uploader else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Uploads to `endpoint`, `limit` of them at once. Without a `notebook` none is gone on with later.

    `metadata` is added to the name and type of each file, or replaces them.
    """

    wire: Wire
    endpoint: URL
    limit: int = 3
    policy: Policy = field(default_factory=Policy)
    metadata: Mapping[str, str] = field(default_factory=dict)
    notebook: Notebook | None = None

    async def run(self, jobs: Sequence[Job], watch: Callable[[Job], Watcher]) -> None:
        """Send all of them. How each ended stands in it afterwards, also if this is cancelled."""
        watchers = [watch(job) for job in jobs]
        try:
            server = await Patience(self.policy.delays, watchers[0].waits).persist(self._discover)
        except ClientError as error:
            for job in jobs:
                job.state, job.problem = JobState.FAILED, str(error)
            return
        room = asyncio.Semaphore(self.limit)

        async def send(job: Job, watcher: Watcher) -> None:
            async with room:
                await self._send(server, job, watcher)

        async with asyncio.TaskGroup() as group:
            for job, watcher in zip(jobs, watchers, strict=True):
                group.create_task(send(job, watcher))

    async def _discover(self) -> Server:
        """What the server offers. Nothing is known where a proxy answers OPTIONS in its place."""
        try:
            server = await discover(self.wire, self.endpoint)
        except RefusedError:
            return Server(url=self.endpoint)
        if server.versions:
            server.check_tus()
        return server

    async def _send(self, server: Server, job: Job, watcher: Watcher) -> None:
        job.state = JobState.SENDING
        try:
            async with self._opened(job.path) as (source, memory):
                job.length = source.length
                job.uploader = Uploader(
                    self.wire,
                    server,
                    source,
                    metadata=self._metadata_of(job.path),
                    policy=self.policy,
                    memory=memory,
                    watcher=watcher,
                )
                job.uploaded = await job.uploader.run()
        except (ClientError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            job.state, job.problem = JobState.FAILED, str(reason)
        else:
            job.state = JobState.UPLOADED

    @asynccontextmanager
    async def _opened(self, path: str) -> AsyncIterator[tuple[Source, Memory | None]]:
        if path == STANDARD_INPUT:
            yield await open_standard_input(), None
            return
        source = await FileSource.open(path)
        try:
            yield source, self._memory_of(path, source)
        finally:
            source.close()

    def _memory_of(self, path: str, source: FileSource) -> Memory | None:
        if self.notebook is None:
            return None
        errand = Errand(path=source.path, endpoint=str(self.endpoint), metadata=self._metadata_of(path))
        return Memory(self.notebook, errand, source.version)

    def _metadata_of(self, path: str) -> str:
        """Upload-Metadata: name and type by the conventions of tus clients, and what was added."""
        pairs = {} if path == STANDARD_INPUT else name_and_type(path)
        return format_metadata(pairs | dict(self.metadata))


def name_and_type(path: str) -> dict[str, str]:
    """`filename` and, where the ending tells it, `filetype`."""
    name = os.path.basename(path)  # noqa: PTH119 - a name, whatever it looks like
    kind, coding = mimetypes.guess_type(name)
    return {"filename": name} | ({"filetype": kind} if kind and not coding else {})


def format_metadata(pairs: Mapping[str, str]) -> str:
    """tus 1.0.0, Upload-Metadata: keys, each with its value in Base64, separated by commas."""
    items = []
    for key, value in pairs.items():
        encoded = base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()
        items.append(f"{key} {encoded}".rstrip())
    return ",".join(items)
