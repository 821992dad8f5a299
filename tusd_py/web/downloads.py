"""Sending stored bytes: whole, in ranges, or not at all when the client has them already."""

from __future__ import annotations

import asyncio
import errno
import json
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tusd_py.core.errors import StoreError
from tusd_py.protocol.conditionals import Preconditions, Verdict, evaluate, range_counts
from tusd_py.protocol.ranges import (
    UNSATISFIABLE,
    ByteRange,
    Selection,
    format_content_range,
    format_unsatisfied,
    plan_multipart,
    select_ranges,
)
from tusd_py.protocol.representation import POLICY_FIELDS, Representation, describe
from tusd_py.web.keys import ERROR_CODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Reader

_PEER_UNREACHABLE: Final = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOTCONN}
)
"""What a socket says of a peer that went away, beside the subclasses of ConnectionError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A head, and the pieces of its body in order: bytes as they are, ranges of the stored bytes."""

    status: int
    fields: Mapping[str, str]
    code: str = ""
    pieces: tuple[bytes | ByteRange, ...] = ()

    @property
    def length(self) -> int:
        return sum(piece.length if isinstance(piece, ByteRange) else len(piece) for piece in self.pieces)


async def send(
    request: web.BaseRequest,
    upload: Upload,
    reader: Reader,
    *,
    method: str,
    attachment: bool = False,
    in_json: bool = False,
) -> web.StreamResponse:
    """Answer a GET or HEAD of what `reader` holds; `method` is the effective one.

    `attachment`: to be saved, whatever it is. `in_json`: a refusal is JSON instead of a line of text.
    The head and the body are sent here, so what others have to say in the head is added by
    `on_response_prepare`. A client that leaves early is no error: the
    response then closes the connection. Raises StoreError when the stored bytes cannot be read; once
    the head was out the connection is aborted before, so that nobody takes the part for the whole.
    """
    size, modified_at = reader.size, reader.modified_at
    now = datetime.now(UTC)
    shown = describe(upload, size=size, modified_at=modified_at, now=now, attachment=attachment)
    answer = _decide(request, shown, size, method)
    if in_json and answer.status >= 400:
        answer = _in_json(answer)
    response = web.StreamResponse(status=answer.status, headers=answer.fields)
    if answer.code:
        response[ERROR_CODE] = answer.code
    # RFC 9110, 9.3.2: a HEAD tells the length that a GET would have, and has no body. An override does
    # not change how the client's parser frames: after a real HEAD it waits for no body whatever the
    # length, after anything else for as many bytes as announced.
    silent = "HEAD" in {method, request.method}
    if answer.status != 304:
        response.content_length = 0 if silent and request.method != "HEAD" else answer.length
    return await _deliver(request, response, reader, () if silent else answer.pieces)


def send_elsewhere(address: str) -> web.Response:
    """Tell the client to have the bytes from `address`, which is good for a while only."""
    return web.Response(
        status=307, headers={"Location": address, "Cache-Control": "no-store", **POLICY_FIELDS}
    )


def _decide(request: web.BaseRequest, shown: Representation, size: int, method: str) -> _Answer:
    asked, now = _read_preconditions(request), datetime.now(UTC)
    match evaluate(asked, shown.validators, now=now):
        case Verdict.NOT_MODIFIED:
            return _Answer(status=304, fields=shown.cache_fields())
        case Verdict.PRECONDITION_FAILED:
            return _refuse(412, "ERR_PRECONDITION_FAILED", "the file is not in the state asked for")
        case Verdict.PROCEED:
            # RFC 9110, 14.2: Range has a meaning for GET alone.
            counts = method == "GET" and range_counts(asked, shown.validators, now=now)
            selection = select_ranges(_field(request, "Range"), size) if counts else None
            return _answer_ranges(selection, shown, size)


