"""Upload-Concat (tus 1.0.0, Concatenation): `partial`, or `final;` and the URLs of partials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tusd_py.core.errors import InvalidConcatError

if TYPE_CHECKING:
    from tusd_py.protocol.heads import RequestHead, Urls

PARTIAL = "partial"
MAX_PARTS = 10_000
_FINAL = "final;"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ACCEPTED = "partial, or final; and URLs of partial uploads of this server with blanks between"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def parse_final(text: str, head: RequestHead, urls: Urls) -> tuple[str, ...] | None:
    """The ids of a final's partials in order, None for a partial. Raises InvalidConcatError.

    Ids are taken from the URLs' paths; nothing is ever fetched. A full URL has to name this server as
    the asking client knows it, where that can be said.
    """
    if text == PARTIAL:
        return None
    if not text.startswith(_FINAL):
        raise _invalid("it is neither")
    names = text.removeprefix(_FINAL).split()
    if not names:
        raise _invalid("it names no partial")
    if len(names) > MAX_PARTS:
        raise _invalid(f"it names more than {MAX_PARTS} partials")
    return tuple(_parse_url(name, head, urls) for name in names)


def _parse_url(url: str, head: RequestHead, urls: Urls) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _invalid("it contains something that is no URL") from None
    if parts.netloc and not _is_here(parts.scheme, parts.netloc, head, urls):
        raise _invalid("it names an upload of another server")
    path = unquote(parts.path)
    upload_id = path.removeprefix(urls.base).strip("/")
    if not path.startswith(urls.base) or not _ID.fullmatch(upload_id):
        raise _invalid("it names something that is no upload")
    return upload_id


def _is_here(scheme: str, authority: str, head: RequestHead, urls: Urls) -> bool:
    if urls.relative or not head.origin:
        return True  # the client resolved our paths against an address that we do not know
    default_port = _DEFAULT_PORTS.get(scheme.lower(), "")
    here = head.origin.partition("://")[2]
    return authority.lower().removesuffix(default_port) == here.lower()


def _invalid(problem: str) -> InvalidConcatError:
    return InvalidConcatError("Upload-Concat", problem, _ACCEPTED)
