"""From a request body into the store, piece by piece."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tusd_py.core.checksums import Promised, check_algorithm, digests_for
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from tusd_py.core.checksums import Digests
    from tusd_py.core.intents import StatedChecksum
    from tusd_py.core.ports import Appender, Body, DirectWriter, PouredBody
    from tusd_py.core.rules import AppendPlan

WORTH_A_THREAD = 128 * 1024
"""Bytes from which hashing would hold the event loop longer than the way to a thread takes."""


async def pump(
    body: Body,
    appender: Appender,
    *,
    room: int | None,
    digests: Digests | None = None,
    after_piece: Callable[[int], Awaitable[None]],
) -> int:
    """Write what `body` brings, at most `room` bytes; a body that brings more is cut as TOO_LONG.

    One piece is in memory at a time, so memory does not depend on the client. `after_piece` hears
    the number of bytes of each piece once it is stored, 0 for a sign of life; of a body that is poured it
    hears now and then. `digests` gets the bytes. How the body ended is in `body.end`; only the store's
    errors are raised. Returns the bytes written.
    """
    pieces = _pour(body, appender, room, digests)
    if pieces is not None:
        async with pieces as poured:
            return await _take(poured, body, appender, room=room, digests=digests, after_piece=after_piece)
    chunks = body.chunks()
    return await _take(chunks, body, appender, room=room, digests=digests, after_piece=after_piece)


async def _take(
    pieces: AsyncIterator[bytes | int] | AsyncIterator[bytes],
    body: Body,
    appender: Appender,
    *,
    room: int | None,
    digests: Digests | None,
    after_piece: Callable[[int], Awaitable[None]],
) -> int:
    written = 0
    async for piece in pieces:
        if isinstance(piece, int):  # poured: stored and hashed already
            written += piece
            await after_piece(piece)
            continue
        fitting = piece if room is None else piece[: room - written]
        if fitting:
            await appender.write(fitting)
            written += len(fitting)
            if digests is not None:
                await _digest(digests, fitting)
        await after_piece(len(fitting))
        if len(fitting) < len(piece):
            body.cut(BodyEnd.TOO_LONG)  # which ends the iteration
    return written


def _pour(
    body: Body, appender: Appender, room: int | None, digests: Digests | None
) -> AbstractAsyncContextManager[AsyncIterator[bytes | int]] | None:
    """The body poured into the store, where both can do that."""
    direct = appender.direct
    # Not isinstance(): for a protocol that takes longer than to write a short body.
    if direct is None or not hasattr(body, "pour"):
        return None
    pouring = cast("PouredBody", body)
    return pouring.pour(direct if digests is None else _Summing(direct, digests), room=room)


@dataclass(frozen=True, slots=True)
class _Summing:
    """See tusd_py.core.ports.DirectWriter. Hashes what it writes while that is in the processor's cache."""

    direct: DirectWriter
    digests: Digests

    @property
    def is_quick(self) -> bool:
        return self.direct.is_quick

    def __call__(self, data: memoryview) -> None:
        self.direct(data)
        self.digests.update(data)


def verify(
    upload_id: str,
    body: Body,
    digests: Digests | None,
    checksum: StatedChecksum,
    offered: tuple[str, ...],
) -> None:
    """Compare what a whole body sums up to with what was stated before it or behind it, if it was.

    Raises ChecksumMismatchError, and InvalidChecksumError or UnsupportedChecksumError for what came behind.
    """
    if digests is None or checksum is None:
        return
    if checksum is Promised.IN_TRAILER:
        checksum = body.trailing_checksum()
        check_algorithm(checksum, offered)
    digests.verify(upload_id, checksum)


async def expect_nothing(
    plan: AppendPlan, body: Body, checksum: StatedChecksum, offered: tuple[str, ...]
) -> None:
    """A complete upload takes an empty chunk and nothing else: raises `plan.overrun` for more."""
    async for piece in body.chunks():
        if piece:
            body.cut(BodyEnd.TOO_LONG)
    if body.end is BodyEnd.TOO_LONG:
        raise plan.overrun
    if body.end is BodyEnd.WHOLE:
        verify(plan.upload.id, body, digests_for(checksum, offered), checksum, offered)


async def _digest(digests: Digests, piece: bytes) -> None:
    if len(piece) < WORTH_A_THREAD:
        digests.update(piece)
    else:
        await asyncio.to_thread(digests.update, piece)
