"""How stored bytes are presented: RFC 6266, RFC 8187, RFC 9110 sections 8.3 and 8.8, and safety."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.core.model import Metadata, Upload, UploadState
from tusd_py.protocol.representation import (
    INLINE_TYPES,
    MAX_FILE_NAME,
    choose_content_type,
    choose_file_name,
    describe,
    format_disposition,
)

NOW = datetime(2026, 11, 6, 8, 49, 37, 500_000, tzinfo=UTC)


def metadata(**values: str | bytes) -> Metadata:
    """Metadata as a client would have sent it."""
    pairs = {
        k: v if isinstance(v, bytes) else v.encode("utf-8", "surrogatepass") for k, v in values.items()
    }
    return Metadata.parse(",".join(f"{key} {b64encode(value).decode()}" for key, value in pairs.items()))


def upload(**values: str | bytes) -> Upload:
    """A finished upload with this metadata."""
    return Upload(
        id="c0ffee",
        name="c0ffee.bin",
        created_at=NOW,
        offset=5,
        length=5,
        state=UploadState.COMPLETE,
        metadata=metadata(**values),
    )


@pytest.mark.parametrize(
    ("filetype", "expected"),
    [
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        (" text/plain ", "text/plain"),
        ("text/plain;charset=utf-8", "text/plain; charset=utf-8"),
        ("text/plain ; Charset=UTF-8 ", "text/plain; charset=UTF-8"),
        ('text/plain; a="x; \\"y\\""; b=c', 'text/plain; a="x; \\"y\\""; b=c'),
        ("application/vnd.ms-excel.sheet+x", "application/vnd.ms-excel.sheet+x"),
        ("text/html", "text/html"),
    ],
)
def test_a_well_formed_media_type_is_kept(filetype: str, expected: str) -> None:
    """RFC 9110, 8.3.1: type and subtype are tokens without case, parameters may follow."""
    assert choose_content_type(metadata(filetype=filetype)) == expected


@pytest.mark.parametrize(
    "rest", [";", "; charset", "; =x", "; a=b c", '; a="', '; a="\x01"', "; a=é", "; a=b;"]
)
def test_malformed_parameters_are_dropped_and_the_type_stays(rest: str) -> None:
    """RFC 9110, 5.6.6: what is no parameter is not repeated to anyone."""
    assert choose_content_type(metadata(filetype="image/png" + rest)) == "image/png"


@pytest.mark.parametrize(
    "filetype",
    [
        "",
        "png",
        "image/",
        "/png",
        "image/png/x",
        "image png",
        "image/png x",
        "im age/png",
        "image/pñg",
        "text/plain\r\nX-Evil: 1",
        "text/plain\n",
        "a/" + "b" * 300,
        b"\xff/\xfe",
        "text/plain, text/html",
    ],
)
def test_what_is_no_media_type_is_bytes(filetype: str | bytes) -> None:
    """RFC 9110, 8.3.1: anything else is told as application/octet-stream."""
    assert choose_content_type(metadata(filetype=filetype)) == "application/octet-stream"


def test_without_filetype_the_content_is_bytes() -> None:
    """No metadata, no claim about the content."""
    assert choose_content_type(Metadata()) == "application/octet-stream"


@pytest.mark.parametrize("content_type", sorted(INLINE_TYPES))
def test_types_without_script_are_shown_in_place(content_type: str) -> None:
    """RFC 6266, 4.2: inline for the short list, parameters or not."""
    assert format_disposition(content_type, "a.b") == 'inline; filename="a.b"'
    assert format_disposition(f"{content_type}; x=y", "a.b") == 'inline; filename="a.b"'


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "text/xml",
        "application/xml",
        "application/xhtml+xml",
        "image/svg+xml",
        "application/pdf",
        "text/javascript",
        "application/javascript",
        "text/css",
        "application/octet-stream",
        "multipart/related",
        "text/plainx",
        "x/text/plain",
        "text/html;text/plain",
    ],
)
def test_everything_else_is_an_attachment(content_type: str) -> None:
    """Strangers' documents are never opened in the origin that stores them."""
    assert content_type.partition(";")[0] not in INLINE_TYPES
    assert format_disposition(content_type, "a.b") == 'attachment; filename="a.b"'


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.gif", "cat.gif"),
        ("../../up.txt", "up.txt"),
        ("folder/", "folder"),
        ("a\r\nSet-Cookie: x=1\x00.txt", "aSet-Cookie: x=1.txt"),
        ("line\u2028para\u2029\x85.txt", "linepara.txt"),
        ("photo_\u202egpj.exe", "photo_gpj.exe"),
        ("\u2066a\u2069\u200f\u061c.txt", "a.txt"),
        ("  spaced name.txt \t", "spaced name.txt"),
        ("naïve 日本.txt", "naïve 日本.txt"),
        ('say "hi".txt', 'say "hi".txt'),
        ("family \U0001f468\u200d\U0001f469.png", "family \U0001f468\u200d\U0001f469.png"),
        (".htaccess", ".htaccess"),
    ],
)
def test_the_file_name_is_the_last_segment_without_tricks(filename: str, expected: str) -> None:
    """RFC 6266, 4.3: recipients take the last path segment only, so that is all we send."""
    assert choose_file_name(upload(filename=filename)) == expected


