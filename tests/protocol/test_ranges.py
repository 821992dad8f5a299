"""Range requests: RFC 9110, sections 14, 15.3.7 and 17.15."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.protocol.ranges import (
    MAX_RANGES,
    UNSATISFIABLE,
    ByteRange,
    format_content_range,
    format_unsatisfied,
    plan_multipart,
    select_ranges,
)

SIZE = 10_000


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=-500", [(9500, 10_000)]),
        ("bytes=9500-", [(9500, 10_000)]),
        ("bytes=0-0,-1", [(0, 1), (9999, 10_000)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, 10_000)]),
        ("bytes=500-600,601-999", [(500, 601), (601, 1000)]),
        ("bytes=500-700,601-999", [(500, 701), (601, 1000)]),
    ],
)
def test_the_examples_of_the_standard_select_what_it_says(
    field: str, expected: list[tuple[int, int]]
) -> None:
    """RFC 9110, 14.1.2: its examples for a representation of 10,000 bytes."""
    assert select_ranges(field, SIZE) == tuple(expected)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("bytes=0-20000", (0, 10_000)),
        ("bytes=9999-99999999999999999999", (9999, 10_000)),
        ("bytes=-20000", (0, 10_000)),
        ("bytes=-" + "9" * 5000, (0, 10_000)),
        ("bytes=5-" + "9" * 5000, (5, 10_000)),
        ("bytes=" + "0" * 5000 + "7-8", (7, 9)),
        ("bytes=9999-9999", (9999, 10_000)),
    ],
)
def test_what_lies_beyond_the_end_is_clipped(field: str, expected: tuple[int, int]) -> None:
    """RFC 9110, 14.1.2: a last position beyond the end is the end; any number of digits may come."""
    assert select_ranges(field, SIZE) == (expected,)


@pytest.mark.parametrize(
    "field",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1-0",
        "bytes=0-1,5-3",
        "bytes=+5-9",
        "bytes=\uff11-2",
        "bytes=1_0-20",
        "bytes=0 - 5",
        "bytes=0x1-0x2",
        "bytes=--5",
        "bytes=5",
        "items=0-5",
        "bytes:0-5",
        "=0-5",
        "bytes=0-1, bytes=3-4",
        "bytes=0-1;2-3",
        "bytes=1.0-2",
        "bytes=\n0-1\n",
    ],
)
def test_a_field_that_is_no_valid_set_of_byte_ranges_is_ignored(field: str | None) -> None:
    """RFC 9110, 14.2: a server may ignore an invalid ranges-specifier, and must an unknown unit."""
    assert select_ranges(field, SIZE) is None


@pytest.mark.parametrize("field", ["BYTES=0-1", "Bytes=0-1", "bytes=,0-1", "bytes=0-1 ,\t,", "bytes= 0-1"])
def test_the_unit_has_no_case_and_empty_list_elements_are_tolerated(field: str) -> None:
    """RFC 9110, 14.1 (units are case-insensitive) and 5.6.1.2 (empty elements)."""
    assert select_ranges(field, SIZE) == ((0, 2),)


@pytest.mark.parametrize(
    ("field", "size"),
    [
        ("bytes=10000-", SIZE),
        ("bytes=10000-10001", SIZE),
        ("bytes=-0", SIZE),
        ("bytes=-0,10000-", SIZE),
        ("bytes=99999999999999999999-", SIZE),
        ("bytes=" + "9" * 5000 + "-", SIZE),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=-0", 0),
    ],
)
def test_a_set_without_any_byte_of_the_representation_is_unsatisfiable(field: str, size: int) -> None:
    """RFC 9110, 14.1.2: satisfiable is a first position within, or a suffix that is not empty."""
    assert select_ranges(field, size) == UNSATISFIABLE


def test_ranges_that_cannot_be_satisfied_are_left_out_of_the_rest() -> None:
    """RFC 9110, 15.3.7.2: only the satisfiable ranges are sent, in the order asked for."""
    assert select_ranges("bytes=20000-,700-799,-0,0-99", SIZE) == ((700, 800), (0, 100))


@pytest.mark.parametrize("field", ["bytes=-1", "bytes=-1,-2", "bytes=0-,-5"])
def test_a_suffix_of_an_empty_representation_is_all_of_it(field: str) -> None:
    """RFC 9110, 14.1.2 and 14.4: satisfiable, but no Content-Range can say it, so the field is ignored."""
    assert select_ranges(field, 0) is None


def test_sixteen_ranges_are_served_and_seventeen_are_ignored() -> None:
    """RFC 9110, 17.15: a set of many small ranges may be ignored."""
    specs = [f"{start}-{start}" for start in range(0, 2 * (MAX_RANGES + 1), 2)]

    assert select_ranges("bytes=" + ",".join(specs[:16]), SIZE) == tuple(
        (n, n + 1) for n in range(0, 32, 2)
    )
    assert select_ranges("bytes=" + ",".join(specs), SIZE) is None


@pytest.mark.parametrize(
    "field", ["bytes=0-,0-", "bytes=0-,0-0", "bytes=-9000,-9000", "bytes=5000-,0-5000"]
)
def test_ranges_that_add_up_to_more_than_the_whole_are_ignored(field: str) -> None:
    """RFC 9110, 17.15: overlapping ranges must not multiply the bytes of an answer."""
    assert select_ranges(field, SIZE) is None


def test_ranges_that_add_up_to_the_whole_are_served() -> None:
    """The bound of the rule above: exactly the size is not too much."""
    assert select_ranges("bytes=5000-,0-4999", SIZE) == ((5000, 10_000), (0, 5000))


def test_content_range_names_first_last_and_size() -> None:
    """RFC 9110, 14.4: its example values."""
    assert format_content_range(ByteRange(42, 1234), 1234) == "bytes 42-1233/1234"
    assert format_unsatisfied(1234) == "bytes */1234"


@given(st.one_of(st.text(), st.text("bytes=0123456789-, ").map("bytes=".__add__)), st.integers(0, 100))
def test_no_text_makes_the_parser_raise_or_select_outside(field: str, size: int) -> None:
    """Whatever comes: None, unsatisfiable, or non-empty ranges inside, no more than the whole."""
    selection = select_ranges(field, size)

    if selection is not None and selection != UNSATISFIABLE:
        assert 0 < len(selection) <= MAX_RANGES
        assert all(0 <= start < stop <= size for start, stop in selection)
        assert sum(span.length for span in selection) <= size


SPEC = st.one_of(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: f"{min(p)}-{max(p)}"),
    st.integers(0, 60).map("{}-".format),
    st.integers(0, 60).map("-{}".format),
)


def slice_by_hand(content: bytes, spec: str) -> bytes:
    """What one range-spec means, said by slices of Python."""
    first, _, last = spec.partition("-")
    if not first:
        return content[-int(last) :] if int(last) else b""
    return content[int(first) : int(last) + 1 if last else None]


@given(st.binary(min_size=1, max_size=50), st.lists(SPEC, min_size=1, max_size=4))
def test_the_selected_bytes_are_the_slices_asked_for(content: bytes, specs: list[str]) -> None:
    """RFC 9110, 14.1.2: the ranges one after the other are the slices one after the other."""
    slices = b"".join(slice_by_hand(content, spec) for spec in specs)

    selection = select_ranges("bytes=" + ",".join(specs), len(content))

    if not slices:
        assert selection == UNSATISFIABLE
    elif len(slices) > len(content):
        assert selection is None
    else:
        assert selection is not None
        assert selection != UNSATISFIABLE
        assert b"".join(content[start:stop] for start, stop in selection) == slices


def test_a_multipart_body_is_framed_as_in_the_standard() -> None:
    """RFC 9110, 14.6: the example's shape, byte for byte, and its length known beforehand."""
    body = plan_multipart(
        (ByteRange(500, 1000), ByteRange(7000, 8000)), 8000, content_type="application/pdf", boundary="SEP"
    )

    assert body.content_type == "multipart/byteranges; boundary=SEP"
    assert body.parts == (
        (
            b"--SEP\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\n",
            (500, 1000),
        ),
        (
            b"\r\n--SEP\r\nContent-Type: application/pdf\r\nContent-Range: bytes 7000-7999/8000\r\n\r\n",
            (7000, 8000),
        ),
    )
    assert body.closing == b"\r\n--SEP--\r\n"
    assert body.length == 75 + 500 + 79 + 1000 + 11


@given(st.binary(min_size=2, max_size=60), st.data())
def test_a_multipart_body_reads_back_as_its_ranges(content: bytes, data: st.DataObject) -> None:
    """RFC 2046, 5.1.1: an independent parser finds every range's very bytes, and the length is exact."""
    starts = data.draw(st.lists(st.integers(0, len(content) - 1), min_size=2, max_size=5))
    spans = tuple(ByteRange(s, data.draw(st.integers(s + 1, len(content)))) for s in starts)

    body = plan_multipart(spans, len(content), content_type="image/png", boundary="0f" * 16)
    wire = b"".join(head + content[span.start : span.stop] for head, span in body.parts) + body.closing

    assert len(wire) == body.length
    pieces = wire.split(b"--" + b"0f" * 16)
    assert [piece.partition(b"\r\n\r\n")[2][:-2] for piece in pieces[1:-1]] == [
        content[s:e] for s, e in spans
    ]
    message = message_from_bytes(f"Content-Type: {body.content_type}\r\n\r\n".encode() + wire, policy=HTTP)
    assert [part["Content-Range"] for part in message.iter_parts()] == [
        format_content_range(span, len(content)) for span in spans
    ]
