"""SIGKILL while live connections send: what was acknowledged is there, and every file is right at last."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import published_digest
from tests.support.live import connecting
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveClient

SIZE = 2_000_000
SIZES = (1, 3_000, 20_000, 90_000)


@dataclass
class Recording:
    """One upload, and what its client knows: the greatest offset that was acknowledged."""

    data: bytes
    source: random.Random
    id: str | None = None
    acknowledged: int = 0
    is_done: bool = False

    async def go_on(self, server: ServerProcess, kill_at: int) -> None:
        """Connect and send, until it is complete, or the server is killed: by us, once `kill_at` bytes are
        acknowledged, or by another recording."""
        query: dict[str, str | int] = {"id": self.id, "offset": self.acknowledged} if self.id else {}
        try:
            async with connecting(server.origin, query) as client:
                try:
                    await self._send_all(client, server, kill_at)
                finally:
                    self.acknowledged = max(self.acknowledged, client.acknowledged)
        except OSError:  # the server is gone
            return

    async def _send_all(self, client: LiveClient, server: ServerProcess, kill_at: int) -> None:
        greeting = await client.greet()
        self.id, position = greeting["file_uuid"], greeting["offset"]
        await client.socket.send_json({"offset": position})
        while position < len(self.data):
            piece = self.data[position : position + self.source.choice(SIZES)]
            await client.send(piece)
            position += len(piece)
            if position - client.acknowledged > 300_000:
                await client.hear()
            if client.acknowledged >= kill_at and server.is_running:
                server.kill9()
        await client.finish()
        self.is_done = True


def check_the_dead(server: ServerProcess, recording: Recording) -> None:
    """Nothing runs: what lies on the disk is a prefix of the recording, with every acknowledged byte."""
    if recording.id is None or recording.is_done:
        return
    content = (server.upload_dir / "incoming" / recording.id).read_bytes()
    assert content == recording.data[: len(content)]
    assert len(content) >= recording.acknowledged


@pytest.mark.parametrize(("seed", "durability"), [(1, "os"), (2, "commit")])
async def test_a_killed_server_loses_nothing_it_acknowledged(
    tmp_path: Path, seed: int, durability: str
) -> None:
    """Four times kill -9 under three connections: restart, come back, go on; each file is right at last."""
    source = random.Random(seed)
    with ServerProcess(
        tmp_path / "store", "--durability", durability, "--network-timeout", "60s"
    ) as server:
        recordings = [
            Recording(
                data=make_bytes(SIZE, seed=100 * seed + number), source=random.Random(source.random())
            )
            for number in range(3)
        ]
        for kill_at in sorted(source.randrange(SIZE) for _ in range(4)):
            async with asyncio.TaskGroup() as group:
                for recording in recordings:
                    group.create_task(recording.go_on(server, kill_at))
            for recording in recordings:
                check_the_dead(server, recording)
            server.start()
        for recording in recordings:
            await recording.go_on(server, 2 * SIZE)

        for recording in recordings:
            assert recording.id is not None
            assert published_digest(server, recording.id) == sha256(recording.data)
