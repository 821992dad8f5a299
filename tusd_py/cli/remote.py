"""What the commands understand that talk to a server over the network, whichever it is."""

from __future__ import annotations

import re
from datetime import timedelta

from yarl import URL

from tusd_py.settings import CommandLine, Option, SettingsError
from tusd_py.settings.kinds import parse_duration

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
