"""The protocol of live connections: what a client may say over one, and how it is answered.

docs/operations.md, Live audio, is its description for those who write clients.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tusd_py.core.errors import (
    BodyInterruptedError,
    InvalidContentTypeError,
    InvalidFormError,
    InvalidMessageError,
    InvalidOffsetError,
    OffsetMismatchError,
    UploadNotFoundError,
)
from tusd_py.core.outcomes import BodyEnd
from tusd_py.protocol.answers import answer_for
from tusd_py.protocol.fields import parse_bytes
from tusd_py.protocol.forms import describe_file, format_file, parse_content_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tusd_py.core.model import Metadata, Upload

DEFAULT_TYPE = "audio/webm"
UNNAMED = "recording"
"""What is saved when the client has no name for it, and the type's extension."""

MAX_TEXT = 4096
"""Characters of a text message; more are not looked at."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ACCEPTED = '{"offset": bytes}, {"complete": true}, or both in one'

# RFC 6455, 7.4.1, and 4000 to 4999 for private use.
DONE, SHUTDOWN, REFUSED, TOO_LARGE, FAILED, LATER, TAKEN_OVER = 1000, 1001, 1008, 1009, 1011, 1013, 4423
LEFT = 1005
"""Never sent (RFC 6455, 7.4.1): the client went first."""

_BY_STATUS = {413: TOO_LARGE, 423: LATER, 500: FAILED, 503: SHUTDOWN, 507: LATER}
_BY_END = {BodyEnd.SUPERSEDED: TAKEN_OVER, BodyEnd.TIMED_OUT: LATER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a client asks for when it connects: an upload of its own, or to go on with `upload_id`.

    `offset` is where its bytes are going to begin, as far as it knows.
    """

    upload_id: str | None
    offset: int
    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a client says in between: where its next byte belongs, and whether none comes any more."""

    offset: int | None
    is_last: bool


def parse_opening(query: Mapping[str, str]) -> Opening:
    """The query of the address that was connected to; what is not ours in it is passed over.

    Raises UploadError.
    """
    upload_id = query.get("id")
    if upload_id is not None and not _ID.fullmatch(upload_id):
        raise UploadNotFoundError(upload_id)
    offset = parse_bytes(query.get("offset", "0"))
    if offset is None:
        raise InvalidOffsetError("offset", "it is not a number of bytes", "a decimal number")
    if offset and upload_id is None:
        raise InvalidOffsetError("offset", "a new upload begins at 0", "an offset with an id")
    return Opening(upload_id=upload_id, offset=offset, metadata=_describe(query))


def _describe(query: Mapping[str, str]) -> Metadata:
    """What is recorded: its type, and a name that has the extension of that type, as with forms."""
    try:
        content_type = parse_content_type(query.get("content_type", DEFAULT_TYPE))
    except InvalidFormError as error:
        raise InvalidContentTypeError(error.field, error.problem, error.accepted) from None
    name = query.get("filename", "").encode(errors="replace").decode()
    return describe_file(UNNAMED, content_type, name)


def parse_message(text: str) -> Message:
    """A text message. Raises InvalidMessageError."""
    said = _parse_object(text)
    unknown = said.keys() - {"offset", "complete"}
    if unknown or not said:
        raise _invalid("it has no key that is known" if not said else "it has a key that is not known")
    offset = said.get("offset")
    if "offset" in said and (type(offset) is not int or offset < 0):
        raise _invalid("its offset is not a number of bytes")
    if said.get("complete", True) is not True:
        raise _invalid("its complete is not true")
    return Message(offset=offset, is_last="complete" in said)


def _parse_object(text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT:
        raise _invalid(f"it has more than {MAX_TEXT} characters")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid("it is not JSON") from None
    if not isinstance(said, dict):
        raise _invalid("it is not a JSON object")
    return said


def _invalid(problem: str) -> InvalidMessageError:
    return InvalidMessageError("message", problem, _ACCEPTED)


# -- what the server says -----------------------------------------------------------------------------


def format_greeting(upload: Upload, url: str) -> dict[str, Any]:
    """The first message: where the upload is, and how far."""
    return {"url": url, "file_uuid": upload.id, "offset": upload.offset}


def format_result(upload: Upload, *, place: str, public: str) -> dict[str, Any]:
    """The last message but those of a processor: the upload is finished, and can be had as forms say."""
    return {
        "complete": True,
        "offset": upload.offset,
        **format_file(upload.id, upload.name, place, public),
    }


def format_error(error: Exception, offset: int | None = None) -> dict[str, Any]:
    """Code and words for `error`, and how far the upload is, where that is known."""
    answer = answer_for(error)
    said: dict[str, Any] = {"error": {"code": answer.code, "message": answer.words(error)}}
    if isinstance(error, BodyInterruptedError):
        offset = error.offset
    elif isinstance(error, OffsetMismatchError):
        offset = error.expected
    return said if offset is None else {**said, "offset": offset}


def close_code(error: Exception) -> int:
    """With which code a connection ends that `error` brought to its end."""
    if isinstance(error, BodyInterruptedError) and error.end in _BY_END:
        return _BY_END[error.end]
    return _BY_STATUS.get(answer_for(error).status, REFUSED)
