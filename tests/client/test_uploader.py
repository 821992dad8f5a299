"""The uploader, a network and a server that break: files arrive whole, and only then it says so."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from tests.client.sending import (
    CHUNK,
    check_arrived,
    failed,
    methods,
    offsets,
    send,
    sent,
    write,
)
from tests.support.faults import (
    Fault,
    answer,
    close_after,
    corrupt_at,
    lose_response,
    refuse,
    reset_after,
    silence_after,
)
from tests.support.payload import Payload
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess, head
from tusd_py.core.model import Metadata

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 10 * CHUNK + 1


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_file_arrives_whole(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, size: int
) -> None:
    """Chunk by chunk, each at the offset of the one before; a file without a byte needs none."""
    payload = Payload(size=size, seed=size)
    [job] = send(endpoint, write(tmp_path, payload), verify=True)

    done = sent(job)
    assert (done.size, done.resumed_from, done.sha256) == (size, 0, payload.sha256)
    assert server.direct(str(done.location)) == server.public_url(str(done.url))
    assert offsets(proxy) == list(range(0, size, CHUNK))
    check_arrived(server, done.url, payload)


def test_every_chunk_has_its_sum(proxy: FaultProxy, endpoint: str, tmp_path: Path) -> None:
    """tus 1.0.0, Checksum: sha256 where it is offered; a byte that is spoilt on its way is sent again."""
    proxy.script(corrupt_at(50_000, nth=2))
    payload = Payload(size=3 * CHUNK, seed=2)
    [job] = send(endpoint, write(tmp_path, payload), verify=True)

    assert sent(job).sha256 == payload.sha256
    assert offsets(proxy) == [0, CHUNK, CHUNK, 2 * CHUNK]
    assert all(
        it.headers["upload-checksum"].startswith("sha256 ") for it in proxy.requests if it.method == "PATCH"
    )


def test_without_sums_verification_finds_the_spoilt_byte(
    proxy: FaultProxy, endpoint: str, tmp_path: Path
) -> None:
    """The server has every byte and a wrong one: an upload that is verified does not succeed."""
    proxy.script(corrupt_at(50_000))
    path = write(tmp_path, Payload(size=CHUNK, seed=3))
    [job] = send(endpoint, path, verify=True, checksums=False)

    assert "is not what was sent: 100000 bytes, sha256 " in failed(job)
    assert "upload-checksum" not in proxy.requests[2].headers


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_breaking_network_costs_nothing(
    *,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    tmp_path: Path,
    seed: int,
    checksums: bool,
) -> None:
    """Resets, closed lines and lost answers at random places: HEAD tells where to go on."""
    source = random.Random(seed)
    kinds = [
        lambda: reset_after(source.randrange(60_000)),
        lambda: close_after(source.randrange(60_000)),
        lambda: lose_response("PATCH|HEAD"),
    ]
    proxy.script(*(source.choice(kinds)() for _ in range(8)))
    payload = Payload(size=SIZE, seed=seed)
    [job] = send(endpoint, write(tmp_path, payload), checksums=checksums, delays=(0,) * 20)

    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1
    check_arrived(server, sent(job).url, payload)


@pytest.mark.parametrize(
    "faults",
    [
        [refuse("OPTIONS"), refuse("OPTIONS")],
        [lose_response("POST")],
        [lose_response("PATCH", nth=11)],
        [reset_after(1000), lose_response("HEAD"), refuse("HEAD"), lose_response("HEAD")],
    ],
    ids=["the first question", "the creation's answer", "the last answer", "HEAD, again and again"],
)
def test_any_answer_may_get_lost(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, faults: list[Fault]
) -> None:
    """A lost creation costs an empty upload on the server; the file is whole, and there once."""
    payload = Payload(size=SIZE, seed=9)
    proxy.script(*faults)
    [job] = send(endpoint, write(tmp_path, payload))

    assert proxy.pending == ()
    check_arrived(server, sent(job).url, payload)


def test_a_silent_line_is_given_up_and_taken_up_again(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path
) -> None:
    """Nothing moves and nobody says so: after the timeout the server is asked, and what it has counts."""
    payload = Payload(size=SIZE, seed=10)
    proxy.script(silence_after(30_000, nth=3))
    [job] = send(endpoint, write(tmp_path, payload), timeout=1, checksums=False)

    assert proxy.pending == ()
    assert 2 * CHUNK + 30_000 in offsets(proxy)
    check_arrived(server, sent(job).url, payload)


def test_chunks_get_smaller_on_a_line_that_keeps_breaking(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path
) -> None:
    """Of a cut chunk with a sum nothing is kept: only smaller ones arrive where no large one can."""
    payload = Payload(size=4 * 400_000, seed=11)
    proxy.script(*(reset_after(110_000) for _ in range(7)))
    [job] = send(endpoint, write(tmp_path, payload), chunk_size=400_000, delays=(0, 0))

    sizes = [it.headers["content-length"] for it in proxy.requests if it.method == "PATCH"]
    assert proxy.pending == ()
    assert sizes[:6] == ["400000", "200000", "100000", "200000", "100000", "200000"]
    check_arrived(server, sent(job).url, payload)


def test_chunks_get_smaller_for_a_proxy_that_takes_no_large_requests(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path
) -> None:
    """413 to a chunk: halves from then on, as large as they pass."""
    payload = Payload(size=1_000_000, seed=22)
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    proxy.script(answer(refusal, nth=1, times=2))
    [job] = send(endpoint, write(tmp_path, payload), chunk_size=400_000)

    sizes = [it.headers["content-length"] for it in proxy.requests if it.method == "PATCH"]
    assert sizes == ["400000", "200000", *["100000"] * 10]
    check_arrived(server, sent(job).url, payload)


def test_a_chunk_that_is_small_and_still_too_large_is_refused(
    proxy: FaultProxy, endpoint: str, tmp_path: Path
) -> None:
    """There is an end to halving: then 413 is the server's last word."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    proxy.script(answer(refusal, times=2))
    [job] = send(endpoint, write(tmp_path, Payload(size=CHUNK, seed=23)))

    assert failed(job).endswith("was answered 413 Request Entity Too Large")
    assert methods(proxy) == ["OPTIONS", "POST", "PATCH", "HEAD", "PATCH"]


