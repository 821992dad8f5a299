"""Sending one source to one server until the server says that it has all of it.

After whatever went wrong the server is asked how far it is, and what it answers is where it goes on. That
an upload is done is never concluded here: the server's offset has to be the whole length.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from yarl import URL

from tusd_py.client.errors import (
    ChunkTooLargeError,
    ClientError,
    NoConnectionError,
    PassingError,
    ProtocolError,
    RefusedError,
    SourceChangedError,
    StartAgainError,
    UnverifiedError,
)
from tusd_py.client.patience import DELAYS, Patience
from tusd_py.client.wire import RESUMABLE
from tusd_py.protocol.fields import CHUNK_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tusd_py.client.discovery import Server
    from tusd_py.client.notes import Memory
    from tusd_py.client.sources import Source
    from tusd_py.client.wire import Answer, Wire

CHUNK_SIZE = 8 * 1024 * 1024
SMALLEST_CHUNK = 64 * 1024
"""A chunk that counts whole or not at all is made no smaller than this on a line that keeps breaking."""
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    # what the server offers is looked for in this order
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How to send: chunks of `chunk_size` bytes, each held in memory, with their sums where the server
    takes `checksums`. `delays` are the seconds to wait before each further attempt, counted anew
    whenever bytes have arrived. `verify` compares what the server serves in the end."""

    chunk_size: int = CHUNK_SIZE
    delays: tuple[float, ...] = DELAYS
    checksums: bool = True
    verify: bool = False


