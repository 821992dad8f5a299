"""Eight ways an upload goes in the field, each with the exact bytes that have to be there afterwards."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.embedded import embedded
from tests.faults.leftovers import names_of_files
from tests.faults.wire import (
    Exchange,
    code,
    create,
    delete,
    offset_of,
    patch,
    published_digest,
    resume,
    stored,
    wait_until,
    wait_until_stored,
)
from tests.support import faults
from tests.support.payload import Payload, sha256
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess, head, upload_id
from tusd_py.core.errors import UploadRejectedError
from tusd_py.core.ports import Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tusd_py.core.model import Upload

FILE = Payload(size=50_000, seed=8)
AT_ONCE = 5.0
"""Seconds; far below every timeout in force, far above what a busy machine needs."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Waits a minute for a body, and as long before a HEAD takes an upload over."""
    folder = tmp_path_factory.mktemp("scenarios") / "storage"
    with ServerProcess(folder, "--network-timeout", "60s", "--holder-silence", "60s") as it:
        yield it


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Gives up on a body after a second of silence."""
    folder = tmp_path_factory.mktemp("hasty") / "storage"
    with ServerProcess(folder, "--network-timeout", "1s", "--holder-silence", "60s") as it:
        yield it


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Waits half a minute for a body; a HEAD takes over from a holder silent for a tenth of a second."""
    folder = tmp_path_factory.mktemp("patient") / "storage"
    with ServerProcess(folder, "--network-timeout", "30s", "--holder-silence", "100ms") as it:
        yield it


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[FaultProxy]:
    """A faulty network in front of `server`."""
    with FaultProxy("127.0.0.1", server.port) as it:
        yield it


def the_only_upload(server: ServerProcess) -> str:
    """The URL of the upload that the server is making, though it has not told it yet."""
    incoming = server.upload_dir / "incoming"
    wait_until(lambda: list(incoming.glob("*.json")))
    (record,) = incoming.glob("*.json")
    return server.url + record.stem


# -- 1: nothing happens -----------------------------------------------------------------------------


def test_an_undisturbed_upload_is_published_whole(server: ServerProcess) -> None:
    """tus 1.0.0, PATCH: 204 with the new offset; the file is there when the answer is."""
    url = create(server.url, FILE.size)

    answer = patch(url, 0, FILE.data)

    assert (answer.status, answer.headers["upload-offset"]) == (204, "50000")
    assert published_digest(server, url) == FILE.sha256
    assert offset_of(url) == 50_000


# -- 2: silence -------------------------------------------------------------------------------------


