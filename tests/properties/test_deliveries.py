"""Deliveries through every order of uploads, removals, failures, time, stops and crashes: none is lost.

In S3, whose stand-in can be copied at the moment of a crash whatever else is at work with it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.recipients import Delivery, Recipient
from tests.properties.storages import CrashError, MortalStore, S3Storage
from tusd_py.core.errors import UploadNotFoundError
from tusd_py.core.events import UploadDelivered
from tusd_py.core.intents import Terminate
from tusd_py.core.model import UploadState
from tusd_py.testing import After
from tusd_py.testing.kit import ids

NAMES = ("one", "two")


@dataclass(frozen=True)
class Finish:
    """A client uploads this, whole."""

    content: bytes


@dataclass(frozen=True)
class Fail:
    """The next call of this processor fails."""

    name: str


@dataclass(frozen=True)
class Wait:
    """Time passes, and the collector sweeps."""

    seconds: int


@dataclass(frozen=True)
class Remove:
    """A client terminates one of its uploads."""

    which: int


Step: TypeAlias = Finish | Fail | Wait | Remove


@dataclass(frozen=True)
class Epoch:
    """The life of one process: what happens, and the call of the storage at which it dies, if at any."""

    steps: list[Step]
    call: str | None
    passing: int
    is_late: bool

    @property
    def script(self) -> dict[str, Any]:
        """For the store of this process."""
        if self.call is None:
            return {}
        fault: Any = After(CrashError()) if self.is_late else CrashError()
        return {self.call: [None] * self.passing + [fault]}


steps = st.one_of(
    st.builds(Finish, content=st.binary(max_size=24)),
    st.builds(Fail, name=st.sampled_from(NAMES)),
    st.builds(Wait, seconds=st.sampled_from([0, 1, 5, 100])),
    st.builds(Remove, which=st.integers(0, 5)),
)
epochs = st.builds(
    Epoch,
    steps=st.lists(steps, max_size=6),
    call=st.sampled_from([None, "save", "save", "load", "open", "read", "complete", "commit", "delete"]),
    passing=st.integers(0, 9),
    is_late=st.booleans(),
)


@dataclass
class History:
    """What was done, over all processes: contents of what clients were told is finished, by id.

    What a process says after the crash of a part of it, nobody hears.
    """

    storage: S3Storage
    finished: dict[str, bytes] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    contents: list[bytes] = field(default_factory=list)

    async def take(self, step: Step, scene: Delivery, recipients: dict[str, Recipient]) -> None:
        """One step in the process of `scene`."""
        match step:
            case Finish(content=content):
                self.contents.append(content)
                upload = await scene.create(len(content), *([content] if content else []))
                if self.storage._frozen is None:
                    self.finished[upload.id] = content
            case Fail(name=name):
                recipients[name].script.append(ValueError("no"))
            case Wait(seconds=seconds):
                await scene.pass_time(seconds)
                await asyncio.sleep(0.001)
            case Remove(which=which):
                known = sorted(self.finished)
                if which < len(known):
                    self.removed.add(known[which])  # whatever comes of it
                    with suppress(UploadNotFoundError):
                        await scene.engine.terminate(Terminate(upload_id=known[which]))


async def play(storage: S3Storage, lives: list[Epoch]) -> None:
    history, recipients = History(storage), {name: Recipient() for name in NAMES}
    store = storage.open()
    scene = Delivery(store, recipients)
    for life in lives:
        scene.restart(MortalStore(storage, store, **life.script))
        try:
            async with scene.delivering(grace=0):
                for step in life.steps:
                    await history.take(step, scene, recipients)
        except* CrashError:
            pass
        await store.close()
        store = storage.open()
    for recipient in recipients.values():
        recipient.script.clear()

    scene.restart(store)
    await scene.pass_time(10**6)  # finishes what has its bytes
    kept = {upload_id: await store.load(upload_id) for upload_id in await ids(store)}
    async with scene.delivering():
        await scene.ear.hear(UploadDelivered, sum(len(upload.deliveries) for upload in kept.values()))

    assert not any([(await store.load(upload_id)).deliveries for upload_id in kept])
    complete = {upload_id for upload_id, upload in kept.items() if upload.state is UploadState.COMPLETE}
    assert history.finished.keys() - history.removed <= complete
    for recipient in recipients.values():
        given_ids = Counter(upload_id for upload_id, _ in recipient.given)
        assert complete <= given_ids.keys()
        assert all(count <= 1 + len(lives) for count in given_ids.values())
        for upload_id, data in recipient.given:
            assert data == history.finished.get(upload_id, data)
            assert data in history.contents
    await store.close()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(epochs, min_size=1, max_size=4))
def test_whatever_happens_what_is_finished_is_processed(lives: list[Epoch]) -> None:
    """All that is complete in the end was given to each processor, whole; nothing else ever was."""
    storage = S3Storage()
    try:
        asyncio.run(play(storage, lives))
    finally:
        storage.close()
