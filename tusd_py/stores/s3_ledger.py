"""What S3 knows of an upload: its record read and replaced, its bytes measured. Everything here blocks."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from tusd_py.core.errors import (
    NameTakenError,
    RecordCorruptError,
    StoreError,
    UploadGoneError,
    UploadNotFoundError,
)
from tusd_py.core.model import Upload, UploadKind, UploadState
from tusd_py.stores import s3_parts
from tusd_py.stores.s3_calls import ConflictError, MissingError, NoSuchMultipartError, Presented
from tusd_py.stores.s3_records import Note, format_entry, parse_entry
from tusd_py.stores.s3_settled import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from typing import Any

    from tusd_py.stores.s3_calls import Bucket, Stored
    from tusd_py.stores.s3_layout import Layout
    from tusd_py.stores.s3_parts import Part, Segment

Present: TypeAlias = "Callable[[Upload], tuple[str, str]]"
"""Tells the Content-Type and the Content-Disposition that an upload's object is stored with."""


LOOKS = 5
"""How often an upload is measured whose record changes meanwhile."""


@dataclass(slots=True, kw_only=True)
class Account:
    """What is known of one upload, as of the record `raw`.

    `offset`: the bytes that count, in parts and in `segments`. `parts` are all that are listed, those
    that do not count too. `strays`: keys of segments that do not count. `is_published`: its finished
    object is there, and `published` is what is known of that, if anybody has looked.
    """

    upload: Upload
    note: Note
    raw: bytes
    etag: str
    offset: int = 0
    parts: dict[int, Part] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    is_published: bool = False
    published: Stored | None = None
    run: int = 0
    """Leading parts that are known to count, so that they are not looked at again and again."""

    @property
    def is_open_ended(self) -> bool:
        """The record does not say `complete` or `expired`: what counts was measured in pieces."""
        return self.upload.state not in {UploadState.COMPLETE, UploadState.EXPIRED}

    @property
    def whole(self) -> int:
        """The offset up to which parts count: all whole, but for the last one."""
        counted, size, length = self.counted, self.note.part_size, self.upload.length
        self.run = s3_parts.count_contiguous(counted, size, length, known=self.run)
        return self.run * size if length is None else min(self.run * size, length)

    @property
    def counted(self) -> dict[int, Part]:
        """The parts that may count: from `suspect_from` on, only what is pinned."""
        first = self.note.suspect_from
        if first is None:
            return self.parts
        pinned = dict(self.note.pins)
        return {n: p for n, p in tuple(self.parts.items()) if n < first or pinned.get(n) == p.etag}

    def recount(self) -> list[Segment]:
        """Find the offset anew in what is known; the segments that count."""
        whole = self.whole
        linked = s3_parts.chain(self.segments, whole)
        self.offset = linked[-1].stop if linked else whole
        return linked

    @property
    def modified_at(self) -> datetime:
        """When the finished object was made; of an unfinished one, only when it began."""
        return self.upload.created_at if self.published is None else self.published.modified_at

    def replaced(self, upload: Upload, note: Note) -> None:
        """Take note of what the record says now."""
        if (note.suspect_from, note.pins) != (self.note.suspect_from, self.note.pins):
            self.run = 0
        if upload.length != self.upload.length:
            self.run = 0
        self.upload, self.note = upload, note
        if upload.state is UploadState.EXPIRED:
            self.offset = 0
        elif self.is_open_ended and not self.is_published:
            self.recount()

    def publish(self, size: int) -> None:
        """Take note that the object is there, whole; its parts are no more."""
        self.is_published, self.offset = True, size
        self.parts, self.run = {}, 0

    def told(self) -> Upload:
        """The upload as the store tells it. What is published is at least `completing`."""
        upload = replace(self.upload, offset=self.offset)
        if self.is_published and upload.state is UploadState.OPEN:
            return replace(upload, state=UploadState.COMPLETING)
        return upload


