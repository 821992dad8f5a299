"""What processes that share locks say to each other: one packet each, over Unix sockets, never waiting.

Who wants an upload asks the process that has it, and stays connected for as long as it waits: the
connection is its place in the line. It can be sent on to another process, which then has the line.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WAIT = b"W"
"""You are in line."""
REFUSED = b"N"
"""You get nothing: the holder is at work, and you would not disturb it."""
AGAIN = b"R"
"""Nobody has it here: look again."""
YOURS = b"Y"
"""It is your turn. Those who come after you come along."""

MOST_FOLLOWERS = 200
"""Connections that go along with one packet; Linux takes 253."""

_REQUEST = struct.Struct("<?Qd")
_LONGEST_NAME = 100
"""Bytes; the address of a Unix socket has 108 at most."""


class Packet(NamedTuple):
    """What came in. `message` is empty when the other end is gone."""

    message: bytes
    followers: list[socket.socket]


class Request(NamedTuple):
    """The wish for an upload. `is_back`: it was this one's turn already, but somebody else came first."""

    is_back: bool
    position: int
    silence: float | None

    def pack(self) -> bytes:
        silence = float("nan") if self.silence is None else self.silence
        return _REQUEST.pack(self.is_back, self.position, silence)

    @classmethod
    def unpack(cls, message: bytes) -> Request | None:
        """None where there is none: the other end is gone, or is none of us."""
        if len(message) != _REQUEST.size:
            return None
        is_back, position, silence = _REQUEST.unpack(message)
        return cls(is_back, position, None if silence != silence else silence)  # noqa: PLR0124 - NaN


class Addresses:
    """The sockets in `folder`, one for each process, which is its name."""

    def __init__(self, folder: str) -> None:
        self._descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        is_short = len(os.fsencode(folder)) < _LONGEST_NAME - len("/4194304.sock")
        self._folder = folder if is_short else f"/proc/self/fd/{self._descriptor}"

    def _address(self, process: int) -> str:
        return f"{self._folder}/{process}.sock"

    def listen(self) -> socket.socket:
        """Be asked, as this process. What an earlier one of the same number has left is replaced."""
        listener = _make()
        try:
            os.fchmod(listener.fileno(), 0o600)  # before it has a name
            with suppress(FileNotFoundError):
                Path(self._address(os.getpid())).unlink()
            listener.bind(self._address(os.getpid()))
            listener.listen(1024)
        except BaseException:
            listener.close()
            raise
        return listener

    def connect(self, process: int) -> socket.socket:
        """OSError when that process cannot be asked."""
        connection = _make()
        try:
            connection.connect(self._address(process))
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """This process is not to be asked any more."""
        with suppress(FileNotFoundError):
            Path(self._address(os.getpid())).unlink()
        os.close(self._descriptor)


def _make() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.setblocking(False)
    return made


def pair() -> tuple[socket.socket, socket.socket]:
    """A connection within this process, for one end to be sent away."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def receive(connection: socket.socket) -> Packet | None:
    """The next packet, None while there is none."""
    room = socket.CMSG_SPACE(MOST_FOLLOWERS * array.array("i").itemsize)
    try:
        message, attached, _, _ = connection.recvmsg(64, room, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        return None
    except OSError:
        return Packet(b"", [])
    descriptors = array.array("i")
    for _, _, data in attached:
        descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return Packet(message, [_adopt(descriptor) for descriptor in descriptors])


def _adopt(descriptor: int) -> socket.socket:
    adopted = socket.socket(fileno=descriptor)
    adopted.setblocking(False)
    return adopted


def send(connection: socket.socket, message: bytes, followers: Sequence[socket.socket] = ()) -> bool:
    """Whether it is sent: all of it or nothing."""
    descriptors = array.array("i", [follower.fileno() for follower in followers])
    attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if descriptors else []
    try:
        connection.sendmsg([message], attached)
    except OSError:
        return False
    return True
