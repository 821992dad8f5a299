"""Dies in the middle of a store's work: `python -m tests.stores.crashing SCENARIO DURABILITY FOLDER`.

The scenario's work is done again and again, each time in a copy of its prepared storage of its own
(FOLDER/1, FOLDER/2, ...). The k-th process ends without a word at the k-th step: before a call that
changes files, or half-way through one that writes. The last process gets to the end.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tusd_py.core.model import UploadState
from tusd_py.stores.local import LocalStore
from tusd_py.testing.kit import finish, make_upload, put, sample, start, start_joined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CRASHED = 9
STEPS = ("ftruncate", "truncate", "replace", "rename", "link", "unlink", "fsync", "fdatasync")
"""Functions of `os` that happen or do not happen."""

SHORT = 40_000
"""Bytes that one call copies; of more it copies half, and leaves the rest to another call."""

BEFORE = sample(1000)
CHUNK = sample(60_000, 1)
PARTS = {"a": sample(5000, 2), "b": b"", "c": sample(70_001, 3)}
ORDER = ("c", "a", "b", "a")


async def nothing(store: LocalStore) -> None:
    """An empty storage."""


async def create(store: LocalStore) -> None:
    await store.create(make_upload(length=61_000))


async def begin(store: LocalStore) -> None:
    await create(store)
    await put(store, "one", BEFORE)


async def save(store: LocalStore) -> None:
    await store.save(replace(await store.load("one"), length=None, state=UploadState.FAILED))


async def append_atomically(store: LocalStore) -> None:
    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(CHUNK[:20_000])
        await appender.write(CHUNK[20_000:])
        await appender.commit()


async def leave_uncommitted(store: LocalStore) -> None:
    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(CHUNK)


async def begin_and_crash(store: LocalStore) -> None:
    """What an atomic append that never ended leaves behind."""
    await begin(store)
    leaving = store.append(await store.load("one"), atomic=True)
    appender = await leaving.__aenter__()
    await appender.write(CHUNK[:30_000])
    os._exit(0)


async def append_plainly(store: LocalStore) -> None:
    await put(store, "one", CHUNK[::-1])


async def partials(store: LocalStore) -> None:
    await start_joined(store, PARTS, *ORDER)


async def join(store: LocalStore) -> None:
    await store.concatenate(await store.load("one"), [await store.load(part) for part in ORDER])


async def join_to_the_end(store: LocalStore) -> None:
    await join(store)
    await finish(store)


async def all_bytes(store: LocalStore) -> None:
    await start(store, CHUNK)


async def to_the_end(store: LocalStore) -> None:
    await finish(store)


async def finished(store: LocalStore) -> None:
    await all_bytes(store)
    await finish(store)


async def expire(store: LocalStore) -> None:
    upload = await store.load("one")
    await store.save(replace(upload, state=UploadState.EXPIRED))
    await store.discard(upload)


async def delete(store: LocalStore) -> None:
    await store.delete("one")


SCENARIOS: dict[str, tuple[Callable[[LocalStore], Awaitable[None]], ...]] = {
    # name: what is there before, what is interrupted
    "create": (nothing, create),
    "save": (begin, save),
    "atomic-append": (begin, append_atomically),
    "revoked-append": (begin, leave_uncommitted),
    "plain-append-after-a-crash": (begin_and_crash, append_plainly),
    "atomic-append-after-a-crash": (begin_and_crash, append_atomically),
    "join": (partials, join),
    "finish-a-final": (partials, join_to_the_end),
    "finish": (all_bytes, to_the_end),
    "expire-unfinished": (begin_and_crash, expire),
    "expire-finished": (finished, expire),
    "delete-unfinished": (begin_and_crash, delete),
    "delete-finished": (finished, delete),
}


class Bomb:
    """Counts steps and ends the process at the k-th."""

    def __init__(self, strikes_at: int) -> None:
        self._left = strikes_at

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os._exit(CRASHED)

    def whole(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return function(*args, **kwargs)

        return call

    def open(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if not flags & os.O_CREAT:
                return function(path, flags, *args, **kwargs)
            self.step()
            descriptor = function(path, flags, *args, **kwargs)
            self.step()  # there, and empty
            return descriptor

        return call

    def write(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(descriptor: int, data: memoryview) -> int:
            self.step()
            half = function(descriptor, data[: len(data) // 2 + 1])
            self.step()
            return half

        return call

    def pwrite(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(descriptor: int, data: memoryview, position: int) -> int:
            self.step()
            half = function(descriptor, data[: len(data) // 2], position)
            self.step()
            return half + function(descriptor, data[half:], position + half)

        return call

    def copy(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(source: int, target: int, count: int, start: int, position: int) -> int:
            self.step()
            piece = count // 2 if count > SHORT else count
            done = function(source, target, piece, start, position)
            self.step()
            return done

        return call

    def arm(self) -> None:
        for name in STEPS:
            setattr(os, name, self.whole(getattr(os, name)))
        os.open = self.open(os.open)
        os.write = self.write(os.write)
        os.pwrite = self.pwrite(os.pwrite)
        os.copy_file_range = self.copy(os.copy_file_range)


def in_a_process(work: Callable[[], None]) -> int:
    """The exit code of a process of its own that did `work`."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must not get any further than this
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main(name: str, durability: str, folder: Path) -> None:
    prepare, act = SCENARIOS[name]

    def run(deed: Callable[[LocalStore], Awaitable[None]], root: Path, bomb: Bomb | None = None) -> None:
        async def do() -> None:
            store = LocalStore(str(root), durability=durability)
            if bomb is not None:
                bomb.arm()
            await deed(store)

        asyncio.run(do())

    if in_a_process(lambda: run(prepare, folder / "before")):
        raise SystemExit(1)
    for count in itertools.count(1):
        root = folder / str(count)
        shutil.copytree(folder / "before", root)
        code = in_a_process(lambda root=root, count=count: run(act, root, Bomb(count)))  # type: ignore[misc]
        if code == 0:
            return
        if code != CRASHED:
            raise SystemExit(f"step {count} ended with {code}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
