"""The vocabulary of the contract checks: uploads to try, bytes to store, and how to ask for an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import shake_128
from typing import TYPE_CHECKING

from tusd_py.core.model import Metadata, Upload, UploadKind, UploadState
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
    upload_id: str = "one",
    *,
    length: int | None = None,
    name: str | None = None,
    raw: str = "",
    kind: UploadKind = UploadKind.REGULAR,
    parts: tuple[str, ...] = (),
    expires_at: datetime | None = None,
) -> Upload:
    """A new upload as the rules would plan it; `raw` is its Upload-Metadata."""
    return Upload(
        id=upload_id,
        name=name or f"{upload_id}.bin",
        created_at=datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC),
        length=length,
        metadata=Metadata.parse(raw),
        kind=kind,
        concat=_concat(kind, parts),
        parts=parts,
        expires_at=expires_at,
    )


def _concat(kind: UploadKind, parts: tuple[str, ...]) -> str:
    match kind:
        case UploadKind.REGULAR:
            return ""
        case UploadKind.PARTIAL:
            return "partial"
        case UploadKind.FINAL:
            return "final;" + " ".join(f"/files/{part}" for part in parts)


async def put(store: Store, upload_id: str, *pieces: bytes, atomic: bool = False) -> int:
    """Append `pieces` at the measured offset, commit, and return the new offset."""
    async with store.append(await store.load(upload_id), atomic=atomic) as appender:
        for piece in pieces:
            await appender.write(piece)
        return await appender.commit()


async def start(
    store: Store,
    data: bytes,
    upload_id: str = "one",
    *,
    name: str | None = None,
    kind: UploadKind = UploadKind.REGULAR,
) -> Upload:
    """An upload of `len(data)` bytes that has all of them, still open."""
    await store.create(make_upload(upload_id, length=len(data), name=name, kind=kind))
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


async def complete_part(store: Store, upload_id: str, data: bytes) -> Upload:
    """A complete partial upload."""
    await start(store, data, upload_id, kind=UploadKind.PARTIAL)
    return await finish(store, upload_id)


async def start_joined(store: Store, parts: dict[str, bytes], *order: str) -> tuple[Upload, list[Upload]]:
    """A final `one` on its way to completion, not joined yet, over complete partials in this order."""
    made = {part_id: await complete_part(store, part_id, data) for part_id, data in parts.items()}
    order = order or tuple(parts)
    length = sum(len(parts[part_id]) for part_id in order)
    await store.create(make_upload(length=length, kind=UploadKind.FINAL, parts=order))
    return await begin_completion(store), [made[part_id] for part_id in order]


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