@pytest.mark.parametrize(
    "filename", ["", ".", "..", "...", "a/..", "\x00\x01", " ", "/", "\u202e", b"\xff\xfe"]
)
def test_a_name_of_which_nothing_is_left_gives_way_to_the_public_one(filename: str | bytes) -> None:
    """There is always a name to save the bytes under."""
    assert choose_file_name(upload(filename=filename)) == "c0ffee.bin"


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a" * 300, "a" * 255),
        ("a" * 300 + ".jpeg", "a" * 250 + ".jpeg"),
        ("é" * 200 + ".txt", "é" * 125 + ".txt"),
        ("x." + "y" * 300, "x." + "y" * 253),
        ("." + "z" * 300, "." + "z" * 254),
        ("a" * 251 + ".txt", "a" * 251 + ".txt"),
    ],
)
def test_an_overlong_name_is_cut_at_255_bytes_and_keeps_its_suffix(filename: str, expected: str) -> None:
    """What file systems take, in bytes of UTF-8, never half a character."""
    assert choose_file_name(upload(filename=filename)) == expected


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ("€ rates", "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"),
        ('say "hi".txt', "attachment; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"),
        ("100%41.txt", "attachment; filename=\"100_41.txt\"; filename*=UTF-8''100%2541.txt"),
        ("it's (1).txt", 'attachment; filename="it\'s (1).txt"'),
        ("é'(*).txt", "attachment; filename=\"_'(*).txt\"; filename*=UTF-8''%C3%A9%27%28%2A%29.txt"),
    ],
)
def test_the_disposition_tells_the_name_to_old_and_new_browsers(file_name: str, expected: str) -> None:
    """RFC 6266, 5 and appendix D; RFC 8187, 3.2.3 for its example of a euro sign."""
    assert format_disposition("application/zip", file_name) == expected


DISPOSITION = re.compile(
    r"""(inline|attachment);\ filename="(?P<plain>[ !#$&-\[\]-~]*)"
        (;\ filename\*=UTF-8''(?P<exact>(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})+))?""",
    re.VERBOSE,
)


@given(st.text(max_size=400).map(lambda s: s.encode("utf-8", "surrogatepass")), st.binary(max_size=60))
def test_no_metadata_can_break_out_of_its_header(filename: bytes, filetype: bytes) -> None:
    """RFC 6266, 4.1 and RFC 8187, 3.2.1: the grammar holds, and the exact name comes back from it."""
    stored = upload(filename=filename, filetype=filetype)

    fields = describe(stored, size=5, modified_at=NOW, now=NOW).fields()

    match = DISPOSITION.fullmatch(fields["Content-Disposition"])
    assert match is not None
    name = unquote(match["exact"], errors="strict") if match["exact"] else match["plain"]
    assert name == choose_file_name(stored)
    assert 0 < len(name.encode()) <= MAX_FILE_NAME
    assert not set(name) & set("/\\\r\n\x00")
    assert all(value.isascii() and value.isprintable() for value in fields.values())


def test_a_finished_upload_has_a_tag_and_a_date_that_never_change() -> None:
    """RFC 9110, 8.8: strong validators; kept by one user's browser, asked for again each time."""
    modified_at = NOW - timedelta(hours=1)

    shown = describe(upload(filetype="image/png"), size=5, modified_at=modified_at, now=NOW)

    assert shown.validators.modified_at == datetime(2026, 11, 6, 7, 49, 37, tzinfo=UTC)
    assert shown.fields() == {
        "Content-Type": "image/png",
        "Content-Disposition": 'inline; filename="c0ffee.bin"',
        "Accept-Ranges": "bytes",
        "Last-Modified": "Fri, 06 Nov 2026 07:49:37 GMT",
        "ETag": '"c0ffee"',
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


@pytest.mark.parametrize("state", [UploadState.OPEN, UploadState.COMPLETING, UploadState.FAILED])
def test_what_is_not_finished_has_a_tag_for_its_size_and_is_never_cached(state: UploadState) -> None:
    """RFC 9110, 8.8.1: a strong tag changes with the bytes; a date could not tell two states apart."""
    running = replace(upload(), state=state)

    shown = describe(running, size=3, modified_at=NOW, now=NOW)

    assert shown.validators.etag == '"c0ffee-3"'
    assert shown.validators.modified_at is None
    assert shown.fields()["Cache-Control"] == "no-store"
    assert "Last-Modified" not in shown.fields()


def test_a_date_to_come_is_not_told() -> None:
    """RFC 9110, 8.8.2.1: no Last-Modified later than the answer itself."""
    shown = describe(upload(), size=5, modified_at=NOW + timedelta(seconds=1), now=NOW)

    assert shown.validators.modified_at is None


@pytest.mark.parametrize(
    ("upload_id", "etag"), [('a"b', '"a%22b"'), ("a b\r\n", '"a%20b%0D%0A"'), ("a%b/ü", '"a%25b/%C3%BC"')]
)
def test_any_id_makes_a_valid_tag(upload_id: str, etag: str) -> None:
    """RFC 9110, 8.8.3: an opaque tag holds no quote, blank or control character."""
    shown = describe(replace(upload(), id=upload_id), size=5, modified_at=NOW, now=NOW)

    assert shown.validators.etag == etag


def test_a_304_repeats_only_what_a_cache_needs() -> None:
    """RFC 9110, 15.4.5: no description of a content that is not sent."""
    fields = describe(upload(), size=5, modified_at=NOW, now=NOW).cache_fields()

    assert fields["ETag"] == '"c0ffee"'
    assert not fields.keys() & {"Content-Type", "Content-Disposition", "Last-Modified", "Accept-Ranges"}
