"""Clients that keep uploading to a server that is killed under them, and remember what they were told."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING

from tests.faults.wire import CHUNK, VERSION, Exchange, wait_until
from tests.support.payload import make_bytes
from tests.support.server import Answer, head

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import ServerProcess

SLICE = 32 * 1024
SIZES = (0, 1, 700, 9_000, 120_000, 1_000_000, 2_000_000)
PIECES = (1, 500, 40_000, 400_000, 3_000_000)


class Killer:
    """Kills the server when clients have sent so many bytes, or when one of them has sent its last.

    With `at_an_end` it waits for a last byte, and then up to `delay` seconds, in which the server is
    busy finishing that upload.
    """

    def __init__(self, pid: int, *, after: int, at_an_end: bool, delay: float) -> None:
        self._pid = pid
        self._left = after
        self._at_an_end = at_an_end
        self._delay = delay
        self._lock = threading.Lock()
        self.has_struck = False

    def note(self, size: int, *, is_last: bool) -> None:
        """A client has sent `size` bytes."""
        with self._lock:
            self._left -= size
            if not self.has_struck and self._left <= 0 and (is_last or not self._at_an_end):
                time.sleep(self._delay if is_last else 0)
                os.kill(self._pid, signal.SIGKILL)
                self.has_struck = True


@dataclass
class Journey:
    """One upload and what its client knows: the id once it was told, and every offset it was told.

    `reported` is the greatest of them, which nothing may ever fall behind.
    """

    number: int
    data: bytes
    deferred: bool
    with_body: bool
    id: str | None = None
    offset: int = 0
    reported: int = 0
    is_done: bool = False

    @property
    def mark(self) -> str:
        """By this metadata its record is found when nobody was told the id."""
        return f"journey{self.number:06d}"

    def tell(self, offset: int) -> None:
        """An answer named this offset."""
        self.offset = offset
        self.reported = max(self.reported, offset)

    def go_on(self, server: ServerProcess, source: random.Random, killer: Killer) -> None:
        """One request more: the creation, or a PATCH of any size. OSError when the server is gone."""
        piece = self.data[self.offset :][: source.choice(PIECES)]
        if self.id is None:
            self._create(server, piece if self.with_body else b"", killer)
        else:
            self._patch(server, piece, killer, declare=source.random() < 0.3)

    def _create(self, server: ServerProcess, piece: bytes, killer: Killer) -> None:
        size = {"Upload-Defer-Length": "1"} if self.deferred else {"Upload-Length": str(len(self.data))}
        fields = (CHUNK if self.with_body else VERSION) | size | {"Upload-Metadata": self.mark}
        answer = self._send(server.url, "POST", fields, piece, killer)
        assert answer.status == 201, answer
        self.id = answer.headers["location"].rpartition("/")[2]
        self.tell(int(answer.headers.get("upload-offset", "0")))
        self.is_done = self.offset == len(self.data) and not self.deferred

    def _patch(self, server: ServerProcess, piece: bytes, killer: Killer, *, declare: bool) -> None:
        at_end = self.offset + len(piece) == len(self.data)
        declared = self.deferred and (declare or at_end)
        fields = CHUNK | {"Upload-Offset": str(self.offset)}
        if declared:
            fields |= {"Upload-Length": str(len(self.data))}
        answer = self._send(server.url + str(self.id), "PATCH", fields, piece, killer)
        assert answer.status == 204, answer
        assert int(answer.headers["upload-offset"]) == self.offset + len(piece), answer
        self.tell(self.offset + len(piece))
        self.is_done = at_end

    def _send(self, url: str, method: str, fields: dict[str, str], piece: bytes, killer: Killer) -> Answer:
        with Exchange(url, method, fields | {"Content-Length": str(len(piece))}) as request:
            end = self.offset + len(piece) == len(self.data)
            for start in range(0, max(len(piece), 1), SLICE):
                request.send(piece[start : start + SLICE])
                is_last = end and start + SLICE >= len(piece)
                killer.note(min(SLICE, len(piece) - start), is_last=is_last)
            return request.answer()


@dataclass
class Fleet:
    """Several journeys at once, and after each kill the examination of what is left on the disk."""

    server: ServerProcess
    seed: int
    ships: int = 4
    done: list[Journey] = field(default_factory=list)
    under_way: list[Journey] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.under_way = [self._next() for _ in range(self.ships)]

    def _next(self) -> Journey:
        source, self.started = self.random, self.started + 1
        return Journey(
            number=self.started,
            data=make_bytes(source.choice(SIZES), seed=self.seed * 100_000 + self.started),
            deferred=source.random() < 0.3,
            with_body=source.random() < 0.5,
        )

    def sail_until_killed(self) -> None:
        """Upload with all ships, and probe all uploads meanwhile, until the server is killed."""
        killer = Killer(
            self.server.pid,
            after=self.random.randrange(3_000_000),
            at_an_end=self.random.random() < 0.5,
            delay=self.random.random() * 0.004,
        )
        with ThreadPoolExecutor(self.ships + 1) as pool:
            jobs = [pool.submit(self._sail, ship, killer) for ship in range(self.ships)]
            jobs.append(pool.submit(self._probe))
        self.server.kill9()
        for job in jobs:
            job.result()
        assert killer.has_struck, self.server.log

    def _sail(self, ship: int, killer: Killer) -> None:
        source = random.Random(self.random.random())
        try:
            while True:
                journey = self.under_way[ship]
                if journey.is_done:
                    self.check_published(journey)
                    self.done.append(journey)
                    self.under_way[ship] = self._next()
                else:
                    journey.go_on(self.server, source, killer)
        except (OSError, HTTPException):
            return  # the server is gone; whether it was killed is asked by the caller

    def _probe(self) -> None:
        """HEAD beside running bodies: nothing is told that a crash may take back."""
        try:
            while True:
                for journey in tuple(self.under_way):
                    if journey.id is not None:
                        self._look(journey, head(self.server.url + journey.id))
                head(self.server.url + "nothing")  # notices a dead server also when there is no upload
        except (OSError, HTTPException):
            return

    def _look(self, journey: Journey, answer: Answer) -> int:
        assert answer.status in {200, 423}, answer
        offset = int(answer.headers.get("upload-offset", "0"))
        journey.reported = max(journey.reported, offset)
        if answer.headers.get("upload-length") == str(offset):
            self.check_published(journey)
        return offset

    def check_published(self, journey: Journey) -> None:
        """Who is told of the last byte finds the file, whole."""
        assert (self._folder("uploads") / str(journey.id)).read_bytes() == journey.data, journey.mark

    def _folder(self, name: str) -> Path:
        return self.server.upload_dir / name

    def examine_the_dead(self) -> dict[str, int]:
        """Nothing runs: what each upload has on the disk is a prefix of its file, and enough of it.

        Returns the bytes on the disk by mark. Uploads whose creation was not answered are adopted.
        """
        records = {path.stem: path.read_text() for path in self._folder("incoming").glob("*.json")}
        sizes = {}
        for journey in self.under_way:
            if journey.id is None:
                journey.id = next((known for known, text in records.items() if journey.mark in text), None)
            if journey.id is not None:
                assert journey.id in records, f"the record of {journey.mark} is gone"
                places = [self._folder(name) / journey.id for name in ("incoming", "uploads")]
                contents = {path.read_bytes() for path in places if path.exists()}
                assert len(contents) == 1, f"{journey.mark}: {len(contents)} different files"
                (content,) = contents
                assert content == journey.data[: len(content)], f"wrong bytes in {journey.mark}"
                assert len(content) >= journey.reported, f"acknowledged bytes of {journey.mark} are lost"
                sizes[journey.mark] = len(content)
        return sizes

    def go_back(self, sizes: dict[str, int]) -> None:
        """The server runs again: each client finds out where it is, in one of three ways.

        Some just wait for the server to finish what it had whole, some ask, some send nothing at what
        they take for the end. Afterwards each knows an offset that is what was on the disk.
        """
        for journey in self.under_way:
            if journey.id is None:
                continue
            size, way = sizes[journey.mark], self.random.choice(["wait", "wait", "ask", "send"])
            if size == len(journey.data) and not journey.deferred:
                self._finish(journey, way)
            answer = head(self.server.url + journey.id)
            assert answer.status == 200, answer
            offset = self._look(journey, answer)
            assert offset == size, f"{journey.mark} is at {offset}, the disk had {size}"
            journey.tell(offset)
            journey.is_done = answer.headers.get("upload-length") == str(offset) == str(len(journey.data))

    def _finish(self, journey: Journey, way: str) -> None:
        if way == "wait":
            wait_until(
                (self._folder("uploads") / str(journey.id)).exists, f"{journey.mark} is not recovered"
            )
        elif way == "send":
            with Exchange.patch(self.server.url + str(journey.id), len(journey.data), 0) as request:
                assert request.answer().status == 204
            self.check_published(journey)

    def arrive(self) -> None:
        """Finish every journey, and see that there is one right file for each and no other."""
        never = Killer(0, after=1 << 60, at_an_end=True, delay=0)
        for journey in self.under_way:
            while not journey.is_done:
                journey.go_on(self.server, self.random, never)
        self.done += self.under_way
        for journey in self.done:
            self.check_published(journey)
        names = [path.name for path in self._folder("uploads").iterdir()]
        assert sorted(names) == sorted(str(journey.id) for journey in self.done)
        for path in self._folder("incoming").iterdir():
            # A creation that was cut before it was on record may leave an empty file that nobody knows.
            assert path.suffix == ".json" or path.stat().st_size == 0 or path.suffix == ".tmp", path
