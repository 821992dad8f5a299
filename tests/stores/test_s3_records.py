"""What a record says of how bytes are kept: read back as written, and never guessed at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stores.s3_bench import make_fake_store
from tests.stores.s3_fake import FakeS3
from tusd_py.core.errors import RecordCorruptError, TusdError
from tusd_py.stores.s3_records import Note, format_entry, parse_entry
from tusd_py.testing.kit import make_upload, sample, start

UPLOAD = make_upload(length=3500, raw="filename aGVsbG8udHh0")
NOTE = Note(key="ours/uploads/one.bin", part_size=1000, writer="w", token="t", multipart="m")

texts = st.text(max_size=8)
numbers = st.integers(1, 10_000)
notes = st.builds(
    Note,
    key=texts,
    part_size=numbers,
    writer=texts,
    token=texts,
    multipart=st.none() | texts,
    epoch=numbers,
    suspect_from=st.none() | numbers,
    pins=st.lists(st.tuples(numbers, texts), max_size=4).map(tuple),
    tails=st.lists(texts, max_size=4).map(tuple),
    is_discarded=st.booleans(),
)


@given(note=notes)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    """All of it, in its types: it is compared with what is listed."""
    assert parse_entry(format_entry(UPLOAD, note)) == (UPLOAD, note)


def changed(**fields: Any) -> bytes:
    """A record with other fields of its note; None removes one."""
    record = json.loads(format_entry(UPLOAD, NOTE))
    for name, value in fields.items():
        if value is None:
            del record["s3"][name]
        else:
            record["s3"][name] = value
    return json.dumps(record).encode()


CORRUPT = {
    "empty": b"",
    "torn": format_entry(UPLOAD, NOTE)[:-20],
    "no JSON": b"<html></html>",
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "a number": b"5",
    "no upload": b'{"s3": {}}',
    "no note": json.dumps({"upload": json.loads(format_entry(UPLOAD, NOTE))["upload"]}).encode(),
    "deeply nested": b'{"upload": ' + b"[" * 100_000,
    "no part size": changed(part_size=None),
    "a part size of 0": changed(part_size=0),
    "a part size of text": changed(part_size="1000"),
    "no key": changed(key=None),
    "an epoch of text": changed(epoch="one"),
    "no pins": changed(pins=None),
    "pins that are none": changed(pins=[5]),
    "pins of text": changed(pins=[["one", "etag"]]),
    "tails that are none": changed(tails=5),
    "a field nobody knows": changed(unheard_of=1),
}


@pytest.mark.parametrize("data", CORRUPT.values(), ids=CORRUPT)
def test_a_record_that_cannot_be_understood_is_corrupt(data: bytes) -> None:
    """What of the bytes counts cannot be told without it."""
    with pytest.raises(RecordCorruptError):
        parse_entry(data)


@pytest.mark.parametrize(
    "data", [CORRUPT["torn"], format_entry(make_upload("two"), NOTE)], ids=["torn", "two"]
)
async def test_nothing_is_done_to_an_upload_whose_record_is_corrupt(data: bytes) -> None:
    """Neither loaded nor appended to, removed or overwritten; the others are as before."""
    server = FakeS3()
    store = make_fake_store(server)
    await start(store, sample(1200), "one")
    await start(store, sample(300), "two")
    server.client().put_object(Bucket="bucket", Key="ours/state/one.json", Body=data)
    before = dict(server.objects)

    for attempt in (store.load, store.delete, lambda _: store.create(UPLOAD), lambda _: store.save(UPLOAD)):
        with pytest.raises(TusdError):
            await attempt("one")

    assert server.objects == before
    assert (await store.load("two")).offset == 300
