"""aiotus 1.1, the asyncio client: one file or several joined into one, also over a network that breaks."""

from __future__ import annotations

import asyncio
import io
import random
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import aiotus
import pytest

from tests.interop.checks import check_stored, methods, offsets
from tests.support.faults import lose_response, refuse, reset_after, silence_after
from tests.support.payload import Payload, cut_points
from tests.support.server import head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.faults import Fault
    from tests.support.proxy import FaultProxy
    from tests.support.server import ServerProcess

KIB = 1024
CHUNK = 64 * KIB
SIZE = 1_000_000
RETRIES = aiotus.RetryConfiguration(retry_attempts=20, max_retry_period_seconds=0.1)


def upload(endpoint: str, payload: Payload, **options: Any) -> str:
    """Upload the payload as one file; its URL."""
    options = {"config": RETRIES, **options}
    url = asyncio.run(aiotus.upload(endpoint, io.BytesIO(payload.data), **options))
    assert url is not None, "aiotus gave up"
    return str(url)


def upload_pieces(endpoint: str, payload: Payload, cuts: tuple[int, ...], **options: Any) -> str:
    """Upload the payload as several files, cut at these places, and have them joined; the whole's URL."""
    edges = (0, *cuts, payload.size)
    files = [io.BytesIO(payload.data[a:b]) for a, b in pairwise(edges)]
    url = asyncio.run(aiotus.upload_multiple(endpoint, files, config=RETRIES, **options))
    assert url is not None, "aiotus gave up"
    return str(url)


