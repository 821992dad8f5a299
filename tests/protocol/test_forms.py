"""The forms' fields: what is accepted, what comes of it, and in which words the rest is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tusd_py.core.assembly import MAX_CHUNKS
from tusd_py.core.errors import BodyInterruptedError, ChunksMissingError, InvalidFormError, StorageFullError
from tusd_py.core.model import Metadata, Upload
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.rules import public_name
from tusd_py.protocol import forms
from tusd_py.protocol.answers import INTERRUPTIONS, format_numbers

TYPES = {
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/wave": ".wav",
    "audio/webm": ".webm",
    "audio/webm;codecs=opus": ".webm",
    "audio/webm; codecs=opus": ".webm",
    'audio/webm; codecs="opus"; rate=48000': ".webm",
    " video/webm;codecs=vp8,opus ": ".webm",
    'video/webm;codecs="vp8,opus"': ".webm",
    "audio/webm;": ".webm",
    "AUDIO/WAV": ".wav",
    "audio/mpeg": ".mp3",
    "audio/amr": ".amr",
    "audio/x-aiff": ".aiff",
    "application/x-tar": ".tar",
    "application/octet-stream": "",
    "application/vnd.ms-excel": "",
    "image/svg+xml": ".svg",
    "application/ld+json": "",
    "a/b": ".b",
    "": None,
    "audio": None,
    "/wav": None,
    "audio/": None,
    "audio/wav/x": None,
    "audio/../../etc/passwd": None,
    "../x": None,
    "audio/..": None,
    "audio/.wav": None,
    "audio\\wav": None,
    "audio/wav\r\nX: y": None,
    "audio/w\x00av": None,
    "audio/w av": None,
    "audio/wäv": None,
    "audio/wav; codecs": ".wav",
    "audio/wav; codecs=ä": None,
    f"audio/{'x' * 128}": None,
    f"audio/wav; x={'x' * 250}": None,
}


@pytest.mark.parametrize(("text", "extension"), TYPES.items())
def test_the_extension_is_that_of_the_type(text: str, extension: str | None) -> None:
    """RFC 6838, 4.2: a media type has its usual extension, or that of its subtype, or none; else 422."""
    if extension is None:
        with pytest.raises(InvalidFormError) as refusal:
            forms.parse_content_type(text)
        assert refusal.value.field == "content_type"
    else:
        content_type = forms.parse_content_type(text)
        assert public_name("id", forms.describe_file("id", content_type)) == f"id{extension}"


@pytest.mark.parametrize(
    ("file_name", "content_type", "name", "public"),
    [
        ("speech.webm", "audio/wav", "speech.wav", "id.wav"),
        ("speech", "audio/wav", "speech.wav", "id.wav"),
        ("my.speech.v2.webm", "audio/webm", "my.speech.v2.webm", "id.webm"),
        ("blob", "audio/webm", "id.webm", "id.webm"),
        ("", "audio/webm", "id.webm", "id.webm"),
        (None, "audio/webm", "id.webm", "id.webm"),
        ("C:\\x\\speech.webm", "audio/webm", "speech.webm", "id.webm"),
        ("../../speech.webm", "audio/webm", "speech.webm", "id.webm"),
        (".webm", "audio/wav", ".webm.wav", "id.wav"),
        ("data.bin", "application/octet-stream", "data.bin", "id.bin"),
        ("data", "application/octet-stream", "data", "id"),
        (f"{'x' * 300}.webm", "audio/webm", f"{'x' * 255}.webm", "id.webm"),
    ],
)
def test_the_file_keeps_its_name_with_the_extension_of_its_type(
    file_name: str | None, content_type: str, name: str, public: str
) -> None:
    """For whoever saves it; the public name is the id's. Where its type has none, it keeps its own."""
    metadata = forms.describe_file("id", content_type, file_name)

    assert (metadata.text("filename"), metadata.text("filetype")) == (name, content_type)
    assert public_name("id", metadata) == public
    assert Metadata.parse(metadata.raw) == metadata


UUID = "0b5de3a2-3c0f-4a0e-9d0a-0123456789ab"


@pytest.mark.parametrize(
    "text", [UUID, UUID.replace("-", ""), UUID.upper(), f"{UUID[:9]}{UUID[9:].upper()}"]
)
def test_a_uuid_stays_as_it_was_written(text: str) -> None:
    """It comes back in the answer, and is the file's id."""
    assert forms.parse_file_uuid(text) == text


NO_UUIDS = ["", "1", UUID[:-1], f"{UUID}0", UUID.replace("-", "", 1), f"{{{UUID}}}", f"urn:uuid:{UUID}"]
NO_UUIDS += [f" {UUID}", f"{UUID}\n", f"form-{UUID}", "../../etc/passwd", UUID.replace("0", "g")]


