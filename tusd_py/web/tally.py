"""How bodies came in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """Bytes of bodies received so far, by the way they took: through aiohttp's parser (`stream`), past it
    in the event loop (`protocol`), or past it in a thread (`worker`)."""

    stream: int = 0
    protocol: int = 0
    worker: int = 0
