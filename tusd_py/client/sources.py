"""Where the bytes of an upload come from: a file, which can be read again, or a stream, which cannot."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tusd_py.client.errors import SourceChangedError, SourceSpentError

if TYPE_CHECKING:
    from typing import BinaryIO

_BLOCK = 1024 * 1024


class Source(ABC):
    """Bytes to be sent. `length` is None until it is known; `name` is for people."""

    name: str
    length: int | None

    @abstractmethod
    async def read(self, offset: int, size: int) -> bytes:
        """The bytes from `offset` on: `size` of them, or all that are left (then `length` is known).

        Raises SourceChangedError, SourceSpentError and OSError.
        """

    @abstractmethod
    async def sha256(self) -> str:
        """The sum of all the bytes, in hex. `length` has to be known. Raises as `read` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What tells a file from the same file changed: its size in bytes, and when it was last written."""

    size: int
    modified_ns: int


class FileSource(Source):
    """A file as it is when it is opened; `path` is its real one.

    That it changed is noticed with the next piece, at the latest.
    """

    length: int

    def __init__(self, path: str, descriptor: int, version: Version) -> None:
        self.path = path
        self.name = os.path.basename(path)  # noqa: PTH119 - a name, whatever it looks like
        self.version = version
        self.length = version.size
        self._descriptor = descriptor

    @classmethod
    async def open(cls, path: str) -> Self:
        """Open it for reading. Raises OSError, also for what is no regular file."""
        return await asyncio.to_thread(cls._open, path)

    @classmethod
    def _open(cls, path: str) -> Self:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls(os.path.realpath(path), descriptor, _version(descriptor))
        except OSError:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Nothing can be read any more."""
        os.close(self._descriptor)

    async def read(self, offset: int, size: int) -> bytes:
        """As promised by Source."""
        return await asyncio.to_thread(self._read, offset, size)

    async def sha256(self) -> str:
        """As promised by Source."""
        return await asyncio.to_thread(self._sum)

    def _read(self, offset: int, size: int) -> bytes:
        wanted = min(size, self.length - offset)
        pieces = bytearray()
        while len(pieces) < wanted:
            piece = os.pread(self._descriptor, wanted - len(pieces), offset + len(pieces))
            if not piece:
                break
            pieces += piece
        if len(pieces) < wanted or _version(self._descriptor) != self.version:
            raise SourceChangedError(f"{self.name} changed while it was being sent")
        return bytes(pieces)

    def _sum(self) -> str:
        digest = hashlib.sha256()
        for offset in range(0, self.length, _BLOCK):
            digest.update(self._read(offset, _BLOCK))
        return digest.hexdigest()


def _version(descriptor: int) -> Version:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "not a regular file")
    return Version(size=found.st_size, modified_ns=found.st_mtime_ns)


class StreamSource(Source):
    """A stream of unknown length. The latest piece is kept: it may have to be sent again."""

    def __init__(self, stream: asyncio.StreamReader | BinaryIO, name: str = "standard input") -> None:
        self.name = name
        self.length = None
        self._stream = stream
        self._start, self._piece = 0, b""
        self._digest = hashlib.sha256()

    async def read(self, offset: int, size: int) -> bytes:
        """As promised by Source. What lies before the latest piece is gone."""
        end = self._start + len(self._piece)
        if not self._start <= offset <= end:
            raise SourceSpentError(
                f"the server needs {self.name} again from byte {offset} on; only the bytes"
                f" from {self._start} on are still there"
            )
        if offset < end:
            return self._piece[offset - self._start :][:size]
        if self.length is None:
            self._start, self._piece = end, await self._take(size)
            self._digest.update(self._piece)
            if len(self._piece) < size:
                self.length = self._start + len(self._piece)
            return self._piece
        return b""

    async def sha256(self) -> str:
        """As promised by Source."""
        return self._digest.hexdigest()

    async def _take(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        if not isinstance(self._stream, asyncio.StreamReader):
            return await asyncio.to_thread(self._stream.read, size)
        try:
            return await self._stream.readexactly(size)
        except asyncio.IncompleteReadError as error:
            return error.partial


async def open_standard_input() -> StreamSource:
    """This process's standard input. Waiting for a pipe can be given up; a file is read in a thread."""
    if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
        return StreamSource(sys.stdin.buffer)
    reader = asyncio.StreamReader(limit=_BLOCK)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return StreamSource(reader)