def test_a_killed_server_costs_nothing(tmp_path: Path) -> None:
    """SIGKILL within a chunk, and a new start on the same port and storage: the upload goes on."""
    payload = Payload(size=SIZE, seed=12)
    path = write(tmp_path, payload)
    with (
        ServerProcess(tmp_path / "store") as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
    ):
        proxy.script(silence_after(50_000, nth=4))
        killer = threading.Thread(target=_kill_and_restart, args=(server, proxy))
        killer.start()
        [job] = send(proxy.via(server.url), path, delays=(0.05,) * 1000, checksums=False)
        killer.join()

        assert methods(proxy).count("POST") == 1
        assert max(offsets(proxy)) == 10 * CHUNK or sent(job).size == SIZE
        check_arrived(server, sent(job).url, payload)


def _kill_and_restart(server: ServerProcess, proxy: FaultProxy) -> None:
    proxy.wait(lambda it: bool(it.fired))
    port = server.port
    server.kill9()
    proxy.cut()
    server.start(port)


def test_metadata_is_the_name_the_type_and_what_is_added(
    server: ServerProcess, endpoint: str, tmp_path: Path
) -> None:
    """tus 1.0.0, Upload-Metadata: values are UTF-8 in Base64; what is given replaces what is found out."""
    path = write(tmp_path, Payload(size=5, seed=21), "Grüße, 東京.mp3")
    [plain] = send(endpoint, path)
    [added] = send(endpoint, path, metadata={"filename": "b.wav", "empty": ""})

    said = [
        dict(Metadata.parse(head(server.direct(str(job.url))).headers["upload-metadata"]).pairs)
        for job in (plain, added)
    ]
    assert said[0] == {"filename": "Grüße, 東京.mp3".encode(), "filetype": b"audio/mpeg"}
    assert said[1] == {"filename": b"b.wav", "filetype": b"audio/mpeg", "empty": b""}
    assert server.published(str(added.url)).suffix == ".wav"


def test_many_files_at_once_arrive_each_as_itself(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """Whichever of them a fault meets; one that cannot be read costs the others nothing."""
    payloads = [Payload(size=3 * CHUNK + seed, seed=30 + seed) for seed in range(6)]
    paths = [write(tmp_path, payload, f"{payload.seed}.bin") for payload in payloads]
    proxy.script(*(reset_after(20_000, nth=2) for _ in range(6)))
    *jobs, last = send(endpoint, *paths, tmp_path / "none.bin", state=state, limit=4)

    assert failed(last) == "No such file or directory"
    assert proxy.pending == ()
    for job, payload in zip(jobs, payloads, strict=True):
        check_arrived(server, sent(job).url, payload)
    assert list(state.iterdir()) == []


def test_a_file_that_the_server_does_not_take_is_not_begun(tmp_path: Path) -> None:
    """tus 1.0.0, Tus-Max-Size: nothing is sent that would be refused with 413."""
    with ServerProcess(tmp_path / "store", "--max-size", "1000") as server:
        [job] = send(server.url, write(tmp_path, Payload(size=1001, seed=40)))

        assert failed(job) == "payload.bin has 1001 bytes; the server takes 1000"
        assert list((server.upload_dir / "incoming").iterdir()) == []
