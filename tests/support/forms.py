"""Forms as clients write them, byte by byte: in any order, doubled, without what belongs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUNDARY = "------------------------d74496d66958873e"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `head` has further lines, each with its line end; a `file_name` makes it a file."""

    name: str
    data: bytes
    file_name: str | None = None
    head: str = ""


def format_part(part: Part, boundary: str = BOUNDARY) -> bytes:
    """A part with the delimiter before it and the line end behind it."""
    file_name = "" if part.file_name is None else f'; filename="{part.file_name}"'
    disposition = f'Content-Disposition: form-data; name="{part.name}"{file_name}\r\n'
    return f"--{boundary}\r\n{disposition}{part.head}\r\n".encode() + part.data + b"\r\n"


def format_form(parts: Sequence[Part], boundary: str = BOUNDARY) -> bytes:
    """A whole form."""
    return b"".join(format_part(part, boundary) for part in parts) + f"--{boundary}--\r\n".encode()


def field(name: str, value: str) -> Part:
    """A text."""
    return Part(name, value.encode())


def file(data: bytes, name: str = "file", file_name: str = "speech.webm") -> Part:
    """A file."""
    return Part(name, data, file_name, "Content-Type: audio/webm\r\n")
