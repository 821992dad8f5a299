"""The forms' words: fields of a form into facts, files and errors into JSON. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tusd_py.core.assembly import MAX_CHUNKS
from tusd_py.core.errors import BodyInterruptedError, ChunksMissingError, InvalidFormError
from tusd_py.core.model import Metadata
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.rules import extension_of
from tusd_py.protocol.answers import answer_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tusd_py.core.model import Upload
    from tusd_py.protocol.formdata import PartHead

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"  # RFC 6838, 4.2
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}[ \t]*(?:;[ -~]*)?")
_MAX_MEDIA_TYPE = 255
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,128}")
_EXTENSION = re.compile(r"\.?([A-Za-z0-9]{1,16})")
_DIGITS = re.compile(r"[0-9]{1,9}")
_SEPARATORS = re.compile(r"[/\\]")
_UNNAMED = {"", "blob"}
"""What browsers call a file that has no name."""

_MAX_FILE_NAME = 255
_PIECES = range(1024, 16 * 2**20 + 1)
"""Bytes that a piece on its way into the storage may have."""

INTERRUPTIONS: dict[BodyEnd, str] = {
    BodyEnd.DISCONNECTED: "the body ended early; nothing of it is kept",
    BodyEnd.MALFORMED: "Transfer-Encoding: the chunked framing is broken; nothing of it is kept",
    BodyEnd.TIMED_OUT: "nothing came for too long; nothing of it is kept",
    BodyEnd.SUPERSEDED: "a newer request brings the same chunk; nothing of this one is kept",
    BodyEnd.SHUTDOWN: "the server is going down; nothing of the body is kept; try again",
}
"""For `protocol.answers.INTERRUPTIONS`, which speak of offsets: a form counts whole or not at all."""


def parse_content_type(text: str) -> str:
    """A media type with its parameters, as in `audio/webm;codecs=opus`. Raises InvalidFormError.

    Browsers' recorders say `video/webm;codecs=vp8,opus`, which is no well-formed parameter (RFC 9110,
    5.6.6), so what is printable goes through; `protocol.representation` looks before it sends it on.
    """
    text = text.strip(" \t")
    if len(text) > _MAX_MEDIA_TYPE or not _MEDIA_TYPE.fullmatch(text):
        raise InvalidFormError(
            "content_type",
            "it is not a media type",
            "type/subtype, such as audio/webm or audio/webm;codecs=opus",
        )
    return text.rstrip("; \t")


def parse_file_uuid(text: str) -> str:
    """See `parse_uuid`; that of the field of this name."""
    return parse_uuid("file_uuid", text)


def parse_uuid(field: str, text: str) -> str:
    """A UUID in the caller's spelling: with dashes or without, in either case. Raises InvalidFormError."""
    if not _UUID.fullmatch(text):
        raise InvalidFormError(
            field, "it is not a UUID", "32 hexadecimal digits, with or without the four dashes"
        )
    return text


def parse_chunk_index(text: str) -> int:
    """A number from 0. Raises InvalidFormError."""
    return _parse_number("chunk_index", text, range(MAX_CHUNKS))


def parse_total_chunks(text: str) -> int:
    """A number from 1 to `MAX_CHUNKS`. Raises InvalidFormError."""
    return _parse_number("total_chunks", text, range(1, MAX_CHUNKS + 1))


def parse_chunk_size(text: str) -> int:
    """Bytes. Raises InvalidFormError."""
    return _parse_number("chunk_size", text, _PIECES)


def parse_token(text: str) -> str:
    """What the first chunk was answered, or brought. Raises InvalidFormError."""
    if not _TOKEN.fullmatch(text):
        raise InvalidFormError("token", "it is malformed", "16 to 128 letters, digits and . _ ~ -")
    return text


def parse_extension(text: str) -> str:
    """In lower case without a dot; "" for none. Raises InvalidFormError."""
    match = _EXTENSION.fullmatch(text)
    if text and match is None:
        raise InvalidFormError(
            "file_extension", "it is malformed", "up to 16 letters and digits, as in wav"
        )
    return match[1].lower() if match else ""


def check_index(index: int, total: int) -> None:
    """Raise InvalidFormError for a chunk beyond the last."""
    if index >= total:
        raise InvalidFormError("chunk_index", f"there is no chunk {index} of {total}", f"0 to {total - 1}")


def _parse_number(field: str, text: str, accepted: range) -> int:
    number = int(text) if _DIGITS.fullmatch(text) else -1
    if number not in accepted:
        raise InvalidFormError(
            field, "it is not such a number", f"a decimal number, {accepted[0]} to {accepted[-1]}"
        )
    return number


def parse_json(data: bytes) -> Mapping[str, Any]:
    """The object that a body consists of. Raises InvalidFormError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InvalidFormError("the body", "it is not a JSON object", '{"file_uuid": "...", ...}')
    return content


def take_text(fields: Mapping[str, Any], name: str) -> str:
    """The field of a JSON object, or of a query, as text. Raises InvalidFormError."""
    value = fields.get(name)
    if not isinstance(value, str):
        problem = "it is missing" if value is None else "it is no text"
        raise InvalidFormError(name, problem, "a text")
    return value


def describe_file(upload_id: str, content_type: str, file_name: str | None = None) -> Metadata:
    """What is put on record of the file: its type, and a name that has the extension of that type."""
    segment = _SEPARATORS.split(file_name or "")[-1].strip()[:_MAX_FILE_NAME]
    extension = extension_of(content_type)
    if segment in _UNNAMED:
        segment = upload_id
    elif extension:
        segment = segment.rpartition(".")[0] or segment
    return Metadata.of(filename=segment + extension, filetype=content_type)


def guess_file(part: PartHead | None) -> Metadata:
    """What a form says of its file at its beginning, for hooks; what counts comes behind it."""
    if part is None:
        return Metadata()
    try:
        content_type = parse_content_type(part.content_type or "")
    except InvalidFormError:
        content_type = ""
    told = {"filename": (part.file_name or "")[:_MAX_FILE_NAME], "filetype": content_type}
    return Metadata.of(**{key: text for key, text in told.items() if text})


def may_be_called(upload: Upload, extension: str) -> bool:
    """Whether the file has that extension, or its type's subtype, which older servers gave it; "": any."""
    subtype = (upload.metadata.text("filetype") or "").partition(";")[0].strip().lower().rpartition("/")[2]
    return extension in {"", upload.name.rpartition(".")[2], subtype}


def format_file(upload_id: str, name: str, place: str, public: str) -> dict[str, object]:
    """What the forms answer: `public` is the path of finished files."""
    return {
        "file_key": name,
        "file_path": place,
        "file_uuid": upload_id,
        "static_url": public + name,
    }


def format_error(error: Exception) -> tuple[int, dict[str, object]]:
    """Status and JSON of a refusal: `detail` for people, `code` for programs."""
    answer = answer_for(error)
    words = INTERRUPTIONS[error.end] if isinstance(error, BodyInterruptedError) else answer.words(error)
    content: dict[str, object] = {"detail": words, "code": answer.code}
    if isinstance(error, ChunksMissingError):
        content["missing"] = error.missing
    return answer.status, content
