"""RFC 7578 and RFC 2046, 5.1: a form's parts are the same in whatever pieces it arrives."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import aiohttp
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.forms import BOUNDARY, Part, field, file, format_form
from tusd_py.protocol.formdata import (
    MAX_HEAD,
    FormScanner,
    MalformedFormError,
    PartEnd,
    PartHead,
    parse_boundary,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Found = list[tuple[PartHead, bytes]]


def scan(pieces: Iterable[bytes], boundary: str = BOUNDARY) -> tuple[Found, bool]:
    """Every part that ended, and whether the form did."""
    scanner, found, head, data = FormScanner(boundary), [], None, b""
    for piece in pieces:
        for event in scanner.feed(piece):
            match event:
                case PartHead():
                    assert head is None
                    head, data = event, b""
                case bytes():
                    assert event
                    data += event
                case PartEnd():
                    assert head is not None
                    found.append((head, data))
                    head = None
    return found, scanner.is_over


def cut(data: bytes, size: int) -> list[bytes]:
    """In pieces of that size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


TRICKY = b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r\r\n--\r\n-" + BOUNDARY.encode() + b"\r"
PARTS = [field("content_type", "audio/webm"), file(TRICKY), field("empty", ""), file(b"", "chunk", "")]
FORM = format_form(PARTS)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 40, 64, 100, 10_000])
def test_the_pieces_do_not_matter(size: int) -> None:
    """Also where a delimiter, and what looks like one, is cut anywhere."""
    found, is_over = scan(cut(FORM, size))

    assert is_over
    assert [(head.name, head.file_name, data) for head, data in found] == [
        ("content_type", None, b"audio/webm"),
        ("file", "speech.webm", TRICKY),
        ("empty", None, b""),
        ("chunk", "", b""),
    ]
    assert [head.content_type for head, _ in found] == [None, "audio/webm", None, "audio/webm"]


_BYTES = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"b", b"\r\n--b", b"\r\n--", b"x"])).map(b"".join)


@settings(max_examples=300)
@given(contents=st.lists(_BYTES, max_size=4), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_what_was_written_is_read(contents: Sequence[bytes], cuts: Sequence[int]) -> None:
    """Any content that does not hold the delimiter, in any pieces."""
    contents = [content for content in contents if b"\r\n--bound" not in b"\r\n" + content]
    form = format_form([Part("x", content) for content in contents], "bound")
    edges = sorted({0, *(each for each in cuts if each < len(form)), len(form)})

    found, is_over = scan((form[a:b] for a, b in pairwise(edges)), "bound")

    assert is_over
    assert [data for _, data in found] == contents


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_parts_or_malformed(data: bytes, size: int) -> None:
    """Nothing else can come of what anybody sends."""
    with suppress(MalformedFormError):
        scan(cut(b"--b\r\n" + data, size), "b")


@pytest.mark.parametrize("size", [1, 13, 10_000])
def test_what_stands_around_a_form_means_nothing(size: int) -> None:
    """RFC 2046, 5.1.1: preamble and epilogue are passed over; blanks may follow a boundary."""
    padded = FORM.replace(f"{BOUNDARY}\r\n".encode(), f"{BOUNDARY} \t\r\n".encode())
    form = b"a preamble\r\n-- and more\r\n" + padded + b"epilogue\r\n--" + BOUNDARY.encode() + b"\r\nx"

    found, is_over = scan(cut(form, size))

    assert is_over
    assert [data for _, data in found] == [part.data for part in PARTS]


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ('"speech.webm"', "speech.webm"),
        ("speech.webm", "speech.webm"),
        ('"a%22b.wav"', 'a"b.wav'),
        (r'"a\"b.wav"', 'a"b.wav'),
        (r'"C:\b.wav"', r"C:\b.wav"),
        ('"größe.wav"', "größe.wav"),
        ("\"x.wav\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.wav", "größe.wav"),
        ("\"x.wav\"; filename*=latin-1''gr%F6", "x.wav"),
        ('""', ""),
    ],
)
def test_file_names_are_what_clients_mean(name: str, file_name: str) -> None:
    """WHATWG HTML, 4.10.21.8; RFC 9110, 5.6.4; RFC 8187: browsers and programs write them differently."""
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename={name}\r\n\r\n'
    found, _ = scan([head.encode() + b"\r\n--b--"], "b")

    assert [each.file_name for each, _ in found] == [file_name]


