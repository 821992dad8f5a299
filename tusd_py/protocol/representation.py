"""How an upload's bytes are presented: type, name, validators, and what keeps user content harmless.

Everything here is decided by strangers' metadata, so nothing of it reaches a header unless it has the
exact shape that the header's grammar allows.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tusd_py.core.model import UploadState
from tusd_py.protocol.conditionals import Validators, format_date
from tusd_py.protocol.grammar import VALUE, WORD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tusd_py.core.model import Metadata, Upload

MAX_FILE_NAME = 255
"""Bytes of UTF-8 in a file name; what the usual file systems take."""

FALLBACK_TYPE: Final = "application/octet-stream"

INLINE_TYPES = frozenset(
    {
        "application/ogg",
        "audio/ogg",
        "audio/wav",
        "audio/wave",
        "audio/webm",
        "audio/x-pn-wav",
        "audio/x-wav",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/plain",
        "video/mp4",
        "video/ogg",
        "video/webm",
    }
)
"""What a browser may show in place: types that carry no script. Not HTML, XML, SVG or PDF."""

POLICY_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        # Browsers play a media file in a tab by a page of their own, which loads the file once more.
        "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
)
"""Sent with every answer about stored bytes, errors included."""

CACHE_FINISHED: Final = "private, no-cache"
"""The bytes never change, but they can be terminated, and they are one user's. So they are kept by that
user's browser alone, which asks again each time: a 304 while they exist, 404 once they do not."""

CACHE_RUNNING: Final = "no-store"

# RFC 9110, 8.3.1
_MEDIA_TYPE = re.compile(f"{WORD}/{WORD}")
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?P<name>{WORD})=(?P<value>{VALUE})")
_PARAMETERS = re.compile(rf"(?:[ \t]*;[ \t]*{WORD}=(?:{VALUE}))*")
_MAX_MEDIA_TYPE = 255  # RFC 6838, 4.2: 127 characters each side of the slash

_SEPARATORS = re.compile(r"[/\\]")
# Marks that turn the reading direction can make "gpj.exe" look like "exe.jpg".
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_UNSAFE_IN_QUOTES = re.compile(r'[^ -~]|["\\%]')
_ATTR_CHARS = "!#$&+-.^_`|~"  # RFC 8187, 3.2.1, beside letters and digits
_ETAG_CHARS = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"  # RFC 9110, 8.8.3, without the quote and the escape


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """What a GET or HEAD of stored bytes is told beside the bytes."""

    content_type: str
    disposition: str
    cache_control: str
    validators: Validators

    def fields(self) -> dict[str, str]:
        """The header fields of a 200 or 206, but for what depends on the range."""
        return {
            "Content-Type": self.content_type,
            "Content-Disposition": self.disposition,
            "Accept-Ranges": "bytes",
            **self._modified(),
            **self.cache_fields(),
        }

    def cache_fields(self) -> dict[str, str]:
        """The header fields of a 304: what a cache updates what it has with (RFC 9110, 15.4.5)."""
        return {
            "ETag": self.validators.etag,
            "Cache-Control": self.cache_control,
            **POLICY_FIELDS,
        }

    def _modified(self) -> dict[str, str]:
        modified_at = self.validators.modified_at
        return {"Last-Modified": format_date(modified_at)} if modified_at else {}


def describe(
    upload: Upload, *, size: int, modified_at: datetime, now: datetime, attachment: bool = False
) -> Representation:
    """Present the `size` bytes that can be read of `upload`, the whole of it or a running one's prefix.

    The prefix grows, so it is never cached and has a tag for each size and no date: two states of it
    can fall into one second. A date that is still to come is not told (RFC 9110, 8.8.2.1). `attachment`:
    whatever its type, it is to be saved.
    """
    finished = upload.state is UploadState.COMPLETE
    tag = quote(upload.id, safe=_ETAG_CHARS)
    content_type = choose_content_type(upload.metadata)
    return Representation(
        content_type=content_type,
        disposition=format_disposition(content_type, choose_file_name(upload), attachment=attachment),
        cache_control=CACHE_FINISHED if finished else CACHE_RUNNING,
        validators=Validators(
            etag=f'"{tag}"' if finished else f'"{tag}-{size}"',
            modified_at=modified_at.replace(microsecond=0) if finished and modified_at <= now else None,
        ),
    )


def choose_content_type(metadata: Metadata) -> str:
    """The client's `filetype`, as far as it is a well-formed media type (RFC 9110, 8.3.1).

    Malformed parameters are dropped, all of them; a malformed type is `FALLBACK_TYPE`.
    """
    text = metadata.text("filetype") or ""
    essence, semicolon, rest = text.strip(" \t").partition(";")
    essence = essence.rstrip(" \t").lower()
    if len(text) > _MAX_MEDIA_TYPE or not _MEDIA_TYPE.fullmatch(essence):
        return FALLBACK_TYPE
    if not _PARAMETERS.fullmatch(semicolon + rest):
        return essence
    parameters = (
        f"; {found['name'].lower()}={found['value']}" for found in _PARAMETER.finditer(semicolon + rest)
    )
    return essence + "".join(parameters)


def choose_file_name(upload: Upload) -> str:
    """The name to save the bytes under: the last segment of the client's `filename`, made harmless.

    No separators, control characters, reading-direction marks or surrounding blanks, at most
    `MAX_FILE_NAME` bytes with the suffix kept; the public name where nothing of it is left.
    """
    segments = _SEPARATORS.split(upload.metadata.text("filename") or "")
    for segment in reversed(segments):
        name = "".join(c for c in segment if c not in _BIDI_CONTROLS and _is_printable(c)).strip()
        if name.strip("."):
            return _shorten(name)
        if name:  # "." and ".." name folders
            break
    return _shorten(upload.name)


def _is_printable(character: str) -> bool:
    return unicodedata.category(character) not in _UNPRINTABLE


def _shorten(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    kept = (dot + suffix).encode()
    if not stem or len(kept) > 32:  # that is no suffix
        stem, kept = name, b""
    room = MAX_FILE_NAME - len(kept)
    return stem.encode()[:room].decode(errors="ignore") + kept.decode()


def format_disposition(content_type: str, file_name: str, *, attachment: bool = False) -> str:
    """Content-Disposition (RFC 6266), pure printable ASCII whatever `file_name` holds.

    `filename` has only characters that no browser reads in its own way; where that is not the whole
    truth, `filename*` (RFC 8187) tells it exactly.
    """
    may_be_shown = content_type.partition(";")[0] in INLINE_TYPES and not attachment
    kind = "inline" if may_be_shown else "attachment"
    plain = _UNSAFE_IN_QUOTES.sub("_", file_name)
    exact = "" if plain == file_name else f"; filename*=UTF-8''{quote(file_name, safe=_ATTR_CHARS)}"
    return f'{kind}; filename="{plain}"{exact}'
