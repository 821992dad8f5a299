"""Records on the local disk: a change is a line more, and counts when it is whole."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.stores.record_file import RecordFile
from tusd_py.core.errors import RecordCorruptError, StorageFullError
from tusd_py.core.model import Metadata
from tusd_py.stores.local import LocalStore
from tusd_py.stores.local_files import LONGEST_RECORD
from tusd_py.stores.records import format_record, latest, parse_record
from tusd_py.testing.kit import make_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    """One in `tmp_path` with the upload "one", whose length is 100."""
    store = LocalStore(str(tmp_path))
    await store.create(make_upload(length=100))
    yield store
    await store.close()


@pytest.fixture
def record(tmp_path: Path) -> RecordFile:
    """That of `store`."""
    return RecordFile(tmp_path)


async def length_of(store: LocalStore, record: RecordFile) -> int | None:
    """The length that everybody finds."""
    return (await record.load(store)).length


async def test_a_change_is_a_line_more(store: LocalStore, record: RecordFile) -> None:
    """In the same file: on ext4 each file that goes away makes it slower to create others."""
    before, inode = record.read(), record.inode

    for length in (7, 8):
        await store.save(replace(await store.load("one"), length=length))
        assert await length_of(store, record) == length

    assert record.inode == inode
    assert record.read().startswith(before)
    assert len(record.read().splitlines()) == 3


async def test_a_torn_line_does_not_count(store: LocalStore, record: RecordFile) -> None:
    """Wherever it was torn: the record is the one from before, and the next change is whole again."""
    whole = record.read()
    line = format_record(make_upload(length=7)) + b"\n"

    for end in range(len(line)):
        record.write(whole + line[:end])
        assert await length_of(store, record) == 100, end
    record.write(whole + line)
    assert await length_of(store, record) == 7

    for end in (1, len(line) // 2, len(line) - 1):
        record.write(whole + line[:end])
        await store.save(replace(await store.load("one"), length=9))
        assert await length_of(store, record) == 9


async def test_what_a_loss_of_power_left_behind_does_not_count(
    store: LocalStore, record: RecordFile
) -> None:
    """Some file systems know of the length of a file before they know of its bytes."""
    record.write(record.read() + bytes(200))

    assert await length_of(store, record) == 100
    await store.save(replace(await store.load("one"), length=9))
    assert await length_of(store, record) == 9


async def test_a_line_that_cannot_be_read_is_not_passed_over(store: LocalStore, record: RecordFile) -> None:
    """It was written whole, so what came before is out of date: a person has to look."""
    record.write(record.read() + b'{"version": 1}\n')

    with pytest.raises(RecordCorruptError):
        await store.load("one")


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_record_in_several_lines_is_read(store: LocalStore, record: RecordFile, end: bytes) -> None:
    """As somebody writes it who has mended it by hand; it is one line again after the next change."""
    record.break_lines(end)

    assert await length_of(store, record) == 100
    await store.save(replace(await store.load("one"), length=9))
    assert await length_of(store, record) == 9


async def test_a_long_record_is_replaced(store: LocalStore, record: RecordFile) -> None:
    """What takes long to come to its end has many lines; the file does not grow for ever."""
    seen = []
    for length in range(100, 160):
        await store.save(replace(await store.load("one"), length=length))
        assert await length_of(store, record) == length
        seen.append(len(record.read()))

    assert max(seen) <= LONGEST_RECORD
    assert sorted(seen) != seen


async def test_a_record_longer_than_that_is_replaced_each_time(
    store: LocalStore, record: RecordFile
) -> None:
    """Metadata may be long."""
    long = replace(make_upload(), metadata=Metadata.parse(f"a {'QUJD' * 2000}"))
    for length in (7, 8):
        await store.save(replace(long, length=length))

        assert await length_of(store, record) == length
        assert len(record.read().splitlines()) == 1


async def test_a_disk_that_fills_up_within_a_line_changes_nothing(
    store: LocalStore, record: RecordFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that takes a part, and then an error."""
    upload, write = await store.load("one"), os.write
    room = [40]

    def fill(descriptor: int, content: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(StorageFullError):
            await store.save(replace(upload, length=7))

    assert await length_of(store, record) == 100
    await store.save(replace(upload, length=8))
    assert await length_of(store, record) == 8


def test_the_latest_of_nothing_is_no_record() -> None:
    """An empty file, blank lines and half a line are not taken for one."""
    for data in (b"", b"\n", b"\n\n", b'{"version": 1', b'{"version": 1}\n\n'):
        with pytest.raises(RecordCorruptError):
            parse_record(latest(data))
