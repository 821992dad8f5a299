"""What reads strangers' text: for every input the right value or its own error, and nothing in between."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC
from inspect import isclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.core import errors
from tusd_py.core.errors import (
    BodyInterruptedError,
    InvalidFieldError,
    RecordCorruptError,
    TusdError,
    UploadError,
)
from tusd_py.core.model import Delivery, InvalidMetadataError, Metadata, Upload, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.core.rules import public_name
from tusd_py.protocol import fields
from tusd_py.protocol.answers import ANSWERS, INTERRUPTIONS, UNEXPECTED, answer_for
from tusd_py.protocol.heads import effective_method
from tusd_py.protocol.origins import public_origin
from tusd_py.stores.records import format_record, parse_record

header_text = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60)
anything = st.one_of(st.text(max_size=60), header_text)
LARGEST = 2**63 - 1

# -- numbers ------------------------------------------------------------------------------------


@given(st.integers(0, LARGEST), st.integers(0, 5))
def test_numbers_of_bytes_are_read_back(number: int, zeros: int) -> None:
    """tus 1.0.0, Upload-Offset: every non-negative integer a file can have, leading zeros or not.

    (T-002)
    """
    text = ("0" * zeros + str(number))[-19:].rjust(len(str(number)), "0")

    assert fields.parse_bytes(text) == int(text)
    assert fields.parse_offset(str(number)) == number
    assert fields.parse_declared_length(str(number)) == number


@given(anything | st.integers().map(str) | st.from_regex(r"[+-]?[0-9_ ]{1,25}"))
def test_what_is_no_number_is_refused_as_that(text: str) -> None:
    """tus 1.0.0, Upload-Offset and Upload-Length: digits and nothing else (T-003, T-005)."""
    is_number = re.fullmatch("[0-9]{1,19}", text) is not None and int(text) <= LARGEST

    assert (fields.parse_bytes(text) is not None) == is_number
    for parse in (fields.parse_offset, fields.parse_declared_length):
        if is_number:
            assert parse(text) == int(text)
        else:
            with pytest.raises(InvalidFieldError):
                parse(text)


@given(st.none() | anything | st.just("5"), st.none() | anything | st.just("1"))
def test_a_creation_has_one_length_or_an_error(length: str | None, deferred: str | None) -> None:
    """tus 1.0.0, Creation: exactly one of Upload-Length and Upload-Defer-Length: 1 (T-048, T-049)."""
    is_number = length is not None and fields.parse_bytes(length) is not None
    is_right = (is_number and deferred is None) or (length is None and deferred == "1")

    if is_right:
        assert fields.parse_creation_length(length, deferred) == (int(length) if length else None)
    else:
        with pytest.raises(InvalidFieldError):
            fields.parse_creation_length(length, deferred)


@given(anything)
def test_media_types_never_break(text: str) -> None:
    """tus 1.0.0, PATCH: application/offset+octet-stream, in any case, with parameters, or not (T-027)."""
    expected = text.split(";", maxsplit=1)[0].strip().lower() == "application/offset+octet-stream"

    assert fields.is_chunk_type(text) == expected
    assert fields.is_chunk_type(f"Application/Offset+OCTET-stream ;{text}")


# -- metadata -----------------------------------------------------------------------------------

keys = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1)
pairs = st.lists(st.tuples(keys, st.binary(max_size=30)), max_size=5, unique_by=lambda pair: pair[0])


@given(pairs, st.sampled_from(["", " ", "\t"]), st.booleans())
def test_metadata_is_read_as_it_was_written(
    written: list[tuple[str, bytes]], blank: str, keep_blank: bool
) -> None:
    """tus 1.0.0, Upload-Metadata: pairs in order, empty values with or without the blank (T-060, T-064)."""
    raw = f",{blank}".join(
        f"{key} {base64.b64encode(value).decode()}" if value or keep_blank else key
        for key, value in written
    )

    metadata = Metadata.parse(raw)

    assert metadata.pairs == tuple(written)
    assert metadata.raw == raw.strip()
    assert Metadata.parse(metadata.raw) == metadata


def decode(raw: str) -> dict[str, bytes] | None:
    """A second reading of Upload-Metadata, by regular expression; None for what is not one."""
    found: dict[str, bytes] = {}
    for item in raw.split(","):
        match = re.fullmatch(r"[ \t]*([\x21-\x2b\x2d-\x7e]+)(?: ([A-Za-z0-9+/]*={0,2}))?[ \t]*", item)
        if not match or match[1] in found:
            return None
        try:
            found[match[1]] = base64.b64decode(match[2] or "", validate=True)
        except binascii.Error:
            return None
    return found


token = st.sampled_from(
    ["a", "b", "key", " ", ",", "YQ==", "YWI=", "YWJj", "=", "YQ", "\t", "ä", "!", "  "]
)


@given(st.lists(token, max_size=9).map("".join) | anything)
def test_two_readers_of_metadata_agree(raw: str) -> None:
    """tus 1.0.0, Upload-Metadata: the pairs, or the one error there is (T-060, T-061, T-062)."""
    expected = decode(raw) if raw.strip() else {}

    try:
        metadata = Metadata.parse(raw)
    except InvalidMetadataError:
        assert expected is None
    else:
        assert dict(metadata.pairs) == expected


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_public_names_are_plain(filename: bytes, filetype: bytes) -> None:
    """tus 1.0.0, Upload-Metadata: whatever it says, a name is the id and a short plain suffix (T-065)."""
    metadata = Metadata(pairs=(("filename", filename), ("filetype", filetype)))

    name = public_name("0123456789abcdef", metadata)

    assert re.fullmatch(r"0123456789abcdef(\.[a-z0-9]{1,16})?", name)


@given(st.text(st.sampled_from("aZ9./\\\0\r\n\"' é%:"), max_size=30))
def test_public_names_keep_a_usual_suffix(text: str) -> None:
    """tus 1.0.0, Upload-Metadata: the last suffix of filename where it is letters and digits (T-065)."""
    metadata = Metadata(pairs=(("filename", f"{text}.TxT".encode()),))

    assert public_name("id_-1", metadata) == "id_-1.txt"


# -- addresses and methods ----------------------------------------------------------------------

forwarded = st.lists(
    st.sampled_from(
        ["host=", "proto=", "https", "up.example", ":80", ";", ",", '"', "\\", "[::1]", " ", "/"]
    ),
    max_size=8,
).map("".join)


@given(
    st.sampled_from(["http", "https"]),
    st.none() | header_text | st.just("files.test:8080"),
    st.lists(
        st.tuples(
            st.sampled_from(["forwarded", "x-forwarded-proto", "x-forwarded-host"]), forwarded | anything
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_an_origin_is_one_or_nothing(
    scheme: str, authority: str | None, lines: list[tuple[str, str]], behind_proxy: bool
) -> None:
    """RFC 7239, 4: whatever proxies and clients say, Location begins with an origin or a path (C-05)."""
    origin = public_origin(
        scheme=scheme, authority=authority, fields=tuple(lines), behind_proxy=behind_proxy
    )

    assert re.fullmatch(
        r"(https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)?", origin, re.ASCII
    )
    if not behind_proxy:
        assert origin == public_origin(scheme=scheme, authority=authority, fields=(), behind_proxy=False)


@given(st.sampled_from(["GET", "POST"]), st.none() | anything)
def test_the_override_is_the_method(method: str, override: str | None) -> None:
    """tus 1.0.0, X-HTTP-Method-Override: its value if it has one, else the real method (T-018, T-019)."""
    expected = override.strip().upper() if override and override.strip() else method

    assert effective_method(method, override) == expected


# -- records ------------------------------------------------------------------------------------

deliveries = st.builds(
    Delivery,
    name=st.text(min_size=1, max_size=20),
    attempts=st.integers(0, 10**9),
    due_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)
uploads = st.builds(
    Upload,
    id=st.text(st.sampled_from("abc019_-"), min_size=1, max_size=20),
    name=st.text(st.sampled_from("abc019_-."), min_size=1, max_size=20),
    created_at=st.datetimes(timezones=st.just(UTC)),
    length=st.none() | st.integers(0, LARGEST),
    state=st.sampled_from(UploadState),
    metadata=pairs.map(
        lambda written: Metadata.parse(
            ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in written)
        )
    ),
    deliveries=st.lists(deliveries, max_size=3).map(tuple),
)


@given(uploads)
def test_records_are_read_as_they_were_written(upload: Upload) -> None:
    """Everything but the offset, which is measured and never believed."""
    assert parse_record(format_record(upload)) == upload


@given(uploads, st.data())
def test_a_torn_record_is_told_as_that(upload: Upload, data: st.DataObject) -> None:
    """No prefix of a record passes for the record."""
    record = format_record(upload)
    end = data.draw(st.integers(0, len(record) - 1))

    with pytest.raises(RecordCorruptError):
        parse_record(record[:end])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["version", "id", "name", "created_at", "length", "state", "metadata", "deliveries"]


@given(st.binary(max_size=60))
def test_rubbish_is_no_record(data: bytes) -> None:
    """A record that cannot be read is that error and no other: a person has to look."""
    with pytest.raises(RecordCorruptError):
        parse_record(data)


@given(uploads, st.sampled_from(FIELDS), json_values)
def test_a_record_with_a_strange_field_is_no_surprise(upload: Upload, field: str, value: object) -> None:
    """A field of the wrong kind is told at once, not stumbled over later."""

    record = json.loads(format_record(upload)) | {field: value}

    try:
        read = parse_record(json.dumps(record).encode())
    except RecordCorruptError:
        return
    assert parse_record(format_record(read)) == read


# -- answers ------------------------------------------------------------------------------------


def every_error() -> list[type[TusdError]]:
    """All errors of the core."""
    found = [value for value in vars(errors).values() if isclass(value) and issubclass(value, TusdError)]
    abstract = {TusdError, UploadError, InvalidFieldError, errors.ExistingUploadError, BodyInterruptedError}
    return [error for error in found if error not in abstract]


@pytest.mark.parametrize("error", every_error())
def test_every_error_has_an_answer_of_its_own(error: type[TusdError]) -> None:
    """The table is total: no error of the core falls through to another's words (C-23)."""
    answer = ANSWERS[error]

    assert 400 <= answer.status < 600
    assert re.fullmatch("ERR_[A-Z_]+", answer.code)
    assert issubclass(error, UploadError) or answer.status >= 500


