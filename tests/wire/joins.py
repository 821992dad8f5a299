"""Partial uploads, and finals that are joined of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wire.tus import path_of

if TYPE_CHECKING:
    from tests.wire.raw import Response
    from tests.wire.tus import Tus

PARTIAL = {"Upload-Concat": "partial"}


def id_of(path: str) -> str:
    """The upload's id."""
    return path.rpartition("/")[2]


def ask_to_join(tus: Tus, *parts: str, **fields: str | None) -> Response:
    """The answer to the creation of a final."""
    return tus.ask("POST", fields={"Upload-Concat": "final;" + " ".join(parts), **fields})


def join(tus: Tus, *parts: str) -> str:
    """The path of a new final."""
    answer = ask_to_join(tus, *parts)
    assert answer.status == 201, answer
    return path_of(answer)


def progress(tus: Tus, path: str) -> tuple[str | None, str | None, str | None]:
    """What HEAD says of offset, length and deferral."""
    answer = tus.head(path)
    assert answer.status == 200, answer
    return (
        answer.get("Upload-Offset"),
        answer.get("Upload-Length"),
        answer.get("Upload-Defer-Length"),
    )
