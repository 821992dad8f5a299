"""tus 1.0.0, PATCH: what arrived before a connection broke is kept, to the byte."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from tests.support.payload import make_bytes
from tests.wire.raw import Wire
from tests.wire.tus import CHUNK_TYPE, Tus

SENT = make_bytes(50_000, seed=3)
DECLARED = 300_000


def close(wire: Wire) -> None:
    """The peer ends in good order, in the middle."""
    wire.sock.close()


def half_close(wire: Wire) -> None:
    """The peer says that it will send no more."""
    wire.sock.shutdown(socket.SHUT_WR)
    wire.rest()


def wait_for_timeout(wire: Wire) -> None:
    """The peer falls silent until the server has had enough."""
    wire.rest()


ENDINGS = {"close": close, "half-close": half_close, "silence": wait_for_timeout}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_broken_body_keeps_what_arrived(tus: Tus, end: Callable[[Wire], None], chunked: bool) -> None:
    """tus 1.0.0, PATCH: keep as much of the received data as possible, at once (T-034, T-035, T-037)."""
    path = tus.create(DECLARED)
    with tus.connect() as wire:
        body = b"%x\r\n%b" % (DECLARED, SENT) if chunked else SENT
        wire.send(tus.patch_head(path, 0, None if chunked else DECLARED) + body)
        end(wire)

        assert tus.patch(path, len(SENT), b"next").get("Upload-Offset") == str(len(SENT) + 4)

    assert tus.content(path) == SENT + b"next"


def test_a_reset_keeps_what_the_server_was_told_of(tus: Tus) -> None:
    """tus 1.0.0, PATCH: a reset is a network error like others; resuming goes on behind it (T-034)."""
    path = tus.create(DECLARED)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, DECLARED) + SENT)
        while tus.offset(path) < len(SENT):  # the offset only grows
            pass
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert tus.offset(path) == len(SENT)
    assert tus.patch(path, len(SENT), b"next").status == 204
    assert tus.content(path) == SENT + b"next"


def test_silence_closes_the_connection(tus: Tus) -> None:
    """tus 1.0.0, PATCH: a timeout SHOULD close the connection; 5xx, never 408 (T-035, T-036, C-09)."""
    path = tus.create(DECLARED)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, DECLARED) + SENT)
        answer = wire.read("PATCH")
        rest = wire.rest()

    assert answer.status == 500
    assert answer.body.startswith(b"ERR_READ_TIMEOUT: ")
    assert answer.get("Connection") == "close"
    assert rest == b""
    assert tus.offset(path) == len(SENT)


def test_a_half_closed_body_is_answered(tus: Tus) -> None:
    """tus 1.0.0, PATCH: an early end is 5xx or nothing, so that clients try again (T-034, C-09)."""
    path = tus.create(DECLARED)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, DECLARED) + SENT)
        wire.sock.shutdown(socket.SHUT_WR)
        answer = wire.rest()

    assert answer == b"" or answer.startswith(b"HTTP/1.1 500 ")
    assert tus.patch(path, len(SENT), b"next").status == 204
    assert tus.content(path) == SENT + b"next"


def test_a_creation_that_breaks_off_keeps_what_arrived(tus: Tus) -> None:
    """tus 1.0.0, Creation With Upload: accept as many bytes as possible (T-072)."""
    before = set(tus.files())
    fields = {"Upload-Length": str(DECLARED), "Content-Length": str(DECLARED), "Content-Type": CHUNK_TYPE}
    with tus.connect() as wire:
        wire.send(tus.head_of("POST", tus.base, fields) + SENT)
        wait_for_timeout(wire)
    new = sorted(set(tus.files()) - before)
    path = f"/files/{new[0].rpartition('/')[2]}"

    assert len(new) == 2
    assert tus.offset(path) == len(SENT)
    assert tus.content(path) == SENT


def test_a_second_patch_takes_over_and_both_keep_every_byte(tus: Tus) -> None:
    """Whoever comes later is the client's present; the older request is 423, retried by clients (C-07)."""
    path = tus.create(DECLARED)
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, DECLARED) + SENT)
        while tus.offset(path) < len(SENT):
            pass
        newer = tus.patch(path, len(SENT), b"next")
        older = wire.read("PATCH")

    assert newer.status == 204
    assert older.status == 423
    assert older.body.startswith(b"ERR_UPLOAD_INTERRUPTED: ")
    assert older.get("Retry-After") == "1"
    assert tus.content(path) == SENT + b"next"


def test_head_disturbs_nobody_at_work(tus: Tus) -> None:
    """HEAD never fails for a passing reason, and leaves a body that is arriving alone (C-07, C-08)."""
    path = tus.create(DECLARED)
    offsets = []
    with tus.connect() as wire:
        wire.send(tus.patch_head(path, 0, 10_000))
        for _ in range(10):
            wire.send(bytes(1000))
            offsets.append(tus.offset(path))
        answer = wire.read("PATCH")

    assert answer.status == 204
    assert answer.get("Upload-Offset") == "10000"
    assert offsets == sorted(offsets)
