"""Where the server listens: made here or inherited, by one process or shared by several."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tusd_py.core.errors import TusdError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

BACKLOG = 1024
"""Connections that the system keeps for a socket until they are accepted."""


class ListenError(TusdError):
    """The server cannot listen where it was told to; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen and for how long to wait, in seconds.

    `sockets`, which listen already, win over `unix_socket`, and that over `host` and `port`.
    """

    host: str
    port: int
    unix_socket: str | None
    tls: ssl.SSLContext | None
    idle_timeout: float
    shutdown_timeout: float
    sockets: tuple[socket.socket, ...] = ()

    def refusal(self, error: OSError) -> ListenError:
        """What to say when the system does not let us listen."""
        where = self.unix_socket or f"{self.host}:{self.port}"
        return ListenError(f"cannot listen on {where}: {error.strerror or error}")

    def origin(self, addresses: Sequence[tuple[str, int]]) -> str:
        """How clients reach the server, which has these addresses."""
        scheme = "https" if self.tls else "http"
        if self.unix_socket:
            return f"{scheme}+unix://{self.unix_socket}"
        host, port = addresses[0]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def remove_stale_socket(path: str) -> None:
    """Make room for a socket. Raises ListenError where somebody answers, or something else has the name."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise ListenError(f"cannot listen on {path}: it exists and is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise ListenError(f"cannot listen on {path}: another server does")
        Path(path).unlink()


async def share(listening: Listening, count: int) -> list[tuple[socket.socket, ...]]:
    """Listening sockets for each of `count` processes, for all addresses there are; raises ListenError.

    On TCP each process has sockets of its own, among which the system deals connections out; a Unix
    socket is the same for all. What nobody accepts waits in them until the last copy is closed.
    """
    try:
        if listening.unix_socket:
            one = _listen_on_path(listening.unix_socket)
            return [(one,)] * count
        first = await _listen_on_port(listening.host, listening.port)
        return [first, *(tuple(map(_beside, first)) for _ in range(count - 1))]
    except OSError as error:
        raise listening.refusal(error) from error


def _listen_on_path(path: str) -> socket.socket:
    remove_stale_socket(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(BACKLOG)
    return listener


async def _listen_on_port(host: str, port: int) -> tuple[socket.socket, ...]:
    """Sockets that nobody else shares the port with, until `_beside` is called."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    listeners = tuple(socket.socket(fileno=os.dup(each.fileno())) for each in server.sockets)
    server.close()
    for listener in listeners:
        listener.listen(BACKLOG)
        # Not before: another server that shares its port would let us in, and get half of our clients.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return listeners


def _beside(first: socket.socket) -> socket.socket:
    """One more socket on the address of `first`."""
    listener = socket.socket(first.family, first.type)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if first.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(first.getsockname())
    listener.listen(BACKLOG)
    return listener
