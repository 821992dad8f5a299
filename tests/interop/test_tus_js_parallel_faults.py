"""tus-js-client 4 with `parallelUploads`, in Node and in Chromium, over a network that breaks."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.interop.checks import check_success, methods, partials
from tests.support.faults import close_after, lose_response, refuse, reset_after, silence_after
from tests.support.payload import Payload, sha256
from tests.support.proxy import FaultProxy
from tests.support.server import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.clients import NodeClient, Report, TusJsClient

SIZE = 1_500_001


def insist(client: TusJsClient) -> Report:
    """The result; after an error it is started once more, as a person would who sees one."""
    report = client.result()
    if report.outcome == "error":
        client.go_on()
        report = client.result()
    return report


@pytest.mark.parametrize(("seed", "count"), [(0, 2), (1, 3), (2, 5), (3, 3)])
def test_resets_at_random_places_lose_nothing(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    seed: int,
    count: int,
) -> None:
    """Whichever partial is hit goes on behind what arrived; the others do not notice."""
    source = random.Random(seed)
    payload = Payload(size=SIZE, seed=210 + seed)
    proxy.script(*(reset_after(source.randrange(50_000)) for _ in range(5)))
    report = client.upload(endpoint, payload, parallelUploads=count)

    check_success(server, report, payload)
    assert proxy.fired != ()  # all five in Node; Chromium's own repetitions can take the place of a retry
    assert methods(proxy).count("POST") == count + 1
    assert published() == [server.published(report.url).name]


@pytest.mark.parametrize("seed", range(2))
def test_resets_between_and_within_chunks_lose_nothing(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    seed: int,
) -> None:
    """With chunks, too, whichever partial's they are."""
    source = random.Random(seed)
    payload = Payload(size=SIZE, seed=215 + seed)
    proxy.script(*(reset_after(source.randrange(50_000), nth=source.randint(1, 4)) for _ in range(5)))
    report = client.upload(endpoint, payload, parallelUploads=3, chunkSize=50_000)

    check_success(server, report, payload)
    assert proxy.pending == ()
    assert published() == [server.published(report.url).name]


def test_a_silent_partial_is_given_up_and_goes_on(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """The server ends a body that stands still (network timeout); the final waits for that partial."""
    payload = Payload(size=SIZE, seed=220)
    proxy.script(silence_after(123_456, nth=2))
    report = client.upload(endpoint, payload, parallelUploads=3)

    check_success(server, report, payload)
    assert proxy.pending == ()
    assert methods(proxy)[-1] == "POST"
    assert published() == [server.published(report.url).name]


@pytest.mark.parametrize("nth", [1, 3])
def test_a_lost_answer_to_a_partials_creation_creates_another(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    nth: int,
) -> None:
    """The partial whose URL never arrived stays empty, and is neither joined nor published."""
    payload = Payload(size=SIZE, seed=221)
    proxy.script(lose_response("POST", nth=nth))
    report = client.upload(endpoint, payload, parallelUploads=3)

    check_success(server, report, payload)
    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 5
    assert published() == [server.published(report.url).name]


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_lost_answer_to_a_partials_last_patch_is_success(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    nth: int,
) -> None:
    """A complete partial answers HEAD with offset == length, as any upload does."""
    payload = Payload(size=SIZE, seed=222)
    proxy.script(lose_response("PATCH", nth=nth))
    report = client.upload(endpoint, payload, parallelUploads=3)

    check_success(server, report, payload)
    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 4
    assert published() == [server.published(report.url).name]


def test_a_final_that_did_not_arrive_is_asked_for_again(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """tus-js-client itself never repeats this POST. Started again, it finds every partial complete."""
    payload = Payload(size=SIZE, seed=223)
    proxy.script(refuse("POST", nth=4))
    client.start(endpoint, payload, parallelUploads=3)
    report = insist(client)

    assert (report.outcome, report.successes) == ("success", 1)
    assert proxy.pending == ()
    assert len(partials(proxy)) == methods(proxy).count("PATCH") == 3
    assert published() == [server.published(report.url).name]
    assert sha256(server.content(report.url)) == payload.sha256


def test_a_lost_answer_to_the_final_leads_to_the_same_content(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """The file exists and nobody knows its URL: asked for again, it is made again of the same partials."""
    payload = Payload(size=SIZE, seed=224)
    proxy.script(lose_response("POST", nth=4))
    client.start(endpoint, payload, parallelUploads=3)
    report = insist(client)
    contents = {sha256((server.upload_dir / "uploads" / name).read_bytes()) for name in published()}

    assert (report.outcome, report.successes) == ("success", 1)
    assert proxy.pending == ()
    assert len(partials(proxy)) == methods(proxy).count("PATCH") == 3
    assert server.published(report.url).name in published()
    assert contents == {payload.sha256}


def test_a_pulled_cable_only_delays(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
) -> None:
    """Every partial breaks at once, attempts are refused for a while, the cable is back: all go on."""
    payload = Payload(size=SIZE, seed=225)
    proxy.slow(400_000)
    client.start(endpoint, payload, parallelUploads=3)
    proxy.wait(lambda it: it.forwarded > 500_000)
    proxy.down()
    proxy.slow(None)
    proxy.up()
    report = client.result()

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 4
    assert len(partials(proxy)) == 3
    assert published() == [server.published(report.url).name]


@pytest.mark.parametrize("seed", range(3))
def test_any_mixture_of_faults_ends_in_the_right_bytes(
    *,
    client: TusJsClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    seed: int,
) -> None:
    """Resets, ends, lost answers and a silence in random order, on whichever partial comes by."""
    source = random.Random(seed)
    payload = Payload(size=SIZE, seed=230 + seed)
    kinds = [
        lambda: reset_after(source.randrange(50_000)),
        lambda: close_after(source.randrange(50_000)),
        lambda: lose_response("PATCH"),
        lambda: lose_response("HEAD"),
    ]
    script = [source.choice(kinds)() for _ in range(6)]
    script.insert(source.randrange(6), silence_after(source.randrange(50_000)))
    proxy.script(*script)
    report = client.upload(endpoint, payload, parallelUploads=3, chunkSize=100_000)

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 4
    assert published() == [server.published(report.url).name]


def test_a_server_killed_in_the_middle_is_resumed_after_its_restart(
    node_client: NodeClient, tmp_path: Path
) -> None:
    """SIGKILL loses nothing that any partial had; the client waits for the server and goes on."""
    payload = Payload(size=3_000_000, seed=240)
    with (
        ServerProcess(tmp_path / "storage") as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
    ):
        proxy.slow(700_000)
        node_client.start(proxy.via(server.url), payload, parallelUploads=3)
        proxy.wait(lambda it: it.forwarded > 1_000_000)
        server.kill9()
        server.start()
        proxy.upstream = ("127.0.0.1", server.port)
        proxy.slow(None)
        report = node_client.result()

        check_success(server, report, payload)
        assert methods(proxy).count("POST") == 4
        names = [path.name for path in (server.upload_dir / "uploads").iterdir()]
        assert names == [server.published(report.url).name]
