"""Part arithmetic: sizes, numbers, holes, chains and joins, from no byte at all to the largest object."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.stores.s3_parts import (
    MAX_OBJECT,
    MAX_PART,
    MAX_PARTS,
    MIB,
    MIN_PART,
    Part,
    Segment,
    Span,
    chain,
    count_contiguous,
    number_at,
    plan_join,
    plan_part_size,
    size_of,
    start_of,
)

TIB = 2**40
SIZE = 10


def parts(*sizes: int | None) -> dict[int, Part]:
    """Parts of these sizes from the first on; None is a hole."""
    return {
        n: Part(number=n, size=size, etag=f"{n}") for n, size in enumerate(sizes, 1) if size is not None
    }


def segment(start: int, size: int, epoch: int = 1) -> Segment:
    """One of them, with a key that tells it from others."""
    return Segment(start=start, size=size, epoch=epoch, key=f"{start}.{size}.{epoch}")


@pytest.mark.parametrize(
    ("length", "room", "size"),
    [
        (0, None, MIN_PART),
        (1, None, MIN_PART),
        (MIN_PART, None, MIN_PART),
        (MAX_PARTS * MIN_PART, None, MIN_PART),
        (MAX_PARTS * MIN_PART + 1, None, MIN_PART + MIB),
        (5 * TIB, None, 525 * MIB),
        (MAX_OBJECT, None, MAX_PART),
        (None, None, MIN_PART),
        (None, 0, MIN_PART),
        (None, TIB, 105 * MIB),
        (None, MAX_OBJECT, MAX_PART),
        (5, TIB, MIN_PART),
    ],
)
def test_parts_are_as_large_as_ten_thousand_of_them_have_to_be(
    length: int | None, room: int | None, size: int
) -> None:
    """The preferred size, or the next whole MiB that is enough; S3's own limits end at 48.8 TiB."""
    assert plan_part_size(length, preferred=MIN_PART, room=room) == size


