"""What is understood of a live client, and in which words it is answered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tusd_py.core import errors as e
from tusd_py.core.model import Upload
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.rules import public_name
from tusd_py.protocol import live
from tusd_py.protocol.answers import ANSWERS, INTERRUPTIONS

UPLOAD = Upload(id="c0ffee", name="c0ffee.webm", created_at=datetime(2026, 1, 1, tzinfo=UTC), offset=7)


@pytest.mark.parametrize(
    ("query", "name", "filetype"),
    [
        ({}, "c0ffee.webm", "audio/webm"),
        ({"content_type": "audio/wav"}, "c0ffee.wav", "audio/wav"),
        ({"content_type": "audio/webm;codecs=opus"}, "c0ffee.webm", "audio/webm;codecs=opus"),
        ({"content_type": " video/webm;codecs=vp8,opus "}, "c0ffee.webm", "video/webm;codecs=vp8,opus"),
        ({"content_type": "audio/mp4", "filename": "Vortrag.MP4"}, "c0ffee.m4a", "audio/mp4"),
        ({"filename": "../../etc/passwd"}, "c0ffee.webm", "audio/webm"),
        ({"filename": "no suffix \udcff"}, "c0ffee.webm", "audio/webm"),
        ({"content_type": "x/unknown", "token": "passed over"}, "c0ffee.unknown", "x/unknown"),
    ],
)
def test_the_opening_says_what_is_recorded(query: dict[str, str], name: str, filetype: str) -> None:
    """Type and file name become the upload's metadata, and its public name is made of them."""
    opening = live.parse_opening(query)

    assert (opening.upload_id, opening.offset) == (None, 0)
    assert public_name("c0ffee", opening.metadata) == name
    assert opening.metadata.text("filetype") == filetype


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "audio", "audio/", "/webm", "audio/webm/x", "../webm", "audio/../webm", "audio/we bm"),
        *("audio/webm\r\nX: y", "audio/webm;x=\0", "ä/ö", "audio/webm, audio/ogg"),
        "audio/" + "x" * 250,
    ],
)
def test_a_type_that_is_none_is_refused(content_type: str) -> None:
    """RFC 9110, 8.3.1, RFC 6838, 4.2: nothing but a media type is taken for one."""
    with pytest.raises(e.InvalidContentTypeError):
        live.parse_opening({"content_type": content_type})


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"id": ""}, e.UploadNotFoundError),
        ({"id": "../c0ffee"}, e.UploadNotFoundError),
        ({"id": "c0ffee", "offset": "-1"}, e.InvalidOffsetError),
        ({"id": "c0ffee", "offset": "1.0"}, e.InvalidOffsetError),
        ({"id": "c0ffee", "offset": ""}, e.InvalidOffsetError),
        ({"id": "c0ffee", "offset": "٣"}, e.InvalidOffsetError),
        ({"offset": "3"}, e.InvalidOffsetError),
    ],
)
def test_an_opening_that_is_wrong_is_refused(query: dict[str, str], error: type[e.UploadError]) -> None:
    """An id is of the alphabet of ids, an offset a number; a new upload has no offset but 0."""
    with pytest.raises(error):
        live.parse_opening(query)


def test_who_goes_on_says_where() -> None:
    """The id and the offset as the client knows them; without an offset it knows of no byte."""
    told, untold = live.parse_opening({"id": "c0ffee", "offset": "7"}), live.parse_opening({"id": "c0ffee"})

    assert (told.upload_id, told.offset) == ("c0ffee", 7)
    assert (untold.upload_id, untold.offset) == ("c0ffee", 0)


@pytest.mark.parametrize(
    ("text", "offset", "is_last"),
    [
        ('{"complete": true}', None, True),
        ('{"offset": 0}', 0, False),
        ('{"offset": 9007199254740993, "complete": true}', 9007199254740993, True),
    ],
)
def test_a_message_is_an_offset_an_end_or_both(text: str, offset: int | None, is_last: bool) -> None:
    """There are two keys, exact to the byte."""
    assert live.parse_message(text) == live.Message(offset=offset, is_last=is_last)


@pytest.mark.parametrize(
    "text",
    [
        *("", "complete", "null", "[]", '"complete"', "3", "{", "{}", "[" * 4000, '{"complete": true}x'),
        *('{"complete": false}', '{"complete": 1}', '{"complete": "true"}', '{"complete": null}'),
        *('{"offset": -1}', '{"offset": 1.0}', '{"offset": true}', '{"offset": "1"}', '{"offset": null}'),
        *('{"complete": true, "length": 3}', '{"Complete": true}', '{"offset": ' + "9" * 5000 + "}"),
    ],
)
def test_a_message_that_is_something_else_is_refused(text: str) -> None:
    """Whatever is not one of the messages there are is an InvalidMessageError, and nothing worse."""
    with pytest.raises(e.InvalidMessageError):
        live.parse_message(text)


def test_every_way_to_end_has_a_code_that_may_be_sent() -> None:
    """RFC 6455, 7.4: a registered code or a private one, for every error class and every end of a body."""
    errors = [kind.__new__(kind) for kind in ANSWERS]
    ends = [e.BodyInterruptedError("c0ffee", end, 7) for end in INTERRUPTIONS]
    codes = {live.close_code(error) for error in (*errors, *ends, RuntimeError())}

    assert codes <= {live.SHUTDOWN, live.REFUSED, live.TOO_LARGE, live.FAILED, live.LATER, live.TAKEN_OVER}
    assert live.close_code(e.ServerShutdownError()) == live.close_code(ends[-1]) == live.SHUTDOWN


@pytest.mark.parametrize(
    ("error", "code", "offset"),
    [
        (e.UploadNotFoundError("c0ffee"), "ERR_UPLOAD_NOT_FOUND", None),
        (e.OffsetMismatchError("c0ffee", expected=7, actual=9), "ERR_MISMATCHED_OFFSET", 7),
        (e.BodyInterruptedError("c0ffee", BodyEnd.SUPERSEDED, 7), "ERR_UPLOAD_INTERRUPTED", 7),
        (RuntimeError("/secret/path"), "ERR_INTERNAL_SERVER_ERROR", None),
    ],
)
def test_an_error_tells_how_far_the_upload_is(error: Exception, code: str, offset: int | None) -> None:
    """Where that is known; never the text of an exception that is not ours."""
    said = live.format_error(error)

    assert said["error"]["code"] == code
    assert "secret" not in said["error"]["message"]
    assert said.get("offset") == offset


def test_the_greeting_and_the_result() -> None:
    """The keys that clients of the older endpoints know."""
    greeting = live.format_greeting(UPLOAD, "http://x/files/c0ffee")
    result = live.format_result(UPLOAD, place="/srv/c0ffee.webm", public="/uploads/")

    assert greeting == {"url": "http://x/files/c0ffee", "file_uuid": "c0ffee", "offset": 7}
    assert result == {
        "complete": True,
        "offset": 7,
        "file_key": "c0ffee.webm",
        "file_path": "/srv/c0ffee.webm",
        "file_uuid": "c0ffee",
        "static_url": "/uploads/c0ffee.webm",
    }
