"""Uploads by forms, whole or in chunks, for programs that know nothing of resuming."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from tusd_py.core import rules
from tusd_py.core.assembly import Assemble, PutChunk
from tusd_py.core.errors import (
    BodyInterruptedError,
    InvalidContentTypeError,
    InvalidFormError,
    MaxSizeExceededError,
    MethodNotAllowedError,
    TusdError,
    UploadNotFoundError,
)
from tusd_py.core.intents import Concatenate, Create, Read
from tusd_py.core.model import PRIVATE, Metadata
from tusd_py.core.outcomes import BodyEnd
from tusd_py.protocol import forms
from tusd_py.protocol.formdata import parse_boundary
from tusd_py.web import downloads
from tusd_py.web.body import RequestBody
from tusd_py.web.form_body import MAX_BESIDE, FormBody
from tusd_py.web.keys import ERROR_CODE, HEAD, TALLY
from tusd_py.web.uploads import respond

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from tusd_py.core.model import Upload
    from tusd_py.engine.assembly import Assembler
    from tusd_py.engine.uploads import UploadEngine
    from tusd_py.protocol.heads import RequestHead, Urls

_A_DAY = timedelta(days=1)
_MAX_JSON = 64 * 1024
_RETRIED = {423, 503, 507}

_FILE_FIELDS = {"content_type": forms.parse_content_type, "chunk_size": forms.parse_chunk_size}
_CHUNK_FIELDS: dict[str, Callable[[str], Any]] = {
    "content_type": forms.parse_content_type,
    "chunk_index": forms.parse_chunk_index,
    "total_chunks": forms.parse_total_chunks,
    "file_uuid": forms.parse_file_uuid,
    "token": forms.parse_token,
}
_FILE_REQUIRED = frozenset({"content_type"})
_CHUNK_REQUIRED = frozenset(_CHUNK_FIELDS) - {"token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormOptions:
    """How the forms are set up.

    `max_size` is in bytes, None without a limit; `chunk_size` are the bytes of a piece on its way into
    the storage where the form does not say; `network_timeout` is in seconds. Without `chunked` a file
    comes in one form; without `download` none is given back.
    """

    urls: Urls
    max_size: int | None
    chunk_size: int
    network_timeout: float
    tokens: bool
    chunked: bool
    download: bool


@dataclass(frozen=True, slots=True)
class _Action:
    methods: tuple[str, ...]
    handle: Callable[[web.Request, RequestBody], Awaitable[web.StreamResponse]]


class FormEndpoint:
    """Every request below the forms' path. All it says is JSON, but for files."""

    def __init__(
        self, engine: UploadEngine, assembler: Assembler, options: FormOptions, new_id: Callable[[], str]
    ) -> None:
        self._engine = engine
        self._assembler = assembler
        self._options = options
        self._new_id = new_id
        actions = {
            "upload-local": (True, _Action(("POST",), self._upload)),
            "upload-local-chunked": (True, _Action(("POST",), self._upload_in_pieces)),
            "upload-chunk": (options.chunked, _Action(("POST",), self._put_chunk)),
            "finalize-chunked-upload": (options.chunked, _Action(("POST",), self._assemble)),
            "download-local": (options.download, _Action(("GET", "HEAD"), self._download)),
        }
        self._actions = {name: action for name, (is_on, action) in actions.items() if is_on}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        head = request[HEAD]
        timeout = self._options.network_timeout
        body = RequestBody(request, idle_timeout=timeout, tally=request.app.get(TALLY))
        answer = self._answer(request, head, body)
        return await respond(request, body, answer, lambda error: refuse(error, head))

    async def _answer(
        self, request: web.Request, head: RequestHead, body: RequestBody
    ) -> web.StreamResponse:
        action = self._actions.get(head.path.removeprefix(self._options.urls.form).rstrip("/"))
        if action is None:
            content = {"detail": "nothing has this address", "code": "ERR_NOT_FOUND"}
            response = web.json_response(content, status=404, headers={"Cache-Control": "no-store"})
            response[ERROR_CODE] = content["code"]
            return response
        allowed = ("OPTIONS", *action.methods)
        if head.method not in allowed:
            raise MethodNotAllowedError(head.method, allowed)
        if head.method == "OPTIONS":
            return web.Response(status=204, headers={"Allow": ", ".join(allowed)})
        return await action.handle(request, body)

    # -- a file in one form -------------------------------------------------------------------

    async def _upload(self, request: web.Request, body: RequestBody) -> web.StreamResponse:
        form = self._open(request[HEAD], body, "file", _FILE_FIELDS, _FILE_REQUIRED)
        return self._tell(await self._keep(form))

    async def _upload_in_pieces(self, request: web.Request, body: RequestBody) -> web.StreamResponse:
        size = self._options.chunk_size
        form = self._open(request[HEAD], body, "file", _FILE_FIELDS, _FILE_REQUIRED, chunk_size=size)
        return self._tell(await self._keep(form))

    async def _keep(self, form: FormBody) -> Upload:
        await form.read_ahead(_FILE_REQUIRED)
        upload_id = self._new_id()
        if form.values.keys() >= _FILE_REQUIRED:
            return await self._fill(form, upload_id, _describe(form, upload_id))
        async with self._set_aside(form) as part:
            metadata = _describe(form, upload_id)
            join = Concatenate(parts=(part.id,), concat="", metadata=metadata, upload_id=upload_id)
            return (await self._engine.concatenate(join)).upload

    async def _fill(self, form: FormBody, upload_id: str, metadata: Metadata) -> Upload:
        create = Create(
            length=None,
            metadata=metadata,
            has_body=True,
            body_length=form.least,
            upload_id=upload_id,
            is_whole=True,
            unfinished=_A_DAY,
        )
        with _explained_by(form):
            return (await self._engine.create(create, form)).upload

    @asynccontextmanager
    async def _set_aside(self, form: FormBody) -> AsyncIterator[Upload]:
        """The form's file where it came before the fields that say what it is; gone behind the block.

        Stores fix name and type of a file at its creation, so its bytes are a part until both are known.
        """
        create = Create(
            length=None,
            metadata=forms.guess_file(form.file),
            has_body=True,
            body_length=form.least,
            is_partial=True,
            upload_id=f"{PRIVATE}aside-{self._new_id()}",
            is_whole=True,
            unfinished=_A_DAY,
        )
        with _explained_by(form):
            part = (await self._engine.create(create, form)).upload
        try:
            yield part
        finally:
            with suppress(TusdError):  # what it was for is done, or told; this expires
                await self._engine.abandon(part.id)

    # -- a file in chunks ---------------------------------------------------------------------

    async def _put_chunk(self, request: web.Request, body: RequestBody) -> web.StreamResponse:
        form = self._open(request[HEAD], body, "chunk", _CHUNK_FIELDS, _CHUNK_REQUIRED)
        needed = _CHUNK_REQUIRED | {"token"} if self._options.tokens else _CHUNK_REQUIRED
        await form.read_ahead(needed)
        if form.is_read or form.values.keys() >= needed:
            with _explained_by(form):
                token = await self._assembler.put(_chunk_of(form), form)
        else:
            async with self._set_aside(form) as part:
                token = await self._assembler.adopt(_chunk_of(form), part)
        file_id = form.values["file_uuid"]
        metadata = forms.describe_file(file_id, form.values["content_type"])
        more: dict[str, object] = {name: form.values[name] for name in ("chunk_index", "total_chunks")}
        if token is not None:
            more["token"] = token
        return self._answer_with(file_id, rules.public_name(file_id, metadata), more)

    async def _assemble(self, request: web.Request, body: RequestBody) -> web.StreamResponse:
        fields = forms.parse_json(await _read_json(request[HEAD], body))
        file_id = forms.parse_file_uuid(forms.take_text(fields, "file_uuid"))
        content_type = forms.parse_content_type(forms.take_text(fields, "content_type"))
        token = forms.take_text(fields, "token") if fields.get("token") is not None else None
        structlog.contextvars.bind_contextvars(upload=file_id)
        metadata = forms.describe_file(file_id, content_type)
        intent = Assemble(file_id=file_id, metadata=metadata, token=token)
        return self._tell(await self._assembler.assemble(intent))

    # -- and back -----------------------------------------------------------------------------

    async def _download(self, request: web.Request, _body: RequestBody) -> web.StreamResponse:
        file_id = forms.parse_uuid("uuid", forms.take_text(request.query, "uuid"))
        extension = forms.parse_extension(request.query.get("file_extension", ""))
        structlog.contextvars.bind_contextvars(upload=file_id)
        async with self._engine.read(Read(upload_id=file_id)) as (upload, reader):
            if not upload.is_published or not forms.may_be_called(upload, extension):
                raise UploadNotFoundError(file_id)
            method = request[HEAD].method
            return await downloads.send(
                request, upload, reader, method=method, attachment=True, in_json=True
            )

    # -- what they have in common -------------------------------------------------------------

    def _open(
        self,
        head: RequestHead,
        body: RequestBody,
        file_field: str,
        fields: Mapping[str, Callable[[str], Any]],
        required: frozenset[str],
        *,
        chunk_size: int | None = None,
    ) -> FormBody:
        """The form, nothing of it read yet: what is certainly too large is refused before it is sent."""
        boundary = parse_boundary(head.get("content-type"))
        if boundary is None:
            raise InvalidContentTypeError(
                "Content-Type", "it is no form", "multipart/form-data with its boundary"
            )
        if head.get("content-encoding") not in {None, "identity"}:
            raise InvalidContentTypeError("Content-Encoding", "forms are not unpacked", "none")
        least = max((head.body_length or 0) - MAX_BESIDE, 0)
        if self._options.max_size is not None and least > self._options.max_size:
            raise MaxSizeExceededError(self._options.max_size)
        return FormBody(
            body,
            boundary,
            file_field=file_field,
            fields=fields,
            required=required,
            least=least,
            chunk_size=chunk_size,
        )

    def _tell(self, upload: Upload) -> web.Response:
        structlog.contextvars.bind_contextvars(upload=upload.id)
        return self._answer_with(upload.id, upload.name, {})

    def _answer_with(self, upload_id: str, name: str, more: Mapping[str, object]) -> web.Response:
        place = self._engine.store.place(name)
        content = forms.format_file(upload_id, name, place, self._options.urls.public)
        return web.json_response({**content, **more}, headers={"Cache-Control": "no-store"})