@pytest.mark.parametrize("text", [*NO_UUIDS, UUID.replace("0", "\u0660")])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    """Nothing that could name another file, or a part of one."""
    with pytest.raises(InvalidFormError, match="file_uuid"):
        forms.parse_file_uuid(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "0x1", "1e3", " 1", "\u0661", "99999999999", f"{MAX_CHUNKS}"]
)
def test_a_chunk_has_a_number(text: str) -> None:
    """From 0 to what can be joined, in ASCII digits."""
    with pytest.raises(InvalidFormError, match="chunk_index"):
        forms.parse_chunk_index(text)


def test_the_numbers_at_the_edges() -> None:
    """Each is accepted to its limit; the index has to be below the total."""
    assert [forms.parse_chunk_index(text) for text in ("0", "007", f"{MAX_CHUNKS - 1}")] == [0, 7, 9999]
    assert [forms.parse_total_chunks(text) for text in ("1", f"{MAX_CHUNKS}")] == [1, 10_000]
    assert [forms.parse_chunk_size(text) for text in ("1024", "16777216")] == [1024, 2**24]
    for parse, text in ((forms.parse_total_chunks, "0"), (forms.parse_chunk_size, "1023")):
        with pytest.raises(InvalidFormError):
            parse(text)
    forms.check_index(2, 3)
    with pytest.raises(InvalidFormError):
        forms.check_index(3, 3)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("wav", "wav"),
        (".WAV", "wav"),
        ("", ""),
        ("../x", None),
        ("wav/", None),
        ("a.b", None),
        ("x" * 17, None),
    ],
)
def test_extensions_are_letters_and_digits(text: str, accepted: str | None) -> None:
    """With a dot or without."""
    if accepted is None:
        with pytest.raises(InvalidFormError):
            forms.parse_extension(text)
    else:
        assert forms.parse_extension(text) == accepted


@pytest.mark.parametrize(
    ("extension", "is_so"), [("mp3", True), ("", True), ("mpeg", True), ("wav", False), ("mp", False)]
)
def test_a_file_is_found_by_its_extension_or_its_subtype(extension: str, is_so: bool) -> None:
    """Callers from before knew a file by the subtype of its media type."""
    metadata = forms.describe_file("id", "audio/mpeg;x=y")
    upload = Upload(
        id="id",
        name=public_name("id", metadata),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        metadata=metadata,
    )

    assert forms.may_be_called(upload, extension) is is_so


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b"[" * 100_000, b'{"a":' * 99_999]
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(InvalidFormError):
        forms.parse_json(data)


@pytest.mark.parametrize("value", [None, 1, ["x"], {}, True])
def test_a_text_has_to_be_one(value: object) -> None:
    """A number is no uuid, also not one that looks like it."""
    with pytest.raises(InvalidFormError, match="file_uuid"):
        forms.take_text({"file_uuid": value}, "file_uuid")


def test_missing_chunks_are_named_twice() -> None:
    """In words with runs, for people; one by one, for programs."""
    status, content = forms.format_error(ChunksMissingError("id", (0, 2, 3, 4, 9)))

    assert status == 409
    assert content["code"] == "ERR_CHUNKS_MISSING"
    assert "0, 2-4, 9" in str(content["detail"])
    assert json.loads(json.dumps(content))["missing"] == [0, 2, 3, 4, 9]


@pytest.mark.parametrize(
    ("numbers", "text"), [((), ""), ((7,), "7"), ((7, 8), "7-8"), ((1, 3, 5), "1, 3, 5"), (range(9), "0-8")]
)
def test_runs_are_shortened(numbers: tuple[int, ...], text: str) -> None:
    """Ten thousand missing chunks are a few letters."""
    assert format_numbers(numbers) == text


@pytest.mark.parametrize("end", INTERRUPTIONS)
def test_an_interrupted_form_keeps_nothing_and_says_so(end: BodyEnd) -> None:
    """The words of a protocol that resumes would be wrong here; status and code are the same."""
    status, content = forms.format_error(BodyInterruptedError("id", end, 5))

    assert (status, content["code"]) == (INTERRUPTIONS[end].status, INTERRUPTIONS[end].code)
    assert "HEAD" not in str(content["detail"])
    assert "kept" in str(content["detail"])


def test_nothing_of_our_side_is_in_the_words() -> None:
    """Neither an exception's text nor a path."""
    for error in (RuntimeError("/srv/secret"), StorageFullError("/srv/secret"), OSError("/srv/secret")):
        _, content = forms.format_error(error)
        assert "secret" not in json.dumps(content)
