"""Under which origin the client sees this server, behind a proxy or not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tusd_py.protocol.heads import Fields

_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_PAIR = re.compile(r'\s*([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*(;|,|$)')


def public_origin(*, scheme: str, authority: str | None, fields: Fields, behind_proxy: bool) -> str:
    """`scheme://host[:port]`, or "" where the client named no usable authority.

    With `behind_proxy`, what the first proxy saw wins: Forwarded (RFC 7239, 4), else
    X-Forwarded-Proto and X-Forwarded-Host. Without it these are ignored: any client could send them.
    """
    if behind_proxy:
        forwarded = _first_forwarded(fields)
        scheme = (forwarded.get("proto") or _first(fields, "x-forwarded-proto") or scheme).lower()
        authority = forwarded.get("host") or _first(fields, "x-forwarded-host") or authority
    if scheme not in _DEFAULT_PORTS or not authority or not _AUTHORITY.fullmatch(authority):
        return ""
    return f"{scheme}://{authority.removesuffix(_DEFAULT_PORTS[scheme])}"


def _first(fields: Fields, name: str) -> str | None:
    for key, value in fields:
        if key == name:
            return value.partition(",")[0].strip() or None
    return None


def _first_forwarded(fields: Fields) -> dict[str, str]:
    value = next((value for key, value in fields if key == "forwarded"), "")
    pairs: dict[str, str] = {}
    position = 0
    while match := _PAIR.match(value, position):
        key, quoted, token, delimiter = match.groups()
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token
        pairs.setdefault(key.lower(), text)
        position = match.end()
        if delimiter != ";":
            break
    return pairs
