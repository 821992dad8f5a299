"""SIGKILL within a checksummed PATCH and within a join: what was there is there, and nothing torn."""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.wire import (
    CHUNK,
    PATIENCE,
    VERSION,
    Exchange,
    create,
    delete,
    offset_of,
    patch,
    published_digest,
    stored,
    wait_until,
)
from tests.support.payload import make_bytes, sha256
from tests.support.server import ServerProcess, fetch, upload_id
from tests.wire.sums import checksum

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MIB = 1 << 20
SLICE = 64 * 1024

# -- within a checksummed PATCH ---------------------------------------------------------------


def begin_checksummed(url: str, offset: int, data: bytes, *, in_trailer: bool) -> Exchange:
    """The head of a PATCH of `data` with its sum, or with the promise to tell it in the trailer."""
    if not in_trailer:
        return Exchange.patch(url, offset, len(data), **checksum(data, "sha256"))
    coding = {"Transfer-Encoding": "chunked", "Trailer": "Upload-Checksum"}
    return Exchange(url, "PATCH", CHUNK | coding | {"Upload-Offset": str(offset)})


def send_some(request: Exchange, data: bytes, *, in_trailer: bool) -> None:
    """The next bytes of the body, in slices."""
    send = request.send_chunk if in_trailer else request.send
    for start in range(0, len(data), SLICE):
        send(data[start : start + SLICE])


def kill_within_checksummed(
    server: ServerProcess, url: str, data: bytes, offset: int, source: random.Random
) -> None:
    """Send a part of data[offset:] with a checksum, never the last byte, and kill.

    Half of the times every byte that was sent has been written by then, else the server is at it.
    """
    rest, in_trailer, is_settled = data[offset:], source.random() < 0.5, source.random() < 0.5
    sent = source.randrange(1, len(rest))
    with begin_checksummed(url, offset, rest, in_trailer=in_trailer) as request:
        send_some(request, rest[:sent], in_trailer=in_trailer)
        if is_settled:
            wait_until(lambda: stored(server, url).stat().st_size == offset + sent)
        server.kill9()