def refuse(error: Exception, head: RequestHead) -> web.Response:
    """The answer to a request that is refused, or failed."""
    status, content = forms.format_error(error)
    headers = {"Cache-Control": "no-store"}
    if status in _RETRIED:
        headers["Retry-After"] = "1"
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allowed)
    body = None if head.method == "HEAD" else json.dumps(content)
    response = web.Response(status=status, headers=headers, text=body, content_type="application/json")
    response[ERROR_CODE] = str(content["code"])
    return response


def _describe(form: FormBody, upload_id: str) -> Metadata:
    file_name = form.file.file_name if form.file else None
    return forms.describe_file(upload_id, form.values["content_type"], file_name)


def _chunk_of(form: FormBody) -> PutChunk:
    values = form.values
    forms.check_index(values["chunk_index"], values["total_chunks"])
    structlog.contextvars.bind_contextvars(upload=values["file_uuid"])
    return PutChunk(
        file_id=values["file_uuid"],
        index=values["chunk_index"],
        total=values["total_chunks"],
        file_type=values["content_type"],
        token=values.get("token"),
        body_length=form.least,
    )


@contextmanager
def _explained_by(form: FormBody) -> Iterator[None]:
    """To the engine a form that is refused is a body that broke off; its client hears what is wrong."""
    try:
        yield
    except BodyInterruptedError:
        if form.complaint is not None:
            raise form.complaint from None
        raise


async def _read_json(head: RequestHead, body: RequestBody) -> bytes:
    essence = (head.get("content-type") or "").partition(";")[0].strip().lower()
    if essence != "application/json":
        raise InvalidContentTypeError("Content-Type", "it is no JSON", "application/json")
    content = bytearray()
    async for piece in body.chunks():
        content += piece
        if len(content) > _MAX_JSON:
            raise InvalidFormError("the body", "it is too long", f"at most {_MAX_JSON} bytes")
    if body.end is not BodyEnd.WHOLE:
        raise BodyInterruptedError("of a request", body.end, 0)
    return bytes(content)