DISPOSITION = 'Content-Disposition: form-data; name="x"'


@pytest.mark.parametrize(
    "form",
    [
        "--bx\r\n",
        "--b x\r\n",
        "--b\r\n\r\nno head\r\n--b--",
        "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--",
        "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
        '--b\r\nContent-Disposition: attachment; name="x"\r\n\r\nx\r\n--b--',
        f"--b\r\n{DISPOSITION}\r\nno field\r\n\r\n",
        f"--b\r\n{DISPOSITION}\r\n folded: x\r\n\r\n",
        f"--b\r\n{DISPOSITION}\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--",
        f"--b\r\n{DISPOSITION}\r\n\r\nx\r\n--bc",
        f"--b\r\n{DISPOSITION}\r\nX: {'x' * MAX_HEAD}\r\n\r\n",
        f"--b\r\n{'x' * (MAX_HEAD + 1)}",
        f"--b{' ' * (MAX_HEAD + 1)}",
    ],
)
def test_what_is_no_form_is_refused(form: str) -> None:
    """Nothing is guessed: bytes that were meant otherwise would end up in the file."""
    for size in (1, 1000, len(form)):
        with pytest.raises(MalformedFormError):
            scan(cut(form.encode(), size), "b")


@pytest.mark.parametrize("keep", range(0, len(FORM) - 3, 7))
def test_a_form_that_ends_early_is_not_over(keep: int) -> None:
    """Whatever is missing of it, to the last hyphen."""
    assert scan([FORM[:keep]])[1] is False
    assert scan([FORM[: len(FORM) - 3]])[1] is False
    assert scan([FORM[: len(FORM) - 2]])[1] is True


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=x", "x"),
        ("Multipart/Form-Data;charset=utf-8; Boundary=x", "x"),
        ('multipart/form-data; boundary="a b:c"', "a b:c"),
        (f"multipart/form-data; boundary={'x' * 70}", "x" * 70),
        (f"multipart/form-data; boundary={'x' * 71}", None),
        ('multipart/form-data; boundary="a b "', None),
        ('multipart/form-data; boundary="ä"', None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=x", None),
        ("application/x-www-form-urlencoded", None),
        (None, None),
    ],
)
def test_boundaries_have_a_grammar(content_type: str | None, boundary: str | None) -> None:
    """RFC 2046, 5.1.1."""
    assert parse_boundary(content_type) == boundary


def test_requests_writes_what_we_read() -> None:
    """The library's own encoder, files and fields."""
    request = requests.Request(
        "POST",
        "http://files.test/",
        data={"content_type": "audio/webm;codecs=opus"},
        files={"file": ("größe 1.webm", TRICKY, "audio/webm")},
    ).prepare()
    assert isinstance(request.body, bytes)

    boundary = parse_boundary(str(request.headers["Content-Type"]))
    assert boundary is not None
    found, is_over = scan(cut(request.body, 17), boundary)

    assert is_over
    assert [(head.name, head.file_name, data) for head, data in found] == [
        ("content_type", None, b"audio/webm;codecs=opus"),
        ("file", "größe 1.webm", TRICKY),
    ]


async def test_aiohttp_writes_what_we_read() -> None:
    """The library's own encoder, files and fields."""
    form = aiohttp.FormData()
    form.add_field("file", TRICKY, filename="speech.webm", content_type="audio/webm")
    form.add_field("content_type", "audio/webm;codecs=opus")
    payload = form()
    boundary = parse_boundary(payload.headers["Content-Type"])
    assert boundary is not None

    found, is_over = scan(cut(await payload.as_bytes(), 17), boundary)

    assert is_over
    assert [(head.name, head.file_name, data) for head, data in found] == [
        ("file", "speech.webm", TRICKY),
        ("content_type", None, b"audio/webm;codecs=opus"),
    ]
