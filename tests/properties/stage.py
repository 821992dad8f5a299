"""The stage for the engine: storage that outlives processes, faults on order, what must always hold."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.properties.model import ALGORITHMS, MAX_SIZE, Known, Refusal, Sent
from tests.properties.storages import CrashError, MemoryStorage, MortalStore, Storage, look
from tests.properties.world import MEMORY, World
from tusd_py.core.errors import BodyInterruptedError, TusdError, UploadRejectedError
from tusd_py.core.events import UploadExpired, UploadFinished
from tusd_py.core.model import Lifetime, Limits, Upload, UploadKind, UploadState
from tusd_py.core.outcomes import Appended, Created, Inspected
from tusd_py.core.ports import Hook
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.janitor import Housekeeping, Janitor
from tusd_py.engine.uploads import UploadEngine
from tusd_py.locks.memory import MemoryLocker
from tusd_py.testing import ManualClock, RecordingSink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tusd_py.core.ports import Store

LONG_HENCE = datetime(2100, 1, 1, tzinfo=UTC)
"""Seen from there every file of a test is old: what could be taken for litter is."""

WAY = (UploadState.OPEN, UploadState.COMPLETING, UploadState.COMPLETE)


class Judge(Hook):
    """A hook that refuses to finish anything while `veto` is set."""

    def __init__(self) -> None:
        self.veto = False

    async def pre_finish(self, upload: Upload) -> None:
        """As set."""
        if self.veto:
            raise UploadRejectedError


@dataclass(frozen=True, slots=True)
class Fate:
    """The call of the storage of that name that fails, after so many that pass."""

    call: str
    passing: int
    fault: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request is about. `fresh`: the upload it makes; `declared`: the length it settles."""

    key: str = ""
    fresh: Known | None = None
    declared: int | None = None
    sent: Sent | None = None


