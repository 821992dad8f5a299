"""The vocabulary of the contract checks: uploads to try, bytes to store, and how to ask for an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import shake_128
from typing import TYPE_CHECKING

from tusd_py.core.model import Metadata, Upload, UploadState
from tusd_py.core.ports import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tusd_py.core.ports import Reader

OpenAgain = Callable[[], Store]
"""Gives a Store over the same storage, as a restarted process would."""

OpenStore = Callable[[], AbstractAsyncContextManager[OpenAgain]]
"""Gives fresh, empty storage for the time of one check."""

StoreCheck = Callable[[OpenAgain], Awaitable[None]]


def sample(size: int, seed: int = 0) -> bytes:
    """`size` bytes that repeat nowhere, the same for the same `seed`."""
    return shake_128(b"%d" % seed).digest(size)


def make_upload(
    upload_id: str = "one", *, length: int | None = None, name: str | None = None, raw: str = ""
) -> Upload:
    """A new upload as the rules would plan it; `raw` is its Upload-Metadata."""
    return Upload(
        id=upload_id,
        name=name or f"{upload_id}.bin",
        created_at=datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC),
        length=length,
        metadata=Metadata.parse(raw),
    )


async def put(store: Store, upload_id: str, *pieces: bytes) -> int:
    """Append `pieces` at the measured offset, commit, and return the new offset."""
    async with store.append(await store.load(upload_id)) as appender:
        for piece in pieces:
            await appender.write(piece)
        return await appender.commit()


async def start(store: Store, data: bytes, upload_id: str = "one", *, name: str | None = None) -> Upload:
    """An upload of `len(data)` bytes that has all of them, still open."""
    await store.create(make_upload(upload_id, length=len(data), name=name))
    await put(store, upload_id, data)
    return await store.load(upload_id)


async def begin_completion(store: Store, upload_id: str = "one") -> Upload:
    """Put `completing` on record, as it has to be before anything is published."""
    upload = replace(await store.load(upload_id), state=UploadState.COMPLETING)
    await store.save(upload)
    return upload


async def finish(store: Store, upload_id: str = "one") -> Upload:
    """Take an upload with all its bytes through every step to `complete`."""
    upload = await begin_completion(store, upload_id)
    await store.complete(upload)
    await store.save(replace(upload, state=UploadState.COMPLETE))
    return await store.load(upload_id)


async def read(reader: Reader, start_at: int = 0, stop: int | None = None) -> bytes:
    """What `reader` has between two positions; all of it by default."""
    pieces = [piece async for piece in reader.chunks(start_at, reader.size if stop is None else stop)]
    return b"".join(pieces)


async def content(store: Store, upload_id: str = "one") -> bytes:
    """Every byte the store has of the upload."""
    async with store.open(await store.load(upload_id)) as reader:
        return await read(reader)


async def ids(store: Store) -> list[str]:
    """What the store lists, sorted: a duplicate shows."""
    return sorted([upload_id async for upload_id in store.list()])


@contextmanager
def refuses(expected: type[BaseException], what: str) -> Iterator[None]:
    """The block must raise `expected`; anything else it raises goes through."""
    try:
        yield
    except expected:
        return
    raise AssertionError(f"{what} did not raise {expected.__name__}")
