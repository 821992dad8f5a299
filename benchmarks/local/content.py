"""Nobody is fast by being wrong: what a server stored is compared with what was sent, byte for byte."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def wrong_files(folder: Path, uploads: Iterable[str], size: int, pattern: bytes) -> list[str]:
    """Those of the uploads, named by their paths, of which no file below the folder is what was sent.

    A server keeps an upload in a file that has its id, the last part of the path, before the first point
    of its name; records may lie beside it. What was sent is the pattern, over and over, `size` bytes of it.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for found in folder.rglob("*"):
        if found.is_file():
            files[found.name.partition(".")[0]].append(found)
    block = bytearray(len(pattern))
    return [
        upload
        for upload in uploads
        if not any(_is_right(file, size, pattern, block) for file in files[upload.rpartition("/")[2]])
    ]


def _is_right(file: Path, size: int, pattern: bytes, block: bytearray) -> bool:
    if file.stat().st_size != size:
        return False
    view, expected = memoryview(block), memoryview(pattern)
    with file.open("rb", buffering=0) as source:
        left = size
        while left:
            read = source.readinto(view[: min(left, len(pattern))])
            if not read or view[:read] != expected[:read]:
                return False
            if read < min(left, len(pattern)):
                return False  # never seen of a local file, and it would shift the pattern
            left -= read
    return True
