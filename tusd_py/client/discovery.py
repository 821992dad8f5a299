"""What a server says of itself: tus 1.0.0 OPTIONS, and the marks of the draft for HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tusd_py.client.errors import NotTusError
from tusd_py.client.wire import VERSION

if TYPE_CHECKING:
    from yarl import URL

    from tusd_py.client.wire import Answer, Wire

_LIMIT_KEY = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)")
PARTIAL_UPLOAD = "application/partial-upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What one address offers. `max_size` in bytes, None where the server names no limit.

    `draft_signs` are what gives the IETF draft (resumable uploads for HTTP) away: the header fields that
    only its servers send. Its servers up to interop version 5 send none.
    """

    url: URL
    software: str | None = None
    versions: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    max_size: int | None = None
    algorithms: tuple[str, ...] = ()
    draft_signs: tuple[str, ...] = ()

    @property
    def speaks_tus(self) -> bool:
        """It understands tus 1.0.0."""
        return VERSION in self.versions

    def offers(self, extension: str) -> bool:
        """It advertises an extension."""
        return extension in self.extensions

    def check_tus(self) -> None:
        """Raise NotTusError unless it speaks tus 1.0.0."""
        if not self.speaks_tus:
            other = f"tus {', '.join(self.versions)}, but not" if self.versions else "no"
            raise NotTusError(f"{self.url} speaks {other} tus {VERSION}")


async def discover(wire: Wire, url: URL) -> Server:
    """Ask what there is. Whatever answers, even an error, may have something to say of itself.

    Raises ClientError where nobody answers, or with what makes no sense.
    """
    # tus 1.0.0, OPTIONS: the client SHOULD NOT include Tus-Resumable.
    answer = await wire.ask("OPTIONS", url)
    server = Server(
        url=url,
        software=answer.headers.get("Server"),
        versions=answer.words("Tus-Version"),
        extensions=answer.words("Tus-Extension"),
        max_size=answer.number("Tus-Max-Size") or None,
        algorithms=answer.words("Tus-Checksum-Algorithm"),
        draft_signs=_draft_signs(answer),
    )
    if not server.versions and not server.draft_signs and not answer.is_success:
        answer.check()
    return server


def _draft_signs(answer: Answer) -> tuple[str, ...]:
    """The fields of the draft in an answer to OPTIONS, with the names of the limits.

    draft-ietf-httpbis-resumable-upload, from -05 on: Upload-Limit; -10 and -11: Accept-Patch names the
    media type.
    """
    signs = []
    if "Upload-Limit" in answer.headers:
        items = answer.headers["Upload-Limit"].split(",")
        keys = [match[1] for item in items if (match := _LIMIT_KEY.match(item))]
        signs.append(f"Upload-Limit ({', '.join(keys)})")
    if PARTIAL_UPLOAD in answer.words("Accept-Patch"):
        signs.append("Accept-Patch")
    if "Upload-Draft-Interop-Version" in answer.headers:
        signs.append("Upload-Draft-Interop-Version")
    return tuple(signs)