class Ledger:
    """Records and measures uploads. `writer` names this store among all that share the bucket.

    `part_size` and `room` in bytes: the size of parts as far as an upload's length lets it be chosen, and
    what an upload of deferred length may grow to.
    """

    def __init__(
        self, bucket: Bucket, layout: Layout, *, part_size: int, room: int | None, present: Present
    ) -> None:
        self.bucket = bucket
        self.layout = layout
        self.writer = uuid.uuid4().hex
        self.settled = Settled()
        self._part_size = part_size
        self._room = room
        self._present = present

    # -- records ------------------------------------------------------------------------------

    def create(self, upload: Upload) -> Account:
        """Put a new upload on record; what cannot be stored in one piece gets its multipart upload."""
        part_size = s3_parts.plan_part_size(upload.length, preferred=self._part_size, room=self._room)
        key = self.layout.data(upload)
        self.layout.record(upload.id)  # says so if that cannot be an id
        note = Note(key=key, part_size=part_size, writer=self.writer, token="")
        if upload.kind is not UploadKind.FINAL and (upload.length or 0) > part_size:
            note = replace(note, multipart=self.bucket.create_multipart(key, self.shown(upload)))
        try:
            raw, etag = self._put(upload, note, etag="")
        except ConflictError as error:
            self._abort(note)
            raise NameTakenError(f"upload {upload.id} exists") from error
        return Account(upload=replace(upload, offset=0), note=note, raw=raw, etag=etag)

    def _abort(self, note: Note) -> None:
        if note.multipart is not None:
            with suppress(StoreError):  # an orphan, which the collector removes
                self.bucket.abort_multipart(note.key, note.multipart)

    def read(self, upload_id: str) -> Account:
        """The record alone. UploadNotFoundError only when it is certain that there is none."""
        try:
            raw, etag = self.bucket.get(self.layout.record(upload_id))
        except MissingError:
            raise UploadNotFoundError(upload_id) from None
        upload, note = parse_entry(raw)
        if upload.id != upload_id:
            raise RecordCorruptError(f"the record of {upload_id} speaks of {upload.id}")
        return Account(upload=upload, note=note, raw=raw, etag=etag)

    def write(self, account: Account, *, upload: Upload | None = None, **changes: Any) -> None:
        """Replace the record, if it is still the one that is known; ConflictError otherwise."""
        upload = replace(upload or account.upload, offset=0)
        note = replace(account.note, **changes)
        account.raw, account.etag = self._put(upload, note, etag=account.etag)
        account.replaced(upload, note)

    def _put(self, upload: Upload, note: Note, *, etag: str) -> tuple[bytes, str]:
        key, token = self.layout.record(upload.id), uuid.uuid4().hex
        raw = format_entry(upload, replace(note, token=token))
        try:
            return raw, self.bucket.put(key, [raw], if_match=etag, if_none=not etag)
        except (ConflictError, MissingError) as error:
            # A write whose answer was lost is tried again by boto3, and then meets itself.
            with suppress(MissingError):
                stored, stored_etag = self.bucket.get(key)
                if stored == raw:
                    return raw, stored_etag
            raise ConflictError(f"the record of {upload.id} was replaced") from error

    def shown(self, upload: Upload) -> Presented:
        """How the upload's object is stored."""
        content_type, disposition = self._present(upload)
        is_public = upload.kind is not UploadKind.PARTIAL
        return Presented(
            content_type=content_type, disposition=disposition, owner=upload.id, is_public=is_public
        )

    # -- bytes --------------------------------------------------------------------------------

    def load(self, upload_id: str) -> Account:
        """The record, and what of the bytes counts. UploadGoneError when they are certainly lost."""
        return self.settle(self.read(upload_id))

    def settle(self, account: Account) -> Account:
        """The account measured. What may not count is on record before it is stored, so a listing tells
        what counts only by a record that is still there after it."""
        for _ in range(LOOKS):
            self.measure(account)
            if account.is_published or not account.is_open_ended:
                return account
            current = self.read(account.upload.id)
            if current.raw == account.raw:
                return account
            account = current
        raise StoreError(f"the record of {account.upload.id} changes all the time")

    def measure(self, account: Account) -> None:
        """Find the offset in what is stored."""
        if account.upload.state is UploadState.EXPIRED:
            return
        if account.note.is_discarded:
            raise UploadGoneError(account.upload.id)
        if account.upload.state is UploadState.COMPLETE:
            self.find_published(account)
            self.settled.note(account)
            return
        # Before the parts and the object: a segment goes only when one of these has its bytes.
        segments = self._list_segments(account.upload.id)
        if account.note.multipart is not None:
            try:
                account.parts = self._list_parts(account.note, account.note.multipart)
            except NoSuchMultipartError:  # completed, aborted or swept: only the object can tell
                self.find_published(account)
                return
        # Older SeaweedFS lists no parts instead of saying that a multipart upload is completed.
        if not account.parts and account.upload.length is not None and self._is_published(account):
            return
        _link(account, segments)

    def _list_parts(self, note: Note, multipart: str) -> dict[int, Part]:
        pinned = dict(note.pins)
        newest: dict[int, tuple[bool, datetime, Part]] = {}
        for came_at, part in self.bucket.list_parts(note.key, multipart):
            # Listed twice: a pinned one goes first, then what came last.
            candidate = (pinned.get(part.number) == part.etag, came_at, part)
            known = newest.get(part.number)
            if known is None or candidate[:2] >= known[:2]:
                newest[part.number] = candidate
        return {number: part for number, (_, _, part) in newest.items()}

    def find_published(self, account: Account) -> None:
        """UploadGoneError unless the upload's object is there."""
        if not self._is_published(account):
            raise UploadGoneError(account.upload.id)

    def _is_published(self, account: Account) -> bool:
        """Whether the upload's own object is there, whole; the name may belong to another one."""
        stored = self.bucket.head(account.note.key)
        if stored is None or stored.owner != account.upload.id or stored.size != account.upload.length:
            return False
        account.published = stored
        account.publish(stored.size)
        return True

    def _list_segments(self, upload_id: str) -> list[Segment]:
        listed = self.bucket.list_all(self.layout.tails(upload_id))
        found = (self.layout.segment(key, stored.size) for key, stored in listed)
        return [segment for segment in found if segment is not None]

    # -- before writing -----------------------------------------------------------------------

    def prepare(self, account: Account, offset: int) -> None:
        """Make `offset` the one that counts, and us the ones who write from there on."""
        if account.is_published or not account.is_open_ended:
            raise StoreError(f"upload {account.upload.id} takes no more bytes")
        if offset > account.offset:
            raise StoreError(f"{account.offset} bytes are left of {offset}")
        changes = self._suspect(account, offset)
        if account.note.writer != self.writer:
            changes |= {"writer": self.writer, "epoch": account.note.epoch + 1}
        if changes:
            self.write(account, **changes)
        self._cut(account, offset)

    def _suspect(self, account: Account, offset: int) -> dict[str, Any]:
        """What to note so that no part behind `offset` counts, now or ever."""
        size = account.note.part_size
        if offset < account.whole and offset % size:
            raise StoreError(f"the bytes before {offset} lie in a part that cannot be cut")
        first = offset // size + 1
        beyond = [number for number in account.parts if number >= first]
        pins = tuple(pin for pin in account.note.pins if pin[0] < first)
        known = account.note.suspect_from
        if not beyond or (known is not None and known <= first and pins == account.note.pins):
            return {}
        return {"suspect_from": first if known is None else min(first, known), "pins": pins}

    def _cut(self, account: Account, offset: int) -> None:
        """Remove the segments behind `offset`: last ones first, so that a prefix is left at any time."""
        beyond = [segment for segment in account.segments if segment.start >= offset]
        self.remove([*account.strays, *(segment.key for segment in reversed(beyond))])
        account.strays = []
        account.segments = account.segments[: len(account.segments) - len(beyond)]
        if account.segments and account.segments[-1].stop > offset:
            last = account.segments.pop()
            kept = self.bucket.read(last.key, 0, offset - last.start)
            self.bucket.put(last.key, [kept])
            account.segments.append(replace(last, size=len(kept)))
        account.offset = offset

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects, if there are any."""
        if some := list(keys):
            self.bucket.delete_all(some)

    # -- the end ------------------------------------------------------------------------------

    def discard(self, account: Account) -> None:
        """Remove multipart upload, segments and object of an upload; its record stays."""
        upload, note = account.upload, account.note
        if note.multipart is not None:
            self.bucket.abort_multipart(note.key, note.multipart)
        self.remove(key for key, _ in self.bucket.list_all(self.layout.tails(upload.id)))
        stored = self.bucket.head(note.key)
        if stored is not None and stored.owner == upload.id:
            self.bucket.delete(note.key)

    def delete(self, account: Account) -> None:
        """The bytes, then the record: until the last step it can be done again."""
        self.discard(account)
        self.bucket.delete(self.layout.record(account.upload.id))


def _link(account: Account, found: list[Segment]) -> None:
    """Tell the segments that count from those that do not."""
    account.segments = [s for s in found if not s.is_staged or s.key in account.note.tails]
    account.segments = account.recount()
    linked = {segment.key for segment in account.segments}
    account.strays = [segment.key for segment in found if segment.key not in linked]
