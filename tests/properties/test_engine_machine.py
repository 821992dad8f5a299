"""The engine against a model, through every order of requests, cuts, faults, restarts and sweeps."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from tests.properties.draws import (
    bodies,
    fates,
    has_room,
    is_open,
    is_part,
    is_unfinished,
    keys,
    lengths,
    lifetimes,
    spans,
    sums,
)
from tests.properties.model import MAX_SIZE, Sent, Stated, Truth
from tests.properties.stage import Asked, Fate, Stage
from tests.properties.storages import CrashError, LocalStorage
from tests.properties.world import room_of
from tusd_py.core.errors import (
    BodyInterruptedError,
    OffsetMismatchError,
    TusdError,
    UploadIncompleteError,
)
from tusd_py.core.events import UploadTerminated
from tusd_py.core.intents import Append, Concatenate, Create, Read, ReadOffset, Terminate
from tusd_py.core.model import Lifetime, Metadata, UploadKind, UploadState
from tusd_py.core.outcomes import Appended, BodyEnd, Created, Inspected, Terminated
from tusd_py.testing import ScriptedBody

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tusd_py.engine.janitor import SweepReport

RECEIVING = ("append", "write", "commit", "save", "complete", "concatenate", "delete")
NAMED = Metadata.parse("filename YS50eHQ=")


class EngineMachine(Stage):
    """Every rule is one request, or one turn of fate; after each, the storage is what the model says."""

    @initialize(lifetime=lifetimes, is_calm=st.booleans())
    def begin(self, lifetime: Lifetime, is_calm: bool) -> None:
        """There is something to begin with, something to join, and a policy."""
        self.world.lifetime = lifetime
        self.is_calm = is_calm
        self.restart()
        for length in (20, None):
            self.make(length, None, None, UploadKind.REGULAR)
        for content in (b"abcdefg", b"ABC"):
            self.create_part(content)
        for length in (5, None):
            self.make(length, None, None, UploadKind.PARTIAL)

    # -- what happens -------------------------------------------------------------------------

    @rule()
    def start_anew(self) -> None:
        """New objects over the same storage."""
        self.restart()

    @rule(veto=st.booleans())
    def decide(self, veto: bool) -> None:
        """From now on uploads may finish, or may not."""
        self.judge.veto = veto

    @rule(seconds=spans)
    def wait(self, seconds: int) -> None:
        """Time passes, and nothing happens by itself."""
        self.clock.advance(seconds)

    # -- requests -----------------------------------------------------------------------------

    @precondition(has_room)
    @rule(content=st.binary(max_size=9))
    def create_part(self, content: bytes) -> None:
        """POST of a whole partial upload."""
        sent = Sent(pieces=(content,) if content else ())
        self.make(len(content), sent, None, UploadKind.PARTIAL)

    @precondition(has_room)
    @rule(
        length=st.none() | st.just(0) | lengths,
        sent=st.none() | bodies(),
        fate=fates("free_space", "create", *RECEIVING),
    )
    def create(self, length: int | None, sent: Sent | None, fate: Fate | None) -> None:
        """POST, with or without a first chunk; without one, its body must not matter."""
        self.make(length, sent, fate, UploadKind.REGULAR)

    @precondition(has_room)
    @rule(
        length=st.none() | st.integers(0, 12),
        sent=st.none() | bodies(),
        fate=fates("create", *RECEIVING),
    )
    def create_partial(self, length: int | None, sent: Sent | None, fate: Fate | None) -> None:
        """POST of a partial upload."""
        self.make(length, sent, fate, UploadKind.PARTIAL)

    def make(self, length: int | None, sent: Sent | None, fate: Fate | None, kind: UploadKind) -> None:
        """One POST."""
        key = f"upload-{self.count + 1}"
        intent = Create(
            length=length,
            metadata=NAMED,
            has_body=sent is not None,
            body_length=sent.announced if sent else 0,
            checksum=sent.checksum if sent else None,
            is_partial=kind is UploadKind.PARTIAL,
        )
        after = self.foresee(fate)
        fresh = after.fresh(f"{key}.txt", length, kind)
        refusal = after.create(key, fresh, sent)

        body = body_of(sent) if sent else ScriptedBody([b"ignored"])
        came = self.attempt(lambda: self.engine.create(intent, body))

        self.check(came, Created, refusal, after, Asked(key=key, fresh=fresh, sent=sent))

    @precondition(has_room)
    @rule(
        parts=st.lists(keys(is_part), min_size=1, max_size=4) | st.lists(keys(), min_size=1, max_size=2),
        fate=fates("load", "free_space", "create", "save", "concatenate", "complete", "delete"),
    )
    def concatenate(self, parts: list[str], fate: Fate | None) -> None:
        """POST of a final, over partials in whatever state, and over what is none."""
        key = f"upload-{self.count + 1}"
        intent = Concatenate(parts=tuple(parts), concat="final;", metadata=NAMED)
        after = self.foresee(fate)
        is_known = set(parts) <= set(after.uploads)
        fresh = after.fresh_final(f"{key}.txt", intent.parts) if is_known else None
        refusal = after.concatenate(key, f"{key}.txt", intent.parts)

        came = self.attempt(lambda: self.engine.concatenate(intent))

        self.check(came, Created, refusal, after, Asked(key=key, fresh=fresh))

    @rule(
        key=keys(is_open),
        shift=st.sampled_from([0] * 6 + [-1, 1, -7, 40]),
        sent=bodies(),
        declared=st.sampled_from(["none"] * 4 + ["same", "whole", "other"]),
        other=lengths,
        fate=fates("load", *RECEIVING),
    )
    def append(
        self, *, key: str, shift: int, sent: Sent, declared: str, other: int, fate: Fate | None
    ) -> None:
        """PATCH, at the right offset or another, with whatever length."""
        before = self.world.uploads.get(key)
        here = len(before.data) if before else 0
        choices = {"same": before.length if before else 5, "whole": here + len(sent.data), "other": other}
        self.patch(key, max(here + shift, 0), sent, choices.get(declared), fate)

    @rule(
        key=keys(is_open),
        content=st.binary(min_size=MAX_SIZE, max_size=MAX_SIZE),
        size=st.sampled_from([3, 40]),
        stated=st.none() | sums(),
        fate=fates("write", "commit", *RECEIVING),
    )
    def append_the_rest(
        self, key: str, content: bytes, size: int, stated: Stated | None, fate: Fate | None
    ) -> None:
        """PATCH with all that is missing; a deferred length ends here."""
        upload = self.world.uploads.get(key)
        here = len(upload.data) if upload else 0
        length = here + size if upload is None or upload.length is None else upload.length
        pieces = (content[here:length],) if here < length else ()
        self.patch(key, here, Sent(pieces=pieces, stated=stated), length, fate)

    def patch(self, key: str, offset: int, sent: Sent, declared: int | None, fate: Fate | None) -> None:
        """One PATCH."""
        before = self.world.uploads.get(key)
        intent = Append(
            upload_id=key,
            offset=offset,
            body_length=sent.announced,
            declared_length=declared,
            checksum=sent.checksum,
        )
        after = self.foresee(fate)
        refusal = after.append(key, offset, sent, declared)

        came = self.attempt(lambda: self.engine.append(intent, body_of(sent)))

        self.check(came, Appended, refusal, after, Asked(key=key, declared=declared, sent=sent))
        if isinstance(came, OffsetMismatchError):
            assert before is not None
            assert (came.expected, came.actual) == (len(self.world.uploads[key].data), offset)

    @rule(key=keys(is_unfinished), fate=fates("load", "save", "complete", "concatenate"))
    def inspect(self, key: str, fate: Fate | None) -> None:
        """HEAD. A final's length is told as soon as it can be computed."""
        after = self.foresee(fate)
        refusal = after.inspect(key)

        came = self.attempt(lambda: self.engine.inspect(ReadOffset(upload_id=key)))

        self.check(came, Inspected, refusal, after, Asked(key=key))
        if isinstance(came, Inspected):
            known = self.world.uploads[key]
            is_final = known.is_final and known.state is UploadState.OPEN
            length = self.world.joined_length(known.parts) if is_final else known.length
            assert came.upload.length == length

    @rule(key=keys(), fate=fates("load", "delete"))
    def terminate(self, key: str, fate: Fate | None) -> None:
        """DELETE, of whatever kind; what is a part of a final, too."""
        after = self.foresee(fate)
        refusal = after.terminate(key)
        self.finished.discard(key)

        came = self.attempt(lambda: self.engine.terminate(Terminate(upload_id=key)))

        self.check(came, Terminated, refusal, after, Asked(key=key))
        if isinstance(came, Terminated):
            assert [event.upload.id for event in self.sink.of(UploadTerminated)].count(key) == 1

    @rule(
        key=keys(),
        start=st.integers(0, MAX_SIZE),
        size=st.integers(0, MAX_SIZE),
        fate=fates("load", "open", "read"),
    )
    def read(self, key: str, start: int, size: int, fate: Fate | None) -> None:
        """GET of a range changes nothing and gives what is there."""
        after = self.foresee(fate)
        refusal = after.refuse(key)

        came = self.attempt(lambda: self.read_range(key, start, start + size))

        if self.has_fault_struck():
            assert isinstance(came, (TusdError, CrashError)), came
            self.restart()
        elif refusal is None:
            known = self.world.uploads[key]
            is_hidden = type(came) is UploadIncompleteError and self.storage.hides(known)
            assert is_hidden or came == known.data[start : start + size], came
        else:
            assert type(came) is refusal

    async def read_range(self, key: str, start: int, stop: int) -> bytes:
        """What GET sends."""
        async with self.engine.read(Read(upload_id=key)) as (_, reader):
            pieces = [piece async for piece in reader.chunks(start, min(stop, reader.size))]
        return b"".join(pieces)

    # -- the collector ------------------------------------------------------------------------

    @rule(fate=fates("list", "load", "save", "complete", "concatenate", "discard", "delete", "examine"))
    def sweep(self, fate: Fate | None) -> None:
        """What start-up and the collector do; nothing waits for its completion afterwards."""
        after = self.foresee(fate)
        swept = after.sweep()

        came = self.attempt(lambda: self.janitor.sweep())  # noqa: PLW0108 - a fate makes another janitor

        if self.has_fault_struck():
            call = self.fate.call if self.fate else None
            self.adopt(came, after, Asked())
            for final in (self.world.uploads[key] for key in swept.finished):
                # Nothing takes away what it takes to try again, unless who needs it could not be read.
                is_lost = final.state is not UploadState.COMPLETE and self.world.lacks_part(final)
                assert call == "load" or not is_lost
            return
        assert told_by(came) == (swept.finished, swept.expired, swept.forgotten)
        assert (came.litter, came.busy, came.failed) == ([], [], [])
        assert came.examined == len(self.world.uploads)
        self.world = after
        for key in self.half_way.keys() & after.expired:
            del self.half_way[key]
        assert after.veto or not any(upload.awaits_completion for upload in after.uploads.values())

    @rule()
    def sweep_dry(self) -> None:
        """A dry run changes nothing and says what the next sweep does, but for what a hook will say."""
        self.calm_down()
        after = self.foresee()
        after.veto = False
        swept = after.sweep()

        came = self.attempt(lambda: self.janitor.sweep(is_dry_run=True))

        assert told_by(came) == (swept.finished, swept.expired, swept.forgotten)
        assert (came.litter, came.busy, came.failed) == ([], [], [])

    # -- two at a time ------------------------------------------------------------------------

    @rule(
        key=keys(is_open),
        first=st.binary(min_size=1, max_size=9),
        is_summed=st.booleans(),
        appends=st.booleans(),
    )
    def take_over(self, key: str, first: bytes, is_summed: bool, appends: bool) -> None:
        """A request comes while another one's body is stuck: what counts of both stays, or all goes."""
        self.calm_down()
        after, before = self.foresee(), self.world.uploads.get(key)
        if before is None or not is_open(before) or after.refuse(key):
            return
        if room_of(before) <= len(first) + 1:
            return
        stated = Stated(algorithm="sha1", truth=Truth.RIGHT, in_trailer=False) if is_summed else None
        sent = Sent(pieces=(first,), end=BodyEnd.SUPERSEDED, stated=stated)
        offset = len(before.data)
        assert after.append(key, offset, sent, None) is BodyInterruptedError
        here = len(after.uploads[key].data)

        stuck, came = self.runner.run(self.interrupt(key, sent, offset, here if appends else None))

        assert isinstance(stuck, BodyInterruptedError)
        assert (stuck.end, stuck.offset) == (BodyEnd.SUPERSEDED, here)
        assert isinstance(came, Appended if appends else Terminated)
        if appends:
            assert after.append(key, here, Sent(pieces=(b"!",)), None) is None
        else:
            assert after.terminate(key) is None
        self.world = after

    async def interrupt(self, key: str, sent: Sent, offset: int, here: int | None) -> tuple[object, object]:
        """Start a PATCH that gets stuck, then another at `here`, or DELETE; what came of both."""
        stuck = ScriptedBody([*sent.pieces, asyncio.Event()])
        older = Append(upload_id=key, offset=offset, body_length=None, checksum=sent.checksum)
        running = asyncio.create_task(self.engine.append(older, stuck))
        await stuck.paused.wait()
        answer: Coroutine[Any, Any, object] = (
            self.engine.terminate(Terminate(upload_id=key))
            if here is None
            else self.engine.append(
                Append(upload_id=key, offset=here, body_length=None), ScriptedBody([b"!"])
            )
        )
        came = await asyncio.gather(running, answer, return_exceptions=True)
        return came[0], came[1]