def _answer_ranges(selection: Selection, shown: Representation, size: int) -> _Answer:
    fields = shown.fields()
    if selection is None:
        return _Answer(status=200, fields=fields, pieces=(ByteRange(0, size),))
    if selection == UNSATISFIABLE:
        refusal = _refuse(416, "ERR_RANGE_NOT_SATISFIABLE", f"the file has {size} bytes")
        fields = {**refusal.fields, "Accept-Ranges": "bytes", "Content-Range": format_unsatisfied(size)}
        return replace(refusal, fields=fields)
    if len(selection) == 1:
        # RFC 9110, 15.3.7.1: a single range is sent as it is, never as multipart.
        fields["Content-Range"] = format_content_range(selection[0], size)
        return _Answer(status=206, fields=fields, pieces=selection)
    body = plan_multipart(selection, size, content_type=shown.content_type, boundary=secrets.token_hex(16))
    fields["Content-Type"] = body.content_type
    pieces = [piece for part in body.parts for piece in part]
    return _Answer(status=206, fields=fields, pieces=(*pieces, body.closing))


def _refuse(status: int, code: str, message: str) -> _Answer:
    fields = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", **POLICY_FIELDS}
    return _Answer(status=status, fields=fields, code=code, pieces=(f"{code}: {message}\n".encode(),))


def _in_json(refusal: _Answer) -> _Answer:
    text = b"".join(piece for piece in refusal.pieces if isinstance(piece, bytes)).decode()
    code, _, detail = text.strip().partition(": ")
    fields = {**refusal.fields, "Content-Type": "application/json; charset=utf-8"}
    return replace(refusal, fields=fields, pieces=(json.dumps({"detail": detail, "code": code}).encode(),))


def _read_preconditions(request: web.BaseRequest) -> Preconditions:
    return Preconditions(
        if_match=_field(request, "If-Match"),
        if_none_match=_field(request, "If-None-Match"),
        if_modified_since=_field(request, "If-Modified-Since"),
        if_unmodified_since=_field(request, "If-Unmodified-Since"),
        if_range=_field(request, "If-Range"),
    )


def _field(request: web.BaseRequest, name: str) -> str | None:
    """The field's value; several lines are one list (RFC 9110, 5.3)."""
    lines = request.headers.getall(name, None)
    return None if lines is None else ", ".join(lines)


async def _deliver(
    request: web.BaseRequest,
    response: web.StreamResponse,
    reader: Reader,
    pieces: Iterable[bytes | ByteRange],
) -> web.StreamResponse:
    try:
        await response.prepare(request)
        for piece in pieces:
            if isinstance(piece, bytes):
                await response.write(piece)
            elif piece.length:
                await _send_range(request, response, reader, piece)
        await response.write_eof()
    except ConnectionError:
        response.force_close()
    except StoreError:
        if request.transport is not None:
            request.transport.abort()
        raise
    return response


async def _send_range(
    request: web.BaseRequest, response: web.StreamResponse, reader: Reader, span: ByteRange
) -> None:
    """Send exactly `span`. Raises ConnectionError when the client left, StoreError when bytes lack."""
    sent = None
    if reader.file is not None:
        sent = await _sendfile(request, reader.file, span)
    if sent is None:
        sent = await _copy(response, reader, span)
    if sent != span.length:
        raise StoreError(f"{sent} bytes read where {span.length} are stored, from {span.start} on")


async def _sendfile(request: web.BaseRequest, file: BinaryIO, span: ByteRange) -> int | None:
    """Let the kernel copy; the bytes sent, or None (and nothing sent) where the loop cannot do that."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    try:
        return await asyncio.get_running_loop().sendfile(transport, file, span.start, span.length)
    except NotImplementedError:  # uvloop
        return None
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        if error.errno in _PEER_UNREACHABLE:
            raise ConnectionResetError("the client cannot be reached") from error
        raise StoreError("the stored bytes cannot be read") from error


async def _copy(response: web.StreamResponse, reader: Reader, span: ByteRange) -> int:
    sent = 0
    chunks = reader.chunks(span.start, span.stop)
    try:
        async for chunk in chunks:
            await response.write(chunk)  # waits while the client does not take them
            sent += len(chunk)
    finally:
        if isinstance(chunks, AsyncGenerator):  # lets go of what it reads from, also when we are cut
            await chunks.aclose()
    return sent
