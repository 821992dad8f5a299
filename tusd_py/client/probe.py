"""Looking at a tus server, or at one upload on it: what is so, and whether that is well."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

from tusd_py.client.discovery import Server, discover
from tusd_py.client.drafts import ask_drafts
from tusd_py.client.errors import ClientError, ProtocolError
from tusd_py.client.roundtrip import RoundTrip
from tusd_py.client.wire import RESUMABLE, Answer, Wire
from tusd_py.core.model import InvalidMetadataError, Metadata

if TYPE_CHECKING:
    from yarl import URL

    from tusd_py.client.roundtrip import Step


class Verdict(IntEnum):
    """How it stands, with the exit codes of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What to look at beyond what is free of side effects, and from when on to worry."""

    write: bool = False
    """Send a small upload there and back, and remove it."""
    drafts: bool = False
    """Find out which versions of the IETF draft are spoken, by creating empty uploads."""
    is_upload: bool = False
    """The address has to be an upload's: that it is gone is bad news."""
    max_age: timedelta | None = None
    """Warn about an unfinished upload that has not changed for longer."""
    expire_after: timedelta | None = None
    """How long the server lets an unfinished upload be after its last bytes: that dates them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One upload, as its server tells. Times are the server's own; None where it tells nothing.

    `changed_by` is the field from which `changed_at` is known.
    """

    offset: int | None
    length: int | None
    now: datetime
    expires_at: datetime | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None
    location: URL | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def is_finished(self) -> bool:
        """The server says that it has all of it."""
        return self.offset is not None and self.offset == self.length

    @property
    def percent(self) -> float | None:
        """How much of it is there, from 0 to 100; None while the length is open."""
        if self.offset is None or self.length is None:
            return None
        return 100.0 if not self.length else 100 * self.offset / self.length

    @property
    def age(self) -> timedelta | None:
        """Since when nothing has come."""
        return None if self.changed_at is None else self.now - self.changed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything found out. `summary` is the one line that matters; `left` is what could not be removed."""

    verdict: Verdict
    summary: str
    server: Server | None = None
    upload: Seen | None = None
    drafts: tuple[int, ...] | None = None
    steps: tuple[Step, ...] = ()
    left: tuple[URL, ...] = ()


async def probe(wire: Wire, url: URL, wishes: Wishes) -> Report:
    """Look at `url`, an upload's address or one where uploads are created. Raises no ClientError."""
    try:
        answer = await wire.ask("HEAD", url, RESUMABLE)
        if wishes.is_upload or _is_upload(answer):
            return await _probe_upload(wire, answer, wishes)
        return await _probe_server(wire, url, wishes)
    except ClientError as error:
        return Report(verdict=Verdict.CRITICAL, summary=str(error))


def _is_upload(answer: Answer) -> bool:
    """Only an upload has an offset; a waiting final has none, but says what it consists of.

    423 is an upload that is busy, 410 one that is gone for good.
    """
    if answer.status in {HTTPStatus.LOCKED, HTTPStatus.GONE}:
        return True
    return answer.is_success and bool({"Upload-Offset", "Upload-Concat"} & answer.headers.keys())


async def _probe_server(wire: Wire, url: URL, wishes: Wishes) -> Report:
    server = await discover(wire, url)
    if not server.draft_signs:
        server.check_tus()
    report = _judge_server(server)
    if wishes.drafts:
        found = await ask_drafts(wire, url)
        report = replace(report, drafts=found.versions, left=found.left)
    if not wishes.write:
        return report
    if not server.speaks_tus:
        return replace(report, summary=f"{report.summary}; --write needs tus 1.0.0")
    trip = RoundTrip(wire, server)
    await trip.run()
    return _judge_trip(replace(report, steps=tuple(trip.steps), left=(*report.left, *trip.left)))


def _judge_server(server: Server) -> Report:
    if not server.speaks_tus:
        summary = f"{server.url} speaks an IETF draft of resumable uploads, but no tus 1.0.0"
        return Report(verdict=Verdict.WARNING, summary=summary, server=server)
    count = len(server.extensions)
    summary = f"{server.url} speaks tus 1.0.0 with {count} extension{'' if count == 1 else 's'}"
    return Report(verdict=Verdict.OK, summary=summary, server=server)