class Watcher:
    """Is told how it goes. All offsets are in bytes; this one listens to nothing."""

    def began(self, offset: int) -> None:
        """The server has an upload and says that it has this much of it."""

    def moved(self, offset: int) -> None:
        """The network has taken the bytes up to here. The server may turn out to have fewer."""

    def waits(self, reason: str, seconds: float) -> None:
        """Something went wrong that may pass."""

    def warns(self, text: str) -> None:
        """Something is not as it should be, and the upload goes on all the same."""

    def verifies(self) -> None:
        """All is sent; what the server serves is compared now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """The server has said that it has all `size` bytes. `location` is where the file is, if it told.

    `resumed_from` is where an earlier run had come to. `sha256` (hex) is what was found to be served.
    """

    url: URL
    location: URL | None
    size: int
    resumed_from: int
    sha256: str | None = None


class Uploader:
    """`run` it once. `url` and `offset` say at any time where the upload is and what the server has."""

    def __init__(
        self,
        wire: Wire,
        server: Server,
        source: Source,
        *,
        metadata: str = "",
        policy: Policy | None = None,
        memory: Memory | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.url: URL | None = None
        self.offset = 0
        self._wire = wire
        self._server = server
        self._source = source
        self._metadata = metadata
        self._policy = policy or Policy()
        self._memory = memory
        self._watcher = watcher or Watcher()
        self._algorithm = self._choose_algorithm()
        self._chunk_size = self._largest_chunk = self._policy.chunk_size
        self._is_length_told = source.length is not None
        self._is_recalled = False
        self._resumed_from = 0
        self._location: URL | None = None

    async def run(self) -> Uploaded:
        """Send it all, from where an earlier run stopped if one is remembered.

        Raises ClientError and OSError. Then what has arrived stays on the server, and is remembered,
        unless the source changed: then it is of no use, and terminated if the server can do that.
        """
        patience = Patience(self._policy.delays, self._watcher.waits)
        await self._recall()
        try:
            url = await patience.persist(self._send_all, lambda: self.offset)
        except SourceChangedError:
            await self._give_up()
            raise
        await self._forget()
        served_at = self._location or url
        sha256 = await patience.persist(partial(self._verify, served_at)) if self._policy.verify else None
        return Uploaded(
            url=url,
            location=self._location,
            size=self.offset,
            resumed_from=self._resumed_from,
            sha256=sha256,
        )

    def _choose_algorithm(self) -> str | None:
        if not self._policy.checksums or not self._server.offers("checksum"):
            return None
        return next((name for name in _DIGESTS if name in self._server.algorithms), None)

    async def _recall(self) -> None:
        url = await self._memory.recall() if self._memory else None
        if url is not None:
            self.url, self._is_recalled = URL(url), True

    async def _forget(self) -> None:
        if self._memory is not None:
            await self._memory.forget()

    async def _send_all(self) -> URL:
        """One attempt: learn where to go on, and send from there to the end. Where the upload is."""
        if self.url is None:
            self.url = await self._create()
            self._watcher.began(0)
            if self._source.length == 0:  # nothing will be sent whose answer could say that it is complete
                await self._find_offset(self.url)
        else:
            await self._find_offset(self.url)
        while not self._is_complete:
            await self._send_chunk(self.url)
        return self.url

    @property
    def _is_complete(self) -> bool:
        """The offset the server told is the length the server knows."""
        return self._is_length_told and self.offset == self._source.length

    async def _create(self) -> URL:
        length, largest = self._source.length, self._server.max_size
        if length is not None and largest is not None and length > largest:
            raise RefusedError(f"{self._source.name} has {length} bytes; the server takes {largest}", 413)
        fields = RESUMABLE | self._length_field()
        if self._metadata:
            fields["Upload-Metadata"] = self._metadata
        answer = (await self._wire.ask("POST", self._server.url, fields)).check()
        url = answer.address("Location")
        if url is None:
            raise ProtocolError(f"POST {answer.url}: the answer has no Location; is this a tus server?")
        self.offset = 0
        await self._keep(url)
        return url

    def _length_field(self) -> dict[str, str]:
        # tus 1.0.0, Creation: Upload-Length, or Upload-Defer-Length with the value 1.
        length = self._source.length
        if length is None and self._server.extensions and not self._server.offers("creation-defer-length"):
            raise RefusedError(
                f"{self._server.url} takes nothing whose length is not known beforehand", 400
            )
        return {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}

    async def _keep(self, url: URL) -> None:
        try:
            if self._memory is not None:
                await self._memory.keep(str(url))
        except OSError as error:
            self._watcher.warns(f"no later run will be able to go on with {url}: {error.strerror}")

    async def _find_offset(self, url: URL) -> None:
        """Believe the server, if what it has can be the beginning of this source."""
        answer = await self._wire.ask("HEAD", url, RESUMABLE)
        await self._check_still_there(answer)
        answer.check()
        offset, length = answer.number("Upload-Offset"), answer.number("Upload-Length")
        if offset is None:
            raise ProtocolError(f"HEAD {url}: the answer has no Upload-Offset")
        size = self._source.length
        if (length is not None and length != size) or (size is not None and offset > size):
            await self._start_again(f"{url} is another upload, of {length} bytes")
        self._is_length_told |= length is not None
        self.offset = offset
        if self._is_recalled:
            self._resumed_from, self._is_recalled = offset, False
        self._location = answer.address("Content-Location") or self._location
        self._watcher.began(offset)

    async def _check_still_there(self, answer: Answer) -> None:
        """Start again where the upload is gone. That has to be said by a tus server: what a proxy does
        not find, while it has lost its way, may be there a moment later."""
        if answer.status not in _GONE:
            return
        # tus 1.0.0, Tus-Resumable: MUST be included in every response but that to OPTIONS.
        if "Tus-Resumable" not in answer.headers:
            raise PassingError(f"{answer.url}: {answer.status} came from something that speaks no tus")
        await self._start_again(f"{answer.url} is gone ({answer.status})")

    async def _start_again(self, reason: str) -> NoReturn:
        self.url, self.offset, self._is_recalled = None, 0, False
        await self._forget()
        raise StartAgainError(f"{reason}; starting again")

    async def _send_chunk(self, url: URL) -> None:
        chunk = await self._source.read(self.offset, self._chunk_size)
        fields = await self._fields_for(chunk)
        start = self.offset
        try:
            answer = await self._wire.ask(
                "PATCH", url, fields, body=chunk, on_sent=lambda sent: self._watcher.moved(start + sent)
            )
        except NoConnectionError:
            self._make_chunks_smaller()
            raise
        await self._check_still_there(answer)
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(chunk) > SMALLEST_CHUNK:
            self._chunk_size = self._largest_chunk = len(chunk) // 2
            raise ChunkTooLargeError(f"PATCH {url}: {len(chunk)} bytes are too many for one request")
        self.offset = _believe(answer.check(), start, len(chunk))
        self._is_length_told |= "Upload-Length" in fields
        self._chunk_size = min(self._largest_chunk, self._chunk_size * 2)
        self._location = answer.address("Content-Location") or self._location

    async def _fields_for(self, chunk: bytes) -> dict[str, str]:
        fields = RESUMABLE | {"Upload-Offset": str(self.offset), "Content-Type": CHUNK_TYPE}
        if not self._is_length_told and self._source.length is not None:
            # tus 1.0.0, Creation: once the length is known, the next PATCH MUST tell it.
            fields["Upload-Length"] = str(self._source.length)
        if self._algorithm is not None and chunk:
            digest = await asyncio.to_thread(_DIGESTS[self._algorithm], chunk)
            fields["Upload-Checksum"] = f"{self._algorithm} {base64.b64encode(digest).decode()}"
        return fields

    def _make_chunks_smaller(self) -> None:
        """Of a chunk with a checksum nothing is kept when it is cut: on a bad line it may never arrive."""
        if self._algorithm is not None:
            least = min(SMALLEST_CHUNK, self._policy.chunk_size)
            self._chunk_size = max(least, self._chunk_size // 2)

    async def _verify(self, url: URL) -> str:
        """What the server serves sums up to what was sent. Raises UnverifiedError."""
        self._watcher.verifies()
        wanted = await self._source.sha256()
        served = await self._wire.fetch(url)
        try:
            served.answer.check()
        except RefusedError as error:
            raise UnverifiedError(
                f"all bytes have arrived, but they cannot be compared: {error}"
            ) from error
        if served.sha256 != wanted:
            raise UnverifiedError(
                f"{url} is not what was sent: {served.size} bytes, sha256 {served.sha256}, not {wanted}"
            )
        return wanted

    async def _give_up(self) -> None:
        """What is there is of no use to anybody."""
        await self._forget()
        if self.url is not None and self._server.offers("termination"):
            with suppress(ClientError):
                await self._wire.ask("DELETE", self.url, RESUMABLE)
                self.url, self.offset = None, 0


def _believe(answer: Answer, start: int, size: int) -> int:
    """The offset after a chunk. PassingError where only HEAD can tell it."""
    offset = answer.number("Upload-Offset")
    if offset is None or start <= offset < start + size:
        raise PassingError(
            f"PATCH {answer.url}: {'no' if offset is None else 'not all'} bytes acknowledged"
        )
    if offset != start + size:
        raise ProtocolError(f"PATCH {answer.url}: Upload-Offset is {offset}, where {start + size} is right")
    return offset
