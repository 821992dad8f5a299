"""A FastAPI application beside tusd-py: browsers upload there, and it works on what has arrived.

It shares nothing with the server but the storage, and only reads it. The TUSD_PY_ variables of the server
tell it where that is; RECORDINGS_RESULTS (a folder) and RECORDINGS_FILES (an address) are its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from contextlib import aclosing, asynccontextmanager
from pathlib import Path as File
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from tusd_py import Settings, Upload, stream
from tusd_py.app import make_engine
from tusd_py.core.errors import StoreError, UploadError, UploadGoneError
from tusd_py.core.model import UploadKind, UploadState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.engine.uploads import UploadEngine

RESULTS = File(os.environ.get("RECORDINGS_RESULTS", "results"))
FILES = os.environ.get("RECORDINGS_FILES", "http://localhost:8080/uploads/")
"""Where browsers find finished files: the server's public path."""
AT_ONCE = 4
"""How many recordings are worked on at the same time. The others wait, on the disk."""
PIECE = 256 * 1024
INTERVAL = 0.5
"""Seconds between two looks at an upload that has not arrived yet, or at a storage that failed."""

ARRIVING, DONE, FAILED = "arriving", "done", "failed"
_ID = "^[0-9a-f]{32}$"


async def transcribe(pieces: AsyncIterator[bytes]) -> dict[str, Any]:
    """Your speech model comes here. It gets the recording piece by piece, never as a whole."""
    digest, size = hashlib.sha256(), 0
    async for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


class Recordings:
    """What has become of the uploads that were announced: a small JSON file for each.

    Every one of them is worked on once it has arrived, also if this application was not there then.
    """

    def __init__(self, engine: UploadEngine, folder: File, tasks: asyncio.TaskGroup) -> None:
        self._engine = engine
        self._folder = folder
        self._tasks = tasks
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, dict[str, Any]] = {}

    async def start(self) -> None:
        """Read what is known, and go on with what was not done."""
        self._known = await asyncio.to_thread(self._read)
        for upload_id, record in self._known.items():
            if record["state"] == ARRIVING:
                self._begin(upload_id)

    def stop(self) -> None:
        """Leave the rest to the next start."""
        for task in self._running.values():
            task.cancel()

    async def announce(self, upload_id: str) -> None:
        """Work on an upload as soon as it has arrived. Twice is no more than once. Raises UploadError."""
        upload = await self._engine.store.load(upload_id)
        if upload.kind is UploadKind.PARTIAL:
            raise UploadGoneError(upload_id)  # a part of a file is no recording
        if upload_id not in self._known:
            await self._keep(upload_id, {"state": ARRIVING})
            self._begin(upload_id)

    async def read(self, upload_id: str, *, wait: bool) -> dict[str, Any] | None:
        """How it stands with an upload; with `wait` not before that is settled."""
        if wait and upload_id in self._running:
            await asyncio.wait([self._running[upload_id]])
        return self._known.get(upload_id)

    def _begin(self, upload_id: str) -> None:
        self._running[upload_id] = task = self._tasks.create_task(self._work(upload_id))
        task.add_done_callback(lambda _: self._running.pop(upload_id))

    async def _work(self, upload_id: str) -> None:
        while True:
            try:
                upload = await self._arrival(upload_id)
                async with (
                    self._room,
                    aclosing(stream(self._engine, upload_id, chunk_size=PIECE)) as pieces,
                ):
                    found = await transcribe(pieces)
            except UploadError as error:  # terminated, expired, or refused by a hook
                return await self._keep(upload_id, {"state": FAILED, "problem": type(error).__name__})
            except StoreError:  # our storage's trouble, not the upload's: it passes
                await asyncio.sleep(INTERVAL)
            else:
                return await self._keep(upload_id, {"state": DONE, "name": upload.name, **found})

    async def _arrival(self, upload_id: str) -> Upload:
        """The upload, once it is complete: every byte is there and has its public name."""
        while (upload := await self._engine.store.load(upload_id)).state is not UploadState.COMPLETE:
            if upload.state in {UploadState.FAILED, UploadState.EXPIRED}:
                raise UploadGoneError(upload_id)
            await asyncio.sleep(INTERVAL)
        return upload

    async def _keep(self, upload_id: str, record: dict[str, Any]) -> None:
        await asyncio.to_thread(self._write, upload_id, record)
        self._known[upload_id] = record

    def _write(self, upload_id: str, record: dict[str, Any]) -> None:
        new = self._folder / f"{upload_id}.new"
        new.write_text(json.dumps(record))
        new.rename(self._folder / f"{upload_id}.json")  # whole or not at all

    def _read(self) -> dict[str, dict[str, Any]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return {path.stem: json.loads(path.read_text()) for path in self._folder.glob("*.json")}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The storage is open, and what was announced is worked on, while the application runs."""
    engine = make_engine(Settings())
    try:
        async with asyncio.TaskGroup() as tasks:
            app.state.recordings = recordings = Recordings(engine, RESULTS, tasks)
            await recordings.start()
            yield
            recordings.stop()
    finally:
        await engine.store.close()


def recordings_of(request: Request) -> Recordings:
    """The application's recordings."""
    found: Recordings = request.app.state.recordings
    return found


Known = Annotated[Recordings, Depends(recordings_of)]
UploadId = Annotated[str, Path(pattern=_ID)]
app = FastAPI(title="Recordings", lifespan=lifespan)


class Announcement(BaseModel):
    """What a browser says as soon as it has created its upload: the last part of the upload's address."""

    upload: Annotated[str, Field(pattern=_ID)]


@app.post("/recordings", status_code=202)
async def announce(new: Announcement, recordings: Known, response: Response) -> dict[str, Any]:
    """Take an upload up. It need not have arrived: a browser that is closed afterwards changes nothing."""
    try:
        await recordings.announce(new.upload)
    except UploadError:
        raise HTTPException(404, "there is no such upload") from None
    response.headers["Location"] = f"/recordings/{new.upload}"
    return {"id": new.upload, **(await recordings.read(new.upload, wait=False) or {})}


@app.get("/recordings/{upload_id}")
async def read(upload_id: UploadId, recordings: Known, *, wait: bool = False) -> dict[str, Any]:
    """How a recording stands; with `?wait=true` the answer comes when it is done."""
    record = await recordings.read(upload_id, wait=wait)
    if record is None:
        raise HTTPException(404, "there is no such recording")
    return {"id": upload_id, **record}


@app.get("/recordings/{upload_id}/audio")
async def play(upload_id: UploadId, recordings: Known) -> RedirectResponse:
    """tusd-py serves the file, in ranges as players want them; not one byte of it passes through here."""
    record = await recordings.read(upload_id, wait=False)
    if record is None or record["state"] != DONE:
        raise HTTPException(404, "there is nothing to play")
    return RedirectResponse(f"{FILES}{record['name']}", status_code=307)
