"""What says on the local disk that bytes do not count yet: a line in the record, as safe as the record."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.stores.record_file import RecordFile
from tusd_py.core.errors import RecordCorruptError, StorageFullError
from tusd_py.core.model import Metadata
from tusd_py.stores import files, local_files
from tusd_py.stores.files import size_of
from tusd_py.stores.local import LocalStore
from tusd_py.stores.local_files import LONGEST_RECORD
from tusd_py.stores.records import format_mark, format_record, latest, latest_mark
from tusd_py.testing.kit import content, make_upload, put, sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

BEFORE, CHUNK = sample(10), sample(10, 1)
LONG = Metadata.parse(f"a {'QUJD' * 2000}")
"""More than a record grows to."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    """One in `tmp_path` with the upload "one", which has the bytes BEFORE."""
    store = LocalStore(str(tmp_path))
    await store.create(make_upload(length=100_000))
    await put(store, "one", BEFORE)
    yield store
    await store.close()


@pytest.fixture
def record(tmp_path: Path) -> RecordFile:
    """That of `store`."""
    return RecordFile(tmp_path)


def crash(record: RecordFile) -> None:
    """Leave what an atomic append of CHUNK leaves that ends with its process."""
    record.write(record.read() + format_mark(len(BEFORE)))
    with (record.root / "incoming" / "one").open("ab") as data:
        data.write(CHUNK)


def find_no_room(_path: str, _content: bytes, *, sync: bool) -> None:
    """In place of `files.write_new`."""
    raise OSError(errno.ENOSPC, "No space left on device")


async def offset_of(store: LocalStore, record: RecordFile) -> int:
    """The offset that everybody finds."""
    return (await record.load(store)).offset


async def test_an_atomic_append_makes_no_file(store: LocalStore, record: RecordFile) -> None:
    """None comes and none goes, neither with a commit nor without: ext4 has the next one pay for each."""
    names, inode = record.neighbours(), record.inode

    for number in range(3):
        async with store.append(await store.load("one"), atomic=True) as appender:
            await appender.write(CHUNK)
            assert record.neighbours() == names
            if number:
                await appender.commit()
        assert latest_mark(record.read()) is None

    assert record.neighbours() == names
    assert record.inode == inode
    assert await content(store) == BEFORE + 2 * CHUNK


async def test_a_mark_counts_from_its_last_byte_on(store: LocalStore, record: RecordFile) -> None:
    """Wherever its writing was torn: not yet there, or still there."""
    whole, mark, end = record.read(), format_mark(len(BEFORE)), format_mark(None)
    crash(record)

    for count in range(len(mark)):
        record.write(whole + mark[:count])
        assert await offset_of(store, record) == len(BEFORE + CHUNK), count
    for count in range(len(end)):
        record.write(whole + mark + end[:count])
        assert await offset_of(store, record) == len(BEFORE), count
    record.write(whole + mark + end)
    assert await offset_of(store, record) == len(BEFORE + CHUNK)


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[LocalStore]:
    """A process of its own on the storage of `store`."""
    store = LocalStore(str(tmp_path))
    yield store
    await store.close()


class Interference:
    """What another process does while the bytes are measured, before the look and after it; once each."""

    def __init__(self, *, before: Iterator[object], after: Iterator[object]) -> None:
        self._before, self._after = before, after

    def size_of(self, path: str) -> int | None:
        next(self._before, None)
        size = size_of(path)
        next(self._after, None)
        return size


@pytest.mark.parametrize("metadata", ["", LONG.raw], ids=["short", "long"])
@pytest.mark.parametrize("ends", ["before", "after"])
async def test_who_looks_beside_an_atomic_append_never_sees_its_bytes(
    store: LocalStore,
    other: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    ends: str,
    metadata: str,
) -> None:
    """Not when it begins between the looks at the record and at the bytes, nor when it is left there."""
    await store.save(replace(await store.load("one"), metadata=Metadata.parse(metadata)))
    upload = await store.load("one")

    def append() -> Iterator[None]:
        descriptor = other._files.open_at(upload, atomic=True)
        os.pwrite(descriptor, CHUNK, len(BEFORE))
        yield
        other._files.revoke(descriptor, upload)
        os.close(descriptor)

    steps = append()
    before, after = {"before": (steps, iter(())), "after": (steps, steps)}[ends]
    with monkeypatch.context() as patch:
        patch.setattr(local_files, "size_of", Interference(before=before, after=after).size_of)
        seen = await store.load("one")
        list(steps)

    assert seen == upload
    assert await content(store) == BEFORE


@pytest.mark.parametrize("torn", [b"", b"{", b'{"mark": nul', b'{"version": 1, "id"'])
async def test_a_change_of_the_record_leaves_the_mark_in_force(
    store: LocalStore, record: RecordFile, torn: bytes
) -> None:
    """Behind it, and also where the file begins anew, since it is long or its last line was torn."""
    crash(record)
    record.write(record.read() + torn)

    sizes = []
    for length in range(100, 140):
        await store.save(replace(await store.load("one"), length=length))
        assert await offset_of(store, record) == len(BEFORE)
        assert (await store.load("one")).length == length
        sizes.append(len(record.read()))

    assert sorted(sizes) != sizes, "the file never began anew"
    await put(store, "one", b"next")
    assert await content(store) == BEFORE + b"next"


@pytest.mark.parametrize("torn", [b"", b"{", b'{"version": 1, "id"'])
async def test_a_mark_leaves_the_record_as_it_is(
    store: LocalStore, record: RecordFile, torn: bytes
) -> None:
    """However often one comes and goes, and the file begins anew; it never grows beyond its measure."""
    expected = latest(record.read())
    record.write(record.read() + torn)

    sizes = []
    for number in range(1, 300):
        await put(store, "one", CHUNK, atomic=True)
        assert await offset_of(store, record) == len(BEFORE) + number * len(CHUNK)
        assert latest(record.read()) == expected
        sizes.append(len(record.read()))

    assert max(sizes) <= LONGEST_RECORD
    assert sorted(sizes) != sizes, "the file never began anew"
    assert await content(store) == BEFORE + 299 * CHUNK


@pytest.mark.parametrize("room", range(len(format_mark(None)) + 1))
async def test_where_there_was_room_for_a_mark_there_is_room_to_take_it_back(
    store: LocalStore, record: RecordFile, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """A disk that has become full meanwhile, however few bytes were left of those a file grows to."""
    upload = await store.load("one")
    line = format_record(upload) + b"\n"
    padding = "k" * (LONGEST_RECORD - 2 * len(line) - len(format_mark(len(BEFORE))) - room)
    record.write(format_record(replace(upload, metadata=Metadata.parse(padding))) + b"\n" + line)

    with monkeypatch.context() as patch:
        async with store.append(await store.load("one"), atomic=True) as appender:
            await appender.write(CHUNK)
            patch.setattr(files, "write_new", find_no_room)
            await appender.commit()

    assert await content(store) == BEFORE + CHUNK


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_record_in_several_lines_can_be_marked(
    store: LocalStore, record: RecordFile, end: bytes
) -> None:
    """As somebody writes it who has mended it by hand."""
    expected = await store.load("one")
    record.break_lines(end)

    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(CHUNK)
        assert await offset_of(store, record) == len(BEFORE)
    assert await store.load("one") == expected
    await put(store, "one", CHUNK, atomic=True)

    assert await store.load("one") == replace(expected, offset=len(BEFORE + CHUNK))


async def test_a_record_that_is_long_can_be_marked(store: LocalStore, record: RecordFile) -> None:
    """Then the file is replaced each time."""
    await store.save(replace(await store.load("one"), metadata=LONG))

    async with store.append(await store.load("one"), atomic=True) as appender:
        await appender.write(CHUNK)
        assert await offset_of(store, record) == len(BEFORE)
    assert await offset_of(store, record) == len(BEFORE)
    await put(store, "one", CHUNK, atomic=True)

    assert await offset_of(store, record) == len(BEFORE + CHUNK)
    assert (await store.load("one")).metadata == LONG
    assert await content(store) == BEFORE + CHUNK


async def test_a_disk_that_is_full_when_a_long_record_has_to_be_unmarked_counts_nothing(
    store: LocalStore, record: RecordFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk is refused, and comes again from where it began."""
    await store.save(replace(await store.load("one"), metadata=LONG))

    with monkeypatch.context() as patch:
        async with store.append(await store.load("one"), atomic=True) as appender:
            await appender.write(CHUNK)
            patch.setattr(files, "write_new", find_no_room)
            with pytest.raises(StorageFullError):
                await appender.commit()

    assert await offset_of(store, record) == len(BEFORE)
    await put(store, "one", b"next")
    assert await offset_of(store, record) == len(BEFORE) + 4
    assert await content(store) == BEFORE + b"next"


async def test_a_mark_that_cannot_be_read_is_not_passed_over(store: LocalStore, record: RecordFile) -> None:
    """How much counts is not known then, and nothing is written."""
    upload = await store.load("one")
    record.write(record.read() + b'{"mark": 1x}\n')

    with pytest.raises(RecordCorruptError):
        await store.load("one")
    with pytest.raises(RecordCorruptError):
        async with store.append(upload):
            pass


def test_the_last_mark_is_the_one() -> None:
    """Among records, before them and behind; only whole lines that are nothing else are marks."""
    record, mark = b'{"version": 1}\n', format_mark(7)

    assert latest_mark(record) is None
    assert latest_mark(record + mark) == latest_mark(record + mark + record) == 7
    assert latest_mark(record + mark + format_mark(0)) == 0
    assert latest_mark(record + mark + format_mark(None)) is None
    assert latest_mark(record + format_mark(None) + mark) == 7
    assert latest_mark(record + b" " + mark) is None
    assert latest(mark + record + mark) == record.strip()
