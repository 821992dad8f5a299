"""The device is kept at work while a file grows that will be forced to it."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import pytest

from tusd_py.stores import write_back
from tusd_py.stores.local import LocalStore
from tusd_py.stores.write_back import EVERY, WriteBack
from tusd_py.testing.kit import content, make_upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20


class Waiting(Executor):
    """Keeps what it is given, and ends it when it is told."""

    def __init__(self) -> None:
        self.given: list[tuple[Any, ...]] = []
        self.running: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.given.append(args)
        self.running.append(Future())
        return self.running[-1]


def test_every_byte_but_the_last_few_is_begun_once() -> None:
    """One start at a time, and what came during one belongs to the next."""
    pool = Waiting()
    file = WriteBack(7, 100, pool)

    for position in range(100 + MIB, 100 + 41 * MIB, MIB):
        file.reached(position)
        if position == 100 + 20 * MIB:
            pool.running[0].set_result(None)

    assert pool.given == [(7, 100, EVERY), (7, 100 + EVERY, 13 * MIB)]


@pytest.mark.parametrize("durability", ["os", "finish", "commit"])
async def test_only_what_will_be_forced_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    """The range is that of the upload's own file, which is open as long as somebody works on it."""
    found: list[tuple[int, int]] = []
    file = tmp_path / "incoming" / "one"

    def note(descriptor: int, _start: int, count: int) -> None:
        assert os.fstat(descriptor).st_ino == file.stat().st_ino
        found.append((_start, count))

    monkeypatch.setattr(write_back, "start_writing", note)
    store = LocalStore(str(tmp_path), durability=durability)
    upload = make_upload(length=None)
    await store.create(upload)
    whole = os.urandom(2 * EVERY + 5)

    async with store.append(upload) as appender:
        for start in range(0, len(whole), EVERY):
            await appender.write(whole[start : start + EVERY])
        assert await appender.commit() == len(whole)

    begun = sum(count for _, count in found)
    # Who is still at the first piece leaves the second to the next start.
    assert begun == 0 if durability == "os" else begun in {EVERY, 2 * EVERY}
    assert await content(store) == whole
    await store.close()
