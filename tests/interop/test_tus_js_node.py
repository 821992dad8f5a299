"""What only a program in Node does."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from tests.interop.checks import check_success, methods, offsets
from tests.interop.clients import NodeClient
from tests.support.payload import Payload
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess
from tests.wire.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_finished_upload_can_leave_the_url_storage(
    node_client: NodeClient, server: ServerProcess, endpoint: str, tmp_path: Path
) -> None:
    """`removeFingerprintOnSuccess`: the next upload of the same file is a new one."""
    payload = Payload(size=100_000, seed=70)
    first = node_client.upload(endpoint, payload, removeFingerprintOnSuccess=True)
    wait_until_empty(tmp_path / "urls.json")
    node_client.restart()
    second = node_client.upload(endpoint, payload, resume=True, removeFingerprintOnSuccess=True)

    check_success(server, first, payload)
    check_success(server, second, payload)
    assert second.found == 0
    assert second.url != first.url
    wait_until_empty(tmp_path / "urls.json")


def wait_until_empty(storage: Path) -> None:
    """The client says that it has succeeded before it forgets the upload."""
    wait_until(lambda: storage.read_text() == "{}", "the upload is still in the URL storage")


def test_an_upload_that_is_gone_is_started_anew(
    node_client: NodeClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, HEAD: 404 tells the client that its stored URL leads nowhere, and it creates."""
    payload = Payload(size=200_000, seed=71)
    node_client.start(endpoint, payload, chunkSize=100_000, pause_at=100_000)
    old = node_client.result().url
    for path in server.traces(old):
        path.unlink()
    node_client.restart()
    report = node_client.upload(endpoint, payload, resume=True)

    check_success(server, report, payload)
    assert report.url != old
    assert methods(proxy)[-3:] == ["HEAD", "POST", "PATCH"]


def test_a_server_killed_in_the_middle_is_resumed_after_its_restart(
    node_client: NodeClient, tmp_path: Path
) -> None:
    """SIGKILL loses nothing that was written: the client waits for the server and goes on."""
    payload = Payload(size=3_000_000, seed=72)
    with (
        ServerProcess(tmp_path / "storage") as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
    ):
        proxy.slow(2_000_000)
        node_client.start(proxy.via(server.url), payload)
        proxy.wait(lambda it: it.forwarded > 1_000_000)
        server.kill9()
        server.start()
        proxy.upstream = ("127.0.0.1", server.port)
        proxy.slow(None)
        report = node_client.result()

        check_success(server, report, payload)
        assert methods(proxy).count("POST") == 1
        assert offsets(proxy)[-1] > 0


def test_uploads_side_by_side_do_not_touch_each_other(server: ServerProcess, tmp_path: Path) -> None:
    """Four programs at once: each file is its own program's."""
    payloads = [Payload(size=2_000_000 + n, seed=80 + n) for n in range(4)]
    with ExitStack() as stack:
        clients = []
        for payload in payloads:
            folder = tmp_path / str(payload.seed)
            folder.mkdir()
            clients.append(stack.enter_context(closing(NodeClient(folder))))
        for client, payload in zip(clients, payloads, strict=True):
            client.start(server.url, payload, chunkSize=100_000)
        reports = [client.result() for client in clients]

    assert len({report.url for report in reports}) == 4
    for report, payload in zip(reports, payloads, strict=True):
        check_success(server, report, payload)