@given(length=st.integers(0, MAX_OBJECT), preferred=st.integers(MIN_PART, MAX_PART))
def test_no_upload_needs_more_parts_than_there_are(length: int, preferred: int) -> None:
    """Whatever its length, and whatever size is preferred: within all limits of S3."""
    size = plan_part_size(length, preferred=preferred)

    assert preferred <= size <= MAX_PART
    assert -(-length // size) <= MAX_PARTS
    assert size == preferred or size % MIB == 0


@given(
    size=st.integers(1, MAX_PART),
    length=st.none() | st.integers(0, MAX_OBJECT),
    offset=st.integers(0, MAX_OBJECT),
)
def test_every_byte_is_in_one_part(size: int, length: int | None, offset: int) -> None:
    """The part that holds it begins before it, or at it, and the next one behind it."""
    number = number_at(offset, size)

    assert start_of(number, size) <= offset < start_of(number + 1, size)
    if length is None or offset < length:
        assert offset < start_of(number, size) + size_of(number, size, length)


@given(size=st.integers(1, 50), length=st.integers(0, 500))
def test_the_parts_of_an_upload_have_its_length(size: int, length: int) -> None:
    """All whole but the last; behind that there is nothing."""
    count = -(-length // size)
    sizes = [size_of(number, size, length) for number in range(1, count + 3)]

    assert sum(sizes) == length
    assert all(each == size for each in sizes[: max(count - 1, 0)])
    assert sizes[count:] == [0, 0]


@pytest.mark.parametrize(
    ("stored", "length", "count"),
    [
        (parts(), 25, 0),
        (parts(), 0, 0),
        (parts(10), 25, 1),
        (parts(10, 10), 25, 2),
        (parts(10, 10, 5), 25, 3),
        (parts(10, 10, 10), 25, 2),
        (parts(10, 10, 4), 25, 2),
        (parts(10, 10), 20, 2),
        (parts(10, 10, 0), 20, 2),
        (parts(None, 10, 5), 25, 0),
        (parts(10, None, 5), 25, 1),
        (parts(9, 10, 5), 25, 0),
        (parts(1), 1, 1),
        (parts(0), 0, 0),
        (parts(10, 10, 5), None, 2),
        (parts(10, 10, 10), None, 3),
    ],
)
def test_parts_count_as_far_as_they_are_whole_and_in_a_row(
    stored: dict[int, Part], length: int | None, count: int
) -> None:
    """Nothing behind a hole counts, nor what has another size than its place."""
    assert count_contiguous(stored, SIZE, length) == count


@given(
    sizes=st.lists(st.none() | st.integers(0, 12), max_size=12),
    length=st.none() | st.integers(0, 120),
    data=st.data(),
)
def test_what_is_known_to_count_need_not_be_looked_at(
    sizes: list[int | None], length: int | None, data: st.DataObject
) -> None:
    """Going on from any part that counts gives the same."""
    stored = parts(*sizes)
    count = count_contiguous(stored, SIZE, length)

    assert count_contiguous(stored, SIZE, length, known=data.draw(st.integers(0, count))) == count


@pytest.mark.parametrize(
    ("segments", "start", "stop"),
    [
        ([], 0, 0),
        ([segment(0, 3)], 0, 3),
        ([segment(0, 3), segment(3, 4)], 0, 7),
        ([segment(3, 4), segment(0, 3)], 0, 7),
        ([segment(0, 3), segment(4, 4)], 0, 3),
        ([segment(1, 3)], 0, 0),
        ([segment(0, 3), segment(3, 4)], 3, 7),
        ([segment(0, 0)], 0, 0),
        # who goes on begins an epoch: what comes late from an earlier one does not count
        ([segment(0, 3, 1), segment(0, 2, 2)], 0, 2),
        ([segment(0, 3, 1), segment(3, 2, 2), segment(3, 9, 1), segment(5, 1, 2)], 0, 6),
        ([segment(0, 3, 2), segment(3, 2, 1)], 0, 3),
        ([segment(0, 3, 1), segment(3, 2, 3), segment(5, 1, 2)], 0, 5),
    ],
)
def test_segments_count_as_far_as_they_follow_one_another(
    segments: list[Segment], start: int, stop: int
) -> None:
    """From the last whole part on, the latest epoch first, and never back to an earlier one."""
    linked = chain(segments, start)

    assert (linked[-1].stop if linked else start) == stop


@given(
    segments=st.lists(st.builds(segment, st.integers(0, 20), st.integers(0, 6), st.integers(1, 3))),
    start=st.integers(0, 20),
)
def test_a_chain_is_one(segments: list[Segment], start: int) -> None:
    """Without holes, without overlaps, its epochs in order, all of them from what is there."""
    linked = chain(segments, start)

    assert all(each in segments and each.size for each in linked)
    assert [each.start for each in linked] == [start, *[each.stop for each in linked]][: len(linked)]
    assert all(one.epoch <= next_one.epoch for one, next_one in itertools.pairwise(linked))


@pytest.mark.parametrize(
    ("sizes", "plan"),
    [
        ([], []),
        ([0, 0], []),
        ([1], [[Span(0, 0, 1)]]),
        ([10], [[Span(0, 0, 10)]]),
        ([20], [[Span(0, 0, 10)], [Span(0, 10, 20)]]),
        ([25], [[Span(0, 0, 10)], [Span(0, 10, 20)], [Span(0, 20, 25)]]),
        ([4, 0, 5], [[Span(0, 0, 4), Span(2, 0, 5)]]),
        ([7, 13], [[Span(0, 0, 7), Span(1, 0, 3)], [Span(1, 3, 13)]]),
        ([10, 10], [[Span(0, 0, 10)], [Span(1, 0, 10)]]),
        ([3, 3, 3, 3], [[Span(0, 0, 3), Span(1, 0, 3), Span(2, 0, 3), Span(3, 0, 1)], [Span(3, 1, 3)]]),
    ],
)
def test_a_join_cuts_its_sources_at_the_parts_of_the_whole(
    sizes: list[int], plan: list[list[Span]]
) -> None:
    """A part that lies in one source is one span, which S3 can copy by itself."""
    assert plan_join(sizes, SIZE) == plan


@given(sizes=st.lists(st.integers(0, 40), max_size=8), size=st.integers(1, 15))
def test_a_join_takes_every_byte_once_and_in_order(sizes: list[int], size: int) -> None:
    """All parts whole but the last, and together they are the sources, one behind the other."""
    plan = plan_join(sizes, size)
    whole = [(source, byte) for source, length in enumerate(sizes) for byte in range(length)]

    taken = [
        (span.source, byte) for spans in plan for span in spans for byte in range(span.start, span.stop)
    ]
    lengths = [sum(span.stop - span.start for span in spans) for spans in plan]

    assert taken == whole
    assert all(length == size for length in lengths[:-1])
    assert all(0 < length <= size for length in lengths)


def test_a_join_of_the_largest_sources_is_planned_at_once() -> None:
    """48.8 TiB, of two sources that do not end at parts."""
    plan = plan_join([MAX_OBJECT // 2 + 1, MAX_OBJECT // 2 - 1], MAX_PART)

    assert len(plan) == MAX_PARTS
    assert [len(spans) for spans in plan].count(2) == 1
    assert sum(span.stop - span.start for spans in plan for span in spans) == MAX_OBJECT
