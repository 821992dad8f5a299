"""Live connections into S3: what is acknowledged is in S3, wherever the server dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.live import connecting
from tests.support.payload import make_bytes, sha256
from tests.support.s3_server import S3ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

DATA = make_bytes(6_500_000, seed=61)
FRAME = 200_000


async def test_a_killed_server_loses_nothing_it_acknowledged(
    seaweed: SeaweedProcess, tmp_path: Path
) -> None:
    """Killed below the size of a part, and beyond it: who comes back goes on, and the object is right."""
    acknowledged, query = 0, dict[str, str | int]()
    with S3ServerProcess(seaweed, tmp_path / "store", "--network-timeout", "60s") as server:
        for kill_at in (1_000_000, 5_500_000):
            async with connecting(server.origin, query) as client:
                greeting = await client.greet()
                position = greeting["offset"]
                assert acknowledged <= position
                await client.socket.send_json({"offset": position})
                while client.acknowledged < kill_at:
                    await client.send(DATA[position : position + FRAME])
                    position += FRAME
                    await client.hear()
                server.kill9()
                await client.end()
            acknowledged = client.acknowledged
            query = {"id": greeting["file_uuid"], "offset": acknowledged}
            server.start()
        async with connecting(server.origin, query) as client:
            position = (await client.greet())["offset"]
            await client.socket.send_json({"offset": position})
            for start in range(position, len(DATA), FRAME):
                await client.send(DATA[start : start + FRAME])
            result = await client.finish()

        assert acknowledged >= 5_500_000
        assert result["file_path"] == f"{server.prefix}uploads/{result['file_key']}"
        assert sha256(seaweed.content(result["file_path"])) == sha256(DATA)
