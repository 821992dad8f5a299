"""Files in chunks under any order of requests, faults, crashes and sweeps: right, or not there."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.engine.chunks import CHUNKS, FILE, WHOLE, Caller
from tests.engine.scene import HOUR, Crash, Scene
from tusd_py.core.errors import StoreError, UploadError
from tusd_py.core.model import Lifetime, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.testing import After, FaultyStore
from tusd_py.testing.kit import ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Store


class Hesitant(FaultyStore):
    """Lets others go first, at every call, as a storage does that takes its time."""

    def __init__(self, store: Store, source: random.Random) -> None:
        super().__init__(store)
        self._source = source

    async def _hesitate(self) -> None:
        for _ in range(self._source.randrange(6)):
            await asyncio.sleep(0)

    async def create(self, upload: Upload) -> None:
        await self._hesitate()
        await super().create(upload)

    async def load(self, upload_id: str) -> Upload:
        await self._hesitate()
        found = await super().load(upload_id)
        await self._hesitate()
        return found

    async def save(self, upload: Upload) -> None:
        await self._hesitate()
        await super().save(upload)

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        await self._hesitate()
        await super().concatenate(upload, parts)

    async def complete(self, upload: Upload) -> None:
        await self._hesitate()
        await super().complete(upload)

    async def delete(self, upload_id: str) -> None:
        await self._hesitate()
        await super().delete(upload_id)


CALLS = ["create", "load", "save", "append", "write", "commit", "concatenate", "complete", "delete"]
LIVES = [None, timedelta(hours=3)]


class World:
    """One file, its caller, and what the caller was told. The storage is the same across restarts."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.lives = self.source.choice(LIVES)
        self.scene = Scene(lifetime=Lifetime(unfinished=self.lives, sliding=self.source.random() < 0.5))
        self.whole = self.scene.store
        self.caller = Caller(self.scene)
        self.acknowledged: set[int] = set()
        self.is_finished = False

    async def step(self) -> None:
        """One request or one thing that happens, perhaps on a storage that fails or dies in it."""
        act = self.source.choice(
            [self.put] * 6 + [self.break_off, self.lie, self.finalize, self.sweep, self.wait]
        )
        self.scene.restart(self.whole)
        kind = self.source.random()
        if kind < 0.35:
            error = Crash() if kind < 0.2 else StoreError("the disk")
            fault = After(error) if self.source.random() < 0.5 else error
            skipped: list[None] = [None] * self.source.randrange(4)
            self.scene.script(**{self.source.choice(CALLS): [*skipped, fault]})
        try:
            await act()
        except* (UploadError, StoreError, Crash):
            pass

    async def steps_at_once(self) -> None:
        """Some requests in parallel, on a storage that takes its time."""
        self.scene.restart(Hesitant(self.whole, self.source))
        acts = [self.put] * 5 + [self.lie, self.finalize, self.finalize, self.sweep]
        chosen = self.source.choices(acts, k=self.source.randrange(2, 7))
        for outcome in await asyncio.gather(*(act() for act in chosen), return_exceptions=True):
            if outcome is not None and not isinstance(outcome, UploadError):
                raise outcome

    async def put(self) -> None:
        """A chunk as it is."""
        index = self.source.randrange(len(CHUNKS))
        await self.caller.put(index)
        self.acknowledged.add(index)

    async def break_off(self) -> None:
        """A chunk of which the client sends the beginning."""
        index = self.source.randrange(len(CHUNKS))
        await self.caller.put(index, CHUNKS[index][:7], end=BodyEnd.DISCONNECTED)
        raise AssertionError("a chunk that broke off was taken")

    async def lie(self) -> None:
        """Another file's chunk under a number that was acknowledged."""
        if self.acknowledged and self.lives is None:
            await self.caller.put(self.source.choice(sorted(self.acknowledged)), b"something else")
            raise AssertionError("a chunk was replaced by another one")

    async def finalize(self) -> None:
        """The whole is asked for."""
        file = await self.caller.finalize()
        assert file.state is UploadState.COMPLETE
        self.is_finished = True

    async def sweep(self) -> None:
        """The collector."""
        await self.scene.sweep()

    async def wait(self) -> None:
        """An hour passes."""
        self.scene.clock.advance(HOUR)

    async def check(self) -> None:
        """What is published is the file, whole; what was acknowledged is there, unless its time is over."""
        self.scene.restart(self.whole)
        left = await ids(self.whole)
        if FILE in left:
            file = await self.whole.load(FILE)
            if file.state is UploadState.COMPLETE:
                assert await self.scene.stored(FILE) == WHOLE
        assert not self.is_finished or FILE in left
        if self.lives is None and FILE not in left:
            assert {self.caller.chunk(index) for index in self.acknowledged} <= set(left)

    async def arrive(self) -> None:
        """Everything works from now on: the file comes to its end, and nothing else is left."""
        self.scene.restart(self.whole)
        for index in range(len(CHUNKS)):
            try:
                await self.caller.put(index)
            except UploadError:  # it is there already
                assert FILE in await ids(self.whole)
        await self.caller.finalize()
        self.scene.clock.advance(6 * HOUR)
        for _ in range(3):
            await self.scene.sweep()
            self.scene.clock.advance(48 * HOUR)

        assert await self.scene.stored(FILE) == WHOLE
        assert await ids(self.whole) == [FILE]


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_of_events_gives_the_file_or_none(seed: int) -> None:
    """Twenty-five files, each after thirty requests, faults, crashes, sweeps and hours in some order."""
    for number in range(25):
        world = World(seed * 1000 + number)
        for _ in range(30):
            await world.step()
            await world.check()
        await world.arrive()


@pytest.mark.parametrize("seed", range(4))
async def test_any_requests_at_once_give_the_file_or_none(seed: int) -> None:
    """Twenty-five files, each after ten handfuls of chunks, lies, finalizes and sweeps in parallel."""
    for number in range(25):
        world = World(seed * 1000 + number)
        for _ in range(10):
            await world.steps_at_once()
            await world.check()
        await world.arrive()
