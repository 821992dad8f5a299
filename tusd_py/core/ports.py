"""Every seam between the engine and the world. `tusd_py.testing` holds the suites that check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from typing import BinaryIO

    from tusd_py.core.checksums import Checksum
    from tusd_py.core.events import Event
    from tusd_py.core.findings import Finding
    from tusd_py.core.measurements import Measurement
    from tusd_py.core.model import Upload
    from tusd_py.core.outcomes import BodyEnd


class Body(Protocol):
    """The bytes a request brings."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The pieces as they arrive; ends and never raises, however the body ends (see `end`).

        Whatever was received before a cut is handed out before the iteration ends. An empty piece brings
        nothing: it says that the sender is known to be there, so that nobody takes the upload for left.
        """
        ...

    @property
    def end(self) -> BodyEnd:
        """How the body ended; `WHOLE` until the iteration is over and nothing cut it."""
        ...

    def trailing_checksum(self) -> Checksum:
        """The checksum that followed the body, once that ended WHOLE.

        Raises InvalidChecksumError when none came or it cannot be understood.
        """
        ...

    def cut(self, why: BodyEnd) -> None:
        """End the body now, at most once: a later reason does not replace the first."""
        ...


class PouredBody(Body, Protocol):
    """A body that can be stored while it is received, without an object for each piece."""

    def pour(
        self, write: DirectWriter, *, room: int | None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes | int]] | None:
        """Enter and iterate as over `chunks`, with the same promises; leave to have nobody write any more.

        A number says how many bytes were handed to `write` since the last one, in the order they came
        and by one thread at a time. Bytes were not: they come before everything that follows, and nothing
        is handed to `write` until the next step of the iteration. An error of `write` is raised by it,
        once everything that came before is told; what it stored of the piece that failed is not told.
        None where the body cannot be poured, or may have more than `room` bytes.
        """
        ...


class DirectWriter(Protocol):
    """Stores bytes without an event loop."""

    @property
    def is_quick(self) -> bool:
        """Whether an event loop may wait for the next call: it is over in about a millisecond."""
        ...

    def __call__(self, data: memoryview) -> None:
        """What `Appender.write` does, in any thread, one call at a time; `data` is not kept."""
        ...


class Appender(Protocol):
    """Writes one body to one upload, from its offset on."""

    @property
    def direct(self) -> DirectWriter | None:
        """The way past `write`, to be used in turn with it; None where writing waits for a network."""
        ...

    async def write(self, data: bytes) -> None:
        """Store `data` behind what is there.

        Raises StorageFullError or another StoreError; what was stored before, and the part of `data`
        that fitted, stays.
        """
        ...

    async def commit(self, *, completes: bool = False) -> int:
        """Make everything written so far count, as durable as the store's policy says.

        `completes`: these are the upload's last bytes, and the caller calls `Store.complete` next. Until
        then, or until the upload is asked for again, a store may keep them in memory.

        Returns the new offset in bytes. More may be written after it, and committed again.
        """
        ...


class Reader(Protocol):
    """A consistent look at an upload's bytes: a later append or removal does not change it."""

    @property
    def size(self) -> int:
        """Bytes that can be read: the offset at the time of opening."""
        ...

    @property
    def modified_at(self) -> datetime:
        """When the bytes last changed (UTC)."""
        ...

    @property
    def file(self) -> BinaryIO | None:
        """The open file itself, where there is one, for sendfile(2). Its position is not kept."""
        ...

    def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes `start` up to but not including `stop`, in pieces of the store's chunk size."""
        ...


