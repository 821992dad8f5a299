"""Checksums of chunks as a client states them."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode

ALGORITHMS = ("sha1", "sha256", "sha512", "md5", "crc32")

KNOWN = {
    "sha1": "Kq5sNclPz7QV2+lfQIuc6R7oRu0=",  # the example of the protocol's text
    "sha256": "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
    "sha512": "MJ7MSJwS1utMxA9QyQLytNDtd+5RGnx6m808qG1M2G+YndNbxf9JlnDaNCVbRbDP2DDoH2Bdz33FVC6TrpzXbw==",
    "md5": "XrY7u+Ae7tCTyyK7j1rNww==",
    "crc32": "DUoRhQ==",
}
"""Digests of `hello world` that other programs have computed."""


def digest(data: bytes, algorithm: str = "sha1") -> str:
    """The digest in Base64."""
    if algorithm == "crc32":
        return b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    return b64encode(hashlib.new(algorithm, data).digest()).decode()


def checksum(data: bytes, algorithm: str = "sha1") -> dict[str, str]:
    """The field for `data`, right or wrong: whatever is sent with it."""
    return {"Upload-Checksum": f"{algorithm} {digest(data, algorithm)}"}
