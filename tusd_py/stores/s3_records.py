"""The record of an upload in S3: the upload itself, and how its bytes are kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tusd_py.core.errors import RecordCorruptError
from tusd_py.stores.records import format_record, parse_record
from tusd_py.stores.s3_parts import number_at

if TYPE_CHECKING:
    from tusd_py.core.model import Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """How an upload's bytes are kept.

    `key`: the object they become. `multipart`: the id of its multipart upload, None until there is one.
    `part_size`: bytes, for good. `writer`: the process whose bytes came last; `epoch` counts the writers.

    `suspect_from`: from this part number on, what is listed counts only if it is pinned. There is
    something among it that may not count: a chunk whose checksum was wrong, or what lies behind a part
    that failed. `pins`: those that do count, by number and ETag. `tails`: likewise the keys of those
    staged segments that count.

    `is_discarded`: its bytes were removed on purpose. `token` tells two writes of a record apart.
    """

    key: str
    part_size: int
    writer: str
    token: str
    multipart: str | None = None
    epoch: int = 1
    suspect_from: int | None = None
    pins: tuple[tuple[int, str], ...] = ()
    tails: tuple[str, ...] = ()
    is_discarded: bool = False


def format_entry(upload: Upload, note: Note) -> bytes:
    """The record's bytes."""
    return json.dumps({"upload": json.loads(format_record(upload)), "s3": asdict(note)}).encode()


def parse_entry(data: bytes) -> tuple[Upload, Note]:
    """The upload, at offset 0, and the note. Raises RecordCorruptError."""
    try:
        fields = json.loads(data)
        upload = parse_record(json.dumps(fields["upload"]).encode())
        stored = fields["s3"]
        pins = tuple((int(number), str(etag)) for number, etag in stored.pop("pins"))
        tails = tuple(str(key) for key in stored.pop("tails"))
        note = Note(pins=pins, tails=tails, **stored)
        number_at(note.epoch, note.part_size)  # numbers, and not 0
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise RecordCorruptError(f"a record cannot be read: {error!r}") from error
    return upload, note