def body_of(sent: Sent) -> ScriptedBody:
    """What the engine reads."""
    return ScriptedBody(sent.pieces, sent.end, trailer=sent.trailer)


def told_by(report: SweepReport) -> tuple[set[str], set[str], set[str]]:
    """What it finished, expired and forgot; each once."""
    lists = (report.finished, report.expired, report.forgotten)
    assert [len(found) for found in lists] == [len(set(found)) for found in lists]
    finished, expired, forgotten = (set(found) for found in lists)
    return finished, expired, forgotten


class LocalEngineMachine(EngineMachine):
    """The same on a disk."""

    make_storage = LocalStorage


QUICK = settings(
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
SHRINKING = pytest.mark.timeout(420)  # what fails is made smaller before it is shown, which takes a while


@SHRINKING
@pytest.mark.parametrize(("machine", "count"), [(EngineMachine, 250), (LocalEngineMachine, 60)])
def test_the_engine_does_what_the_model_says(machine: type[EngineMachine], count: int) -> None:
    """Requests, cuts, faults and restarts in any order lose no byte and invent none."""
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=count))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("machine", "count"), [(EngineMachine, 1500), (LocalEngineMachine, 300)])
def test_the_engine_does_what_the_model_says_for_long(machine: type[EngineMachine], count: int) -> None:
    """The same for minutes; at random, but in continuous integration always the same."""
    thorough = settings(QUICK, max_examples=count, derandomize="CI" in os.environ)
    run_state_machine_as_test(machine, settings=thorough)
