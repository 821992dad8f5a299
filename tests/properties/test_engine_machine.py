"""The engine against a model, through every order of requests, cuts, faults and restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule, run_state_machine_as_test

from tests.properties import model
from tests.properties.model import MAX_SIZE, Expected, Known, Sent
from tests.properties.stage import CrashError, Fate, Stage
from tests.properties.storages import LocalStorage
from tusd_py.core.errors import (
    BodyInterruptedError,
    OffsetMismatchError,
    StoreError,
    TusdError,
    UploadNotFoundError,
)
from tusd_py.core.events import UploadTerminated
from tusd_py.core.intents import Append, Create, Read, ReadOffset, Terminate
from tusd_py.core.model import Metadata, UploadState
from tusd_py.core.outcomes import Appended, BodyEnd, Created, Inspected, Terminated
from tusd_py.testing import After, ScriptedBody

if TYPE_CHECKING:
    from collections.abc import Coroutine

lengths = st.integers(0, MAX_SIZE + 4)
ends = st.sampled_from([BodyEnd.WHOLE] * 6 + [end for end in BodyEnd if end is not BodyEnd.TOO_LONG])
faults = st.one_of(
    st.builds(StoreError, st.just("scripted")),
    st.builds(lambda: After(StoreError("scripted"))),
    st.builds(CrashError),
    st.builds(lambda: After(CrashError())),
)


def fates(*calls: str) -> st.SearchStrategy[Fate | None]:
    """Mostly nothing happens; else one of these calls of the storage goes wrong."""
    strikes = st.builds(Fate, st.sampled_from(calls), st.integers(0, 2), faults)
    return st.one_of(st.none(), st.none(), strikes)


@st.composite
def bodies(draw: st.DrawFn) -> Sent:
    """A body in pieces. One that is cut may have been announced as longer, never as shorter."""
    pieces = tuple(draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)))
    end = draw(ends)
    size = sum(map(len, pieces))
    missing = 0 if end is BodyEnd.WHOLE else draw(st.integers(0, 20))
    return Sent(pieces=pieces, end=end, announced=draw(st.sampled_from([None, size + missing])))


RECEIVING = ("append", "write", "commit", "save", "complete")


class EngineMachine(Stage):
    """Every rule is one request, or one turn of fate; after each, the storage is what the model says."""

    uploads: Bundle[str] = Bundle("uploads")

    @initialize(target=uploads)
    def begin(self) -> Any:
        """There is something to begin with, of either kind."""
        return multiple(*(str(self.create(length, None, None)) for length in (20, None)))

    @rule()
    def start_anew(self) -> None:
        """New objects over the same storage."""
        self.restart()

    @rule(veto=st.booleans())
    def decide(self, veto: bool) -> None:
        """From now on uploads may finish, or may not."""
        self.judge.veto = veto

    @rule(
        target=uploads,
        length=st.none() | st.just(0) | lengths,
        sent=st.none() | bodies(),
        fate=fates("create", *RECEIVING),
    )
    def create(self, length: int | None, sent: Sent | None, fate: Fate | None) -> Any:
        """POST, with or without a first chunk; without one, its body must not matter."""
        upload_id = f"upload-{self.count + 1}"
        intent = Create(
            length=length,
            metadata=Metadata.parse("filename YS50eHQ="),
            has_body=sent is not None,
            body_length=sent.announced if sent else 0,
        )
        body = ScriptedBody(sent.pieces, sent.end) if sent else ScriptedBody([b"ignored"])
        fresh = Known(name=f"{upload_id}.txt", length=length)
        expected = model.create(fresh, sent, veto=self.judge.veto)

        came = self.attempt(fate, lambda: self.engine.create(intent, body))

        self.check(came, Created, upload_id, expected, before=fresh, sent=sent)
        return upload_id if upload_id in self.known else multiple()

    @rule(
        upload_id=uploads,
        shift=st.sampled_from([0] * 6 + [-1, 1, -7, 40]),
        sent=bodies(),
        declared=st.sampled_from(["none"] * 3 + ["same", "whole", "more", "other"]),
        other=lengths,
        fate=fates("load", *RECEIVING),
    )
    def append(
        self, *, upload_id: str, shift: int, sent: Sent, declared: str, other: int, fate: Fate | None
    ) -> None:
        """PATCH, at the right offset or another, with whatever length."""
        before = self.known.get(upload_id)
        here = len(before.data) if before else 0
        there = here + len(sent.data)
        same = before.length if before else 5
        choices = {"same": same, "whole": there, "more": there + other, "other": other}
        length, offset = choices.get(declared), max(here + shift, 0)
        intent = Append(
            upload_id=upload_id, offset=offset, body_length=sent.announced, declared_length=length
        )
        expected = model.append(before, offset, sent, length, veto=self.judge.veto)

        body = ScriptedBody(sent.pieces, sent.end)
        came = self.attempt(fate, lambda: self.engine.append(intent, body))

        longer = replace(before, length=length) if before and before.length is None else before
        self.check(came, Appended, upload_id, expected, before=longer, sent=sent)
        if isinstance(came, OffsetMismatchError):
            assert (came.expected, came.actual) == (here, offset)

    @rule(upload_id=uploads, fate=fates("load", "save", "complete"))
    def inspect(self, upload_id: str, fate: Fate | None) -> None:
        """HEAD."""
        before = self.known.get(upload_id)
        expected = model.inspect(before, veto=self.judge.veto)

        came = self.attempt(fate, lambda: self.engine.inspect(ReadOffset(upload_id=upload_id)))

        self.check(came, Inspected, upload_id, expected, before=before)
        if isinstance(came, Inspected):
            assert not came.upload.awaits_completion  # no last byte is told of before the end

    @rule(upload_id=uploads, fate=fates("load", "delete"))
    def terminate(self, upload_id: str, fate: Fate | None) -> None:
        """DELETE."""
        before = self.known.get(upload_id)
        expected = Expected(raises=None if before else UploadNotFoundError, upload=None)

        came = self.attempt(fate, lambda: self.engine.terminate(Terminate(upload_id=upload_id)))

        self.check(came, Terminated, upload_id, expected, before=before)
        if isinstance(came, Terminated):
            assert [event.upload.id for event in self.sink.of(UploadTerminated)].count(upload_id) == 1

    @rule(
        upload_id=uploads,
        start=st.integers(0, MAX_SIZE),
        size=st.integers(0, MAX_SIZE),
        fate=fates("load", "open", "read"),
    )
    def read(self, upload_id: str, start: int, size: int, fate: Fate | None) -> None:
        """GET of a range changes nothing and gives what is there."""
        before = self.known.get(upload_id)

        came = self.attempt(fate, lambda: self.read_range(upload_id, start, start + size))

        if self.has_fault_struck():
            assert isinstance(came, (TusdError, CrashError)), came
            self.restart()
        elif before and before.state is not UploadState.FAILED:
            assert came == before.data[start : start + size]
        else:
            assert isinstance(came, TusdError)

    @rule(fate=fates("list", "load", "save", "complete"))
    def recover(self, fate: Fate | None) -> None:
        """What start-up does: nothing waits for its completion afterwards."""
        before = dict(self.known)

        came = self.attempt(fate, lambda: self.engine.recover())  # noqa: PLW0108 - a fate makes another engine

        if self.has_fault_struck():
            for upload_id, upload in before.items():
                self.adopt(upload_id, upload, upload)
                if isinstance(came, CrashError):
                    self.unheard.add(upload_id)
            self.restart()
            return
        assert came is None
        for upload_id, upload in before.items():
            self.know(upload_id, model.settle(upload, veto=self.judge.veto).upload)

    @rule(upload_id=uploads, first=st.binary(min_size=1, max_size=9), newer=st.booleans())
    def take_over(self, upload_id: str, first: bytes, newer: bool) -> None:
        """A request comes while another one's body is stuck: both keep their bytes, or all are gone."""
        self.restart()
        before = self.known.get(upload_id)
        if (
            before is None
            or before.state is not UploadState.OPEN
            or model.room_of(before) <= len(first) + 1
        ):
            return

        stuck, came = self.runner.run(self.interrupt(upload_id, len(before.data), first, append=newer))

        assert isinstance(stuck, BodyInterruptedError)
        assert (stuck.end, stuck.offset) == (BodyEnd.SUPERSEDED, len(before.data) + len(first))
        assert isinstance(came, Appended if newer else Terminated)
        self.know(upload_id, replace(before, data=before.data + first + b"!") if newer else None)

    async def read_range(self, upload_id: str, start: int, stop: int) -> bytes:
        """What GET sends."""
        async with self.engine.read(Read(upload_id=upload_id)) as (_, reader):
            pieces = [piece async for piece in reader.chunks(start, min(stop, reader.size))]
        return b"".join(pieces)

    async def interrupt(
        self, upload_id: str, offset: int, first: bytes, *, append: bool
    ) -> tuple[object, object]:
        """Start a PATCH that gets stuck after `first`, then the newer request; what came of both."""
        stuck = ScriptedBody([first, asyncio.Event()])
        older = Append(upload_id=upload_id, offset=offset, body_length=None)
        newer = Append(upload_id=upload_id, offset=offset + len(first), body_length=None)
        running = asyncio.create_task(self.engine.append(older, stuck))
        await stuck.paused.wait()
        answer: Coroutine[Any, Any, object] = (
            self.engine.append(newer, ScriptedBody([b"!"]))
            if append
            else self.engine.terminate(Terminate(upload_id=upload_id))
        )
        came = await asyncio.gather(running, answer, return_exceptions=True)
        return came[0], came[1]


class LocalEngineMachine(EngineMachine):
    """The same on a disk."""

    make_storage = LocalStorage


QUICK = settings(
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
SHRINKING = pytest.mark.timeout(420)  # what fails is made smaller before it is shown, which takes a while


@SHRINKING
@pytest.mark.parametrize(("machine", "count"), [(EngineMachine, 150), (LocalEngineMachine, 60)])
def test_the_engine_does_what_the_model_says(machine: type[EngineMachine], count: int) -> None:
    """Requests, cuts, faults and restarts in any order lose no byte and invent none."""
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=count))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("machine", "count"), [(EngineMachine, 1500), (LocalEngineMachine, 300)])
def test_the_engine_does_what_the_model_says_for_long(machine: type[EngineMachine], count: int) -> None:
    """The same, at random and for minutes."""
    thorough = settings(QUICK, max_examples=count, stateful_step_count=60, derandomize=False)
    run_state_machine_as_test(machine, settings=thorough)