def _judge_trip(report: Report) -> Report:
    broken = next((step for step in report.steps if not step.passed), None)
    if broken is not None:
        verdict = Verdict.CRITICAL if broken.matters else Verdict.WARNING
        return replace(report, verdict=verdict, summary=f"{broken.name}: {broken.detail}")
    seconds = sum(step.seconds for step in report.steps)
    summary = f"{report.summary}; an upload went there and back in {seconds:.2f} s"
    return replace(report, summary=summary)


async def _probe_upload(wire: Wire, answer: Answer, wishes: Wishes) -> Report:
    if answer.status == HTTPStatus.LOCKED:
        summary = f"{answer.url} is busy: the server tells no offset while another request holds it"
        return Report(verdict=Verdict.WARNING, summary=summary)
    answer.check()
    if not _is_upload(answer):
        raise ProtocolError(f"{answer.url} is no upload: the answer to HEAD has no Upload-Offset")
    seen = _read_upload(answer, wishes.expire_after)
    if seen.is_finished and seen.changed_at is None and seen.location is not None:
        seen = await _date_by_file(wire, seen, seen.location)
    return _judge_upload(answer.url, seen, wishes)


def _read_upload(answer: Answer, expire_after: timedelta | None) -> Seen:
    seen = Seen(
        offset=answer.number("Upload-Offset"),
        length=answer.number("Upload-Length"),
        now=_moment(answer, "Date") or datetime.now(UTC),
        expires_at=_moment(answer, "Upload-Expires"),
        location=answer.address("Content-Location"),
        metadata=_metadata(answer),
    )
    if "Last-Modified" in answer.headers:
        return replace(seen, changed_at=_moment(answer, "Last-Modified"), changed_by="Last-Modified")
    if seen.expires_at and expire_after and not seen.is_finished:
        return replace(seen, changed_at=seen.expires_at - expire_after, changed_by="Upload-Expires")
    return seen


async def _date_by_file(wire: Wire, seen: Seen, location: URL) -> Seen:
    """The finished file's own date. That it is not served takes nothing from the upload."""
    try:
        answer = await wire.ask("HEAD", location)
        changed_at = _moment(answer, "Last-Modified") if answer.is_success else None
    except ClientError:
        return seen
    return replace(seen, changed_at=changed_at, changed_by="Content-Location" if changed_at else None)


def _moment(answer: Answer, name: str) -> datetime | None:
    """A field that holds a date (RFC 9110, 5.6.7), None where there is none. ProtocolError."""
    text = answer.headers.get(name)
    try:
        return None if text is None else parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        raise ProtocolError(f"{answer.method} {answer.url}: {name} is {text!r}, not a date") from None


def _metadata(answer: Answer) -> Metadata:
    try:
        return Metadata.parse(answer.headers.get("Upload-Metadata", ""))
    except InvalidMetadataError as error:
        raise ProtocolError(f"{answer.method} {answer.url}: Upload-Metadata: {error}") from None


def _judge_upload(url: URL, seen: Seen, wishes: Wishes) -> Report:
    if seen.offset is None:
        summary = f"{url} waits for its parts: the server has not joined them yet"
    elif seen.is_finished:
        summary = f"{url} is finished: {seen.offset} bytes"
    else:
        whole = "an open end" if seen.length is None else f"{seen.length} bytes"
        percent = "" if seen.percent is None else f" ({seen.percent:.1f} %)"
        summary = f"{url} has {seen.offset} of {whole}{percent}"
    if seen.offset is not None and seen.length is not None and seen.offset > seen.length:
        return Report(verdict=Verdict.CRITICAL, summary=f"{summary}: more than there is", upload=seen)
    worry, reason = (Verdict.OK, "") if seen.is_finished else _judge_age(seen, wishes.max_age)
    return Report(verdict=worry, summary=f"{summary}{reason}", upload=seen)


def _judge_age(seen: Seen, max_age: timedelta | None) -> tuple[Verdict, str]:
    if max_age is None:
        return Verdict.OK, ""
    if seen.age is None:
        return Verdict.UNKNOWN, ", and the server does not tell since when"
    if seen.age > max_age:
        return Verdict.WARNING, f", unchanged for {int(seen.age.total_seconds())} s"
    return Verdict.OK, ""
