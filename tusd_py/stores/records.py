"""The record of an upload as JSON: everything but the offset, which is measured in the data itself."""

from __future__ import annotations

import json
from datetime import datetime

from tusd_py.core.errors import RecordCorruptError
from tusd_py.core.model import Metadata, Upload, UploadState

VERSION = 1


def format_record(upload: Upload) -> bytes:
    """The record's bytes."""
    return json.dumps(
        {
            "version": VERSION,
            "id": upload.id,
            "name": upload.name,
            "created_at": upload.created_at.isoformat(),
            "length": upload.length,
            "state": upload.state.value,
            "metadata": upload.metadata.raw,
        }
    ).encode()


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
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordCorruptError(f"a record cannot be read: {error!r}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _length(value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise TypeError(f"{value!r} is no length")
    return value
