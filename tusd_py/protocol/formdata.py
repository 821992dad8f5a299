"""multipart/form-data (RFC 7578, RFC 2046, 5.1) as it arrives: bytes in, parts out, nothing collected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tusd_py.protocol.grammar import WORD

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_HEAD = 8192
"""Bytes that the head of one part may have."""

_PARAMETER = re.compile(
    rf';[ \t]*(?P<name>{WORD})=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^;\s"]*))[ \t]*'
)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1
_FIELD_NAME = re.compile(WORD)
# WHATWG HTML, 4.10.21.8: what browsers write of a name in quotes; a backslash stays as it is.
_BROWSERS_ESCAPES = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))
_ESCAPED = re.compile(r'\\(["\\])')
_IDENTITY = {"7bit", "8bit", "binary"}


class MalformedFormError(ValueError):
    """The bytes are no multipart/form-data; the message says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHead:
    """A part begins. `file_name` and `content_type` are what the client says, and only that."""

    name: str
    file_name: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is over: its last byte was handed out."""


class _State(Enum):
    PREAMBLE = auto()
    DELIMITER = auto()
    HEAD = auto()
    BODY = auto()
    EPILOGUE = auto()


def parse_boundary(content_type: str | None) -> str | None:
    """The boundary of a Content-Type that is multipart/form-data, else None."""
    essence, semicolon, rest = (content_type or "").partition(";")
    if essence.strip().lower() != "multipart/form-data":
        return None
    boundary = _parse_parameters(semicolon + rest).get("boundary", "")
    return boundary if _BOUNDARY.fullmatch(boundary) else None


class FormScanner:
    """Takes a body apart. `is_over`: the closing delimiter has come, whatever follows means nothing.

    Whatever the pieces, the same body gives the same parts. At most a delimiter and the head of one part
    are kept back.
    """

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode()
        self._buffer = b"\r\n"  # RFC 2046, 5.1.1: the first delimiter may stand at the very beginning
        self._state = _State.PREAMBLE

    @property
    def is_over(self) -> bool:
        """The form is complete."""
        return self._state is _State.EPILOGUE

    def feed(self, data: bytes) -> Iterator[PartHead | bytes | PartEnd]:
        """What `data` brings, to be taken to its end. Pieces of a part are never empty.

        Raises MalformedFormError.
        """
        self._buffer += data
        goes_on = True
        while goes_on:
            match self._state:
                case _State.PREAMBLE:
                    goes_on = self._skip_preamble()
                case _State.DELIMITER:
                    goes_on = self._end_delimiter()
                case _State.HEAD:
                    head = self._take_head()
                    goes_on = head is not None
                    yield from (head,) if head else ()
                case _State.BODY:
                    piece, goes_on = self._take_piece()
                    yield from (piece,) if piece else ()
                    yield from (PartEnd(),) if goes_on else ()
                case _State.EPILOGUE:
                    self._buffer = b""
                    goes_on = False

    def _skip_preamble(self) -> bool:
        found = self._buffer.find(self._delimiter)
        if found < 0:
            self._buffer = self._buffer[-len(self._delimiter) :]
            return False
        self._pass_delimiter(found)
        return True

    def _pass_delimiter(self, position: int) -> None:
        self._buffer = self._buffer[position + len(self._delimiter) :]
        self._state = _State.DELIMITER

    def _end_delimiter(self) -> bool:
        """Two hyphens say that it is the last; else blanks and a line end (RFC 2046, 5.1.1)."""
        if self._buffer.startswith(b"--"):
            self._state = _State.EPILOGUE
            return True
        line, end, rest = self._buffer.partition(b"\r\n")
        begun = {b""} if end else {b"", b"-"}
        if line.removesuffix(b"\r").strip(b" \t") not in begun or len(line) > MAX_HEAD:
            raise MalformedFormError("a line begins like the boundary and is none")
        if end:
            self._buffer = end + rest  # so that the head, also an empty one, ends with an empty line
            self._state = _State.HEAD
        return bool(end)

    def _take_head(self) -> PartHead | None:
        end = self._buffer.find(b"\r\n\r\n")
        if max(end, len(self._buffer) if end < 0 else 0) > MAX_HEAD:
            raise MalformedFormError(f"the head of a part has more than {MAX_HEAD} bytes")
        if end < 0:
            return None
        head = _parse_head(self._buffer[2:end])
        self._buffer = self._buffer[end + 4 :]
        self._state = _State.BODY
        return head

    def _take_piece(self) -> tuple[bytes, bool]:
        """What is certainly of the part, and whether it is over."""
        found = self._buffer.find(self._delimiter)
        if found >= 0:
            piece = self._buffer[:found]
            self._pass_delimiter(found)
            return piece, True
        # A delimiter has one carriage return, at its start: only from the last one on can it have begun.
        begun = self._buffer.rfind(b"\r", max(len(self._buffer) - len(self._delimiter) + 1, 0))
        if begun < 0 or not self._delimiter.startswith(self._buffer[begun:]):
            begun = len(self._buffer)
        piece, self._buffer = self._buffer[:begun], self._buffer[begun:]
        return piece, False


def _parse_head(data: bytes) -> PartHead:
    fields: dict[str, str] = {}
    for line in data.decode(errors="replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or not _FIELD_NAME.fullmatch(name):
            raise MalformedFormError("the head of a part has a line that is no field")
        fields.setdefault(name.lower(), value.strip(" \t"))
    kind, semicolon, rest = fields.get("content-disposition", "").partition(";")
    parameters = _parse_parameters(semicolon + rest)
    if kind.strip(" \t").lower() != "form-data" or "name" not in parameters:
        raise MalformedFormError("a part does not say which field it is")
    # RFC 7578, 4.7: senders SHOULD NOT encode; what is encoded must not pass for the file.
    if fields.get("content-transfer-encoding", "binary").lower() not in _IDENTITY:
        raise MalformedFormError("a part has a Content-Transfer-Encoding")
    return PartHead(
        name=parameters["name"],
        file_name=_exact_file_name(parameters) or parameters.get("filename"),
        content_type=fields.get("content-type"),
    )


def _parse_parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(text, position):
        value = match["bare"]
        if value is None:
            value = _ESCAPED.sub(r"\1", match["quoted"])
            for code, character in _BROWSERS_ESCAPES:
                value = value.replace(code, character)
        found.setdefault(match["name"].lower(), value)
        position = match.end()
    return found


def _exact_file_name(parameters: dict[str, str]) -> str | None:
    """RFC 8187, which RFC 7578 tells senders not to use here; some do."""
    charset, _, rest = parameters.get("filename*", "").partition("'")
    return unquote(rest.partition("'")[2], errors="replace") if charset.lower() == "utf-8" else None
