"""What has to be true of what the page has sent."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.payload import sha256
from tests.support.server import fetch

if TYPE_CHECKING:
    from tests.support.server import ServerProcess


def digest_of(server: ServerProcess, address: str) -> str:
    """The digest of a finished file in the storage, which is what a GET of its address gives, too."""
    return sha256(content_of(server, address))


def content_of(server: ServerProcess, address: str) -> bytes:
    """A finished file in the storage, which is what a GET of its address gives, too."""
    path = urlsplit(address).path
    assert path.startswith("/uploads/"), address
    stored = (server.upload_dir / path.lstrip("/")).read_bytes()
    served = fetch(server.direct(address))

    assert (served.status, sha256(served.body)) == (200, sha256(stored))
    return stored