class Store(Protocol):
    """Keeps uploads. Most methods work on one upload.

    The offset is measured, never believed: `load` finds the contiguous prefix in the data itself.
    Nothing here locks: the engine calls the writing methods only while it holds the upload's lock.
    All raise StoreError when the storage fails, and UploadNotFoundError only when it is certain that
    there is no such upload.
    """

    @property
    def marks_by_publishing(self) -> bool:
        """Whether `load` tells `completing` of what `complete` has published though its record says `open`:
        nobody has to put that on record before."""
        ...

    async def create(self, upload: Upload) -> None:
        """Put a new, empty upload on record. Raises NameTakenError when its id is in use."""
        ...

    async def load(self, upload_id: str) -> Upload:
        """The upload with its measured offset; UploadGoneError when its bytes are certainly lost."""
        ...

    async def save(self, upload: Upload) -> None:
        """Replace the record atomically: a crash leaves the old one or the new one."""
        ...

    def append(self, upload: Upload, *, atomic: bool = False) -> AbstractAsyncContextManager[Appender]:
        """Open `upload` for writing at `upload.offset`; whatever lies beyond it is cut first.

        `atomic`: nothing of it counts, for `load` neither, until it is committed. Leaving without a
        commit discards it, and so does a crash.
        """
        ...

    async def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        """Make the bytes of the final `upload` out of those of its complete `parts`, in order.

        May be called again after any interruption, also after `complete`. The parts stay as they are.
        Raises UploadGoneError when a part's bytes are lost.
        """
        ...

    async def complete(self, upload: Upload) -> None:
        """Publish the whole file under `upload.name`, at once or not at all; a partial is not published.

        May be called again after any interruption. Raises NameTakenError rather than replace a file.
        """
        ...

    def place(self, name: str) -> str:
        """Where the file of that public name is once it is published, as the operator knows the storage:
        a path below the folder as it was configured, or an object key. Nothing is looked at."""
        ...

    async def discard(self, upload: Upload) -> None:
        """Remove the bytes, published or not, and keep the record. May be called again."""
        ...

    def open(self, upload: Upload) -> AbstractAsyncContextManager[Reader]:
        """Open what is stored for reading, finished or not.

        UploadIncompleteError from a store that can give bytes back only once the upload is complete.
        """
        ...

    async def address(self, upload: Upload, method: str) -> str | None:
        """A URL from which anybody can GET (or HEAD, as `method` says) the published file for a while.

        None where the server has to send it.
        """
        ...

    async def delete(self, upload_id: str) -> None:
        """Remove the bytes, the published file and, last of all, the record. May be called again."""
        ...

    def list(self) -> AsyncIterator[str]:
        """The ids on record, in no order."""
        ...

    def is_settled(self, upload_id: str) -> bool:
        """Whether it is known, without asking the storage, that `list` has just given the id of an upload
        that is settled (`Upload.is_settled`). False where that would have to be looked up."""
        ...

    def examine(self) -> AsyncIterator[Finding]:
        """Everything in the storage that does not fit together."""
        ...

    async def repair(self, finding: Finding) -> None:
        """Put a finding right that says it can be (`Finding.is_repairable`); again does no harm."""
        ...

    def lead(self) -> AbstractAsyncContextManager[bool]:
        """Enter as the only one who cleans up this storage, for as long as the block lasts.

        Yields False at once where somebody else, in whatever process, is that already.
        """
        ...

    async def free_space(self) -> int | None:
        """Bytes that new uploads can still take; None where that has no meaning."""
        ...

    async def check(self) -> None:
        """Write and remove something small: raises StoreError when the storage does not take it."""
        ...

    async def close(self) -> None:
        """Let go of threads, files and connections."""
        ...


class Lock(Protocol):
    """One held lock."""

    def touch(self) -> None:
        """Say that the holder is making progress; cheap enough to be called for every chunk."""
        ...


class Locker(Protocol):
    """At most one holder per upload."""

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> AbstractAsyncContextManager[Lock]:
        """Enter as the upload's only holder.

        A newcomer asks the present holder to let go: its `on_takeover` is called at once, in the
        event loop, perhaps more than once. It leaves when it has put its things in order. Newcomers
        enter in the order they came. After `timeout` seconds: UploadLockedError.

        With `silence` the newcomer disturbs nobody who is at work: it asks only a holder without a
        `touch` (or entry) for that many seconds, and gets UploadLockedError at once otherwise, also
        when an active holder enters before it.
        """
        ...


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime:
        """Now, in UTC."""
        ...


class EventSink(Protocol):
    """Hears of facts. It must return at once and may not fail."""

    def __call__(self, event: Event) -> None:
        """Take note of `event`."""
        ...


class Meter(Protocol):
    """Hears how long things took. It must return at once and may not fail."""

    def __call__(self, measurement: Measurement) -> None:
        """Take note of `measurement`."""
        ...


class Processor(Protocol):
    """Code of the operator's that is given every finished upload."""

    async def __call__(self, upload: Upload, pieces: AsyncIterator[bytes]) -> None:
        """Do with the complete `upload` what is to be done; `pieces` are its bytes, in order.

        Returning says that it is done, however much of the pieces was taken. After any exception it is
        called again, and it may also be called again after it has returned, when the process ends
        before that is on record.
        """
        ...


class Hook:
    """Code of the operator's that may veto. Subclass it and define what is needed; the rest agrees.

    A hook says no by raising UploadRejectedError; any other exception is our side's failure, and the
    client may try again.
    """

    async def pre_create(self, upload: Upload) -> None:
        """Before an upload is put on record; a veto leaves nothing behind."""

    async def post_receive(self, upload: Upload) -> None:
        """While bytes arrive, about once a second; a veto stops and removes the upload."""

    async def pre_finish(self, upload: Upload) -> None:
        """Every byte is stored, nothing is published; a veto is final. A crash may repeat it."""

    async def pre_terminate(self, upload: Upload) -> None:
        """Before a termination asked for by a client."""


class LiveProcessor(Protocol):
    """Code of the operator's that looks at the bytes of a live upload while they arrive."""

    def __call__(self, upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[object]:
        """Results for the client, each of them something that JSON can hold, whenever they are ready.

        `chunks` are the bytes that are stored, in order and from `upload.offset` on; it ends when the
        connection does. What is not taken holds the client up, and costs no byte. After an exception it
        is called again for what comes behind the chunk it had; after too long a time over one chunk,
        and when it returns, not any more for this connection.
        """
        ...
