"""`tusd-py upload`: send files to a tus server, and go on where an earlier run stopped."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from typing import TYPE_CHECKING, Any

from tusd_py.cli.exits import Exit
from tusd_py.cli.output import human_size, inline, say, say_json
from tusd_py.cli.progress import show
from tusd_py.cli.remote import DEFAULT_ENDPOINT, DEFAULT_JOBS, DEFAULT_TIMEOUT, UPLOAD, parse_address
from tusd_py.client.batch import STANDARD_INPUT, Batch, Job, JobState
from tusd_py.client.notes import Notebook
from tusd_py.client.patience import DELAYS
from tusd_py.client.uploader import CHUNK_SIZE, Policy
from tusd_py.client.wire import Wire
from tusd_py.settings import SettingsError, load_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tusd_py.client.uploader import Uploaded


def run(argv: Sequence[str]) -> int:
    """Upload as `argv` says. Raises SettingsError."""
    paths, options = load_arguments(UPLOAD, argv)
    _check(paths)
    jobs = [Job(path=path) for path in paths]
    try:
        with asyncio.Runner() as runner:
            runner.run(_upload(jobs, options))
    except KeyboardInterrupt:
        _report(jobs, options)
        return Exit.INTERRUPTED
    _report(jobs, options)
    return Exit.OK if all(job.state is JobState.UPLOADED for job in jobs) else Exit.FAILURE


def _check(paths: list[str]) -> None:
    """Nothing is sent before all that was named is there."""
    if not paths:
        raise SettingsError("no file is named: tusd-py upload FILE...")
    for path in paths:
        if path != STANDARD_INPUT:
            _check_file(path)
    names = [path if path == STANDARD_INPUT else os.path.realpath(path) for path in paths]
    if len(set(names)) < len(names):
        twice = next(path for path, name in zip(paths, names, strict=True) if names.count(name) > 1)
        raise SettingsError(f"{twice!r} is named twice")


def _check_file(path: str) -> None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a path as it was typed
    except OSError as error:
        raise SettingsError(f"{path!r} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise SettingsError(f"{path!r} is no file; `-` is standard input")


async def _upload(jobs: list[Job], options: dict[str, Any]) -> None:
    endpoint = parse_address(options.get("to", DEFAULT_ENDPOINT))
    policy = Policy(
        chunk_size=options.get("chunk_size", CHUNK_SIZE),
        delays=options.get("retry_delays", DELAYS),
        checksums="no_checksum" not in options,
        verify="verify" in options,
    )
    timeout = options.get("timeout", DEFAULT_TIMEOUT).total_seconds()
    async with Wire(endpoint, headers=options.get("header", ()), timeout=timeout) as wire:
        batch = Batch(
            wire=wire,
            endpoint=endpoint,
            limit=options.get("jobs", DEFAULT_JOBS),
            policy=policy,
            metadata=dict(options.get("metadata", ())),
            notebook=None if "no_resume" in options else Notebook.at_home(),
        )
        with show() as watch:
            await batch.run(jobs, watch)


def _report(jobs: list[Job], options: dict[str, Any]) -> None:
    if "json" in options:
        say_json([_fields(job) for job in jobs])
    else:
        say(f"{inline(job.path)}\t{_address(job.uploaded)}" for job in jobs if job.uploaded)
    for job in jobs:
        for line in _complaint(job, resumable="no_resume" not in options):
            sys.stderr.write(f"tusd-py: {inline(line)}\n")


def _address(uploaded: Uploaded) -> str:
    """Where the file is; the upload's own address where the server does not tell that."""
    return str(uploaded.location or uploaded.url)


def _complaint(job: Job, *, resumable: bool) -> Iterator[str]:
    if job.state is JobState.UPLOADED:
        return
    yield f"{job.path}: {job.problem or 'interrupted'}"
    if job.url is not None:
        whole = "" if job.length is None else f" of {human_size(job.length)}"
        can_go_on = resumable and job.path != STANDARD_INPUT and job.offset != job.length
        advice = "; the same command goes on from there" if can_go_on else ""
        yield f"{job.path}: {human_size(job.offset)}{whole} are at {job.url}{advice}"


def _fields(job: Job) -> dict[str, object]:
    done = job.uploaded
    state = "interrupted" if job.state in {JobState.WAITING, JobState.SENDING} else job.state.value
    return {
        "file": job.path,
        "state": state,
        "url": None if job.url is None else str(job.url),
        "location": str(done.location) if done and done.location else None,
        "offset": job.offset,
        "length": done.size if done else job.length,
        "resumed_from": done.resumed_from if done else None,
        "sha256": done.sha256 if done else None,
        "problem": job.problem,
    }
