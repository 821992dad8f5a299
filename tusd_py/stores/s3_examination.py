"""What in our part of a bucket does not fit together, and mending what can be mended safely.

Nothing outside the prefix is listed, removed or aborted. Everything here blocks.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tusd_py.core.errors import RecordCorruptError, UploadGoneError, UploadNotFoundError
from tusd_py.core.findings import Finding, FindingKind
from tusd_py.core.model import UploadState
from tusd_py.stores.s3_layout import DATA, TAIL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from tusd_py.stores.s3_calls import Multipart, Stored
    from tusd_py.stores.s3_ledger import Ledger
    from tusd_py.stores.s3_settled import Finished

Listing = dict[str, "Stored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Met:
    """What the rest of the bucket is compared with, of an upload that was looked at."""

    multipart: str | None
    is_complete: bool


def examine(ledger: Ledger) -> Iterator[list[Finding]]:
    """Look at every object and every multipart upload once; what was found, step by step.

    A step is a few calls, so that whoever has to stop can do so between two of them. What is finished
    for good, by a record that is known and with its object in the listing, is not read.
    """
    layout, bucket = ledger.layout, ledger.bucket
    # In this order: what is published, or begun, has been on record before.
    multiparts = bucket.list_multiparts(layout.published) + bucket.list_multiparts(layout.state)
    published: Listing = {}
    yield from _list(ledger, layout.published, published)
    state: Listing = {}
    yield from _list(ledger, layout.state, state)
    known = {upload_id for key in state if (upload_id := layout.recorded(key))}
    met: dict[str, _Met] = {}
    for upload_id in sorted(known):
        finished = _meet(ledger, upload_id, state, published)
        if finished is not None:
            met[upload_id] = _Met(multipart=finished.multipart, is_complete=True)
            continue
        with suppress(UploadNotFoundError):  # removed beside us
            yield list(_examine_upload(ledger, upload_id, state, met))
    yield [
        *_examine_multiparts(ledger, multiparts, known, met),
        *_examine_state(ledger, state, known, met),
        *_examine_published(ledger, published, known),
    ]


def _list(ledger: Ledger, prefix: str, found: Listing) -> Iterator[list[Finding]]:
    """All objects whose keys begin so, into `found`, a page in each step."""
    page, after = ledger.bucket.list_page(prefix, None)
    found.update(page)
    while after is not None:
        yield []
        page, after = ledger.bucket.list_page(prefix, after)
        found.update(page)


def _meet(ledger: Ledger, upload_id: str, state: Listing, published: Listing) -> Finished | None:
    met = ledger.settled.meet(upload_id, state[ledger.layout.record(upload_id)].etag)
    stored = met and (published.get(met.key) or state.get(met.key))
    return met if met and stored and stored.size == met.size else None


def _examine_upload(
    ledger: Ledger, upload_id: str, state: Listing, met: dict[str, _Met]
) -> Iterator[Finding]:
    since = state[ledger.layout.record(upload_id)].modified_at
    try:
        account = ledger.read(upload_id)
    except RecordCorruptError as error:
        yield _found(FindingKind.CORRUPT_RECORD, upload_id, str(error), since, False)
        return
    is_complete = account.upload.state is UploadState.COMPLETE
    met[upload_id] = _Met(multipart=account.note.multipart, is_complete=is_complete)
    try:
        ledger.measure(account)
    except UploadGoneError:
        upload = account.upload
        what = "finished file" if upload.state is UploadState.COMPLETE else f"{upload.state} upload"
        detail = f"the bytes of the {what} are gone"
        is_open = upload.state is UploadState.OPEN
        yield _found(FindingKind.RECORD_WITHOUT_DATA, upload_id, detail, since, is_open)
        return
    if account.told().awaits_completion:
        detail = "all bytes are stored, but it is not finished"
        yield _found(FindingKind.STUCK_COMPLETING, upload_id, detail, since, True)


def _examine_multiparts(
    ledger: Ledger, multiparts: Sequence[Multipart], known: set[str], met: Mapping[str, _Met]
) -> Iterator[Finding]:
    used = {each.multipart for each in met.values()}
    unread = known - met.keys()  # of a record that cannot be read, nothing is certain
    for multipart in multiparts:
        if multipart.upload_id not in used and ledger.layout.owner(multipart.key) not in unread:
            subject = f"{multipart.key}?uploadId={multipart.upload_id}"
            detail = "a multipart upload that no record knows; its parts cost storage"
            yield _found(FindingKind.ORPHANED_MULTIPART, subject, detail, multipart.begun_at, True)


def _examine_state(
    ledger: Ledger, state: Listing, known: set[str], met: Mapping[str, _Met]
) -> Iterator[Finding]:
    for key, stored in state.items():
        owner = ledger.layout.owner(key)
        if owner is None or ledger.layout.recorded(key):
            continue
        if owner not in known:
            what = "bytes of a partial upload" if key.endswith(DATA) else "bytes behind the last part"
            detail = f"{stored.size} {what} that is not on record"
            is_tail = TAIL in key
            yield _found(FindingKind.DATA_WITHOUT_RECORD, key, detail, stored.modified_at, is_tail)
        elif TAIL in key and owner in met and met[owner].is_complete:
            detail = "what a finished upload was made of"
            yield _found(FindingKind.TORN_TEMPORARY, key, detail, stored.modified_at, True)


def _examine_published(ledger: Ledger, published: Listing, known: set[str]) -> Iterator[Finding]:
    for key, stored in published.items():
        if ledger.layout.owner(key) in known:
            continue
        name = key.removeprefix(ledger.layout.published)
        detail = f"a finished file of {stored.size} bytes that no record knows"
        yield _found(FindingKind.PUBLISHED_WITHOUT_RECORD, name, detail, stored.modified_at, False)


def repair(ledger: Ledger, finding: Finding) -> None:
    """See tusd_py.core.ports.Store.repair. What is to be removed is looked at once more before."""
    if not finding.is_repairable:
        return
    match finding.kind:
        case FindingKind.ORPHANED_MULTIPART:
            _abort_orphan(ledger, finding.subject)
        case FindingKind.DATA_WITHOUT_RECORD | FindingKind.TORN_TEMPORARY:
            _remove_tail(ledger, finding.subject)
        case FindingKind.RECORD_WITHOUT_DATA:
            _forget_lost(ledger, finding.subject)
        case _:
            return  # finished by the engine, or for a person to look at


def _abort_orphan(ledger: Ledger, subject: str) -> None:
    key, _, multipart = subject.partition("?uploadId=")
    owner = ledger.layout.owner(key)
    if owner is None:
        return
    with suppress(UploadNotFoundError):
        if ledger.read(owner).note.multipart == multipart:
            return
    ledger.bucket.abort_multipart(key, multipart)


def _remove_tail(ledger: Ledger, key: str) -> None:
    owner = ledger.layout.owner(key)
    if owner is None or TAIL not in key:
        return
    with suppress(UploadNotFoundError):
        if ledger.read(owner).upload.state is not UploadState.COMPLETE:
            return
    ledger.remove([key])


def _forget_lost(ledger: Ledger, upload_id: str) -> None:
    with suppress(UploadNotFoundError):
        account = ledger.read(upload_id)
        try:
            ledger.measure(account)
        except UploadGoneError:
            if account.upload.state is UploadState.OPEN:
                ledger.delete(account)


def _found(kind: FindingKind, subject: str, detail: str, since: datetime, is_repairable: bool) -> Finding:
    return Finding(kind=kind, subject=subject, detail=detail, since=since, is_repairable=is_repairable)
