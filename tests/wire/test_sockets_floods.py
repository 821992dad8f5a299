"""Heads that are too large, too many or no HTTP at all: a short answer, and the server lives on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.conftest import check_no_traceback
from tests.wire.tus import UNKNOWN, Tus

if TYPE_CHECKING:
    from tests.support.server import ServerProcess

MIB = 1024 * 1024
FLOODS = {
    "one huge field": b"HEAD /files/ HTTP/1.1\r\nHost: files.test\r\nX: " + b"a" * MIB + b"\r\n\r\n",
    "one huge name": b"HEAD /files/ HTTP/1.1\r\nHost: files.test\r\n" + b"a" * MIB + b": 1\r\n\r\n",
    "a hundred thousand fields": b"HEAD /files/ HTTP/1.1\r\nHost: files.test\r\n"
    + b"".join(b"X-%d: 1\r\n" % number for number in range(100_000))
    + b"\r\n",
    "a huge target": b"HEAD /" + b"a" * MIB + b" HTTP/1.1\r\nHost: files.test\r\n\r\n",
    "a huge method": b"A" * MIB + b" / HTTP/1.1\r\nHost: files.test\r\n\r\n",
    "no end of line": b"A" * MIB,
    "no end of head": b"HEAD /files/ HTTP/1.1\r\n" + b"X: y\r\n" * 200_000,
    "a nul": b"HEAD /files/ HTTP/1.1\r\nHost: files.test\r\nX: a\0b\r\n\r\n",
    "a lone carriage return": b"HEAD /files/ HTTP/1.1\r\nHost: files.test\r\nX: a\rb\r\n\r\n",
    "a blank before the colon": b"HEAD /files/ HTTP/1.1\r\nHost : files.test\r\n\r\n",
    "no colon": b"HEAD /files/ HTTP/1.1\r\nHost\r\n\r\n",
    "no version": b"HEAD /files/\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "tls": bytes.fromhex("160301020001000001fc0303") + bytes(64),
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_refused_and_the_server_lives(
    any_tus: Tus, any_server: ServerProcess, flood: bytes
) -> None:
    """RFC 9110, 5.4 and RFC 9112, 3: a 4xx with a code, or the end; no traceback; others are served."""
    with any_tus.connect() as wire:
        try:
            wire.send(flood)
            answer = wire.rest()
        except ConnectionError:  # it had heard enough
            answer = b""
        alive = any_tus.ask("GET", "/healthz")

    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/0.9 4", b"HTTP/1.0 4", b"HTTP/1.1 4"))
        assert b"\r\nTus-Resumable: 1.0.0" in head
        assert b"\r\nServer: tusd-py" in head
        assert body == b"" or body.startswith(b"ERR_")
    assert alive.status == 200
    check_no_traceback(any_server)


def test_a_flood_of_floods_leaves_no_memory_behind(any_tus: Tus, any_server: ServerProcess) -> None:
    """Unreadable heads are thrown away: a hundred of a megabyte each grow the server by less than 32."""
    before = any_server.memory().peak

    for _ in range(100):
        with any_tus.connect() as wire:
            try:
                wire.send(FLOODS["no end of head"])
                wire.rest()
            except ConnectionError:
                continue

    assert any_server.memory().peak - before < 32 * MIB


TARGETS = [
    "/files/%",
    "/files/%zz",
    "/files/%ff%fe",
    "/files/%00",
    "/files/../../etc/passwd",
    "/files/..%2f..%2fetc%2fpasswd",
    "/files//etc/passwd",
    "/uploads/..%2fincoming",
    "/uploads/..",
    "/uploads/.",
    "/uploads/%2e%2e",
    "/uploads/%00",
    "/uploads/a%0d%0aX-Evil:1",
    f"/files/{UNKNOWN}.json",
    f"/uploads/{UNKNOWN}.json",
    "/files/?x=1&y",
    "http://elsewhere.test/files/x",
    "//elsewhere.test/files/x",
    "*",
    "/files/\u00e4".encode().decode("latin-1"),
    "/files/" + "a" * 5000,
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH"])
def test_no_target_leads_out_of_the_storage(
    any_tus: Tus, any_server: ServerProcess, method: str, target: str
) -> None:
    """tus 1.0.0, Upload-Metadata, and common sense: what a URL names is an id, never a path (T-065)."""
    fields = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}

    with any_tus.nothing_stored():
        answer = any_tus.ask(method, target, fields, None if method in {"GET", "HEAD"} else b"x")

    assert 400 <= answer.status < 500
    assert answer.get("X-Evil") is None
    assert b"root:" not in answer.body
    check_no_traceback(any_server)
