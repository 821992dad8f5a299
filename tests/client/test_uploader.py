"""The uploader, a network and a server that break: files arrive whole, and only then it says so."""

from __future__ import annotations

import os
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
    close_after,
    corrupt_at,
    lose_response,
    refuse,
    reset_after,
    silence_after,
)
from tests.support.payload import Payload
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess, fetch, head
from tusd_py.client.uploader import Watcher
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
    [job] = send(endpoint, write(tmp_path, payload), timeout=0.5, checksums=False)

    assert proxy.pending == ()
    assert offsets(proxy)[3] == 2 * CHUNK + 30_000
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
        [job] = send(proxy.via(server.url), path, delays=(0.05,) * 200, checksums=False)
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


def test_attempts_come_to_an_end(proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path) -> None:
    """Without progress the last error is the answer; a later run goes on with what is there."""
    payload = Payload(size=SIZE, seed=13)
    path = write(tmp_path, payload)
    proxy.script(refuse("PATCH", nth=3), *(refuse("PATCH") for _ in range(2)))
    [first] = send(endpoint, path, state=state, delays=(0, 0))
    [second] = send(endpoint, path, state=state)

    assert failed(first).endswith("the connection broke off")
    assert first.offset == 2 * CHUNK
    assert sent(second).resumed_from == 2 * CHUNK
    assert sent(second).url == first.url
    assert sent(second).sha256 is None
    assert methods(proxy).count("POST") == 1


def test_what_is_finished_is_not_remembered(
    proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """The same file once more is another upload."""
    path = write(tmp_path, Payload(size=10, seed=14))
    urls = [sent(send(endpoint, path, state=state)[0]).url for _ in range(2)]

    assert urls[0] != urls[1]
    assert list(state.iterdir()) == []


def interrupted(endpoint: str, proxy: FaultProxy, path: Path, state: Path) -> str:
    """Leave an upload with one chunk on the server, and a note about it."""
    proxy.script(refuse("PATCH", nth=2))
    [job] = send(endpoint, path, state=state, delays=())
    assert failed(job)
    assert job.offset == CHUNK
    return str(job.url)


def test_a_file_that_changed_since_is_begun_anew(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """Of the same size, but written later: the old beginning and the new end do not make a file."""
    path = write(tmp_path, Payload(size=SIZE, seed=15))
    url = interrupted(endpoint, proxy, path, state)
    changed = Payload(size=SIZE, seed=16)
    path.write_bytes(changed.data)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    [job] = send(endpoint, path, state=state)

    assert str(sent(job).url) != url
    assert sent(job).resumed_from == 0
    check_arrived(server, sent(job).url, changed)


@pytest.mark.parametrize("other", ["endpoint", "metadata", "no memory"])
def test_only_the_same_errand_is_gone_on_with(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path, other: str
) -> None:
    """Another server or other metadata is another upload, and so is every one without a memory."""
    payload = Payload(size=SIZE, seed=17)
    path = write(tmp_path, payload)
    interrupted(endpoint, proxy, path, state)
    [job] = send(
        server.url if other == "endpoint" else endpoint,
        path,
        state=None if other == "no memory" else state,
        metadata={"author": "Ada"} if other == "metadata" else {},
    )

    assert sent(job).resumed_from == 0
    check_arrived(server, sent(job).url, payload)


def test_an_upload_that_is_gone_is_begun_anew(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """Somebody terminated it in between: 404, and a new one."""
    payload = Payload(size=SIZE, seed=18)
    path = write(tmp_path, payload)
    url = interrupted(endpoint, proxy, path, state)
    assert fetch(server.direct(url), "DELETE", {"Tus-Resumable": "1.0.0"}).status == 204
    [job] = send(endpoint, path, state=state)

    assert str(sent(job).url) != url
    check_arrived(server, sent(job).url, payload)


def test_an_upload_that_was_finished_unheard_is_a_success_at_once(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """The last answer was lost, and the run was over: the next one asks, and hears that all is there."""
    payload = Payload(size=CHUNK, seed=19)
    path = write(tmp_path, payload)
    proxy.script(lose_response())
    [first] = send(endpoint, path, state=state, delays=())
    [second] = send(endpoint, path, state=state)

    assert failed(first)
    assert methods(proxy)[-2:] == ["OPTIONS", "HEAD"]
    assert sent(second).resumed_from == CHUNK
    assert server.direct(str(sent(second).location)) == server.public_url(str(first.url))
    check_arrived(server, first.url, payload)


def test_a_file_that_changes_while_it_is_sent_is_no_upload(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, tmp_path: Path, state: Path
) -> None:
    """What would arrive is neither the old file nor the new one: it fails, and nothing is left of it."""
    path = write(tmp_path, Payload(size=SIZE, seed=20))
    before = {entry.name for entry in server.upload_dir.rglob("*")}
    proxy.script(silence_after(10, nth=2))
    meddler = threading.Thread(target=_append, args=(path, proxy))
    meddler.start()
    [job] = send(endpoint, path, state=state)
    meddler.join()

    assert failed(job) == "payload.bin changed while it was being sent"
    assert list(state.iterdir()) == []
    assert {entry.name for entry in server.upload_dir.rglob("*")} == before


def _append(path: Path, proxy: FaultProxy) -> None:
    proxy.wait(lambda it: bool(it.fired))
    with path.open("ab") as file:
        file.write(b"more")
    proxy.cut()


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


def test_a_memory_that_cannot_be_written_is_no_reason_to_fail(
    server: ServerProcess, endpoint: str, tmp_path: Path
) -> None:
    """The file arrives, and it is said that no later run could have gone on with it."""
    warnings: list[str] = []

    class Listener(Watcher):
        def warns(self, text: str) -> None:
            warnings.append(text)

    payload = Payload(size=SIZE, seed=41)
    path = write(tmp_path, payload)
    [job] = send(endpoint, path, state=path, watch=lambda _: Listener())

    check_arrived(server, sent(job).url, payload)
    assert len(warnings) == 1
    assert warnings[0].startswith("no later run will be able to go on with ")