def test_a_silent_client_is_told_and_its_bytes_are_kept(hasty: ServerProcess) -> None:
    """10,000 bytes, then nothing: 500 ERR_READ_TIMEOUT after the network timeout, connection closed."""
    url = create(hasty.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as request:
        request.send(FILE.data[:10_000])
        begun = time.monotonic()
        answer = request.answer()
        waited = time.monotonic() - begun
        ended = request.ends()

    assert code(answer) == (500, "ERR_READ_TIMEOUT")
    assert ended
    assert 0.8 < waited < 1.0 + AT_ONCE
    assert resume(url, FILE.data) == 10_000
    assert published_digest(hasty, url) == FILE.sha256


def test_a_network_gone_silent_leaves_exactly_what_came_through(hasty: ServerProcess) -> None:
    """A slow link that swallows everything after byte 10,000 while both connections stay open."""
    url = create(hasty.url, FILE.size)
    with FaultProxy("127.0.0.1", hasty.port) as proxy:
        proxy.slow(200_000)
        proxy.script(faults.silence_after(10_000))
        with pytest.raises(ConnectionError):
            patch(proxy.via(url), 0, FILE.data)

    assert resume(url, FILE.data) == 10_000
    assert published_digest(hasty, url) == FILE.sha256


# -- 3 and 4: the connection ends ---------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 10_000, 49_999])
def test_a_closed_connection_keeps_every_byte_that_arrived(
    server: ServerProcess, proxy: FaultProxy, after: int
) -> None:
    """tus 1.0.0, PATCH: the server keeps as much as it received, here exactly `after` bytes."""
    url = create(server.url, FILE.size)
    proxy.script(faults.close_after(after))

    with pytest.raises((ConnectionError, OSError)):
        patch(proxy.via(url), 0, FILE.data)
    wait_until_stored(server, url, after)

    assert resume(url, FILE.data) == after
    assert published_digest(server, url) == FILE.sha256


@pytest.mark.parametrize("size", [1, 5_000, 300_000, 5_000_000])
def test_a_reset_connection_keeps_every_byte_that_arrived(server: ServerProcess, size: int) -> None:
    """RST by SO_LINGER 0, once every byte is confirmed: what was buffered anywhere is not lost."""
    file = Payload(size=2 * size, seed=4)
    url = create(server.url, file.size)

    with Exchange.patch(url, 0, file.size) as request:
        request.send(file.data[:size])
        request.reset()
    wait_until_stored(server, url, size)

    assert resume(url, file.data) == size
    assert published_digest(server, url) == file.sha256


@pytest.mark.parametrize("leave", [Exchange.reset, Exchange.close])
def test_a_creation_cut_in_its_body_is_an_upload_with_what_arrived(
    tmp_path: Path, leave: Callable[[Exchange], None]
) -> None:
    """tus 1.0.0, Creation With Upload: the client never heard of the URL, but the exact prefix is there."""
    with ServerProcess(tmp_path / "storage") as server:
        request = Exchange.creation(server.url, FILE.size)
        request.send(FILE.data[:30_001])
        url = the_only_upload(server)
        wait_until_stored(server, url, 30_001)
        leave(request)

        assert resume(url, FILE.data) == 30_001
        assert published_digest(server, url) == FILE.sha256


# -- 5: the lock ------------------------------------------------------------------------------------


def test_a_probe_beside_a_slow_body_disturbs_nothing(server: ServerProcess) -> None:
    """HEAD reports the bytes stored so far while the PATCH goes on, and the PATCH ends with 204."""
    url = create(server.url, FILE.size)
    told = []
    with Exchange.patch(url, 0, FILE.size) as request:
        for sent in range(0, FILE.size, 10_000):
            wait_until_stored(server, url, sent)
            told.append(offset_of(url))
            request.send(FILE.data[sent : sent + 10_000])
        answer = request.answer()

    assert told == [0, 10_000, 20_000, 30_000, 40_000]
    assert (answer.status, answer.headers["upload-offset"]) == (204, "50000")
    assert published_digest(server, url) == FILE.sha256


def test_a_second_append_takes_over_and_both_keep_every_byte(server: ServerProcess) -> None:
    """The first is told 423 ERR_UPLOAD_INTERRUPTED at once; the second goes on where it stopped."""
    url = create(server.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as first:
        first.send(FILE.data[:20_000])
        wait_until_stored(server, url, 20_000)
        with Exchange.patch(url, 20_000, 30_000) as second:
            begun = time.monotonic()
            told = first.answer()
            waited = time.monotonic() - begun
            second.send(FILE.data[20_000:])
            answer = second.answer()

    assert code(told) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert told.headers["retry-after"] == "1"
    assert waited < 2.0
    assert (answer.status, answer.headers["upload-offset"]) == (204, "50000")
    assert published_digest(server, url) == FILE.sha256


def test_an_append_at_a_stale_offset_is_told_where_the_upload_is(server: ServerProcess) -> None:
    """tus 1.0.0, PATCH: 409 when the offsets differ, also where the first body was cut for it."""
    url = create(server.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as first:
        first.send(FILE.data[:20_000])
        wait_until_stored(server, url, 20_000)
        answer = patch(url, 10_000, FILE.data[10_000:])
        told = first.answer()

    assert code(told) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert code(answer) == (409, "ERR_MISMATCHED_OFFSET")
    assert answer.headers["upload-offset"] == "20000"
    assert resume(url, FILE.data) == 20_000
    assert published_digest(server, url) == FILE.sha256


def test_a_probe_takes_over_from_a_silent_holder(patient: ServerProcess) -> None:
    """A dead connection that nobody has noticed: after the silence allowed, HEAD ends it."""
    url = create(patient.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as silent:
        silent.send(FILE.data[:10_000])
        wait_until_stored(patient, url, 10_000)
        told = [offset_of(url)]
        while not silent.is_answered(within=0.02):
            told.append(offset_of(url))
        answer = silent.answer()

    assert code(answer) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert set(told) == {10_000}
    assert resume(url, FILE.data) == 10_000
    assert published_digest(patient, url) == FILE.sha256


def test_a_termination_ends_a_running_body_and_nothing_comes_back(server: ServerProcess) -> None:
    """tus 1.0.0, Termination: 204, then 404; the cut body leaves and recreates no file."""
    url = create(server.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as running:
        running.send(FILE.data[:10_000])
        wait_until_stored(server, url, 10_000)
        answer = delete(url)
        running.send(FILE.data[10_000:20_000])
        told = running.answer()

    assert answer.status == 204
    assert code(told) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert head(url).status == 404
    assert patch(url, 10_000, b"x").status == 404
    assert server.traces(url) == []


# -- 6: too long ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [50_000, 7_000, 10_000])
def test_a_body_beyond_the_length_is_cut_exactly_there(server: ServerProcess, chunk: int) -> None:
    """50,000 chunked bytes into 10,000: 413, and the upload is the first 10,000 bytes, published."""
    url = create(server.url, 10_000)
    with Exchange.chunked_patch(url, 0) as request:
        for position in range(0, FILE.size, chunk):
            request.send_chunk(FILE.data[position : position + chunk])
            if request.is_answered(within=0.2):
                break
        answer = request.answer()

    assert code(answer) == (413, "ERR_UPLOAD_SIZE_EXCEEDED")
    assert offset_of(url) == 10_000
    assert published_digest(server, url) == sha256(FILE.data[:10_000])


# -- 7: a hook stops the upload ---------------------------------------------------------------------


class StopAfter(Hook):
    """An operator's hook that has seen enough after `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: list[int] = []

    async def post_receive(self, upload: Upload) -> None:
        """No, once there are `size` bytes."""
        self.asked.append(upload.offset)
        if upload.offset >= self.size:
            raise UploadRejectedError("enough")


def test_a_hook_stops_a_running_upload_for_good(tmp_path: Path) -> None:
    """The veto while bytes arrive: 400 ERR_UPLOAD_STOPPED, then 404, and no file is left."""
    hook = StopAfter(1)
    sent = 0
    with embedded(tmp_path, hook) as (server_url, _, _):
        url = create(server_url, FILE.size)
        with Exchange.patch(url, 0, FILE.size) as request:
            while not request.is_answered(within=0.05) and sent < FILE.size:
                request.send(FILE.data[sent : sent + 100])
                sent += 100
            answer = request.answer()
        later = head(url).status

    assert code(answer) == (400, "ERR_UPLOAD_STOPPED")
    assert hook.asked == [hook.asked[0]]
    assert 0 < hook.asked[0] <= sent < FILE.size
    assert later == 404
    assert names_of_files(tmp_path) == []


# -- 8: the server goes down ------------------------------------------------------------------------


def wait_for_exit(server: ServerProcess) -> tuple[int, float]:
    """The exit code of a server that was told to end, and how many seconds that took from now."""
    begun = time.monotonic()
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    return server.terminate(), time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_server_going_down_lets_bodies_go_with_their_bytes(
    tmp_path: Path, method: str, number: signal.Signals
) -> None:
    """503 ERR_SERVER_SHUTDOWN to the client, exit 0 at once; after a restart every byte is there."""
    with ServerProcess(tmp_path / "storage", "--network-timeout", "60s") as server:
        if method == "PATCH":
            url = create(server.url, FILE.size)
            request = Exchange.patch(url, 0, FILE.size)
        else:
            request = Exchange.creation(server.url, FILE.size)
            url = the_only_upload(server)
        with request:
            request.send(FILE.data[:20_000])
            wait_until_stored(server, url, 20_000)
            port = server.port
            os.kill(server.pid, number)
            answer = request.answer()
        exit_code, seconds = wait_for_exit(server)
        size_at_rest = stored(server, url).stat().st_size
        server.start(port)

        assert code(answer) == (503, "ERR_SERVER_SHUTDOWN")
        assert (exit_code, size_at_rest) == (0, 20_000)
        assert seconds < AT_ONCE
        assert resume(url, FILE.data) == 20_000
        assert published_digest(server, url) == FILE.sha256


def hang(server: ServerProcess) -> Exchange:
    """A request whose disk access never returns: its upload's record is a pipe that nobody writes to."""
    url = create(server.url, FILE.size)
    record = server.upload_dir / "incoming" / f"{upload_id(url)}.json"
    record.unlink()
    os.mkfifo(record)
    request = Exchange(url, "HEAD", {"Tus-Resumable": "1.0.0"})
    assert not request.is_answered(within=0.2)
    return request


def test_a_second_signal_ends_the_process_whatever_hangs(tmp_path: Path) -> None:
    """A disk that never answers holds up the first signal; the second one waits for nothing."""
    with ServerProcess(tmp_path / "storage", "--shutdown-timeout", "60s") as server, hang(server):
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: "shutting down" in server.log)
        os.kill(server.pid, signal.SIGTERM)
        exit_code, seconds = wait_for_exit(server)

    assert exit_code == 128 + signal.SIGTERM
    assert seconds < AT_ONCE


def test_a_hanging_disk_cannot_outlast_the_shutdown_timeout(tmp_path: Path) -> None:
    """One signal: what has not ended after the shutdown timeout is abandoned, exit 0."""
    with ServerProcess(tmp_path / "storage", "--shutdown-timeout", "1s") as server, hang(server):
        os.kill(server.pid, signal.SIGTERM)
        exit_code, seconds = wait_for_exit(server)

    assert exit_code == 0
    assert seconds < 1.0 + AT_ONCE
