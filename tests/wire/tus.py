"""A tus client that can be wrong on purpose, and a look at what the server stores."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.payload import sha256
from tests.wire.raw import Response, Wire, format_head
from tusd_py.stores.records import format_mark, latest, latest_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.support.server import ServerProcess

CHUNK_TYPE = "application/offset+octet-stream"
UNKNOWN = "0123456789abcdef0123456789abcdef"
"""An id that no server has given."""


@dataclass(frozen=True, slots=True)
class State:
    """What HEAD says of an upload, and every file that belongs to it, by path and digest."""

    head: tuple[tuple[str, str], ...]
    files: Mapping[str, str]


class Tus:
    """Speaks to one server, each request on a connection of its own unless one is given.

    Requests carry `Tus-Resumable: 1.0.0`; `fields` are added to them or, as None, taken away.
    """

    def __init__(self, connect: Callable[[], Wire], base: str, folder: Path) -> None:
        self.connect = connect
        self.base = base
        self.folder = folder

    @classmethod
    def of(cls, server: ServerProcess) -> Tus:
        """A client of a server that listens on TCP."""
        port = server.port
        return cls(lambda: Wire.to(port), urlsplit(server.url).path, server.upload_dir)

    # -- requests -----------------------------------------------------------------------------

    def head_of(
        self, method: str, target: str, fields: Mapping[str, str | Sequence[str] | None] | None = None
    ) -> bytes:
        """A request's head as this client writes it."""
        return format_head(method, target, {"Tus-Resumable": "1.0.0", **(fields or {})})

    def patch_head(self, path: str, offset: int, length: int | None) -> bytes:
        """The head of a PATCH; without `length` its body is chunked."""
        framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        fields = {"Upload-Offset": str(offset), "Content-Type": CHUNK_TYPE, **framing}
        return self.head_of("PATCH", path, fields)

    def ask(
        self,
        method: str,
        target: str | None = None,
        fields: Mapping[str, str | Sequence[str] | None] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """One request and its answer. A body is announced by Content-Length unless `fields` say else."""
        framing = {} if body is None else {"Content-Length": str(len(body))}
        head = self.head_of(method, self.base if target is None else target, {**framing, **(fields or {})})
        with self.connect() as wire:
            wire.send(head + (body or b""))
            return wire.read(method)

    def create(
        self, length: int | None, fields: Mapping[str, str | Sequence[str] | None] | None = None
    ) -> str:
        """A new upload's path; a `length` of None is deferred."""
        size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        answer = self.ask("POST", fields={**size, **(fields or {})}, body=b"")
        assert answer.status == 201, answer
        return path_of(answer)

    def patch(
        self,
        path: str,
        offset: int | str,
        body: bytes = b"",
        fields: Mapping[str, str | Sequence[str] | None] | None = None,
    ) -> Response:
        """A PATCH, in good order unless `fields` say else."""
        own = {"Upload-Offset": str(offset), "Content-Type": CHUNK_TYPE}
        return self.ask("PATCH", path, {**own, **(fields or {})}, body)

    def head(self, path: str, fields: Mapping[str, str | Sequence[str] | None] | None = None) -> Response:
        """A HEAD."""
        return self.ask("HEAD", path, fields)

    def upload(self, data: bytes, fields: Mapping[str, str | Sequence[str] | None] | None = None) -> str:
        """The path of a finished upload of `data`."""
        path = self.create(len(data), fields)
        if data:
            assert self.patch(path, 0, data).status == 204
        return path

    # -- what is stored -----------------------------------------------------------------------

    def offset(self, path: str) -> int:
        """Where the upload is, from a HEAD that has to succeed."""
        answer = self.head(path)
        value = answer.get("Upload-Offset")
        assert answer.status == 200, answer
        assert value is not None, answer
        return int(value)

    def content(self, path: str) -> bytes:
        """What is stored of the upload, read from its only data file."""
        name = path.rpartition("/")[2]
        found = [file for file in self.folder.rglob(f"{name}*") if not file.name.endswith(".json")]
        assert len(found) == 1, found
        return found[0].read_bytes()

    def files(self, part: str = "") -> dict[str, str]:
        """Every file of the storage with `part` in its name: relative path and digest, of records that of
        what counts in them."""
        return {
            str(file.relative_to(self.folder)): sha256(_what_counts(file))
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and part in file.name
        }

    def state(self, path: str) -> State:
        """The upload as it stands, from outside and from inside."""
        answer = self.head(path)
        assert answer.status == 200, answer
        told = tuple(field for field in answer.fields if field[0].lower().startswith("upload-"))
        return State(head=told, files=self.files(path.rpartition("/")[2]))

    @contextmanager
    def untouched(self, path: str) -> Iterator[None]:
        """The block must leave the upload as it is: offset, length, metadata, content and files."""
        before = self.state(path)
        yield
        assert self.state(path) == before

    @contextmanager
    def nothing_stored(self) -> Iterator[None]:
        """The block must not change, add or remove a single file."""
        before = self.files()
        yield
        assert self.files() == before


def _what_counts(file: Path) -> bytes:
    """Its content; of a record the last line, and the mark that is in force."""
    content = file.read_bytes()
    return latest(content) + format_mark(latest_mark(content)) if file.suffix == ".json" else content


def path_of(answer: Response) -> str:
    """The path of the answer's Location."""
    location = answer.get("Location")
    assert location is not None, answer
    return urlsplit(location).path
