"""Many clients on S3 that stop in the middle: they hold up nobody, and lose nothing."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import Exchange, create, offset_of, patch, resume, wait_until
from tests.support.payload import Payload, sha256
from tests.support.s3_server import S3ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

MIB = 2**20
BUDGET = 32 * MIB


@pytest.mark.parametrize(("crowd", "sent"), [(200, MIB), (40, 5 * MIB - 1)], ids=["many", "large"])
def test_clients_that_stop_hold_up_no_other(
    seaweed: SeaweedProcess, tmp_path: Path, crowd: int, sent: int
) -> None:
    """200 MiB of bytes that wait for their clients, in a budget of 32: a fast upload passes all the same.

    What the others had sent is in S3 in the end, to the byte, and each goes on from there.
    """
    stalled, fast = Payload(size=6 * MIB, seed=3), Payload(size=24 * MIB, seed=4)
    flags = (
        "--s3-memory-budget",
        str(BUDGET),
        "--network-timeout",
        "120s",
        "--acquire-lock-timeout",
        "60s",
    )
    with S3ServerProcess(seaweed, tmp_path / "storage", *flags) as server, ExitStack() as stack:
        urls = [create(server.url, stalled.size) for _ in range(crowd)]
        target = create(server.url, fast.size)
        before = server.memory().resident
        bodies = [stack.enter_context(Exchange.patch(url, 0, stalled.size)) for url in urls]
        for body in bodies:
            body.send(stalled.data[:sent])

        patched = patch(target, 0, fast.data)
        grown = server.memory().peak - before
        for body in bodies:
            wait_until(body.is_taken)
        stack.close()
        wait_until(
            lambda: [offset_of(url) for url in urls[::20]] == [sent] * (crowd // 20), "bytes are lost"
        )
        resumed = [resume(url, stalled.data) for url in urls[::20]]

        assert patched.status == 204
        assert sha256(server.content(target)) == fast.sha256
        assert resumed == [sent] * (crowd // 20)
        assert {sha256(server.content(url)) for url in urls[::20]} == {stalled.sha256}
        # Each connection has buffers of its own besides, of some 640 KiB in all.
        assert grown < BUDGET + 64 * MIB + crowd * 640 * 1024
