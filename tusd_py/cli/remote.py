"""What the commands understand that talk to a server over the network, whichever it is."""

from __future__ import annotations

import re
from datetime import timedelta

from yarl import URL

from tusd_py.settings import CommandLine, Option, SettingsError
from tusd_py.settings.kinds import KIB, MIB, parse_duration

_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_TIME = "a duration such as 90, 90s, 500ms, 15m, 2h or 7d"


def parse_header(text: str) -> tuple[str, str]:
    """`Name: value` (RFC 9110, 5.1 and 5.5). Raises ValueError."""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ValueError("not a header field")
    return match[1], match[2].strip()


def parse_address(text: str) -> URL:
    """An address of HTTP or HTTPS, without its fragment. Raises SettingsError."""
    try:
        url = URL(text)
        is_usable = url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingsError(f"{text!r} is not an address such as https://example.com/files/")
    return url.with_fragment(None)


def parse_span(text: str) -> timedelta:
    """A duration, longer than 0. Raises ValueError."""
    seconds = parse_duration(text)
    if not 0 < seconds <= timedelta(days=36500).total_seconds():
        raise ValueError("not a duration")
    return timedelta(seconds=seconds)


def parse_chunk_size(text: str) -> int:
    """Bytes of a chunk. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip().lower())
    size = int(match[1]) * _UNITS.get(match[2], 0) if match else 0
    if not 1 <= size <= _LARGEST_CHUNK:
        raise ValueError("not a size of chunks")
    return size


def parse_jobs(text: str) -> int:
    """How many at once. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_JOBS:
        raise ValueError("not a number of jobs")
    return int(text)


def parse_delays(text: str) -> tuple[float, ...]:
    """Seconds, from a list of durations; an empty one is no further attempt. Raises ValueError."""
    return tuple(parse_duration(each) for each in text.split(",")) if text.strip() else ()


def parse_pair(text: str) -> tuple[str, str]:
    """`key=value` of metadata; a key alone has the empty value. Raises ValueError."""
    key, _, value = text.partition("=")
    if not _KEY.fullmatch(key):
        raise ValueError("not a key")
    return key, value


HEADER = Option(
    name="header",
    metavar="FIELD",
    description="Send this header field, 'Name: value', with every request to the origin of the address,"
    " such as 'Authorization: Bearer ...'. May be given more than once.",
    accepted="a header field such as 'Authorization: Bearer ...'",
    parse=parse_header,
    repeated=True,
)
TIMEOUT = Option(
    name="timeout",
    metavar="TIME",
    description="Give a request up when nothing at all has moved for this long. Default: 30s.",
    accepted=f"{_TIME}, longer than 0",
    parse=parse_span,
)
DEFAULT_TIMEOUT = timedelta(seconds=30)
DEFAULT_ENDPOINT = "http://localhost:8080/files/"
DEFAULT_JOBS = 3
_MOST_JOBS = 64
_LARGEST_CHUNK = 256 * MIB
_UNITS = {"": 1, "b": 1, "k": KIB, "kib": KIB, "m": MIB, "mib": MIB}
_SIZE = re.compile(r"([0-9]{1,9})([a-z]*)")
_KEY = re.compile(r"[!-+\--~]+")  # tus 1.0.0, Upload-Metadata: ASCII without blanks and commas
JSON = Option(name="json", description="Print JSON, for programs.")

PROBE = CommandLine(
    command="probe",
    operands="URL",
    introduction="""\
Look at a tus server and tell what it supports; or, where the address is that of an upload, how far that
has come and since when. Nothing is changed there without --write or --drafts.
""",
    examples="""\
Examples:
  tusd-py probe https://example.com/files/ --write
  tusd-py probe https://example.com/files/5d66627eb5b94fc49d56e8690382f927 --upload --max-age 1h

The first line is for monitoring, and so is the exit code: 0 all is well, 1 something is not as it should
be, 2 uploads do not work there, 3 it cannot be told, or the command line is wrong.
""",
    options=(
        Option(
            name="write",
            description="Also create a small upload, send it in two pieces, look at its offset in between,"
            " read it back and terminate it. What cannot be removed is named.",
        ),
        Option(
            name="drafts",
            description="Also find out which interop versions of the IETF draft are spoken, by creating an"
            " empty upload in each and removing it.",
        ),
        Option(
            name="upload",
            description="The address is an upload's: that there is none is critical. Without this flag,"
            " an address without an upload is taken for one where uploads are created.",
        ),
        Option(
            name="max_age",
            metavar="TIME",
            description="Warn about an unfinished upload to which nothing has come for this long.",
            accepted=f"{_TIME}, longer than 0",
            parse=parse_span,
        ),
        Option(
            name="expire_after",
            metavar="TIME",
            description="How long the server lets an unfinished upload wait for its next bytes, as its own"
            " --expire-after says. Upload-Expires then tells when the last ones came.",
            accepted=f"{_TIME}, longer than 0",
            parse=parse_span,
        ),
        TIMEOUT,
        HEADER,
        JSON,
    ),
    settings=(),
)

UPLOAD = CommandLine(
    command="upload",
    operands="FILE...",
    introduction="""\
Send files to a tus server, this one or any other. A connection that breaks is taken up again, from where
the server says it is; and so is an upload that an earlier run of the same command left unfinished, unless
the file has changed. `-` is standard input.
""",
    examples="""\
Examples:
  tusd-py upload recording.webm
  tusd-py upload *.mp4 --to https://example.com/files/ --jobs 4 --verify
  tar c folder | tusd-py upload - --metadata filename=folder.tar

For each file that has arrived a line with its name, a tab and its address. Exit code: 0 all of them have
arrived, 1 one has not, 2 a wrong command line, 130 interrupted. What has arrived of the others is kept.
""",
    options=(
        Option(
            name="to",
            metavar="URL",
            description=f"Where uploads are created. Default: {DEFAULT_ENDPOINT}",
        ),
        Option(
            name="jobs",
            metavar="NUMBER",
            description=f"How many files are sent at once. Default: {DEFAULT_JOBS}.",
            accepted=f"a whole number from 1 to {_MOST_JOBS}",
            parse=parse_jobs,
        ),
        Option(
            name="verify",
            description="In the end read the file back from the server, and compare its sha256. A file that"
            " is not served cannot be compared, and counts as not uploaded.",
        ),
        Option(
            name="metadata",
            metavar="KEY=VALUE",
            description="Send this along with every file, beside filename and filetype, or in their place."
            " May be given more than once.",
            accepted="metadata such as author=Ada",
            parse=parse_pair,
            repeated=True,
        ),
        Option(
            name="chunk_size",
            metavar="SIZE",
            description="Bytes sent with one request; every job holds as many in memory. Default: 8MiB.",
            accepted="a size from 1 to 256MiB",
            parse=parse_chunk_size,
        ),
        Option(
            name="retry_delays",
            metavar="TIMES",
            description="How long to wait before each further attempt, separated by commas. Bytes that"
            ' arrive begin the row anew. "" tries once. Default: 0,1s,3s,5s,10s,20s,30s.',
            accepted=f"a list such as 0,1s,3s: each {_TIME}",
            parse=parse_delays,
        ),
        Option(
            name="no_resume",
            description="Begin every upload anew, and remember none for later runs.",
        ),
        Option(
            name="no_checksum",
            description="Send no checksums, also where the server would verify each chunk by one.",
        ),
        TIMEOUT,
        HEADER,
        JSON,
    ),
    settings=(),
)
