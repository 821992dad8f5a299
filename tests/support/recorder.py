"""A server that records what reaches it, and a client that sends what it is told: the ends of a proxy."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Self

from tests.support.framing import RequestScanner

if TYPE_CHECKING:
    from tests.support.proxy import FaultProxy

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Recorder:
    """A server that keeps every byte of each connection, and answers every whole request."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.interim = b""  # said before each answer
        self.received: list[bytes] = []
        self.ends: list[str] = []
        self.first_bytes = threading.Event()
        self._finished: queue.Queue[int] = queue.Queue()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        self._listener.close()

    def settle(self, connections: int = 1) -> None:
        """Wait until so many connections have ended."""
        for _ in range(connections):
            self._finished.get(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.received.append(b"")
            self.ends.append("open")
            args = (connection, len(self.ends) - 1)
            self._threads.append(threading.Thread(target=self._record, args=args))
            self._threads[-1].start()

    def _record(self, connection: socket.socket, index: int) -> None:
        scanner = RequestScanner()
        end = "FIN"
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received[index] += data
                    self.first_bytes.set()
                    answers = sum(piece.is_last for piece in scanner.feed(data))
                    if answers and not _say(connection, (self.interim + ANSWER) * answers):
                        end = "RST"  # told once: what came before it can still be read
            except ConnectionError:
                end = "RST"
        self.ends[index] = end
        self._finished.put(index)


def _say(connection: socket.socket, answer: bytes) -> bool:
    """Whether the client was still there to be told."""
    try:
        connection.sendall(answer)
    except ConnectionError:
        return False
    return True


def dial(proxy: FaultProxy) -> closing[socket.socket]:
    """A client's connection to the proxy; nothing in it blocks longer than ten seconds."""
    return closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=10))


def patch(body: bytes, target: str = "/files/1") -> bytes:
    """A PATCH with a Content-Length."""
    return b"PATCH %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (target.encode(), len(body)) + body


def chunked_patch(*chunks: bytes) -> bytes:
    """A PATCH in chunked coding with a trailer field."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"PATCH /files/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\nA: b\r\n\r\n"


def send_and_break(client: socket.socket, data: bytes) -> str:
    """Send all of `data`, then read to the end; how the connection ended, as the client sees it."""
    try:
        client.sendall(data)
        while client.recv(65536):
            pass
    except (ConnectionResetError, BrokenPipeError):
        return "RST"
    return "FIN"
