"""What in a local storage folder does not fit together, and mending what can be mended safely."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tusd_py.core.errors import RecordCorruptError, UploadNotFoundError
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.core.model import Upload, UploadState
from tusd_py.stores.files import claimed, size_of, translated, unlink
from tusd_py.stores.local_layout import RECORD, UNFINISHED, Layout, is_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tusd_py.stores.local_files import LocalFiles


def examine(files: LocalFiles) -> list[Finding]:
    """Look at every file once."""
    with translated():
        files.check_identity()
        # In this order: what is published has been on record before.
        published = _list_files(files.layout.published)
        incoming = _list_files(files.layout.incoming)
        known = {name.removesuffix(RECORD) for name in incoming if name.endswith(RECORD)}
        findings = list(_examine_incoming(files, incoming, known))
        findings += _examine_published(files.layout, published, known)
        return findings


def _list_files(folder: str) -> list[str]:
    """Folders in there (`lost+found`) are not ours."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))


def repair(files: LocalFiles, finding: Finding) -> None:
    """See tusd_py.core.ports.Store.repair."""
    if not finding.is_repairable:
        return
    layout, subject = files.layout, finding.subject
    with translated():
        match finding.kind:
            case FindingKind.TORN_TEMPORARY:
                unlink(os.path.join(layout.incoming, os.path.basename(subject)))
            case FindingKind.DATA_WITHOUT_RECORD:
                _remove_orphan(layout, subject)
            case FindingKind.RECORD_WITHOUT_DATA:
                if size_of(layout.data(subject)) is None:
                    unlink(layout.record(subject))
            case FindingKind.OFFSET_BEYOND_LENGTH:
                upload = files.read(subject).upload
                if upload.length is not None and (size_of(layout.data(subject)) or 0) > upload.length:
                    os.truncate(layout.data(subject), upload.length)
            case _:
                return  # finished by the engine, or for a person to look at


def _remove_orphan(layout: Layout, upload_id: str) -> None:
    """Not where an upload is just being created."""
    data = layout.data(upload_id)
    with contextlib.suppress(FileNotFoundError, FileExistsError), claimed(data, makes=False):
        if size_of(layout.record(upload_id)) is None:
            unlink(data)


def _examine_incoming(files: LocalFiles, names: list[str], known: set[str]) -> Iterator[Finding]:
    for name in names:
        path = os.path.join(files.layout.incoming, name)
        try:
            since = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
        except FileNotFoundError:  # at work beside us
            continue
        finding = _examine_name(files, name, known, since)
        if finding is not None:
            yield finding


def _examine_name(files: LocalFiles, name: str, known: set[str], since: datetime) -> Finding | None:
    if name.endswith(UNFINISHED):
        detail = "a write that a crash interrupted"
        return _found(FindingKind.TORN_TEMPORARY, name, detail, since, is_repairable=True)
    if name.endswith(RECORD):
        return _examine_record(files, name.removesuffix(RECORD), since)
    if name in known or name.startswith("."):
        return None
    size = size_of(os.path.join(files.layout.incoming, name)) or 0
    detail = f"{size} bytes of an upload that is not on record"
    is_repairable = size == 0 and is_id(name)  # a file of any other name was never ours
    return _found(FindingKind.DATA_WITHOUT_RECORD, name, detail, since, is_repairable=is_repairable)


def _examine_record(files: LocalFiles, upload_id: str, since: datetime) -> Finding | None:
    try:
        record = files.read(upload_id)
    except RecordCorruptError as error:
        return _found(FindingKind.CORRUPT_RECORD, upload_id, str(error), since, is_repairable=False)
    except UploadNotFoundError:  # removed beside us
        return None
    upload, mark = record.upload, record.mark
    if upload.state is UploadState.EXPIRED:
        return None
    data = size_of(files.layout.data(upload_id))
    place = size_of(files.layout.public(upload)) if data is None else data
    if upload.state is UploadState.COMPLETE:
        return _examine_complete(files, upload, since)
    if place is None:
        # Only what was never published: its bytes and its record lie in one folder, so both are seen.
        detail, is_open = "the bytes of an unfinished upload are gone", upload.state is UploadState.OPEN
        return _found(FindingKind.RECORD_WITHOUT_DATA, upload_id, detail, since, is_repairable=is_open)
    return _examine_unfinished(
        replace(upload, offset=place if mark is None else min(place, mark)), place, since
    )


def _examine_complete(files: LocalFiles, upload: Upload, since: datetime) -> Finding | None:
    layout = files.layout
    size = size_of(layout.public(upload) if upload.is_published else layout.data(upload.id))
    if size == upload.length:
        return None
    what = "gone" if size is None else f"{size} bytes long instead of {upload.length}"
    detail = f"the finished file {upload.name} is {what}"
    return _found(FindingKind.RECORD_WITHOUT_DATA, upload.id, detail, since, is_repairable=False)


def _examine_unfinished(upload: Upload, size: int, since: datetime) -> Finding | None:
    if upload.length is not None and size > upload.length:
        detail = f"{size} bytes are stored of {upload.length}"
        return _found(FindingKind.OFFSET_BEYOND_LENGTH, upload.id, detail, since, is_repairable=True)
    if upload.awaits_completion:
        detail = "all bytes are stored, but it is not finished"
        return _found(FindingKind.STUCK_COMPLETING, upload.id, detail, since, is_repairable=True)
    return None


def _examine_published(layout: Layout, names: list[str], known: set[str]) -> Iterator[Finding]:
    for name in names:
        if name.startswith(".") or name.partition(".")[0] in known:
            continue
        size = size_of(os.path.join(layout.published, name))
        if size is None:
            continue
        since = datetime.fromtimestamp(os.stat(os.path.join(layout.published, name)).st_mtime, UTC)
        detail = f"a finished file of {size} bytes that no record knows"
        yield _found(FindingKind.PUBLISHED_WITHOUT_RECORD, name, detail, since, is_repairable=False)


def _found(
    kind: FindingKind, subject: str, detail: str, since: datetime, *, is_repairable: bool
) -> Finding:
    return Finding(kind=kind, subject=subject, detail=detail, since=since, is_repairable=is_repairable)
