"""The eight ways an upload goes in the field (test_scenarios.py), on S3: the same answers, the same bytes.

Where bytes are on their way to S3 is not seen from outside. What is seen: the offset that HEAD tells, which
grows when a request ends or a part is full, and the object.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.faults.embedded import embedded
from tests.faults.test_scenarios import FILE, StopAfter, wait_for_exit
from tests.faults.wire import Exchange, code, create, delete, offset_of, patch, resume, wait_until
from tests.support import faults
from tests.support.payload import Payload, sha256
from tests.support.proxy import FaultProxy
from tests.support.s3_server import S3ServerProcess
from tests.support.server import head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.seaweed import SeaweedProcess

BIG = Payload(size=12_000_000, seed=12)
"""Two parts, and a third that is not full."""


@pytest.fixture(scope="module")
def server(seaweed: SeaweedProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3ServerProcess]:
    """Waits a minute for a body, and as long before a HEAD takes an upload over."""
    folder = tmp_path_factory.mktemp("scenarios") / "storage"
    flags = ("--network-timeout", "60s", "--holder-silence", "60s")
    with S3ServerProcess(seaweed, folder, *flags) as it:
        yield it


@pytest.fixture(scope="module")
def hasty(seaweed: SeaweedProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3ServerProcess]:
    """Gives up on a body after a second of silence; a HEAD takes over after a tenth."""
    folder = tmp_path_factory.mktemp("hasty") / "storage"
    flags = ("--network-timeout", "1s", "--holder-silence", "100ms")
    with S3ServerProcess(seaweed, folder, *flags) as it:
        yield it


def check_published(server: S3ServerProcess, url: str, digest: str) -> None:
    """The object has these bytes, and nothing else of the upload is left but its record."""
    assert sha256(server.content(url)) == digest
    assert len(server.traces(url)) == 2


def wait_for_offset(url: str, offset: int) -> None:
    """Wait until HEAD tells it: what a body that ended has left is being put away until then."""
    wait_until(lambda: head(url).headers.get("upload-offset") == str(offset), f"not at {offset}")


def let_arrive(request: Exchange, url: str) -> None:
    """Wait until the server has read what was sent: it has if it answers what was asked after that."""
    wait_until(request.is_taken)
    head(url)
    head(url)


# -- 1: nothing happens -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", [FILE, BIG], ids=["one object", "parts"])
def test_an_undisturbed_upload_is_published_whole(server: S3ServerProcess, file: Payload) -> None:
    """tus 1.0.0, PATCH: 204 with the new offset; the object is there when the answer is."""
    url = create(server.url, file.size)

    answer = patch(url, 0, file.data)

    assert (answer.status, answer.headers["upload-offset"]) == (204, str(file.size))
    check_published(server, url, file.sha256)
    assert offset_of(url) == file.size


# -- 2: silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "sent"), [(FILE, 10_000), (BIG, 7_000_000)], ids=["one object", "parts"])
def test_a_silent_client_is_told_and_its_bytes_are_kept(
    hasty: S3ServerProcess, file: Payload, sent: int
) -> None:
    """Some bytes, then nothing: 500 ERR_READ_TIMEOUT after the network timeout, connection closed."""
    url = create(hasty.url, file.size)
    with Exchange.patch(url, 0, file.size) as request:
        request.send(file.data[:sent])
        answer = request.answer()
        ended = request.ends()

    assert code(answer) == (500, "ERR_READ_TIMEOUT")
    assert ended
    assert resume(url, file.data) == sent
    check_published(hasty, url, file.sha256)


# -- 3 and 4: the connection ends -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "after"),
    [(FILE, 0), (FILE, 1), (FILE, 10_000), (FILE, 49_999), (BIG, 5_242_880), (BIG, 11_999_999)],
)
def test_a_closed_connection_keeps_every_byte_that_arrived(
    server: S3ServerProcess, file: Payload, after: int
) -> None:
    """tus 1.0.0, PATCH: the server keeps as much as it received, here exactly `after` bytes."""
    url = create(server.url, file.size)
    with FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.script(faults.close_after(after))
        with pytest.raises((ConnectionError, OSError)):
            patch(proxy.via(url), 0, file.data)
    wait_for_offset(url, after)

    assert resume(url, file.data) == after
    check_published(server, url, file.sha256)


@pytest.mark.parametrize("size", [1, 5_000, 300_000, 6_000_000])
def test_a_reset_connection_keeps_every_byte_that_arrived(server: S3ServerProcess, size: int) -> None:
    """RST by SO_LINGER 0, once every byte is confirmed and read: what was buffered is not lost."""
    file = Payload(size=2 * size, seed=4)
    url = create(server.url, file.size)

    with Exchange.patch(url, 0, file.size) as request:
        request.send(file.data[:size])
        let_arrive(request, url)
        request.reset()
    wait_for_offset(url, size)

    assert resume(url, file.data) == size
    check_published(server, url, file.sha256)


@pytest.mark.parametrize("leave", [Exchange.reset, Exchange.close])
def test_a_creation_cut_in_its_body_is_an_upload_with_what_arrived(
    server: S3ServerProcess, leave: Callable[[Exchange], None]
) -> None:
    """tus 1.0.0, Creation With Upload: the client never heard of the URL, but the exact prefix is there."""
    before = server.ids()
    request = Exchange.creation(server.url, FILE.size)
    request.send(FILE.data[:30_001])
    wait_until(lambda: len(server.ids()) > len(before))
    (upload_id,) = set(server.ids()) - set(before)
    url = server.url + upload_id
    let_arrive(request, url)
    leave(request)
    wait_for_offset(url, 30_001)

    assert resume(url, FILE.data) == 30_001
    check_published(server, url, FILE.sha256)


# -- 5: the lock ------------------------------------------------------------------------------------


def test_a_probe_beside_a_slow_body_disturbs_nothing(server: S3ServerProcess) -> None:
    """HEAD tells what is stored, the PATCH goes on and ends with 204."""
    url = create(server.url, BIG.size)
    told = []
    with Exchange.patch(url, 0, BIG.size) as request:
        for sent in range(0, BIG.size, 2_000_000):
            told.append(offset_of(url))
            request.send(BIG.data[sent : sent + 2_000_000])
        answer = request.answer()

    assert told == sorted(told)
    assert set(told) <= {0, 5_242_880, 10_485_760}
    assert (answer.status, answer.headers["upload-offset"]) == (204, str(BIG.size))
    check_published(server, url, BIG.sha256)


@pytest.mark.parametrize(("file", "sent"), [(FILE, 20_000), (BIG, 6_000_000)], ids=["one object", "parts"])
def test_a_second_append_takes_over_and_both_keep_every_byte(
    server: S3ServerProcess, file: Payload, sent: int
) -> None:
    """The first is told 423 ERR_UPLOAD_INTERRUPTED; the second goes on where it stopped."""
    url = create(server.url, file.size)
    with Exchange.patch(url, 0, file.size) as first:
        first.send(file.data[:sent])
        let_arrive(first, url)
        with Exchange.patch(url, sent, file.size - sent) as second:
            told = first.answer()
            second.send(file.data[sent:])
            answer = second.answer()

    assert code(told) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert told.headers["retry-after"] == "1"
    assert (answer.status, answer.headers["upload-offset"]) == (204, str(file.size))
    check_published(server, url, file.sha256)


def test_an_append_at_a_stale_offset_is_told_where_the_upload_is(server: S3ServerProcess) -> None:
    """tus 1.0.0, PATCH: 409 when the offsets differ, also where the first body was cut for it."""
    url = create(server.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as first:
        first.send(FILE.data[:20_000])
        let_arrive(first, url)
        answer = patch(url, 10_000, FILE.data[10_000:])
        told = first.answer()

    assert code(told) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert code(answer) == (409, "ERR_MISMATCHED_OFFSET")
    assert answer.headers["upload-offset"] == "20000"
    assert resume(url, FILE.data) == 20_000
    check_published(server, url, FILE.sha256)


def test_a_probe_takes_over_from_a_silent_holder(hasty: S3ServerProcess) -> None:
    """A dead connection that nobody has noticed: after the silence allowed, HEAD ends it."""
    url = create(hasty.url, FILE.size)
    with Exchange.patch(url, 0, FILE.size) as silent:
        silent.send(FILE.data[:10_000])
        told = [offset_of(url)]
        while not silent.is_answered(within=0.02):
            told.append(offset_of(url))
        answer = silent.answer()

    assert code(answer) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert set(told) <= {0, 10_000}
    assert resume(url, FILE.data) == 10_000
    check_published(hasty, url, FILE.sha256)


@pytest.mark.parametrize(("file", "sent"), [(FILE, 10_000), (BIG, 6_000_000)], ids=["one object", "parts"])
def test_a_termination_ends_a_running_body_and_nothing_comes_back(
    server: S3ServerProcess, file: Payload, sent: int
) -> None:
    """tus 1.0.0, Termination: 204, then 404; the cut body leaves and recreates nothing."""
    url = create(server.url, file.size)
    with Exchange.patch(url, 0, file.size) as running:
        running.send(file.data[:sent])
        let_arrive(running, url)
        answer = delete(url)
        told = running.answer()

    assert answer.status == 204
    assert code(told) == (423, "ERR_UPLOAD_INTERRUPTED")
    assert head(url).status == 404
    assert patch(url, sent, b"x").status == 404
    assert server.traces(url) == []


# -- 6: too long ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [50_000, 7_000])
def test_a_body_beyond_the_length_is_cut_exactly_there(server: S3ServerProcess, chunk: int) -> None:
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
    check_published(server, url, sha256(FILE.data[:10_000]))


# -- 7: a hook stops the upload ---------------------------------------------------------------------


def test_a_hook_stops_a_running_upload_for_good(
    seaweed: SeaweedProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The veto while bytes arrive: 400 ERR_UPLOAD_STOPPED, then 404, and nothing is left in the bucket."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    prefix, hook, sent = seaweed.fresh_prefix(), StopAfter(1), 0
    place = {"s3_bucket": seaweed.bucket, "s3_endpoint": seaweed.endpoint, "s3_object_prefix": prefix}
    with embedded(tmp_path, hook, **place) as (server_url, _, _):
        url = create(server_url, FILE.size)
        with Exchange.patch(url, 0, FILE.size) as request:
            while not request.is_answered(within=0.05) and sent < FILE.size:
                request.send(FILE.data[sent : sent + 100])
                sent += 100
            answer = request.answer()
        later = head(url).status

    assert code(answer) == (400, "ERR_UPLOAD_STOPPED")
    assert 0 < hook.asked[0] <= sent < FILE.size
    assert later == 404
    assert [key for key in seaweed.objects(prefix) if not key.endswith("leader")] == []
    assert seaweed.unfinished(prefix) == []


# -- S3 goes down -----------------------------------------------------------------------------------


def test_while_s3_is_away_every_answer_says_come_again(seaweed: SeaweedProcess, tmp_path: Path) -> None:
    """PATCH is 500, HEAD 423, neither is 404; the log tells why, and afterwards all goes on."""
    with (
        FaultProxy("127.0.0.1", seaweed.port) as proxy,
        S3ServerProcess(seaweed, tmp_path / "storage", endpoint=proxy.origin) as server,
    ):
        urls = [create(server.url, BIG.size) for _ in range(2)]
        for url in urls:
            assert patch(url, 0, BIG.data[:6_000_000]).status == 204
        proxy.down()
        with ThreadPoolExecutor() as pool:  # each is tried several times, with pauses
            patched = pool.submit(patch, urls[0], 6_000_000, BIG.data[6_000_000:])
            asked = pool.submit(head, urls[1])
        proxy.up()

        assert code(patched.result()) == (500, "ERR_STORAGE")
        assert (asked.result().status, asked.result().headers["retry-after"]) == (423, "1")
        wait_until(lambda: '"reason":"get_object: EndpointConnectionError"' in server.log, "it is not told")
        for url in urls:
            assert resume(url, BIG.data) == 6_000_000
            check_published(server, url, BIG.sha256)


# -- 8: the server goes down ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "number", "file", "sent"),
    [("PATCH", signal.SIGTERM, BIG, 6_000_000), ("POST", signal.SIGINT, FILE, 20_000)],
)
def test_a_server_going_down_lets_bodies_go_with_their_bytes(
    *,
    seaweed: SeaweedProcess,
    tmp_path: Path,
    method: str,
    number: signal.Signals,
    file: Payload,
    sent: int,
) -> None:
    """503 ERR_SERVER_SHUTDOWN to the client, exit 0 by itself; after a restart every byte is there."""
    with S3ServerProcess(seaweed, tmp_path / "storage", "--network-timeout", "60s") as server:
        if method == "PATCH":
            url = create(server.url, file.size)
            request = Exchange.patch(url, 0, file.size)
        else:
            request = Exchange.creation(server.url, file.size)
            wait_until(server.ids)
            url = server.url + server.ids()[0]
        with request:
            request.send(file.data[:sent])
            let_arrive(request, url)
            port = server.port
            os.kill(server.pid, number)
            answer = request.answer()
        exit_code, _ = wait_for_exit(server)
        server.start(port)

        assert code(answer) == (503, "ERR_SERVER_SHUTDOWN")
        assert exit_code == 0
        assert resume(url, file.data) == sent
        check_published(server, url, file.sha256)
