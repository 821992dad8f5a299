"""One live connection, from its first message to its last."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from aiohttp import WSMsgType
from aiohttp.http import WebSocketError, WSCloseCode

from tusd_py.core.errors import (
    BodyInterruptedError,
    FrameTooLargeError,
    InvalidMessageError,
    OffsetMismatchError,
    TusdError,
    UploadStoppedError,
)
from tusd_py.core.intents import Append, Create, ReadOffset
from tusd_py.core.model import UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.rules import check_addressable
from tusd_py.protocol import live
from tusd_py.web.live_body import FrameBody, NoBody
from tusd_py.web.live_news import News
from tusd_py.web.live_processing import Processing
from tusd_py.web.live_socket import GOODBYE, SocketClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.http import WSMessage

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import LiveProcessor
    from tusd_py.engine.uploads import UploadEngine
    from tusd_py.protocol.heads import RequestHead, Urls
    from tusd_py.web.live_socket import LiveSocket

log = structlog.get_logger(__name__)

_ENTRIES = 5
"""How often a connection tries to enter an upload whose offset others move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How live connections are served. Sizes in bytes, times in seconds.

    `idle_timeout`: the longest time without a message, and the longest that a processor may think about
    one sub-chunk. `beat`: how often the upload's lock hears that somebody is there although nothing
    comes.
    """

    urls: Urls
    max_frame: int
    chunk_size: int
    idle_timeout: float
    beat: float
    processor: LiveProcessor | None = None


class Session:
    """Serves one connection: what it brings goes into one upload, and what is acknowledged is stored."""

    def __init__(
        self,
        engine: UploadEngine,
        conditions: Conditions,
        socket: LiveSocket,
        head: RequestHead,
        *,
        note_failure: Callable[[TusdError], None],
    ) -> None:
        self._engine = engine
        self._conditions = conditions
        self._socket = socket
        self._head = head
        self._note_failure = note_failure
        self._news = News(with_results=conditions.processor is not None)
        self._processing = Processing(
            conditions.processor,
            chunk_size=conditions.chunk_size,
            patience=conditions.idle_timeout,
            news=self._news,
        )
        self._body = FrameBody(beat=conditions.beat, may_go_on=self._processing.has_room)
        self._processing.on_room = self._body.wake
        self._begun_at = 0  # where the first byte of this connection belongs
        self._stored_to = 0
        self._length: int | None = None
        self._is_agreed = False  # the client knows where its first byte belongs
        self._complaint: TusdError | None = None

    @property
    def received(self) -> int:
        """Bytes taken from the connection."""
        return self._body.received

    async def run(self, query: Mapping[str, str]) -> None:
        """Serve until the client has finished or left, or something ends the connection."""
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell())
            pinging = group.create_task(self._ping())
            processing = group.create_task(self._processing.run())
            code = await self._serve(query, group)
            self._processing.finish()
            if code == live.DONE:  # its last results are for the client
                await asyncio.wait([processing], timeout=self._conditions.idle_timeout)
            self._news.end()
            await asyncio.wait([telling], timeout=GOODBYE)
            telling.cancel()
            pinging.cancel()
            self._news.stop_listening()
            await self._socket.close(code)
            if code != live.SHUTDOWN:
                await asyncio.wait([processing], timeout=self._conditions.idle_timeout)
            processing.cancel()

    async def _serve(self, query: Mapping[str, str], group: asyncio.TaskGroup) -> int:
        """Everything up to the last word about the upload; the code to close with."""
        try:
            opening = live.parse_opening(query)
            upload = await self._find(opening)
            structlog.contextvars.bind_contextvars(upload=upload.id)
            if upload.state is UploadState.COMPLETE:
                self._greet(upload)
            else:
                upload = await self._receive(upload, opening, group)
            self._news.say(self._result(upload))
        except TusdError as error:
            self._note_failure(error)
            return self._explain(error)
        except Exception as error:  # noqa: BLE001 - the client is told, in our words
            await asyncio.to_thread(log.error, "unexpected error", exc_info=error)
            return self._explain(error)
        return live.DONE

    def _explain(self, error: Exception) -> int:
        if isinstance(error, BodyInterruptedError) and error.end is BodyEnd.DISCONNECTED:
            return live.LEFT  # there is nobody to be told
        is_known = self._body.started.is_set() and not isinstance(error, UploadStoppedError)
        self._news.say(live.format_error(error, self._news.offset if is_known else None))
        return live.close_code(error)

    # -- the upload ---------------------------------------------------------------------------

    async def _find(self, opening: live.Opening) -> Upload:
        if opening.upload_id is None:
            intent = Create(length=None, metadata=opening.metadata)
            return (await self._engine.create(intent, NoBody())).upload
        look = ReadOffset(upload_id=opening.upload_id)
        check_addressable(look)
        upload = (await self._engine.inspect(look)).upload
        if upload.kind is not UploadKind.REGULAR:
            raise InvalidMessageError("id", "it is a part of another upload, or joined", "a whole upload")
        if opening.offset > upload.offset:
            raise OffsetMismatchError(upload.id, expected=upload.offset, actual=opening.offset)
        return upload

    async def _receive(self, upload: Upload, opening: live.Opening, group: asyncio.TaskGroup) -> Upload:
        """The complete upload, when the client has said that it is."""
        self._length = upload.length
        reading = group.create_task(self._read(upload, opening))
        try:
            upload = await self._append(upload)
        except BodyInterruptedError as error:
            self._news.offset = error.offset
            raise self._complaint or error from None
        finally:
            reading.cancel()
            await asyncio.wait([reading])  # two must not read from one connection
        if upload.state is UploadState.COMPLETE:
            return upload
        # A length can only be stated when it is known: now, by an append that brings nothing.
        intent = Append(
            upload_id=upload.id, offset=upload.offset, body_length=0, declared_length=upload.offset
        )
        return (await self._engine.append(intent, NoBody())).upload

    async def _append(self, upload: Upload) -> Upload:
        """Everything the connection brings, as one append; where another holder has just put more in,
        behind that."""
        self._begun_at = self._stored_to = upload.offset
        for _ in range(_ENTRIES - 1):
            try:
                return await self._append_at(upload)
            except OffsetMismatchError as error:
                self._begun_at = self._stored_to = error.expected
        return await self._append_at(upload)

    async def _append_at(self, upload: Upload) -> Upload:
        intent = Append(upload_id=upload.id, offset=self._begun_at, body_length=None)
        return (await self._engine.append(intent, self._body, on_commit=self._note_commit)).upload

    def _note_commit(self, offset: int) -> None:
        """Bytes up to `offset` are stored for good."""
        for frame in self._body.take_stored(offset - self._stored_to):
            self._processing.feed(frame)
        self._stored_to = offset
        if offset == self._length:
            self._body.finish()  # the last byte is told when the file is published
        else:
            self._news.acknowledge(offset)

    # -- what the client says -----------------------------------------------------------------

    async def _read(self, upload: Upload, opening: live.Opening) -> None:
        """Once the upload is ours: greet, and take messages until nothing more comes."""
        await self._body.started.wait()
        self._greet(replace(upload, offset=self._begun_at))
        self._is_agreed = opening.offset == self._begun_at
        try:
            while await self._take(await self._next(), opening):
                pass
        except SocketClosedError:
            self._body.cut(BodyEnd.DISCONNECTED)
        except TimeoutError:
            self._body.cut(BodyEnd.TIMED_OUT)
        except TusdError as error:
            self._complaint = error
            self._body.cut(BodyEnd.MALFORMED)

    async def _next(self) -> WSMessage:
        """The next text or binary message. Raises TimeoutError when none comes."""
        try:
            try:
                return await self._hear(self._conditions.idle_timeout)
            except TimeoutError:
                return await self._hear(0)  # perhaps it came, and it was us who were late
        except WebSocketError as error:
            if error.code == WSCloseCode.MESSAGE_TOO_BIG:
                raise FrameTooLargeError(self._conditions.max_frame) from None
            raise InvalidMessageError("message", "it is not well-formed", "RFC 6455, UTF-8") from None

    async def _hear(self, seconds: float) -> WSMessage:
        async with asyncio.timeout(seconds):
            while (message := await self._socket.receive()).type is WSMsgType.PONG:
                pass
        return message

    async def _take(self, message: WSMessage, opening: live.Opening) -> bool:
        """Do as the client says; False when that was its last word."""
        said = live.parse_message(message.data) if message.type is WSMsgType.TEXT else None
        position = self._begun_at + self._body.received
        if said is not None and said.offset is not None:
            if said.offset != position:
                raise OffsetMismatchError(opening.upload_id or "", expected=position, actual=said.offset)
            self._is_agreed = True
        if not self._is_agreed:
            raise OffsetMismatchError(
                opening.upload_id or "", expected=self._begun_at, actual=opening.offset
            )
        if said is None and message.data:
            await self._body.put(message.data)
        elif said is None:
            self._news.acknowledge()  # it asks, or shows that it is there
        elif said.is_last:
            self._body.finish()
            return False
        return True

    # -- what the client is told --------------------------------------------------------------

    def _greet(self, upload: Upload) -> None:
        self._news.offset = upload.offset
        self._processing.begin(upload)
        self._news.say(live.format_greeting(upload, self._conditions.urls.upload(self._head, upload.id)))

    def _result(self, upload: Upload) -> dict[str, object]:
        return live.format_result(
            upload,
            place=self._engine.store.place(upload.name),
            public=self._conditions.urls.public,
        )

    async def _tell(self) -> None:
        try:
            async for message in self._news.messages():
                async with asyncio.timeout(self._conditions.idle_timeout):
                    await self._socket.send(message)
        except ConnectionError:
            self._news.stop_listening()
        except TimeoutError:  # it does not read
            self._news.stop_listening()
            self._body.cut(BodyEnd.TIMED_OUT)

    async def _ping(self) -> None:
        """Keep what lies between the client and us from forgetting the connection."""
        try:
            while True:
                await asyncio.sleep(self._conditions.idle_timeout / 3)
                await self._socket.ping()
        except ConnectionError:
            return