class Stage(RuleBasedStateMachine):
    """One server over one storage, and what is known of its uploads."""

    make_storage: ClassVar[type[Storage]] = MemoryStorage

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.storage = self.make_storage()
        self.judge, self.clock, self.sink = Judge(), ManualClock(LONG_HENCE), RecordingSink()
        self.count = 0
        self.is_calm = False  # nothing but time and requests happens: one process lives long
        self.world = World(now=LONG_HENCE, lifetime=Lifetime())
        self.faulty: MortalStore | None = None
        self.fate: Fate | None = None
        self.half_way: dict[str, bytes] = {}  # what a fault may have left public: by id, their bytes
        self.unheard: set[str] = set()  # finished in a crash: whoever was to be told may not know
        self.finished: set[str] = set()  # for good, unless a client removes them
        self.restart()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.runner.run(self.store.close())
        self.runner.close()
        self.storage.close()

    def new_id(self) -> str:
        """The next id."""
        self.count += 1
        return f"upload-{self.count}"

    def restart(self, fate: Fate | None = None) -> None:
        """A new process over the same storage; with a fate it will meet a fault."""
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
        self.store: Store = self.storage.open()
        self.fate, self.faulty = fate, None
        if fate is not None:
            script = {fate.call: [None] * fate.passing + [fate.fault]}
            self.faulty = MortalStore(self.storage, self.store, **script)
        self.world.waiting.clear()
        self.make_process(self.faulty or self.store, MemoryLocker())

    def make_process(self, store: Store, locker: MemoryLocker) -> None:
        """The engine and its collector."""
        self.engine = UploadEngine(
            store=store,
            locker=locker,
            limits=Limits(max_size=MAX_SIZE, checksum_algorithms=ALGORITHMS),
            clock=self.clock,
            new_id=self.new_id,
            emit=self.sink,
            hooks=Hookpoints([self.judge]),
            lifetime=self.world.lifetime,
        )
        self.janitor = Janitor(
            store=store,
            locker=locker,
            completion=self.engine.completion,
            clock=self.clock,
            emit=self.sink,
            housekeeping=Housekeeping(memory=MEMORY, litter_age=timedelta()),
        )

    def foresee(self, fate: Fate | None = None) -> World:
        """The world to try the next request on, which will meet that fate."""
        if fate is not None and not self.is_calm:
            self.restart(fate)
        return self.world.copy(self.clock(), veto=self.judge.veto)

    def calm_down(self) -> None:
        """What comes next meets no fault."""
        if self.faulty is not None:
            self.restart()

    def attempt(self, request: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What came of it, be it an error or the end of the process."""
        try:
            return self.runner.run(request())
        except (TusdError, CrashError) as error:
            return error

    def has_fault_struck(self) -> bool:
        """The script is at its end."""
        return self.faulty is not None and not self.faulty.left

    def check(self, came: Any, kind: type[Any], refusal: Refusal, after: World, asked: Asked) -> None:
        """An undisturbed request does exactly as expected; a disturbed one something on the way there."""
        if self.has_fault_struck():
            self.adopt(came, after, asked)
        else:
            if refusal is None:
                assert isinstance(came, kind), came
            else:
                assert type(came) is refusal, came
            if isinstance(came, BodyInterruptedError):
                assert came.offset == len(after.uploads[asked.key].data)
            self.world = after
        if isinstance(came, (Created, Appended, Inspected)):
            known = self.world.uploads[asked.key]
            assert came.upload.offset == len(known.data)
            assert not came.upload.awaits_completion  # no last byte is told of before the end

    # -- after a fault ------------------------------------------------------------------------

    def adopt(self, came: Any, after: World, asked: Asked) -> None:
        """Take note of what a disturbed request left: no byte less than before, none that was not sent."""
        self.restart()
        before, found = self.world.uploads, self.runner.run(self.look_at_all())
        for key in {*before, *after.uploads, *found}:
            old = before.get(key) or (asked.fresh if key == asked.key else None)
            new, now = after.uploads.get(key), found.get(key)
            if now is None:
                assert key not in before or new is None, "an upload that nobody removed is gone"
                continue
            assert old is not None, "an upload that nobody made is there"
            self.check_between(old, new, now, after, asked if key == asked.key else Asked())
            if now.state is UploadState.COMPLETING:
                self.half_way[key] = now.data
            if now.state is UploadState.EXPIRED and old.is_public:
                self.half_way[key] = old.data
            if isinstance(came, CrashError) and now.is_public and not old.is_public:
                self.unheard.add(key)
        self.world.uploads = found

    def check_between(self, old: Known, new: Known | None, now: Known, after: World, asked: Asked) -> None:
        """`now` lies on the way from `old` to `new` (None: removed)."""
        goal = new or old
        assert (now.name, now.kind, now.parts) == (old.name, old.kind, old.parts)
        declared = set() if asked.declared is None else {asked.declared}
        assert now.length in {old.length, goal.length} | declared
        assert now.expires_at in {old.expires_at, goal.expires_at, after.slid(old)}
        # A refused final may be found on record where the crash kept it from being removed.
        refused = {UploadState.FAILED} if new is None and asked.fresh and old.is_final else set()
        assert now.state in way(old.state, goal.state) | refused
        if now.state is UploadState.EXPIRED:
            return
        kept = replace(goal, data=old.data) if goal.state is UploadState.EXPIRED else goal
        if asked.sent is None or asked.sent.stated is not None:
            # tus 1.0.0, Checksum: a chunk counts whole or not at all; nor is there half a join.
            assert now.data in {old.data, kept.data}
        else:
            most = kept.data if new else old.data + asked.sent.data
            assert len(old.data) <= len(now.data)
            assert now.data == most[: len(now.data)]
        assert now.state is not UploadState.COMPLETE or now.data == kept.data

    # -- what always holds --------------------------------------------------------------------

    @invariant()
    def the_storage_is_what_the_model_says(self) -> None:
        """Length, state, time, parts and content of every upload, to the byte; and no other upload."""
        assert self.runner.run(self.look_at_all()) == self.world.uploads

    async def look_at_all(self) -> dict[str, Known]:
        """Everything on record."""
        keys = [upload_id async for upload_id in self.store.list()]
        found = await asyncio.gather(*(look(self.storage, self.store, key) for key in keys))
        assert None not in found
        return {key: known for key, known in zip(keys, found, strict=True) if known is not None}

    @invariant()
    def exactly_the_complete_is_published(self) -> None:
        """A file is public when it is whole, under its own name, and no partial ever; only what a fault
        hit half-way may be too."""
        published, known = self.storage.published(), self.world.uploads
        must = {upload.name: upload.data for upload in known.values() if upload.is_public}
        half_way = {
            known[key].name: data
            for key, data in self.half_way.items()
            if key in known
            and known[key].kind is not UploadKind.PARTIAL
            and known[key].state in {UploadState.COMPLETING, UploadState.EXPIRED}
        }
        assert must.items() <= published.items() <= (half_way | must).items()

    @invariant()
    def every_end_is_told_once(self) -> None:
        """UploadFinished for what is complete and no partial, once; never for what is not."""
        told = [event.upload.id for event in self.sink.of(UploadFinished)]
        assert len(told) == len(set(told))
        known = self.world.uploads
        public = {key for key, upload in known.items() if upload.is_public}
        expired = self.world.expired
        assert public - self.unheard <= set(told)
        assert not set(told) & (set(known) - public - expired)
        over = [event.upload.id for event in self.sink.of(UploadExpired)]
        assert len(over) == len(set(over))
        assert not set(over) & (set(known) - expired)

    @invariant()
    def what_is_finished_stays(self) -> None:
        """Without a time of their own, finished uploads are removed by nobody but a client."""
        known = self.world.uploads
        if self.world.lifetime.finished is None:
            assert all(key in known and known[key].is_public for key in self.finished)
            self.finished |= {key for key, upload in known.items() if upload.is_public}


def way(old: UploadState, new: UploadState) -> set[UploadState]:
    """Every state from one to the other."""
    if new in WAY and old in WAY:
        return set(WAY[WAY.index(old) : WAY.index(new) + 1])
    return {old, new}
