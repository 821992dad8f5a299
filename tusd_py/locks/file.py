"""Locks between the processes of one host: a holder in another process is told, not polled, and one that is
killed lets go at once."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import itertools
import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import structlog

from tusd_py.core.errors import StoreError, UploadLockedError
from tusd_py.locks.memory import MemoryLocker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

log = structlog.get_logger(__name__)

_FILES: Final = 16
"""Lock files: the kernel goes through a list of the locks of each."""

_POSITIONS: Final = (1 << 62) - 1

_FLOCK: Final = struct.Struct("@hhqqi0q")  # fcntl(2): type, whence, start, length, pid of the holder

_HAND_OVER: Final = 1.0
"""Seconds in which a process that has been told to take a lock has to do it, before others may."""

_BLINDLY: Final = 0.05
"""Seconds from one try to the next where the holder cannot be reached; not the usual way."""

_HOPS: Final = 20
"""Processes that are asked one after the other before a lock is tried for out of turn."""

_FOREVER: Final = 1e6

_JOINED, _FREE, _BUSY, _MOVED = b"joined", b"free", b"busy", b"moved"


class FileLocker:
    """See tusd_py.core.ports.Locker. One for each process and `folder`, which is made if it is not there.

    In each process those who want an upload stand in line (tusd_py.locks.memory), and the first has the
    process lock one byte of a file in `folder`: fcntl(2), so a process that dies has no locks. Who finds it
    locked joins, through that process's socket, the line there. Newcomers enter in the order in which they
    came to the holder's process: when the lock goes to one of them, the others follow it to that one's
    process, in their order. After the death of a process whoever comes first is first.

    Of one event loop. The folder has to be on a local disk, and its processes on one host.
    """

    def __init__(self, folder: str) -> None:
        self.line = MemoryLocker()
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        # One descriptor for each: when a process closes any of a file's, all its locks on it are gone.
        self._files = [os.open(f"{folder}/{number:x}.lock", flags, 0o600) for number in range(_FILES)]
        self._directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._address = Path(self._address_of(os.getpid()))
        self._socket = self._listen()
        self._server: asyncio.Server | None = None
        self._starting = asyncio.Lock()
        self._guests: set[asyncio.Task[None]] = set()
        self.passed_to: dict[str, tuple[int, float]] = {}
        """To which process locks have gone from here of late, and until when that matters: who waited here
        follows them, and does not try for them on the way, or one could overtake another."""

    def _listen(self) -> socket.socket:
        self._address.unlink(missing_ok=True)  # of a process that had the same number
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self._address))
        self._address.chmod(0o600)
        listening.listen(128)
        listening.setblocking(False)
        return listening

    def _address_of(self, process: int) -> str:
        """Through the open folder: an address may have 108 bytes, and a path of ours any length."""
        return f"/proc/self/fd/{self._directory}/{process}.sock"

    def __len__(self) -> int:
        return len(self.line)

    def hold(
        self,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None = None,
        silence: float | None = None,
    ) -> _FileClaim:
        """See tusd_py.core.ports.Locker.hold."""
        return _FileClaim(self, upload_id, timeout=timeout, on_takeover=on_takeover, silence=silence)

    async def close(self) -> None:
        """Let go of everything. Nobody holds or waits any more."""
        if self._server is not None:
            self._server.close()
        for guest in tuple(self._guests):
            guest.cancel()
        await asyncio.gather(*self._guests, return_exceptions=True)
        self._socket.close()
        await asyncio.to_thread(self._let_go)

    def _let_go(self) -> None:
        self._address.unlink(missing_ok=True)
        for descriptor in (*self._files, self._directory):
            os.close(descriptor)

    # -- the lock of this process -------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        """Others can ask for what this process holds."""
        return self._server is not None

    async def listen(self) -> None:
        """Answer the others; before anything is locked."""
        async with self._starting:
            if self._server is None:
                self._server = await asyncio.start_unix_server(self._receive, sock=self._socket)

    def place_of(self, upload_id: str) -> tuple[int, int]:
        """The file and the byte in it that stand for an upload."""
        number = int.from_bytes(hashlib.blake2b(upload_id.encode(), digest_size=8).digest(), "big")
        return self._files[number % _FILES], number >> 4 & _POSITIONS

    @staticmethod
    def try_lock(place: tuple[int, int]) -> bool:
        """Lock it for this process, unless another one has."""
        descriptor, position = place
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise StoreError(f"locks do not work: {error.strerror} (errno {error.errno})") from error
        return True

    @staticmethod
    def unlock(place: tuple[int, int]) -> None:
        """Give it back."""
        descriptor, position = place
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, position)

    @staticmethod
    def holder_of(place: tuple[int, int]) -> int | None:
        """The process that has it, 0 where that cannot be named; None where none has."""
        descriptor, position = place
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, position, 1, 0)
        kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
        return None if kind == fcntl.F_UNLCK else max(0, process)

    async def join(self, process: int, upload_id: str, silence: float | None) -> _Place | None:
        """A place in another process's line; None when it cannot be reached, or dies meanwhile."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._address_of(process))
        except OSError:
            return None
        place = _Place(reader, writer)
        try:
            writer.write(json.dumps([os.getpid(), upload_id, silence]).encode() + b"\n")
            if await place.hears() == [_JOINED]:
                return place
        except BaseException:
            place.give_up()
            raise
        place.give_up()
        return None

    def where_to(self, upload_id: str) -> int | None:
        """The process that a lock has gone to from here."""
        if not self.passed_to:
            return None
        now = time.monotonic()
        for each, (_, until) in list(self.passed_to.items()):
            if until < now:
                del self.passed_to[each]
        return self.passed_to.get(upload_id, (None,))[0]

    # -- for the other processes --------------------------------------------------------------

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it is called in one
        self._guests.add(task)
        try:
            guest = _Guest(writer, *json.loads(await reader.readline()))
            await self._stand_in(guest, reader)
        except (OSError, ValueError):
            log.debug("a process that asked for a lock went away")
        except asyncio.CancelledError:
            return  # asyncio would complain of it; nobody waits for this task but `close`
        finally:
            self._guests.discard(task)
            writer.close()

    async def _stand_in(self, guest: _Guest, reader: asyncio.StreamReader) -> None:
        """Stand in this process's line for somebody in another one, as long as that one is there."""
        gone = asyncio.ensure_future(reader.read())
        waiting = asyncio.ensure_future(self._hand_over(guest, gone))
        try:
            await asyncio.wait({gone, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            waiting.cancel()
            await asyncio.gather(gone, waiting, return_exceptions=True)

    async def _hand_over(self, guest: _Guest, gone: asyncio.Future[bytes]) -> None:
        guest.tell(_JOINED)  # it joins before anything else can happen here
        try:
            # Whoever was in front has unlocked before. Nobody here locks before the other has, or gave up.
            async with self.line.hold(guest.upload_id, timeout=_FOREVER, silence=guest.silence):
                went_to = self.where_to(guest.upload_id)
                if went_to is None:
                    self.passed_to[guest.upload_id] = (guest.process, time.monotonic() + _HAND_OVER)
                guest.tell(_FREE if went_to is None else b"%b %d" % (_MOVED, went_to))
                await asyncio.wait({gone}, timeout=_HAND_OVER)
        except UploadLockedError:
            guest.tell(_BUSY)


class _Guest:
    """Somebody in another process who wants a lock that this one has."""

    def __init__(
        self, writer: asyncio.StreamWriter, process: int, upload_id: str, silence: float | None
    ) -> None:
        self._writer = writer
        self.process = process
        self.upload_id = upload_id
        self.silence = silence

    def tell(self, word: bytes) -> None:
        self._writer.write(word + b"\n")


class _Place:
    """In another process's line; others wait there until it is given up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hears(self) -> list[bytes]:
        """The next words from there; none when it died."""
        try:
            return (await self._reader.readline()).split()
        except OSError:
            return []

    def give_up(self) -> None:
        """The lock has been taken, or will not be."""
        self._writer.close()


class _FileClaim:
    """What `hold` gives: to be entered once."""

    __slots__ = (
        "_claim",
        "_has_lock",
        "_locker",
        "_on_takeover",
        "_place",
        "_timeout",
        "_was_asked",
        "silence",
        "upload_id",
    )

    def __init__(
        self,
        locker: FileLocker,
        upload_id: str,
        *,
        timeout: float,
        on_takeover: Callable[[], None] | None,
        silence: float | None,
    ) -> None:
        self.upload_id = upload_id
        self.silence = silence
        self._timeout = timeout
        self._on_takeover = on_takeover
        self._locker = locker
        self._place = locker.place_of(upload_id)
        self._has_lock = self._was_asked = False
        self._claim = locker.line.hold(upload_id, timeout=timeout, on_takeover=self._ask, silence=silence)

    def touch(self) -> None:
        """See tusd_py.core.ports.Lock.touch."""
        self._claim.touch()

    async def __aenter__(self) -> Self:
        locker = self._locker
        if not locker.is_listening:
            await locker.listen()
        deadline = asyncio.get_running_loop().time() + self._timeout
        await self._claim.__aenter__()
        try:
            if locker.passed_to or not locker.try_lock(self._place):
                await self._wait_for_another_process(deadline)
        except BaseException:
            await self._claim.__aexit__(None, None, None)
            raise
        self._has_lock = True
        if self._was_asked:
            self._ask()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._has_lock = False
        self._locker.unlock(self._place)  # before anybody here has a turn
        await self._claim.__aexit__(kind, error, traceback)

    def _ask(self) -> None:
        """Somebody wants to enter; who is not in yet hears of it then."""
        if not self._has_lock:
            self._was_asked = True
        elif self._on_takeover is not None:
            self._on_takeover()

    async def _wait_for_another_process(self, deadline: float) -> None:
        locker, places = self._locker, list[_Place]()
        went_to = locker.where_to(self.upload_id)
        try:
            async with asyncio.timeout_at(deadline):
                for hop in itertools.count():
                    if (went_to is None or hop > _HOPS) and locker.try_lock(self._place):
                        break
                    process = went_to if went_to is not None else locker.holder_of(self._place)
                    went_to = await self._follow(process, places)
        except TimeoutError:
            raise UploadLockedError(self.upload_id) from None
        finally:
            for place in places:
                place.give_up()
        locker.passed_to.pop(self.upload_id, None)
        self.touch()

    async def _follow(self, process: int | None, places: list[_Place]) -> int | None:
        """Wait in the line of that process until it says that it is our turn, or is gone.

        `places` has ours in the line before. Returns the process to follow the lock to, if it has moved on.
        """
        if process is None:
            return None  # whoever had it has let go
        place = await self._locker.join(process, self.upload_id, self.silence) if process else None
        while places:
            places.pop().give_up()  # not before: those behind us there come after us here
        if place is None:
            if self.silence is not None:
                raise UploadLockedError(self.upload_id)  # nobody can say whether it is silent
            await asyncio.sleep(_BLINDLY)
            return None
        places.append(place)
        word = await place.hears()
        if word[:1] == [_BUSY]:
            raise UploadLockedError(self.upload_id)
        went_to = int(word[1]) if word[:1] == [_MOVED] else None
        return None if went_to == os.getpid() else went_to
