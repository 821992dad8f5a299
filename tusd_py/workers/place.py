"""What a supervisor hands to a worker: in the environment, and as open descriptors."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "_TUSD_PY_WORKER"
"""Not among the settings: nobody but a supervisor sets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The worker's number, its channel to the supervisor, its listening sockets, the shared folder."""

    number: int
    channel: socket.socket
    sockets: tuple[socket.socket, ...]
    folder: str

    @classmethod
    def take(cls) -> Self | None:
        """This process's place; None where it is no worker. It is handed out once, and not on to others."""
        packed = os.environ.pop(VARIABLE, None)
        if packed is None:
            return None
        given = json.loads(packed)
        os.set_inheritable(given["lock"], False)
        return cls(
            number=given["number"],
            channel=_own(given["channel"]),
            sockets=tuple(map(_own, given["sockets"])),
            folder=given["folder"],
        )


def _own(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def format_place(
    *, number: int, channel: int, sockets: Sequence[int], folder: str, lock: int
) -> tuple[dict[str, str], list[int]]:
    """What to add to the environment of a worker, and which descriptors it inherits."""
    packed = json.dumps(
        {"number": number, "channel": channel, "sockets": list(sockets), "folder": folder, "lock": lock}
    )
    return {VARIABLE: packed}, [channel, *sockets, lock]
