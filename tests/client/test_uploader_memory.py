"""The uploader and later runs: what is unfinished is gone on with, and only if it is the same file."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.client.sending import (
    CHUNK,
    check_arrived,
    failed,
    methods,
    send,
    sent,
    write,
)
from tests.support.faults import (
    lose_response,
    refuse,
    silence_after,
)
from tests.support.payload import Payload
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess, fetch
from tusd_py.client.uploader import Watcher

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 10 * CHUNK + 1


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
