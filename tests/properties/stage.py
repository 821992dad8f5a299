"""The stage for the engine: storage that outlives processes, faults on order, what must always hold."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.properties.model import MAX_SIZE, Expected, Known, Sent
from tests.properties.storages import MemoryStorage, Storage, look
from tusd_py.core.errors import BodyInterruptedError, TusdError, UploadRejectedError
from tusd_py.core.events import UploadFinished
from tusd_py.core.model import Limits, Upload, UploadState
from tusd_py.core.outcomes import Appended, Created, Inspected
from tusd_py.engine.hookpoints import Hookpoints
from tusd_py.engine.uploads import UploadEngine
from tusd_py.locks.memory import MemoryLocker
from tusd_py.testing import FaultyStore, ManualClock, RecordingSink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tusd_py.core.ports import Store


class CrashError(BaseException):
    """The process ends here."""


class Judge:
    """A hook that refuses to finish anything while `veto` is set."""

    def __init__(self) -> None:
        self.veto = False

    async def pre_create(self, upload: Upload) -> None:
        """Nothing against it."""

    async def post_receive(self, upload: Upload) -> None:
        """Nothing against it."""

    async def pre_finish(self, upload: Upload) -> None:
        """As set."""
        if self.veto:
            raise UploadRejectedError

    async def pre_terminate(self, upload: Upload) -> None:
        """Nothing against it."""


@dataclass(frozen=True, slots=True)
class Fate:
    """The call of the storage of that name that fails, after so many that pass."""

    call: str
    passing: int
    fault: Any


class Stage(RuleBasedStateMachine):
    """One server over one storage, and what is known of its uploads."""

    make_storage: ClassVar[type[Storage]] = MemoryStorage

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.storage = self.make_storage()
        self.judge, self.clock, self.sink = Judge(), ManualClock(), RecordingSink()
        self.count = 0
        self.known: dict[str, Known] = {}
        self.half_way: set[str] = set()  # a fault hit their completion: the file may be public already
        self.unheard: set[str] = set()  # finished in a crash: whoever was to be told may not know
        self.store = self.storage.open()
        self.faulty: FaultyStore | None = None
        self.engine = self.make_engine(self.store)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.runner.run(self.store.close())
        self.runner.close()
        self.storage.close()

    def make_engine(self, store: Store) -> UploadEngine:
        """A process of its own."""
        return UploadEngine(
            store=store,
            locker=MemoryLocker(),
            limits=Limits(max_size=MAX_SIZE),
            clock=self.clock,
            new_id=self.new_id,
            emit=self.sink,
            hooks=Hookpoints([self.judge]),
        )

    def new_id(self) -> str:
        """The next id."""
        self.count += 1
        return f"upload-{self.count}"

    def restart(self, fate: Fate | None = None) -> None:
        """A new process over the same storage; with a fate it will meet a fault."""
        self.runner.run(self.store.close())
        self.store, self.faulty = self.storage.open(), None
        if fate is not None:
            script = {fate.call: [None] * fate.passing + [fate.fault]}
            self.faulty = FaultyStore(self.store, **script)
        self.engine = self.make_engine(self.faulty or self.store)

    def attempt(self, fate: Fate | None, request: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What came of it, be it an error or the end of the process."""
        if fate is not None:
            self.restart(fate)
        try:
            return self.runner.run(request())
        except (TusdError, CrashError) as error:
            return error

    def has_fault_struck(self) -> bool:
        """The script is at its end."""
        return self.faulty is not None and not self.faulty.left

    def check(
        self,
        came: Any,
        kind: type[Any],
        upload_id: str,
        expected: Expected,
        *,
        before: Known | None,
        sent: Sent | None = None,
    ) -> None:
        """An undisturbed request does exactly as expected; a disturbed one something on the way there."""
        if self.has_fault_struck():
            if isinstance(came, CrashError):
                self.unheard.add(upload_id)
            self.adopt(upload_id, before, expected.upload, sent)
            if isinstance(came, (Created, Appended, Inspected)):  # it is true all the same
                assert came.upload.offset == len(self.known[upload_id].data)
            self.restart()
            return
        if expected.raises is None:
            assert isinstance(came, kind), came
        else:
            assert type(came) is expected.raises, came
        if isinstance(came, BodyInterruptedError):
            assert expected.upload is not None
            assert came.offset == len(expected.upload.data)
        self.know(upload_id, expected.upload)

    def know(self, upload_id: str, upload: Known | None) -> None:
        """From now on this is what has to be found."""
        if upload is None:
            self.known.pop(upload_id, None)
        else:
            self.known[upload_id] = upload

    def adopt(
        self, upload_id: str, before: Known | None, after: Known | None, sent: Sent | None = None
    ) -> None:
        """Take note of what a disturbed request left: no byte less than before, none that was not sent."""
        old = self.known.get(upload_id)
        found = self.runner.run(look(self.store, upload_id))
        if found is None:
            assert old is None or after is None, "an upload that nobody removed is gone"
            self.know(upload_id, None)
            return
        assert before is not None
        upload, data = found
        held = old.data if old else b""
        whole = held + (sent.data if sent else b"")
        assert data == whole[: len(data)]
        assert len(data) >= len(held)
        assert upload.length in {before.length, old.length if old else before.length}
        assert upload.state is UploadState.OPEN or len(data) == upload.length
        assert old is None or old.state in {UploadState.OPEN, UploadState.COMPLETING, upload.state}
        if upload.state is UploadState.COMPLETING:
            self.half_way.add(upload_id)
        self.know(upload_id, Known(name=upload.name, length=upload.length, data=data, state=upload.state))

    # -- what always holds --------------------------------------------------------------------

    @invariant()
    def the_storage_is_what_the_model_says(self) -> None:
        """Offset, length, state and content of every upload, to the byte; and no other upload."""
        found = self.runner.run(self.look_at_all())
        assert found == {
            upload_id: (len(known.data), known.length, known.state, known.data)
            for upload_id, known in self.known.items()
        }

    async def look_at_all(self) -> dict[str, tuple[int, int | None, UploadState, bytes]]:
        """Everything on record."""
        all_found = {}
        async for upload_id in self.store.list():
            found = await look(self.store, upload_id)
            assert found is not None
            upload, data = found
            all_found[upload_id] = (upload.offset, upload.length, upload.state, data)
        return all_found

    @invariant()
    def exactly_the_complete_is_published(self) -> None:
        """A file is public when it is whole, under its own name; only a completion may be half-way."""
        published = self.storage.published()
        complete = [known for known in self.known.values() if known.state is UploadState.COMPLETE]
        half_way = [known for key, known in self.known.items() if key in self.half_way]
        must = {known.name: known.data for known in complete}
        may = must | {known.name: known.data for known in half_way}
        assert must.items() <= published.items() <= may.items()

    @invariant()
    def every_end_is_told_once(self) -> None:
        """UploadFinished for what is complete, once; never for what is not."""
        told = [event.upload.id for event in self.sink.of(UploadFinished)]
        assert len(told) == len(set(told))
        complete = {key for key, known in self.known.items() if known.state is UploadState.COMPLETE}
        assert complete - self.unheard <= set(told)
        assert not set(told) & (set(self.known) - complete)
