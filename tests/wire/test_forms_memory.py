"""What forms cost in memory does not depend on their files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.support.forms import field, file, format_form
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess
from tests.wire.forms import UPLOAD, Forms, tell

if TYPE_CHECKING:
    from pathlib import Path

    from tests.wire.forms import Told

MIB = 2**20
FORMS = 20
SIZE = 45 * MIB
BOUND = 96 * MIB
"""Bytes that the server may grow by, for twenty forms of 45 MiB: a ninth of what they have."""


def test_twenty_large_forms_at_once_are_not_in_memory(tmp_path: Path) -> None:
    """Half of them with the file before its type. Every byte is stored, and the server stays small."""
    data = make_bytes(SIZE, seed=96)
    parts = [file(data), field("content_type", "audio/webm")]
    bodies = [memoryview(format_form(parts)), memoryview(format_form(parts[::-1]))]
    with ServerProcess(tmp_path / "store", "--network-timeout", "60s") as server:
        forms = Forms(server)
        before = server.memory().resident

        def send(number: int) -> Told:
            body = bodies[number % 2]
            with forms.connect() as wire:
                wire.sock.settimeout(120)
                wire.send(forms.head(UPLOAD, len(body)))
                for start in range(0, len(body), MIB):
                    wire.sock.sendall(body[start : start + MIB])
                return tell(wire.read())

        with ThreadPoolExecutor(FORMS) as pool:
            told = list(pool.map(send, range(FORMS)))
        peak = server.memory().peak

        assert [each.status for each in told] == [200] * FORMS
        for each in told:
            path = server.published(each.content["file_uuid"])
            assert sha256(path.read_bytes()) == sha256(data)
            path.unlink()
    assert peak - before < BOUND, f"{(peak - before) / MIB:.0f} MiB more"
