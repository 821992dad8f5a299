"""What a resumable upload protocol has to be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tusd_py.core.intents import Intent
    from tusd_py.core.outcomes import Outcome
    from tusd_py.protocol.heads import RequestHead, ResponseHead


class Dialect(Protocol):
    """One protocol: it reads requests and words the answers, and knows nothing of how they come about."""

    def parse(self, head: RequestHead) -> Intent:
        """What the request asks for. Raises UploadError."""
        ...

    def render(self, outcome: Outcome, head: RequestHead) -> ResponseHead:
        """The answer to a request that was carried out."""
        ...

    def render_error(self, error: Exception, head: RequestHead) -> ResponseHead:
        """The answer to one that was not. Words and codes only: never a foreign exception's text."""
        ...
