"""Bytes to upload: the same for the same seed, different at every position."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import cached_property

_BLOCK = 1 << 20


def make_bytes(size: int, seed: int = 0) -> bytes:
    """`size` pseudo-random bytes. They never repeat, so a misplaced piece changes the digest.

    A shorter payload of the same seed is a prefix of a longer one.
    """
    source = random.Random(seed)
    blocks = [source.randbytes(_BLOCK) for _ in range(0, size, _BLOCK)]
    return b"".join(blocks)[:size]


def sha256(data: bytes) -> str:
    """The digest in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def cut_points(size: int, count: int, seed: int) -> tuple[int, ...]:
    """`count` different places strictly inside `size` bytes, in order, the same for the same seed."""
    return tuple(sorted(random.Random(seed).sample(range(1, size), count)))


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A file's content, known by its size in bytes and its seed; made when it is first asked for."""

    size: int
    seed: int = 0

    @cached_property
    def data(self) -> bytes:
        """All the bytes."""
        return make_bytes(self.size, self.seed)

    @cached_property
    def sha256(self) -> str:
        """The digest of all the bytes, in lower-case hex."""
        return sha256(self.data)