def run_command(*args: str) -> str:
    """What `python -m aiotus` prints; it has to succeed."""
    command = [sys.executable, "-m", "aiotus", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("size", [0, 1, 5 * CHUNK, 5 * CHUNK + 1])
def test_a_file_arrives_whole(server: ServerProcess, proxy: FaultProxy, endpoint: str, size: int) -> None:
    """tus 1.0.0, Creation, HEAD and PATCH: aiotus asks for the offset before its first chunk."""
    payload = Payload(size=size, seed=size)
    url = upload(endpoint, payload, chunksize=CHUNK)

    assert methods(proxy)[:2] == ["POST", "HEAD"]
    assert offsets(proxy) == list(range(0, size, CHUNK))
    check_stored(server, url, payload)


def test_metadata_comes_back_as_it_went(server: ServerProcess, endpoint: str) -> None:
    """tus 1.0.0, Upload-Metadata: values of any bytes, and a key without a value."""
    metadata = {"filename": "Grüße, „東京“.tar".encode(), "raw": bytes(range(256)), "flag": None}
    payload = Payload(size=1000, seed=120)
    url = upload(endpoint, payload, metadata=metadata)

    assert asyncio.run(aiotus.metadata(url, config=RETRIES)) == metadata
    assert server.published(url).suffix == ".tar"
    check_stored(server, url, payload)


def test_an_upload_without_metadata_has_none(endpoint: str) -> None:
    """tus 1.0.0, Upload-Metadata: HEAD gives back what was given, which is nothing."""
    url = upload(endpoint, Payload(size=10, seed=121))

    assert asyncio.run(aiotus.metadata(url, config=RETRIES)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_resets_at_random_places_lose_nothing(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, seed: int
) -> None:
    """Each attempt begins with a HEAD and goes on behind what arrived."""
    source = random.Random(seed)
    payload = Payload(size=SIZE, seed=122 + seed)
    proxy.script(*(reset_after(source.randrange(100_000), nth=source.randint(1, 2)) for _ in range(4)))
    url = upload(endpoint, payload, chunksize=100_000)

    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 1
    check_stored(server, url, payload)


@pytest.mark.parametrize(
    "faults",
    [
        [lose_response("POST")],
        [lose_response("PATCH", nth=2)],
        [lose_response("PATCH", nth=4)],
        [silence_after(30_000, nth=2)],
        [reset_after(10_000), lose_response("HEAD"), refuse("HEAD")],
    ],
    ids=["creation's answer lost", "lost answer", "last answer lost", "silence", "reset, then HEADs lost"],
)
def test_faults_between_and_within_chunks_lose_nothing(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, faults: list[Fault]
) -> None:
    """Whatever breaks, the server's offset is the truth and the client believes it."""
    payload = Payload(size=4 * CHUNK, seed=126)
    proxy.script(*faults)
    url = upload(endpoint, payload, chunksize=CHUNK)

    assert proxy.pending == ()
    check_stored(server, url, payload)


@pytest.mark.parametrize(
    "cuts",
    [(), (400_000,), (1, 2, 3, 999_999), (0, 0, 500_000, 500_000, SIZE)],
    ids=["one file", "two", "five", "six, three of them empty"],
)
def test_several_files_become_one(
    *,
    server: ServerProcess,
    endpoint: str,
    published: Callable[[], list[str]],
    cuts: tuple[int, ...],
) -> None:
    """tus 1.0.0, Concatenation: the pieces in their order are the file; no piece is published."""
    payload = Payload(size=SIZE, seed=127)
    url = upload_pieces(endpoint, payload, cuts, chunksize=CHUNK)

    check_stored(server, url, payload)
    assert published() == [server.published(url).name]


def test_a_joined_file_has_the_metadata_of_the_whole(server: ServerProcess, endpoint: str) -> None:
    """tus 1.0.0, Concatenation: metadata given with the final is the final's, and names the file."""
    metadata = {"filename": b"whole.tar", "flag": None}
    payload = Payload(size=SIZE, seed=128)
    url = upload_pieces(endpoint, payload, (300_000, 600_000), metadata=metadata)

    assert asyncio.run(aiotus.metadata(url, config=RETRIES)) == metadata
    assert server.published(url).suffix == ".tar"
    check_stored(server, url, payload)


@pytest.mark.parametrize("seed", range(4))
def test_files_joined_over_a_breaking_network_are_right(
    *,
    server: ServerProcess,
    proxy: FaultProxy,
    endpoint: str,
    published: Callable[[], list[str]],
    seed: int,
) -> None:
    """Resets and lost answers hit whichever piece is on its way; the order of the pieces stays."""
    source = random.Random(seed)
    payload = Payload(size=SIZE, seed=130 + seed)
    kinds = [lambda: reset_after(source.randrange(50_000)), lambda: lose_response("PATCH|HEAD")]
    proxy.script(*(source.choice(kinds)() for _ in range(6)))
    url = upload_pieces(endpoint, payload, cut_points(SIZE, 3, seed), chunksize=CHUNK)

    assert proxy.pending == ()
    check_stored(server, url, payload)
    assert published() == [server.published(url).name]


def test_a_lost_answer_to_a_partials_creation_joins_the_right_one(
    *, server: ServerProcess, proxy: FaultProxy, endpoint: str, published: Callable[[], list[str]]
) -> None:
    """The partial whose URL never arrived stays empty, and is neither joined nor published."""
    payload = Payload(size=SIZE, seed=135)
    proxy.script(lose_response("POST", nth=2))
    url = upload_pieces(endpoint, payload, (250_000, 500_000))

    assert methods(proxy).count("POST") == 5
    check_stored(server, url, payload)
    assert published() == [server.published(url).name]


def test_a_lost_answer_to_the_final_creation_leads_to_a_whole_file(
    server: ServerProcess, proxy: FaultProxy, endpoint: str
) -> None:
    """aiotus asks again for the final upload: partials can be joined more than once."""
    payload = Payload(size=SIZE, seed=136)
    proxy.script(lose_response("POST", nth=4))
    url = upload_pieces(endpoint, payload, (250_000, 500_000))

    assert proxy.pending == ()
    assert methods(proxy).count("POST") == 5
    check_stored(server, url, payload)


def test_the_command_line_uploads_a_file_and_shows_its_metadata(
    server: ServerProcess, endpoint: str, tmp_path: Path
) -> None:
    """`python -m aiotus upload` and `metadata`: the name, the type, and what was added by hand."""
    payload = Payload(size=SIZE, seed=137)
    path = tmp_path / "payload.txt"
    path.write_bytes(payload.data)
    url = run_command(
        "upload", "--metadata", "place=a=b", "--metadata", "flag", endpoint, str(path)
    ).strip()
    shown = run_command("metadata", url)

    check_stored(server, url, payload)
    assert shown.splitlines() == ["filename: payload.txt", "mime_type: text/plain", "place: a=b", "flag"]
    assert server.published(url).suffix == ".txt"
    assert head(server.direct(url)).headers["upload-metadata"].endswith(",flag")
