"""Checksums of chunks: what is offered, what a client states, and computing it piece by piece."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tusd_py.core.errors import ChecksumMismatchError, InvalidChecksumError, UnsupportedChecksumError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    """CRC-32 (ISO 3309) with hashlib's face; the digest is big-endian."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _hash(name: str) -> Callable[[], _Hash]:
    return partial(hashlib.new, name, usedforsecurity=False)


ALGORITHMS: dict[str, tuple[int, Callable[[], _Hash]]] = {
    # name: bytes of a digest, how to make one
    "sha1": (20, _hash("sha1")),
    "sha256": (32, _hash("sha256")),
    "sha512": (64, _hash("sha512")),
    "md5": (16, _hash("md5")),
    "crc32": (4, _Crc32),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """What a chunk is said to sum up to."""

    algorithm: str
    digest: bytes


class Promised(Enum):
    """A checksum that is announced and comes after the body."""

    IN_TRAILER = auto()


def check_algorithm(checksum: Checksum, offered: Iterable[str]) -> None:
    """Whether `checksum` can be verified at all, before a byte is read.

    Raises UnsupportedChecksumError, or InvalidChecksumError where the digest's length is wrong.
    """
    offered = tuple(offered)
    if checksum.algorithm not in offered:
        raise UnsupportedChecksumError(checksum.algorithm, offered)
    size, _ = ALGORITHMS[checksum.algorithm]
    if len(checksum.digest) != size:
        raise InvalidChecksumError(
            "Upload-Checksum", f"the digest has {len(checksum.digest)} bytes", f"{size} bytes in Base64"
        )


class Digests:
    """Sums of a chunk under construction, one for each of `algorithms`."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashes = {name: ALGORITHMS[name][1]() for name in algorithms}

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes. May run in a thread, one call at a time."""
        for hash_ in self._hashes.values():
            hash_.update(data)

    def verify(self, upload_id: str, checksum: Checksum) -> None:
        """Raise ChecksumMismatchError unless the bytes taken sum up to `checksum`."""
        actual = self._hashes[checksum.algorithm].digest()
        if not hmac.compare_digest(actual, checksum.digest):
            raise ChecksumMismatchError(upload_id, checksum.algorithm)


def digests_for(checksum: Checksum | Promised | None, offered: tuple[str, ...]) -> Digests | None:
    """What to compute of a chunk for which a checksum is stated so; None for none."""
    match checksum:
        case None:
            return None
        case Promised.IN_TRAILER:  # which algorithm is said after the bytes
            return Digests(offered)
        case Checksum(algorithm=algorithm):
            return Digests([algorithm])
