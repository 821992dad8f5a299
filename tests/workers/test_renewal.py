"""SIGHUP: the workers are renewed one after another, and nobody who uploads has to begin anew."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.faults.wire import create, offset_of, patch, published_digest, resume, wait_until
from tests.support.payload import Payload
from tests.support.server import fetch, head
from tests.wire.raw import Wire
from tests.wire.tus import Tus
from tests.workers.crew import Crew

if TYPE_CHECKING:
    from pathlib import Path

RENEWALS = 3
PIECE = 40_000
CREATION = {"Tus-Resumable": "1.0.0", "Upload-Length": "1"}


@dataclass
class Traffic:
    """Clients that go on until they are told that it is enough; what they saw."""

    crew: Crew
    enough: threading.Event = field(default_factory=threading.Event)
    finished: dict[str, Payload] = field(default_factory=dict)
    interruptions: int = 0
    asked: int = 0

    def upload(self, client: int) -> None:
        """One file after another, in pieces; after an interruption on from where the server says."""
        round_ = 0
        while not self.enough.is_set():
            payload = Payload(size=400_000 + client, seed=1000 * client + round_)
            url, offset, round_ = create(self.crew.url, payload.size), 0, round_ + 1
            while offset < payload.size:
                offset = self._send(url, offset, payload.data[offset : offset + PIECE])
            self.finished[url] = payload

    def _send(self, url: str, offset: int, piece: bytes) -> int:
        try:
            answer = patch(url, offset, piece)
        except ConnectionRefusedError:
            raise
        except (ConnectionError, OSError):
            answer = None
        if answer is not None and answer.status == 204:
            return offset + len(piece)
        assert answer is None or answer.status in {503, 423}, answer
        self.interruptions += 1
        reached = offset_of(url)
        assert offset <= reached <= offset + len(piece)
        return reached

    def ask(self) -> None:
        """Short requests on connections of their own, each of which has to be answered well."""
        while not self.enough.is_set():
            answer = fetch(self.crew.url, "POST", CREATION)
            assert answer.status == 201, answer
            assert head(self.crew.direct(answer.headers["location"])).status == 200
            self.asked += 1


def test_uploads_survive_every_renewal_and_nobody_is_refused(crew: Crew) -> None:
    """Clients that resume finish every file, whole; who asks shortly does not notice anything."""
    traffic = Traffic(crew)
    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(traffic.upload, client) for client in range(4)]
        clients += [pool.submit(traffic.ask) for _ in range(2)]
        try:
            for _ in range(RENEWALS):
                done = len(traffic.finished)
                crew.renew()
                wait_until(lambda: len(traffic.finished) > done + 3, "no upload ends")  # noqa: B023
        finally:
            traffic.enough.set()
    for client in clients:
        client.result()

    assert traffic.asked > 0
    for url, payload in traffic.finished.items():
        assert published_digest(crew, url) == payload.sha256


def test_what_is_being_received_is_kept_at_a_renewal(crew: Crew, two: tuple[int, int]) -> None:
    """A PATCH that lasts ends as at a shutdown, with its bytes; the client goes on at a new worker."""
    payload = Payload(size=1_000_000, seed=4)
    url = create(crew.url, payload.size)
    with crew.connect(two[0]) as wire:
        wire.send(Tus.of(crew).patch_head(urlsplit(url).path, 0, payload.size) + payload.data[:600_000])
        wait_until(lambda: offset_of(url) == 600_000, "the bytes do not arrive")
        crew.renew()
        answer = wire.read("PATCH")

    assert (answer.status, answer.body.partition(b":")[0]) == (503, b"ERR_SERVER_SHUTDOWN")
    assert resume(url, payload.data) == 600_000
    assert published_digest(crew, url) == payload.sha256


def test_connections_that_wait_to_be_accepted_are_not_lost(crew: Crew, two: tuple[int, int]) -> None:
    """What the system has queued for a worker is accepted by its successor, and answered."""
    os.kill(two[0], signal.SIGSTOP)  # it accepts nothing more
    wires = [Wire.to(crew.port) for _ in range(40)]
    for wire in wires:
        wire.send(Tus.of(crew).head_of("OPTIONS", "/files/"))
    os.kill(two[0], signal.SIGKILL)

    answers = [wire.read("OPTIONS").status for wire in wires]

    for wire in wires:
        wire.sock.close()
    assert answers == [204] * 40


def test_a_new_worker_that_does_not_start_leaves_the_old_ones_serving(tmp_path: Path) -> None:
    """A broken configuration is told and harms nobody; corrected, the next SIGHUP takes it up."""
    config = tmp_path / "config.toml"
    config.write_text("")
    with Crew(tmp_path / "store", "--config", str(config)) as crew:
        before = crew.workers()
        config.write_text("max_size = 'much'")
        crew.hang_up()
        wait_until(lambda: "the workers are not renewed" in crew.log, "it does not tell")

        assert "tusd-py: max_size in" in crew.log
        assert crew.workers() == before
        assert fetch(crew.url, "POST", CREATION | {"Upload-Length": "1000"}).status == 201
        config.write_text("max_size = 100")
        crew.renew()
        assert fetch(crew.url, "POST", CREATION | {"Upload-Length": "1000"}).status == 413
