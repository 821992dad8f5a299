"""The record of an upload as JSON: everything but the offset, which is measured in the data itself.

`deliveries` is there only while there are any. A record without it is one of before there were
deliveries, or of an upload that has none: both have nothing to deliver.

A file of records grows by lines. Some are marks: how many bytes count, whatever lies beyond.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from tusd_py.core.errors import RecordCorruptError
from tusd_py.core.model import Delivery, Metadata, Upload, UploadKind, UploadState

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1

_MARK = re.compile(rb'^\{"mark": (?:([0-9]+)|null)\}\n', re.MULTILINE)


def format_record(upload: Upload) -> bytes:
    """The record's bytes."""
    fields: dict[str, object] = {
        "version": VERSION,
        "id": upload.id,
        "name": upload.name,
        "created_at": upload.created_at.isoformat(),
        "length": upload.length,
        "state": upload.state.value,
        "metadata": upload.metadata.raw,
        "kind": upload.kind.value,
        "concat": upload.concat,
        "parts": upload.parts,
        "expires_at": _format_moment(upload.expires_at),
    }
    if upload.secret:
        fields["secret"] = upload.secret
    if upload.deliveries:
        fields["deliveries"] = [_format_delivery(delivery) for delivery in upload.deliveries]
    return json.dumps(fields).encode()


def format_mark(offset: int | None) -> bytes:
    """A line that says that no byte beyond `offset` counts; None: all do, as without any mark."""
    return b'{"mark": %s}\n' % (b"null" if offset is None else b"%d" % offset)


def latest_mark(data: bytes) -> int | None:
    """What the last mark says that was written whole."""
    marks = _MARK.findall(data)
    return int(marks[-1]) if marks and marks[-1] else None


def latest(data: bytes) -> bytes:
    """Of records that were written one behind the other, a line each, the last that was written whole.

    What does not look like that, as when somebody has broken the lines of a record, is one record. Marks
    are passed over.
    """
    data = _MARK.sub(b"", data)
    line = data.rpartition(b"\n")[0].rpartition(b"\n")[2]
    return line if line.startswith(b"{") else data


def parse_record(data: bytes) -> Upload:
    """The upload that `data` describes, at offset 0. Raises RecordCorruptError."""
    try:
        fields = json.loads(data)
        if fields["version"] != VERSION:
            raise RecordCorruptError(f"record version {fields['version']!r} is not {VERSION}")
        return Upload(
            id=_text(fields["id"]),
            name=_text(fields["name"]),
            created_at=datetime.fromisoformat(fields["created_at"]),
            length=_length(fields["length"]),
            state=UploadState(fields["state"]),
            metadata=Metadata.parse(fields["metadata"]),
            kind=UploadKind(fields["kind"]),
            concat=_text(fields["concat"]),
            parts=tuple(_text(part) for part in fields["parts"]),
            expires_at=_moment(fields["expires_at"]),
            deliveries=tuple(_delivery(each) for each in fields.get("deliveries", ())),
            secret=_text(fields.get("secret", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordCorruptError(f"a record cannot be read: {error!r}") from error


def _format_moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _format_delivery(delivery: Delivery) -> dict[str, object]:
    return {
        "name": delivery.name,
        "attempts": delivery.attempts,
        "due_at": _format_moment(delivery.due_at),
    }


def _delivery(value: Mapping[str, object]) -> Delivery:
    attempts = _length(value["attempts"])
    return Delivery(name=_text(value["name"]), attempts=attempts or 0, due_at=_moment(value["due_at"]))


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(_text(value)) if value else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _length(value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise TypeError(f"{value!r} is no length")
    return value


@dataclass(slots=True)
class Parsed:
    """A file of records, its last record as an upload at offset 0, and its last mark."""

    data: bytes
    upload: Upload
    mark: int | None
    _measured: Upload

    @classmethod
    def of(cls, data: bytes) -> Parsed:
        """Raises RecordCorruptError."""
        upload = parse_record(latest(data))
        return cls(data, upload, latest_mark(data), upload)

    def at(self, offset: int) -> Upload:
        """The upload at that offset."""
        measured = self._measured
        if measured.offset != offset:
            measured = self._measured = replace(self.upload, offset=offset)
        return measured


class ParsedRecords:
    """Files of records as they were parsed last: the same bytes are not parsed again. Any thread may ask.

    At most `most` are kept. What is on the disk is read each time, so nothing here can be out of date.
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._known: dict[str, Parsed] = {}

    def parse(self, upload_id: str, data: bytes) -> Parsed:
        """See `Parsed.of`."""
        known = self._known.get(upload_id)
        if known is not None and known.data == data:
            return known
        parsed = Parsed.of(data)
        self._known.pop(upload_id, None)
        self._known[upload_id] = parsed
        if len(self._known) > self._most:
            with contextlib.suppress(StopIteration, KeyError, RuntimeError):  # another thread was faster
                del self._known[next(iter(self._known))]
        return parsed
