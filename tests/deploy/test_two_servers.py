"""What docker-compose.yml starts, without containers: two servers behind nginx, and one S3 storage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.deploy.conftest import Fleet, start
from tests.deploy.test_compose import SERVERS, SERVICES
from tests.support.payload import Payload, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

MIB = 2**20
PAYLOAD = Payload(size=12 * MIB + 7, seed=21)
"""Two whole parts and something, of which the first server gets one and a half."""
FIRST = 8 * MIB + 3


@pytest.fixture
def s3_fleet(seaweed: SeaweedProcess, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers on it, told what docker-compose.yml tells them but for where the storage is."""
    told = dict(SERVICES[SERVERS[0]]["environment"]) | dict(seaweed.environment)
    told |= {"TUSD_PY_S3_BUCKET": seaweed.bucket, "TUSD_PY_S3_ENDPOINT": seaweed.endpoint}
    told["TUSD_PY_MAX_SIZE"] = "1GiB"
    yield from start(tmp_path, environment=told)


def test_uploads_in_s3_are_taken_over_from_a_server_that_dies(s3_fleet: Fleet) -> None:
    """What the dead server had stored is in the file that the other one finishes, to the byte."""
    tus = s3_fleet.tus
    paths = [tus.create(PAYLOAD.size) for _ in range(4)]
    with ThreadPoolExecutor() as clients:
        begun = list(clients.map(lambda path: tus.patch(path, 0, PAYLOAD.data[:FIRST]).status, paths))
    s3_fleet.home_of(paths[0]).kill9()

    offsets = [tus.offset(path) for path in paths]
    ended = [tus.patch(path, FIRST, PAYLOAD.data[FIRST:]).status for path in paths]
    files = [tus.ask("GET", f"/uploads/{path.rpartition('/')[2]}").body for path in paths]

    assert begun == [204] * 4
    assert offsets == [FIRST] * 4
    assert ended == [204] * 4
    assert [sha256(file) for file in files] == [PAYLOAD.sha256] * 4


def test_a_final_is_joined_wherever_it_is_asked_for(s3_fleet: Fleet) -> None:
    """tus 1.0.0, Concatenation: its partials were sent to whichever server."""
    tus = s3_fleet.tus
    pieces = [PAYLOAD.data[: 5 * MIB], PAYLOAD.data[5 * MIB : FIRST], PAYLOAD.data[FIRST:]]
    partials = [tus.upload(piece, {"Upload-Concat": "partial"}) for piece in pieces]

    answer = tus.ask("POST", fields={"Upload-Concat": f"final;{' '.join(partials)}"})
    final = (answer.get("Location") or "").rpartition("/")[2]

    assert answer.status == 201
    assert sha256(tus.ask("GET", f"/uploads/{final}").body) == PAYLOAD.sha256
