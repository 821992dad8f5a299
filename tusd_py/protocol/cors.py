"""Cross-origin requests from browsers (Fetch standard, CORS protocol)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tusd_py.core.errors import OriginNotAllowedError

if TYPE_CHECKING:
    from tusd_py.protocol.heads import Fields, RequestHead

METHODS = ("POST", "HEAD", "PATCH", "OPTIONS", "GET", "DELETE")
REQUEST_FIELDS = (
    "Authorization",
    "Origin",
    "X-Requested-With",
    "X-Request-ID",
    "X-HTTP-Method-Override",
    "Content-Type",
    "Range",
    "If-Range",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Metadata",
    "Upload-Defer-Length",
    "Upload-Concat",
    "Upload-Checksum",
    "Tus-Resumable",
)
RESPONSE_FIELDS = (
    "Location",
    "Content-Location",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Defer-Length",
    "Upload-Concat",
    "Upload-Expires",
    "Tus-Version",
    "Tus-Resumable",
    "Tus-Max-Size",
    "Tus-Extension",
    "Tus-Checksum-Algorithm",
    "X-Request-ID",
    "Content-Disposition",
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "Retry-After",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy:
    """Which pages may use the server, and what they may send and see.

    `allow_origin` has to match the whole Origin. `methods`, `request_fields` and `response_fields`
    come on top of the built-in lists; `max_age` is in seconds.
    """

    allow_origin: re.Pattern[str] = re.compile(".*")
    allow_credentials: bool = False
    methods: tuple[str, ...] = ()
    request_fields: tuple[str, ...] = ()
    response_fields: tuple[str, ...] = ()
    max_age: int = 86400

    def check(self, head: RequestHead) -> None:
        """Raise OriginNotAllowedError for a page that may not use the server, whatever it asks for.

        A page of the server's own origin is no other site's: browsers name its origin all the same.
        """
        origin = head.get("origin")
        is_own = origin != "" and origin == head.origin
        if origin is not None and not is_own and not self._allows(origin):
            raise OriginNotAllowedError(origin)

    def fields(self, head: RequestHead) -> Fields:
        """What every answer carries, errors and preflights too; nothing for a stranger's page."""
        vary = (("Vary", "Origin"),)
        origin = head.get("origin")
        if origin is None or not self._allows(origin):
            return vary
        answer: Fields = (*vary, ("Access-Control-Allow-Origin", origin))
        if self.allow_credentials:
            answer += (("Access-Control-Allow-Credentials", "true"),)
        return answer + (self._preflight() if _is_preflight(head) else self._exposed())

    def _allows(self, origin: str) -> bool:
        # It is echoed, so it has to be what an Origin is: printable ASCII without blanks.
        return origin.isascii() and origin.isprintable() and bool(self.allow_origin.fullmatch(origin))

    def _preflight(self) -> Fields:
        return (
            ("Access-Control-Allow-Methods", ", ".join(METHODS + self.methods)),
            ("Access-Control-Allow-Headers", ", ".join(REQUEST_FIELDS + self.request_fields)),
            ("Access-Control-Max-Age", str(self.max_age)),
            *self._exposed(),
        )

    def _exposed(self) -> Fields:
        return (("Access-Control-Expose-Headers", ", ".join(RESPONSE_FIELDS + self.response_fields)),)


def _is_preflight(head: RequestHead) -> bool:
    return head.method == "OPTIONS" and head.get("access-control-request-method") is not None
