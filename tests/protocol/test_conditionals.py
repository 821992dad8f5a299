"""Conditional requests and HTTP dates: RFC 9110, sections 5.6.7, 8.8 and 13."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.protocol.conditionals import (
    EntityTag,
    Preconditions,
    Validators,
    Verdict,
    evaluate,
    format_date,
    parse_date,
    parse_entity_tags,
    range_counts,
)

NOW = datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC)
CHANGED = datetime(2026, 11, 5, 12, 0, 0, tzinfo=UTC)
SAME = "Thu, 05 Nov 2026 12:00:00 GMT"
BEFORE = "Thu, 05 Nov 2026 11:59:59 GMT"
AFTER = "Thu, 05 Nov 2026 12:00:01 GMT"
FILE = Validators(etag='"abc"', modified_at=CHANGED)
RUNNING = Validators(etag='"abc-5"')

PROCEED, NOT_MODIFIED, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.PRECONDITION_FAILED


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_a_date_mean_the_same(text: str) -> None:
    """RFC 9110, 5.6.7: its three examples."""
    assert parse_date(text, now=NOW) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("Friday, 06-Nov-76 08:49:37 GMT", 2076),
        ("Friday, 06-Nov-76 08:49:38 GMT", 1976),
        ("Monday, 07-Nov-76 00:00:00 GMT", 1976),
        ("Monday, 01-Jan-77 00:00:00 GMT", 1977),
        ("Monday, 01-Jan-26 00:00:00 GMT", 2026),
        ("Tuesday, 29-Feb-00 00:00:00 GMT", 2000),
    ],
)
def test_a_two_digit_year_is_never_more_than_fifty_years_ahead(text: str, year: int) -> None:
    """RFC 9110, 5.6.7: rfc850-date, counted from now."""
    date = parse_date(text, now=NOW)

    assert date is not None
    assert date.year == year


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "0",
        "1784000000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, \uff10\uff16 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun Nov 06  08:49:37 1994",
        "Sun Nov    08:49:37 1994",
    ],
)
def test_what_is_no_http_date_is_told_apart(text: str) -> None:
    """RFC 9110, 5.6.7: names are case-sensitive, digits are ASCII, the zone is GMT."""
    assert parse_date(text, now=NOW) is None


def test_a_leap_second_is_a_valid_date() -> None:
    """RFC 9110, 5.6.7: the grammar allows second 60."""
    expected = datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)

    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT", now=NOW) == expected


def test_a_date_is_written_in_utc_and_whole_seconds() -> None:
    """RFC 9110, 5.6.7: senders generate IMF-fixdate."""
    zone = timezone(timedelta(hours=2))

    assert (
        format_date(datetime(1994, 11, 6, 10, 49, 37, 999_999, tzinfo=zone))
        == "Sun, 06 Nov 1994 08:49:37 GMT"
    )


@given(st.datetimes(min_value=datetime(1, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the strategy adds the zone
def test_every_date_written_reads_back(moment: datetime) -> None:
    """RFC 9110, 5.6.7: a date survives being sent, to the second."""
    assert parse_date(format_date(moment), now=NOW) == moment.replace(microsecond=0)


@given(st.text())
def test_no_text_makes_the_parsers_raise(text: str) -> None:
    """Whatever comes is a date, tags, or nothing; and the verdict is always one of the three."""
    parse_date(text, now=NOW)
    parse_entity_tags(text)
    asked = Preconditions(
        if_match=text, if_none_match=text, if_modified_since=text, if_unmodified_since=text, if_range=text
    )

    assert evaluate(asked, FILE, now=NOW) in Verdict
    assert range_counts(asked, FILE, now=NOW) is (text.strip(" \t") in {'"abc"', SAME})


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('"xyzzy"', [(False, '"xyzzy"')]),
        ('W/"xyzzy"', [(True, '"xyzzy"')]),
        ('""', [(False, '""')]),
        ('"a", W/"b" ,"c"', [(False, '"a"'), (True, '"b"'), (False, '"c"')]),
        (', "a",,\t"b,c",', [(False, '"a"'), (False, '"b,c"')]),
    ],
)
def test_entity_tags_are_read_from_a_list(text: str, tags: list[tuple[bool, str]]) -> None:
    """RFC 9110, 8.8.3 and 13.1.1: weak mark, quotes, commas inside quotes, empty elements."""
    assert parse_entity_tags(text) == tuple(EntityTag(*tag) for tag in tags)


@pytest.mark.parametrize(
    "text", ["", "abc", 'w/"abc"', '"abc', '"a" "b"', '"a b"', '"a", b', "*", '"a",*', 'W/ "a"', '"a""b"']
)
def test_a_malformed_list_names_no_tag(text: str) -> None:
    """RFC 9110, 8.8.3: nothing is guessed from what is no list of entity tags."""
    assert parse_entity_tags(text) == ()


@pytest.mark.parametrize(
    ("first", "second", "strongly", "weakly"),
    [
        ('W/"1"', '"1"', False, True),
        ('W/"2"', '"1"', False, False),
        ('"1"', '"1"', True, True),
        ('"2"', '"1"', False, False),
    ],
)
def test_comparison_is_strong_for_if_match_and_weak_for_if_none_match(
    first: str, second: str, strongly: bool, weakly: bool
) -> None:
    """RFC 9110, 8.8.3.2: the table of its example, as far as our own tag is strong."""
    current = Validators(etag=second)

    matched = evaluate(Preconditions(if_match=first), current, now=NOW) is PROCEED
    known = evaluate(Preconditions(if_none_match=first), current, now=NOW) is NOT_MODIFIED

    assert (matched, known) == (strongly, weakly)


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        (Preconditions(), PROCEED),
        (Preconditions(if_match='"abc"'), PROCEED),
        (Preconditions(if_match=" * "), PROCEED),
        (Preconditions(if_match='"x", "abc"'), PROCEED),
        (Preconditions(if_match='"x"'), FAILED),
        (Preconditions(if_match="abc"), FAILED),
        (Preconditions(if_match=""), FAILED),
        (Preconditions(if_none_match='"abc"'), NOT_MODIFIED),
        (Preconditions(if_none_match="*"), NOT_MODIFIED),
        (Preconditions(if_none_match='"x", W/"abc"'), NOT_MODIFIED),
        (Preconditions(if_none_match='"x"'), PROCEED),
        (Preconditions(if_none_match="abc"), PROCEED),
        (Preconditions(if_modified_since=SAME), NOT_MODIFIED),
        (Preconditions(if_modified_since=AFTER), NOT_MODIFIED),
        (Preconditions(if_modified_since=BEFORE), PROCEED),
        (Preconditions(if_modified_since=f"{SAME}, {SAME}"), PROCEED),
        (Preconditions(if_unmodified_since=SAME), PROCEED),
        (Preconditions(if_unmodified_since=AFTER), PROCEED),
        (Preconditions(if_unmodified_since=BEFORE), FAILED),
        (Preconditions(if_unmodified_since="never"), PROCEED),
    ],
)
def test_each_precondition_decides_as_its_section_says(asked: Preconditions, verdict: Verdict) -> None:
    """RFC 9110, 13.1.1 to 13.1.4; an invalid date is ignored, an invalid tag matches nothing."""
    assert evaluate(asked, FILE, now=NOW) is verdict


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        (Preconditions(if_match='"abc"', if_unmodified_since=BEFORE), PROCEED),
        (Preconditions(if_match='"x"', if_unmodified_since=AFTER), FAILED),
        (Preconditions(if_match='"x"', if_none_match='"abc"'), FAILED),
        (Preconditions(if_match='"abc"', if_none_match='"abc"'), NOT_MODIFIED),
        (Preconditions(if_unmodified_since=BEFORE, if_none_match='"abc"'), FAILED),
        (Preconditions(if_none_match='"x"', if_modified_since=SAME), PROCEED),
        (Preconditions(if_none_match='"abc"', if_modified_since=BEFORE), NOT_MODIFIED),
    ],
)
def test_preconditions_are_evaluated_in_order(asked: Preconditions, verdict: Verdict) -> None:
    """RFC 9110, 13.2.2: If-Match before If-None-Match, and tags in place of their dates."""
    assert evaluate(asked, FILE, now=NOW) is verdict


@pytest.mark.parametrize(
    "asked", [Preconditions(if_modified_since=AFTER), Preconditions(if_unmodified_since=BEFORE)]
)
def test_dates_mean_nothing_where_there_is_no_last_modified(asked: Preconditions) -> None:
    """RFC 9110, 13.1.3 and 13.1.4: ignored when the resource has no modification date."""
    assert evaluate(asked, RUNNING, now=NOW) is PROCEED


@pytest.mark.parametrize(
    ("if_range", "counts"),
    [
        (None, True),
        ('"abc"', True),
        ('W/"abc"', False),
        ('"x"', False),
        ("*", False),
        ('"abc", "x"', False),
        ("", False),
        (SAME, True),
        (BEFORE, False),
        (AFTER, False),
        ("Thursday, 05-Nov-26 12:00:00 GMT", True),
    ],
)
def test_if_range_holds_only_for_the_exact_state(if_range: str | None, counts: bool) -> None:
    """RFC 9110, 13.1.5: strong comparison of a tag, exact match of a date, and no lists."""
    assert range_counts(Preconditions(if_range=if_range), FILE, now=NOW) is counts


def test_if_range_with_a_date_never_holds_for_a_running_upload() -> None:
    """RFC 9110, 13.1.5: a date that is no strong validator makes the condition false."""
    assert range_counts(Preconditions(if_range=SAME), RUNNING, now=NOW) is False
