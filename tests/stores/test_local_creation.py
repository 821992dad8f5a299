"""An id is given once, whatever a crash left in its place and whoever else is at it."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from tusd_py.core.errors import NameTakenError, StoreError
from tusd_py.core.findings import FindingKind
from tusd_py.stores import files
from tusd_py.stores.files import claimed
from tusd_py.stores.local import LocalStore
from tusd_py.testing.kit import content, ids, make_upload, put, sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    """An empty one in `tmp_path`."""
    store = LocalStore(str(tmp_path))
    yield store
    await store.close()


class Incoming:
    """A look behind the store, at the files of uploads that are not finished."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir())

    def place(self, name: str) -> str:
        return str(self._folder / name)

    def write(self, name: str, content: bytes = b"") -> None:
        (self._folder / name).write_bytes(content)

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def remove(self, name: str) -> None:
        (self._folder / name).unlink()


@pytest.fixture
def incoming(tmp_path: Path, store: LocalStore) -> Incoming:
    """That of `store`."""
    return Incoming(tmp_path / "incoming")


async def test_what_a_crash_left_is_taken_over(store: LocalStore, incoming: Incoming) -> None:
    """The id of a chunk of a form is the client's: it comes again with the same one."""
    incoming.write("one")

    await store.create(make_upload())

    assert await put(store, "one", sample(50)) == 50
    assert await content(store) == sample(50)


async def test_bytes_without_a_record_are_nobodys(store: LocalStore, incoming: Incoming) -> None:
    """Whose they were is not known: the id is refused, and they stay for a person to look at."""
    incoming.write("one", sample(10))

    with pytest.raises(NameTakenError):
        await store.create(make_upload())

    assert incoming.read("one") == sample(10)
    assert await ids(store) == []


async def test_an_id_is_refused_while_another_creates_it(store: LocalStore, incoming: Incoming) -> None:
    """The other has made the data, and not yet the record."""
    with claimed(incoming.place("one")):
        with pytest.raises(NameTakenError):
            await store.create(make_upload())
        assert "one" in incoming.names()

    await store.create(make_upload())


async def test_an_id_that_another_gives_up_meanwhile_is_free(
    store: LocalStore, incoming: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its creation fails between our two looks at the data."""
    incoming.write("one")
    open_file = os.open

    def lose(path: str, flags: int, *mode: int) -> int:
        try:
            return open_file(path, flags, *mode)
        except FileExistsError:
            incoming.remove("one")
            raise

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lose)
        await store.create(make_upload())

    assert await put(store, "one", sample(50)) == 50
    assert await content(store) == sample(50)


async def test_an_id_that_another_gives_up_in_our_hands_is_refused(
    store: LocalStore, incoming: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we have locked has lost its name: to go on would put the bytes where nobody finds them."""
    incoming.write("one")
    lock = fcntl.flock

    def lose(descriptor: int, operation: int) -> None:
        lock(descriptor, operation)
        incoming.remove("one")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lose)
        with pytest.raises(NameTakenError):
            await store.create(make_upload())

    assert incoming.names() == []
    await store.create(make_upload())


async def test_a_refusal_leaves_an_empty_upload_alone(store: LocalStore, incoming: Incoming) -> None:
    """Its data looks like what a crash left behind."""
    await store.create(make_upload(length=50))

    with pytest.raises(NameTakenError):
        await store.create(make_upload(length=7))

    assert "one" in incoming.names()
    assert (await store.load("one")).length == 50


async def test_a_refused_creation_gives_a_record_no_data(store: LocalStore, incoming: Incoming) -> None:
    """The bytes of that upload are lost, and nothing may pass for them."""
    await store.create(make_upload())
    incoming.remove("one")

    with pytest.raises(NameTakenError):
        await store.create(make_upload())

    assert "one" not in incoming.names()


@pytest.mark.parametrize("is_left", [False, True])
async def test_a_creation_that_fails_leaves_nothing(
    store: LocalStore, incoming: Incoming, monkeypatch: pytest.MonkeyPatch, is_left: bool
) -> None:
    """A full disk, with and without what a crash left in its place."""
    if is_left:
        incoming.write("one")

    def fail(_path: str, _content: bytes, *, sync: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_new", fail)
        with pytest.raises(StoreError):
            await store.create(make_upload())

    assert incoming.names() == []
    await store.create(make_upload())


async def test_without_locks_on_files_a_new_id_can_be_given(
    store: LocalStore, incoming: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems have none. What a crash left is not taken over then."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)

    await store.create(make_upload())
    incoming.write("two")
    with pytest.raises(NameTakenError):
        await store.create(make_upload("two"))


async def test_a_repair_leaves_alone_what_is_being_created(store: LocalStore, incoming: Incoming) -> None:
    """A repair and a creation, both of what was found without a record."""
    incoming.write("one")
    (finding,) = [finding async for finding in store.examine()]
    assert finding.kind is FindingKind.DATA_WITHOUT_RECORD

    with claimed(incoming.place("one")):
        await store.repair(finding)
        assert "one" in incoming.names()
    await store.repair(finding)
    assert "one" not in incoming.names()
    await store.repair(finding)
