"""A small upload there and back: what a client needs of a server, tried once, and cleared away."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tusd_py.client.errors import ClientError, ProtocolError, VanishedError
from tusd_py.client.wire import RESUMABLE
from tusd_py.protocol.fields import CHUNK_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from yarl import URL

    from tusd_py.client.discovery import Server
    from tusd_py.client.wire import Answer, Wire

SIZE = 64 * 1024
"""Bytes of the upload, unless the server takes less."""
NAME = "tusd-py-probe.bin"
_NOT_SERVED = frozenset({401, 403, 404, 405, 410, 412, 501})
_NOT_THERE = frozenset({404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was tried. One that `matters` has to work for uploads to be safe there."""

    name: str
    passed: bool
    detail: str
    seconds: float
    matters: bool = True


class _StopError(Exception):
    """A step failed on which the next ones build."""


class RoundTrip:
    """`run` it once; then `steps` say how far it came, and `left` what is still there."""

    def __init__(self, wire: Wire, server: Server) -> None:
        self.steps: list[Step] = []
        self.left: list[URL] = []
        self._wire = wire
        self._server = server
        self._content = secrets.token_bytes(min(SIZE, server.max_size or SIZE))
        self._upload: URL | None = None
        self._location: URL | None = None
        self._has_vanished = False
        self._said = ""

    async def run(self) -> None:
        """Create, send in two pieces with a look in between, compare, read back, and remove."""
        try:
            await self._go_there_and_back()
        except _StopError:
            pass
        finally:  # also when it is interrupted
            if self._upload is not None:
                await self._clear_away(self._upload)

    async def _go_there_and_back(self) -> None:
        half = len(self._content) // 2
        async with self._step("create"):
            await self._create()
        async with self._step("send"):
            await self._send(0, self._content[:half])
        async with self._step("offset"):
            await self._look(half)
        async with self._step("resume"):
            await self._send(half, self._content[half:])
        async with self._step("complete"):
            await self._look(len(self._content))
        async with self._step("download"):
            await self._download()

    @asynccontextmanager
    async def _step(self, name: str, *, matters: bool = True) -> AsyncIterator[None]:
        self._said, started = "", time.monotonic()
        try:
            yield
        except ClientError as error:
            matters = matters and not isinstance(error, VanishedError)
            self._note(name, started, passed=False, detail=str(error), matters=matters)
            raise _StopError from error
        self._note(name, started, passed=True, detail=self._said, matters=matters)

    def _note(self, name: str, started: float, *, passed: bool, detail: str, matters: bool) -> None:
        seconds = time.monotonic() - started
        self.steps.append(Step(name=name, passed=passed, detail=detail, seconds=seconds, matters=matters))

    async def _create(self) -> None:
        if not self._server.offers("creation"):
            raise ProtocolError(f"{self._server.url} does not offer creation")
        metadata = f"filename {base64.b64encode(NAME.encode()).decode()}"
        fields = RESUMABLE | {"Upload-Length": str(len(self._content)), "Upload-Metadata": metadata}
        answer = (await self._wire.ask("POST", self._server.url, fields)).check()
        self._upload = answer.address("Location")
        if self._upload is None:
            raise ProtocolError(f"POST {answer.url}: the answer has no Location")
        self._said = str(self._upload)

    async def _send(self, offset: int, piece: bytes) -> None:
        fields = RESUMABLE | {"Upload-Offset": str(offset), "Content-Type": CHUNK_TYPE}
        if self._server.offers("checksum") and "sha1" in self._server.algorithms:
            sha1 = hashlib.sha1(piece, usedforsecurity=False).digest()
            fields["Upload-Checksum"] = f"sha1 {base64.b64encode(sha1).decode()}"
        answer = (await self._ask("PATCH", fields, piece)).check()
        _expect(answer, "Upload-Offset", offset + len(piece))
        with_sum = ", with its checksum" if "Upload-Checksum" in fields else ""
        self._said = f"{len(piece)} bytes{with_sum}"
        self._location = answer.address("Content-Location") or self._location

    async def _look(self, offset: int) -> None:
        answer = await self._ask("HEAD", RESUMABLE)
        if answer.status in _NOT_THERE and offset == len(self._content):
            self._has_vanished = True
            raise VanishedError(
                f"HEAD {answer.url} was answered {answer.status} once all bytes were there: who misses the"
                " last answer sends them all again"
            )
        answer.check()
        _expect(answer, "Upload-Offset", offset)
        _expect(answer, "Upload-Length", len(self._content))
        self._said = f"{offset} of {len(self._content)} bytes"
        self._location = answer.address("Content-Location") or self._location

    async def _download(self) -> None:
        """The file as it is served, by the address that the server gives, else by the upload's own."""
        url = self._location or self._address
        served = await self._wire.fetch(url)
        if self._location is None and served.answer.status in _NOT_SERVED:
            self._said = f"not served ({served.answer.status})"
            return
        served.answer.check()
        if served.sha256 != hashlib.sha256(self._content).hexdigest():
            raise ProtocolError(f"GET {url} gave {served.size} bytes that are not the ones sent")
        self._said = f"sha256 is right, at {url}"

    async def _clear_away(self, upload: URL) -> None:
        if self._has_vanished or not self._server.offers("termination"):
            self._leave(upload)
            return
        try:
            async with self._step("terminate", matters=False):
                (await self._ask("DELETE", RESUMABLE)).check()
                answer = await self._ask("HEAD", RESUMABLE)
                if answer.status not in _NOT_THERE:
                    raise ProtocolError(f"HEAD {upload} was answered {answer.status} after its termination")
                self._said = f"gone ({answer.status})"
        except _StopError:
            self._leave(upload)
            return
        if self._location is not None and await self._is_served(self._location):
            self.left.append(self._location)

    async def _is_served(self, location: URL) -> bool:
        try:
            return (await self._wire.ask("HEAD", location)).is_success
        except ClientError:
            return True  # nobody knows, so it may be there

    def _leave(self, upload: URL) -> None:
        self.left += [upload, *([self._location] if self._location else [])]

    async def _ask(self, method: str, fields: dict[str, str], body: bytes = b"") -> Answer:
        return await self._wire.ask(method, self._address, fields, body=body)

    @property
    def _address(self) -> URL:
        if self._upload is None:
            raise ProtocolError("there is no upload")
        return self._upload


def _expect(answer: Answer, name: str, value: int) -> None:
    """Raise ProtocolError unless a number is what it has to be."""
    said = answer.number(name)
    if said != value:
        raise ProtocolError(f"{answer.method} {answer.url}: {name} is {said}, where {value} is right")