@pytest.mark.parametrize("seed", range(10))
def test_a_kill_within_a_checksummed_chunk_leaves_the_offset_before_it(tmp_path: Path, seed: int) -> None:
    """tus 1.0.0, Checksum: a chunk that was not verified is discarded whole, in a crash too (T-092)."""
    source = random.Random(seed)
    data = make_bytes(source.randrange(3 * MIB, 6 * MIB), seed)
    offset = source.randrange(0, len(data) // 2)
    with ServerProcess(tmp_path / "storage") as server:
        url = server.direct(create(server.url, len(data)))
        assert patch(url, 0, data[:offset]).status == 204
        kill_within_checksummed(server, url, data, offset, source)

        server.start()
        url = server.direct(url)

        assert offset_of(url) == offset
        assert sha256(fetch(url).body) == sha256(data[:offset])
        assert [path.name for path in (server.upload_dir / "uploads").iterdir()] == []
        again = patch(url, offset, data[offset:], checksum(data[offset:], "sha256"))
        assert (again.status, again.headers["upload-offset"]) == (204, str(len(data)))
        assert published_digest(server, url) == sha256(data)
        assert [path.name for path in server.traces(url)] == [f"{upload_id(url)}.json", upload_id(url)]


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_the_verdict_leaves_all_of_a_checksummed_chunk_or_nothing(
    tmp_path: Path, seed: int
) -> None:
    """tus 1.0.0, Checksum: with its last byte sent, a chunk counts whole or not at all (T-093)."""
    source = random.Random(1000 + seed)
    data = make_bytes(4 * MIB, seed)
    offset, end = MIB, 3 * MIB
    with ServerProcess(tmp_path / "storage") as server:
        url = server.direct(create(server.url, len(data)))
        assert patch(url, 0, data[:offset]).status == 204
        with begin_checksummed(url, offset, data[offset:end], in_trailer=False) as request:
            request.send(data[offset:end])
            time.sleep(source.random() * 0.02)  # the moment of the kill, not a wait for anything
            server.kill9()

        server.start()
        url = server.direct(url)

        found = offset_of(url)
        assert found in {offset, end}
        assert sha256(fetch(url).body) == sha256(data[:found])
        assert patch(url, found, data[found:], checksum(data[found:])).status == 204
        assert published_digest(server, url) == sha256(data)


# -- within a join ----------------------------------------------------------------------------

PART = 20 * MIB
_SOURCE = random.Random(3)
GOALS = (0, 2 * PART, *(_SOURCE.randrange(1, 2 * PART) for _ in range(6)))
"""Bytes that are joined when the server is killed: no sooner, and hardly later."""


class Guard:
    """Looks at the published files all the time: each is whole from the moment it has its name."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._over = threading.Event()
        self.looks = 0
        self.torn: set[tuple[str, int]] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look until the block ends."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.0005):
            self.looks += 1
            # One may be removed between two looks.
            with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
                sizes = {(entry.name, entry.stat().st_size) for entry in entries}
                self.torn |= {each for each in sizes if each[1] != self._size}


def upload_part(server: ServerProcess, data: bytes) -> str:
    """The path of a finished partial."""
    url = create(server.url, len(data), **{"Upload-Concat": "partial"})
    assert patch(url, 0, data).status == 204
    return url.removeprefix(server.origin)


def ask_to_join(server: ServerProcess, parts: list[str]) -> Exchange:
    """The request for the final, sent and not answered yet."""
    concat = {"Upload-Concat": f"final;{' '.join(parts)}", "Content-Length": "0"}
    return Exchange(server.url, "POST", VERSION | concat)


def names_in(server: ServerProcess) -> dict[str, Path]:
    """Every file of the storage by its name; published ones win over those on their way."""
    folders = [server.upload_dir / name for name in ("incoming", "uploads")]
    return {path.name: path for folder in folders for path in folder.iterdir()}


def joined_so_far(server: ServerProcess, known: Iterable[str]) -> int:
    """Bytes in the only file that is neither a record nor known, -1 where there is none yet."""
    new = [path for name, path in names_in(server).items() if name not in known and "." not in name]
    try:
        return max((path.stat().st_size for path in new), default=-1)
    except FileNotFoundError:  # published between two looks
        return 2 * PART


def kill_within_join(server: ServerProcess, parts: list[str], goal: int) -> None:
    """Ask for a final and kill as soon as `goal` bytes of it are joined."""
    known = set(names_in(server))
    with ask_to_join(server, parts):
        deadline = time.monotonic() + PATIENCE
        while joined_so_far(server, known) < goal:
            assert time.monotonic() < deadline, "nothing is joined"
        server.kill9()


def final_on_record(server: ServerProcess, parts: list[str]) -> str | None:
    """The id of the one upload on record that is not a partial."""
    known = {upload_id(part) for part in parts}
    found = [
        path.stem for path in (server.upload_dir / "incoming").glob("*.json") if path.stem not in known
    ]
    assert len(found) < 2, found
    return found[0] if found else None


def check_parts(server: ServerProcess, parts: list[str], contents: list[bytes]) -> None:
    """Both partials are as they were, byte for byte."""
    for part, content in zip(parts, contents, strict=True):
        assert sha256(stored(server, part).read_bytes()) == sha256(content)


def wait_for_join(server: ServerProcess, final: str, digest: str) -> None:
    """The final's file comes without a request for it, and is right."""
    file = server.upload_dir / "uploads" / final
    wait_until(file.exists, "start-up does not complete the final")
    assert sha256(file.read_bytes()) == digest


def join_anew(server: ServerProcess, parts: list[str]) -> str:
    """The id of a final joined without disturbance."""
    with ask_to_join(server, parts) as request:
        answer = request.answer()
    assert answer.status == 201, answer
    return upload_id(answer.headers["location"])


def test_a_kill_within_a_join_leaves_the_partials_and_no_half_of_a_final(tmp_path: Path) -> None:
    """tus 1.0.0, Concatenation: a final on record is completed by start-up, else there is none (T-113)."""
    contents = [make_bytes(PART, 1), make_bytes(PART, 2)]
    digest = sha256(b"".join(contents))
    with ServerProcess(tmp_path / "storage") as server:
        published = server.upload_dir / "uploads"
        parts = [upload_part(server, content) for content in contents]
        guard = Guard(published, 2 * PART)
        with guard.watching():
            for goal in GOALS:
                kill_within_join(server, parts, goal)
                check_parts(server, parts, contents)
                final = final_on_record(server, parts)

                server.start()

                if final is None:
                    assert list(published.iterdir()) == []
                    final = join_anew(server, parts)
                wait_for_join(server, final, digest)
                assert [offset_of(server.origin + part) for part in parts] == [PART, PART]
                assert offset_of(server.url + final) == 2 * PART
                check_parts(server, parts, contents)
                assert delete(server.url + final).status == 204

    assert guard.torn == set()
    assert guard.looks > len(GOALS)
