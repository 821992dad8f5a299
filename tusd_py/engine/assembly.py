"""Chunks in, in any order, at once and again; one file out. Every byte goes the way of all uploads.

Who looks whether an id is taken and then takes it holds its gate, a lock beside that of the upload.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tusd_py.core import rules
from tusd_py.core.assembly import (
    Assemble,
    Assembly,
    PutChunk,
    assembly_id,
    check_token,
    check_total,
    chunk_id,
    chunk_ids,
    digest_of,
    find_missing,
    gate_of,
    is_whole,
)
from tusd_py.core.errors import (
    BodyInterruptedError,
    ChunkMismatchError,
    ChunksMissingError,
    MaxSizeExceededError,
    NameTakenError,
    StoreError,
    UploadError,
    UploadExistsError,
    UploadExpiredError,
    UploadGoneError,
    UploadLockedError,
    UploadNotFoundError,
)
from tusd_py.core.intents import Concatenate, Create, ReadOffset
from tusd_py.core.model import Metadata, Upload, UploadKind, UploadState
from tusd_py.engine.comparison import is_same
from tusd_py.engine.stored import StoredBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from tusd_py.core.ports import Body
    from tusd_py.engine.uploads import UploadEngine

_LOOKS_AT_ONCE = 16
"""How many chunks are looked at at the same time when the whole is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An assembly on record. `token`: it was begun just now, and this is what its caller has to know."""

    assembly: Upload
    token: str | None = None


class Assembler:
    """Takes the chunks of files and makes the files. With `tokens` only who began a file goes on with it.

    Raises UploadError when a request is refused and StoreError when our side fails; in both cases every
    chunk acknowledged before is still there.
    """

    def __init__(self, engine: UploadEngine, *, new_token: Callable[[], str], tokens: bool) -> None:
        self._engine = engine
        self._store = engine.store
        self._clock = engine.completion.clock
        self._limits = engine.completion.limits
        self._lifetime = engine.completion.lifetime
        self._new_token = new_token
        self._tokens = tokens

    async def put(self, intent: PutChunk, body: Body) -> str | None:
        """Keep the chunk, whole or not at all; the same one again changes nothing.

        Returns the token that the caller has to bring with the other chunks, None where it knows it or
        none is needed. What an earlier request left of this chunk unfinished is replaced.
        """
        begun = await self._begin(intent)
        try:
            chunk, is_new = await self._receive(intent, body, begun.assembly.secret)
            await self._count(intent, chunk, begun.assembly.secret, is_new=is_new)
        except (UploadError, StoreError):
            if begun.token is not None:  # it dies with this request: nobody could ever go on
                await self._forget(intent.file_id, begun.assembly.secret)
            raise
        return begun.token

    async def adopt(self, intent: PutChunk, stored: Upload) -> str | None:
        """`put`, with the bytes of a complete upload that nobody else knows; it stays where it is."""
        async with self._store.open(stored) as reader:
            body = StoredBody(reader)
            try:
                return await self.put(intent, body)
            except BodyInterruptedError as error:
                raise body.failure or error from None

    async def assemble(self, intent: Assemble) -> Upload:
        """The finished file; again, the same one.

        Raises ChunksMissingError, UploadNotFoundError where no chunk ever came, and UploadExistsError
        where the id has another file already.
        """
        async with self._engine.hold(gate_of(assembly_id(intent.file_id))):
            file = await self._find_file(intent.file_id)
            file = await (self._join(intent) if file is None else self._revisit(intent, file))
        if file.state is not UploadState.COMPLETE:
            raise StoreError(f"{intent.file_id} still waits for one of its parts")
        return file

    # -- a chunk ------------------------------------------------------------------------------

    async def _begin(self, intent: PutChunk) -> Begun:
        upload_id = assembly_id(intent.file_id)
        async with self._engine.hold(gate_of(upload_id)):
            if await self._find_file(intent.file_id) is not None:
                raise UploadExistsError(intent.file_id)
            found = await self._find(upload_id)
            if found is None:
                with suppress(NameTakenError):  # by a server that does not see our locks, just now
                    return await self._create_assembly(intent)
                found = await self._store.load(upload_id)
            if self._tokens:
                check_token(intent.file_id, found.secret, intent.token)
            check_total(intent.file_id, Assembly.of(found), intent.total)
            return Begun(assembly=found)

    async def _create_assembly(self, intent: PutChunk) -> Begun:
        token = intent.token or self._new_token()
        create = Create(
            length=0,
            metadata=Assembly(total=intent.total, file_type=intent.file_type).metadata,
            is_partial=True,
            upload_id=assembly_id(intent.file_id),
            secret=digest_of(token),
        )
        created = await self._engine.create(create)
        is_news = self._tokens and token != intent.token
        return Begun(assembly=created.upload, token=token if is_news else None)

    async def _receive(self, intent: PutChunk, body: Body, secret: str) -> tuple[Upload, bool]:
        """The chunk, and whether it is new."""
        upload_id = chunk_id(intent.file_id, intent.index)
        async with self._engine.hold(gate_of(upload_id), body):
            found = await self._find(upload_id)
            if found is not None and is_whole(found, secret, self._clock()):
                if not await is_same(body, found, self._store):
                    raise ChunkMismatchError(intent.file_id, intent.index)
                return found, False
            if found is not None:  # nobody was ever told that it is there
                await self._engine.abandon(upload_id)
            create = Create(
                length=None,
                metadata=Metadata.of(filetype=intent.file_type),
                has_body=True,
                body_length=intent.body_length,
                is_partial=True,
                upload_id=upload_id,
                is_whole=True,
                secret=secret,
            )
            try:
                return (await self._engine.create(create, body)).upload, True
            except NameTakenError as error:  # likewise
                raise UploadLockedError(intent.file_id) from error

    async def _count(self, intent: PutChunk, chunk: Upload, secret: str, *, is_new: bool) -> None:
        """Put on record that the chunk is there; it is not if the file was finished, or is too large."""
        upload_id = assembly_id(intent.file_id)
        async with self._engine.hold(gate_of(upload_id)):
            found = await self._find(upload_id)
            try:
                if found is None or found.secret != secret:
                    await self._say_what_became_of(intent.file_id)
                else:
                    counted = await self._add(intent.file_id, found, chunk.offset if is_new else 0)
                    counted = rules.after_append(counted, self._lifetime, self._clock())
                    if counted != found:
                        await self._store.save(counted)
            except UploadError:
                if is_new:
                    await self._engine.abandon(chunk.id)
                raise

    async def _say_what_became_of(self, file_id: str) -> None:
        if await self._find_file(file_id) is not None:
            raise UploadExistsError(file_id)
        raise UploadExpiredError(file_id)

    async def _add(self, file_id: str, found: Upload, size: int) -> Upload:
        assembly = Assembly.of(found)
        assembly = replace(assembly, received=assembly.received + size)
        try:
            rules.check_size(assembly.received, self._limits)
        except MaxSizeExceededError:
            chunks = await self._look_at_chunks(file_id, assembly.total)
            assembly = replace(assembly, received=sum(chunk.offset for chunk in chunks if chunk))
            rules.check_size(assembly.received, self._limits)
        return replace(found, metadata=assembly.metadata)

    async def _forget(self, file_id: str, secret: str) -> None:
        upload_id = assembly_id(file_id)
        with suppress(UploadError, StoreError):  # it will expire
            found = await self._store.load(upload_id)
            if found.secret == secret:
                await self._engine.abandon(upload_id)

    # -- the whole ----------------------------------------------------------------------------

    async def _join(self, intent: Assemble) -> Upload:
        found = await self._find(assembly_id(intent.file_id))
        if found is None:
            raise UploadNotFoundError(intent.file_id)
        if self._tokens:
            check_token(intent.file_id, found.secret, intent.token)
        if found.awaits_completion:  # a crash came between its creation and its end; it is to be joined
            found = (await self._engine.inspect(ReadOffset(upload_id=found.id))).upload
        total = Assembly.of(found).total
        chunks = await self._look_at_chunks(intent.file_id, total)
        missing = find_missing(chunks, found.secret, self._clock())
        if missing:
            raise ChunksMissingError(intent.file_id, missing)
        join = Concatenate(
            # The record of the assembly has no bytes; as a part it goes when the file is finished.
            parts=(*chunk_ids(intent.file_id, total), found.id),
            concat="",
            metadata=intent.metadata,
            upload_id=intent.file_id,
            secret=found.secret,
        )
        return (await self._engine.concatenate(join)).upload

    async def _revisit(self, intent: Assemble, file: Upload) -> Upload:
        """The file that is there already, finished now if it was not; none of anybody else's."""
        if file.kind is not UploadKind.FINAL or not file.secret:
            raise UploadExistsError(intent.file_id)
        if self._tokens:
            check_token(intent.file_id, file.secret, intent.token)
        if file.metadata.raw != intent.metadata.raw:
            raise UploadExistsError(intent.file_id)
        return (await self._engine.inspect(ReadOffset(upload_id=intent.file_id))).upload

    # -- what is there ------------------------------------------------------------------------

    async def _look_at_chunks(self, file_id: str, total: int) -> list[Upload | None]:
        turns = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def look(upload_id: str) -> Upload | None:
            async with turns:
                return await self._find(upload_id)

        try:
            async with asyncio.TaskGroup() as group:
                looks = [group.create_task(look(upload_id)) for upload_id in chunk_ids(file_id, total)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [each.result() for each in looks]

    async def _find(self, upload_id: str) -> Upload | None:
        """A part of ours. What has expired, or has lost its bytes, is removed and makes room."""
        try:
            found = await self._store.load(upload_id)
            if not rules.is_expired(found, self._clock()):
                return found
        except UploadNotFoundError:
            return None
        except UploadGoneError:
            pass
        await self._engine.abandon(upload_id)
        return None

    async def _find_file(self, file_id: str) -> Upload | None:
        """The upload that has the file's id, whosever it is; UploadGoneError, UploadExpiredError or
        UploadFailedError where that is its end."""
        try:
            found = await self._store.load(file_id)
        except UploadNotFoundError:
            return None
        rules.check_alive(found, self._clock())
        return found
