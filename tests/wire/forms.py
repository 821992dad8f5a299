"""A client of the forms that can be wrong on purpose, and a look at what the server stores."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.forms import FORM_TYPE, Part, field, file, format_form
from tests.wire.raw import Response, Wire, format_head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.server import ServerProcess

UPLOAD = "/file/upload-local"
CHUNK = "/file/upload-chunk"
FINALIZE = "/file/finalize-chunked-upload"
DOWNLOAD = "/file/download-local/"


def new_uuid() -> str:
    """As a browser makes one."""
    return str(uuid.uuid4())


def chunk_parts(
    file_id: str, index: int | str, total: int | str, data: bytes, token: str | None = None
) -> list[Part]:
    """The parts of a chunk's form, the chunk first, as the old client sends them."""
    fields = {"chunk_index": str(index), "total_chunks": str(total), "file_uuid": file_id}
    fields |= {"content_type": "audio/webm"} | ({} if token is None else {"token": token})
    return [file(data, "chunk", "blob"), *(field(name, value) for name, value in fields.items())]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of the forms."""

    status: int
    content: Any
    answer: Response

    @property
    def code(self) -> str:
        """Of a refusal, which has to have words as well."""
        assert isinstance(self.content["detail"], str)
        code: str = self.content["code"]
        return code


class Forms:
    """Speaks to one server, each request on a connection of its own."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server

    @property
    def folder(self) -> Path:
        """The server's storage."""
        return self._server.upload_dir

    def connect(self) -> Wire:
        """A connection."""
        return Wire.to(self._server.port)

    def head(
        self,
        target: str,
        length: int | None,
        fields: Mapping[str, str | Sequence[str] | None] | None = None,
    ) -> bytes:
        """The head of a POST of a form; chunked without a length."""
        framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        return format_head("POST", target, {"Content-Type": FORM_TYPE, **framing, **(fields or {})})

    def ask(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str | Sequence[str] | None] | None = None,
        body: bytes | None = None,
    ) -> Told:
        """One request and its answer, which has to be JSON if it is anything."""
        framing = {} if body is None else {"Content-Length": str(len(body))}
        with self.connect() as wire:
            wire.send(format_head(method, target, {**framing, **(fields or {})}) + (body or b""))
            return tell(wire.read(method))

    def post(
        self,
        target: str,
        parts: Sequence[Part],
        fields: Mapping[str, str | Sequence[str] | None] | None = None,
    ) -> Told:
        """A form."""
        return self.ask("POST", target, {"Content-Type": FORM_TYPE, **(fields or {})}, format_form(parts))

    def upload(self, data: bytes, content_type: str = "audio/webm", target: str = UPLOAD) -> Told:
        """A file in one form, the file first, as the old client sends it."""
        return self.post(target, [file(data), field("content_type", content_type)])

    def chunk(
        self, file_id: str, index: int | str, total: int | str, data: bytes, token: str | None = None
    ) -> Told:
        """A chunk."""
        return self.post(CHUNK, chunk_parts(file_id, index, total, data, token))

    def finalize(self, file_id: str, content_type: str = "audio/webm", token: str | None = None) -> Told:
        """The whole is asked for."""
        content = {"file_uuid": file_id, "content_type": content_type}
        content |= {} if token is None else {"token": token}
        return self.ask(
            "POST", FINALIZE, {"Content-Type": "application/json"}, json.dumps(content).encode()
        )

    def content(self, told: Told) -> bytes:
        """The published file that an answer speaks of."""
        assert told.status == 200, told
        name: str = told.content["file_key"]
        return (self.folder / "uploads" / name).read_bytes()

    def stored(self) -> set[str]:
        """Every file of the storage."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


def tell(answer: Response) -> Told:
    """What an answer says."""
    content = None
    if answer.body:
        assert (answer.get("Content-Type") or "").startswith("application/json"), answer
        content = json.loads(answer.body)
    return Told(answer.status, content, answer)
