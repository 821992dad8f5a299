"""The client beside a tus server that we did not write: the one within SeaweedFS' filer.

It offers no checksums, and knows nothing of an upload once that is finished.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.client.commands import run
from tests.client.sending import CHUNK, failed, methods, send, sent, write
from tests.support.faults import lose_response, refuse, reset_after
from tests.support.payload import Payload, sha256
from tests.support.proxy import FaultProxy
from tests.support.server import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

SIZE = 10 * CHUNK + 1


@pytest.fixture
def filer(seaweed: SeaweedProcess) -> Iterator[FaultProxy]:
    """A network that breaks as it is told, in front of the filer."""
    with FaultProxy("127.0.0.1", seaweed.filer) as proxy:
        yield proxy


def stored(filer: FaultProxy, name: str) -> str:
    """The digest of what the filer serves."""
    return sha256(fetch(f"{filer.origin}/{name}").body)


def test_a_file_arrives_over_a_breaking_network(filer: FaultProxy, tmp_path: Path) -> None:
    """Resets within chunks, until the file is the file."""
    source = random.Random(5)
    payload = Payload(size=SIZE, seed=60)
    filer.script(*(reset_after(source.randrange(CHUNK), nth=2) for _ in range(4)))
    [job] = send(f"{filer.origin}/.tus/breaking/a.bin", write(tmp_path, payload))

    assert filer.pending == ()
    assert (sent(job).size, sent(job).location) == (SIZE, None)
    assert methods(filer).count("POST") == 1
    assert stored(filer, "breaking/a.bin") == payload.sha256


def test_a_later_run_goes_on(filer: FaultProxy, tmp_path: Path, state: Path) -> None:
    """What an earlier run left on the server is not sent again."""
    payload = Payload(size=SIZE, seed=61)
    path, endpoint = write(tmp_path, payload), f"{filer.origin}/.tus/later/a.bin"
    filer.script(refuse("PATCH", nth=4))
    [first] = send(endpoint, path, state=state, delays=())
    [second] = send(endpoint, path, state=state)

    assert failed(first)
    assert sent(second).resumed_from == 3 * CHUNK
    assert stored(filer, "later/a.bin") == payload.sha256


def test_a_lost_last_answer_sends_it_all_again(filer: FaultProxy, tmp_path: Path) -> None:
    """The server has forgotten that it has the file: it is not called a success, but made one."""
    payload = Payload(size=SIZE, seed=62)
    filer.script(lose_response("PATCH", nth=11))
    [job] = send(f"{filer.origin}/.tus/again/a.bin", write(tmp_path, payload))

    assert sent(job).size == SIZE
    assert methods(filer).count("POST") == 2
    assert stored(filer, "again/a.bin") == payload.sha256


def test_the_probe_finds_out_that_finished_uploads_are_forgotten(filer: FaultProxy, state: Path) -> None:
    """A warning: all bytes were there, HEAD is 404, and what the upload became cannot be removed."""
    ended = run(state, "probe", f"{filer.origin}/.tus/probed/a.bin", "--write", "--json")

    steps = {step["name"]: step["passed"] for step in ended.json["steps"]}
    assert (ended.code, ended.json["status"]) == (1, "warning")
    assert steps == {"create": True, "send": True, "offset": True, "resume": True, "complete": False}
    assert "who misses the last answer sends them all again" in ended.json["summary"]
    assert len(ended.json["left_behind"]) == 1
    assert fetch(f"{filer.origin}/probed/a.bin").status == 200