@pytest.mark.parametrize("end", [BodyEnd.DISCONNECTED, BodyEnd.MALFORMED, BodyEnd.TIMED_OUT])
def test_every_broken_body_has_an_answer(end: BodyEnd) -> None:
    """A cut that the client did not mean is 5xx, which clients retry; only broken framing is not (C-09)."""
    answer = answer_for(BodyInterruptedError("x", end, 5))

    assert answer is INTERRUPTIONS[end]
    assert (answer.status == 400) == (end is BodyEnd.MALFORMED)


def test_every_end_of_a_body_is_thought_of() -> None:
    """Whole bodies succeed; overruns and stops have errors of their own; all others are interruptions."""
    assert set(BodyEnd) - set(INTERRUPTIONS) == {BodyEnd.WHOLE, BodyEnd.TOO_LONG, BodyEnd.STOPPED}


@given(st.text(max_size=20))
def test_foreign_errors_tell_strangers_nothing(text: str) -> None:
    """An error that nobody foresaw is 500 without a word of its own."""
    kinds: list[Callable[[str], Exception]] = [ValueError, OSError, KeyError, RuntimeError]

    assert [answer_for(kind(text)) for kind in kinds] == [UNEXPECTED] * 4
    assert UNEXPECTED.words(ValueError(text)) == "something unforeseen happened; try again"
