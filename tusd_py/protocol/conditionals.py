"""Conditional requests and the dates of HTTP: RFC 9110, sections 13, 8.8 and 5.6.7."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import NamedTuple

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DAY = f"(?:{'|'.join(_WEEKDAYS)})"
_LONG_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATE_FORMS = (
    re.compile(f"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(f"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(f"{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)
_ENTITY_TAG = re.compile(r'(W/)?("[^\x00-\x20"\x7f]*")')
_LIST_BREAK = re.compile(r"[ \t]*(?:,[ \t]*)+")


def format_date(moment: datetime) -> str:
    """`moment` (aware) as IMF-fixdate, whole seconds, whatever the locale (RFC 9110, 5.6.7)."""
    utc = moment.astimezone(UTC)
    day, month = _WEEKDAYS[utc.weekday()], _MONTHS[utc.month - 1]
    clock = f"{utc.hour:02}:{utc.minute:02}:{utc.second:02}"
    return f"{day}, {utc.day:02} {month} {utc.year:04} {clock} GMT"


def parse_date(text: str, *, now: datetime) -> datetime | None:
    """Read an HTTP-date in any of its three forms; None when it is none of them. Never raises.

    `now` (UTC) settles two-digit years. The weekday's name is not checked against the date.
    """
    match = next((found for form in _DATE_FORMS if (found := form.fullmatch(text))), None)
    if match is None:
        return None
    if len(match["year"]) == 4:
        return _make_date(match, int(match["year"]))
    # RFC 9110, 5.6.7: more than 50 years ahead means the century before.
    horizon = (now.year + 50, *now.timetuple()[1:6])
    latest = horizon[0] - (horizon[0] - int(match["year"])) % 100
    date = _make_date(match, latest)
    return date if date and date.timetuple()[:6] <= horizon else _make_date(match, latest - 100)


def _make_date(match: re.Match[str], year: int) -> datetime | None:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    month = _MONTHS.index(match["month"]) + 1
    try:  # A leap second (60) is valid text that datetime cannot hold.
        return datetime(year, month, int(match["day"]), hour, minute, second - (second == 60), tzinfo=UTC)
    except ValueError:
        return None


class EntityTag(NamedTuple):
    """An entity tag; `opaque` includes its quotes."""

    weak: bool
    opaque: str


def parse_entity_tags(text: str) -> tuple[EntityTag, ...]:
    """Read a comma-separated list of entity tags; a malformed one names none. Never raises."""
    tags: list[EntityTag] = []
    position, text = 0, text.strip(" \t,")
    while match := _ENTITY_TAG.match(text, position):
        tags.append(EntityTag(match[1] is not None, match[2]))
        gap = _LIST_BREAK.match(text, match.end())
        if gap is None:
            return tuple(tags) if match.end() == len(text) else ()
        position = gap.end()
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What tells one state of a representation from another.

    `etag` is a strong entity tag with its quotes. `modified_at` (aware, whole seconds) is given only
    where the bytes never change again, so it is strong as well (RFC 9110, 8.8.2.2); else None.
    """

    etag: str
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preconditions:
    """The conditional fields of a GET or HEAD, as received; None where absent."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None


class Verdict(Enum):
    """What the preconditions make of a GET or HEAD."""

    PROCEED = auto()
    NOT_MODIFIED = auto()
    PRECONDITION_FAILED = auto()


def evaluate(asked: Preconditions, current: Validators, *, now: datetime) -> Verdict:
    """Decide on the preconditions of a GET or HEAD, in the order of RFC 9110, 13.2.2."""
    if asked.if_match is not None:
        if not _matches(asked.if_match, current.etag, weakly=False):
            return Verdict.PRECONDITION_FAILED
    elif _changed_since(asked.if_unmodified_since, current, now) is True:
        return Verdict.PRECONDITION_FAILED
    if asked.if_none_match is not None:
        if _matches(asked.if_none_match, current.etag, weakly=True):
            return Verdict.NOT_MODIFIED
    elif _changed_since(asked.if_modified_since, current, now) is False:
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def range_counts(asked: Preconditions, current: Validators, *, now: datetime) -> bool:
    """Whether the Range field is to be obeyed: If-Range is absent, or names the current state exactly.

    RFC 9110, 13.1.5: tags compare strongly, a date must be the very Last-Modified.
    """
    if asked.if_range is None:
        return True
    value = asked.if_range.strip(" \t")
    if _ENTITY_TAG.fullmatch(value):
        return _matches(value, current.etag, weakly=False)
    return current.modified_at is not None and parse_date(value, now=now) == current.modified_at


def _matches(field: str, etag: str, *, weakly: bool) -> bool:
    if field.strip(" \t") == "*":  # there is a current representation
        return True
    return any(tag.opaque == etag and (weakly or not tag.weak) for tag in parse_entity_tags(field))


def _changed_since(field: str | None, current: Validators, now: datetime) -> bool | None:
    """None where the field is to be ignored (RFC 9110, 13.1.3 and 13.1.4): no date, or none of ours."""
    date = None if field is None else parse_date(field.strip(" \t"), now=now)
    if date is None or current.modified_at is None:
        return None
    return current.modified_at > date
