"""tus-js-client 4, in Node and in Chromium, over a network that breaks: one success, the right bytes."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.interop.checks import (
    check_stored,
    check_success,
    methods,
    offsets,
    wait_for_offset,
    wait_until_stored,
)
from tests.support.faults import close_after, lose_response, refuse, reset_after, silence_after
from tests.support.payload import Payload, cut_points
from tests.support.server import head

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.clients import NodeClient, TusJsClient
    from tests.support.faults import Fault
    from tests.support.proxy import FaultProxy
    from tests.support.server import ServerProcess

KIB = 1024
SIZE = 1_500_000


def steps(places: tuple[int, ...]) -> list[int]:
    """How many bytes lie before the first place, and from each place to the next."""
    return [later - earlier for earlier, later in pairwise((0, *places))]


@pytest.mark.parametrize("seed", range(6))
def test_resets_at_random_places_lose_nothing(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, seed: int
) -> None:
    """However often the connection is reset, the client goes on behind what arrived."""
    payload = Payload(size=SIZE, seed=seed)
    proxy.script(*(reset_after(step) for step in steps(cut_points(SIZE, 4, seed))))
    report = client.upload(endpoint, payload)

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 1


@pytest.mark.parametrize("fault", [reset_after, close_after])
@pytest.mark.parametrize("seed", [7, 8])
def test_every_byte_before_a_break_is_kept(
    *,
    node_client: NodeClient,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    seed: int,
    fault: Callable[[int], Fault],
) -> None:
    """tus 1.0.0, PATCH: as much as possible of an interrupted body is kept, which here is all of it.

    Chromium would repeat a broken request by itself, before anyone could look.
    """
    places = cut_points(SIZE, 5, seed)
    payload = Payload(size=SIZE, seed=seed)
    proxy.script(*(fault(step) for step in steps(places)))
    node_client.start(endpoint, payload, retryDelays=None)
    for place in places:
        url = node_client.result().url
        # The client may ask before the server has read what its machine received: wait for that.
        wait_for_offset(server.direct(url), place)
        node_client.go_on()
    report = node_client.result()

    assert (report.outcome, report.successes, len(report.errors)) == ("success", 1, len(places))
    assert offsets(proxy) == [0, *places]
    check_stored(server, report.url, payload)


@pytest.mark.parametrize("seed", range(3))
def test_resets_between_and_within_chunks_lose_nothing(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, seed: int
) -> None:
    """With chunks, too, whichever of them is hit, and wherever."""
    source = random.Random(seed)
    payload = Payload(size=700_001, seed=seed)
    proxy.script(*(reset_after(source.randrange(50_000), nth=source.randint(1, 3)) for _ in range(4)))
    report = client.upload(endpoint, payload, chunkSize=50_000)

    check_success(server, report, payload)
    assert proxy.pending == ()
    assert report.accepted[-1] == 700_001


@pytest.mark.parametrize("seed", [1, 2])
def test_a_stream_of_unknown_length_survives_resets(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, seed: int
) -> None:
    """A deferred length changes nothing: the present chunk is sent again from where it broke."""
    source = random.Random(seed)
    payload = Payload(size=500_003, seed=seed)
    proxy.script(*(reset_after(source.randrange(60_000), nth=2) for _ in range(3)))
    report = client.upload(
        endpoint, payload, source="stream", chunkSize=64 * KIB, uploadLengthDeferred=True
    )

    check_success(server, report, payload)
    assert proxy.pending == ()


def test_a_silent_link_is_given_up_and_the_upload_goes_on(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """The server ends a body that stands still (network timeout); what came is kept."""
    payload = Payload(size=SIZE, seed=30)
    proxy.script(silence_after(654_321))
    report = client.upload(endpoint, payload)

    check_success(server, report, payload)
    assert offsets(proxy)[-1] == 654_321
    assert methods(proxy).count("POST") == 1


def test_a_client_need_not_wait_for_its_dead_connection(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """The server still holds the old request; a HEAD takes the upload over from a silent one."""
    payload = Payload(size=SIZE, seed=31)
    proxy.script(silence_after(654_321))
    client.start(endpoint, payload)
    proxy.wait(lambda it: len(it.fired) == 1)
    wait_until_stored(server, proxy, 654_321)
    client.pause()
    client.go_on()
    report = client.result()

    check_success(server, report, payload)
    assert offsets(proxy) == [0, 654_321]
    assert methods(proxy).count("POST") == 1


def test_a_slow_link_is_slow_and_nothing_else(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """An upload that takes longer than the network timeout is fine as long as bytes come."""
    payload = Payload(size=300_000, seed=32)
    proxy.slow(100_000)
    report = client.upload(endpoint, payload)

    check_success(server, report, payload)
    assert methods(proxy) == ["POST", "PATCH"]


@pytest.mark.parametrize("nth", [1, 3, 5])
def test_a_lost_answer_to_a_patch_counts_nothing_twice(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, nth: int
) -> None:
    """The server has the chunk, the client does not know: it asks, and goes on behind it."""
    payload = Payload(size=5 * 64 * KIB, seed=33)
    proxy.script(lose_response("PATCH", nth=nth))
    report = client.upload(endpoint, payload, chunkSize=64 * KIB)

    check_success(server, report, payload)
    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1


def test_a_lost_answer_to_the_last_patch_is_success(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """A finished upload answers HEAD with offset == length, which the client takes as success."""
    payload = Payload(size=SIZE, seed=34)
    proxy.script(lose_response("PATCH"))
    report = client.upload(endpoint, payload)

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 1


@pytest.mark.parametrize("with_data", [False, True], ids=["creation", "creation with upload"])
def test_a_lost_answer_to_the_creation_creates_again(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, with_data: bool
) -> None:
    """The client never learned the URL: it creates another upload, and that one is whole."""
    payload = Payload(size=SIZE, seed=35)
    proxy.script(lose_response("POST"))
    report = client.upload(endpoint, payload, uploadDataDuringCreation=with_data)

    check_success(server, report, payload)
    assert methods(proxy)[:2] == ["POST", "POST"]
    assert proxy.pending == ()


def test_a_reset_within_the_creation_creates_again(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """Creation With Upload, broken in its body: the URL is unknown, so the client starts again."""
    payload = Payload(size=SIZE, seed=36)
    proxy.script(reset_after(400_000, of="POST"))
    report = client.upload(endpoint, payload, uploadDataDuringCreation=True)

    check_success(server, report, payload)
    assert proxy.pending == ()


@pytest.mark.parametrize("fault", [lose_response("HEAD"), refuse("HEAD")], ids=["answer lost", "refused"])
def test_a_broken_head_is_asked_again(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, fault: Fault
) -> None:
    """The question for the offset may break as well; the upload is not started anew for that."""
    payload = Payload(size=SIZE, seed=37)
    proxy.script(reset_after(500_000), fault)
    report = client.upload(endpoint, payload)

    check_success(server, report, payload)
    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1


def test_a_pulled_cable_only_delays(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """Everything breaks, attempts are refused for a while, the cable is back: the upload goes on."""
    payload = Payload(size=SIZE, seed=38)
    proxy.slow(1_000_000)
    client.start(endpoint, payload)
    proxy.wait(lambda it: it.forwarded > 500_000)
    proxy.down()
    proxy.slow(None)
    proxy.up()
    report = client.result()

    check_success(server, report, payload)
    assert methods(proxy).count("POST") == 1
    assert offsets(proxy)[-1] > 0


def test_a_server_that_is_away_at_first_is_waited_for(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """`retryDelays` holds for the creation as well."""
    payload = Payload(size=100_000, seed=39)
    proxy.down()
    client.start(endpoint, payload)
    proxy.up()
    report = client.result()

    check_success(server, report, payload)


def test_without_retries_an_error_is_final_until_a_person_goes_on(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """With `retryDelays` null the first break is an error, and starting again resumes."""
    payload = Payload(size=SIZE, seed=40)
    proxy.script(silence_after(700_000))
    client.start(endpoint, payload, retryDelays=None)
    proxy.wait(lambda it: len(it.fired) == 1)
    wait_until_stored(server, proxy, 700_000)
    proxy.cut()
    failed = client.result()
    client.go_on()
    report = client.result()

    assert (failed.outcome, failed.successes, len(failed.errors)) == ("error", 0, 1)
    assert (report.outcome, report.successes, len(report.errors)) == ("success", 1, 1)
    assert offsets(proxy)[-1] == 700_000
    check_stored(server, report.url, payload)


def test_a_termination_over_a_broken_line_is_repeated(
    client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """tus 1.0.0, Termination: the client tries a DELETE again whose request never arrived."""
    client.start(endpoint, Payload(size=SIZE, seed=41), chunkSize=300_000, pause_at=300_000)
    url = client.result().url
    proxy.script(refuse("DELETE"))
    client.terminate()

    assert head(server.direct(url)).status == 404
    assert server.traces(url) == []


@pytest.mark.parametrize("seed", range(3))
def test_any_mixture_of_faults_ends_in_the_right_bytes(
    *, client: TusJsClient, server: ServerProcess, proxy: FaultProxy, endpoint: str, seed: int
) -> None:
    """Resets, ends and lost answers in random order, at random places, on all kinds of requests."""
    source = random.Random(seed)
    payload = Payload(size=SIZE, seed=50 + seed)
    kinds = [
        lambda: reset_after(source.randrange(150_000)),
        lambda: close_after(source.randrange(150_000)),
        lambda: lose_response("PATCH"),
        lambda: lose_response("HEAD"),
    ]
    proxy.script(*(source.choice(kinds)() for _ in range(8)))
    report = client.upload(endpoint, payload, chunkSize=200_000)

    check_success(server, report, payload)
