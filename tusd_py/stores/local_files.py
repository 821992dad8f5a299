"""The local store's files: the order of system calls that keeps them sound.

Everything here blocks. `tusd_py.stores.local` calls it from threads.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from tusd_py.core.errors import (
    NameTakenError,
    RecordCorruptError,
    StoreError,
    UploadGoneError,
    UploadNotFoundError,
)
from tusd_py.core.model import Upload, UploadKind, UploadState
from tusd_py.stores.files import (
    append_line,
    claimed,
    copy,
    move_without_replacing,
    read_stamped,
    read_whole,
    replace_with,
    size_of,
    stamp_of,
    sync_data,
    sync_directory,
    translated,
    unlink,
    write_new,
)
from tusd_py.stores.local_layout import RECORD, UNFINISHED, Layout
from tusd_py.stores.records import Parsed, ParsedRecords, format_mark, format_record, latest, latest_mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tusd_py.stores.files import Stamp

LONGEST_RECORD = 4096
"""Bytes to which a record may grow by the lines that are added to it: what a file takes up anyway."""

_LOOKS = 100
"""A look takes less time than what changes a record takes from one change to the next."""


class Durability(StrEnum):
    """When bytes are forced to the device.

    `OS`: never; survives a crash of the process. `FINISH`: before an upload is reported complete.
    `COMMIT`: before every acknowledged offset and record.
    """

    OS = "os"
    FINISH = "finish"
    COMMIT = "commit"


def _line(upload: Upload) -> bytes:
    return format_record(upload) + b"\n"


class LocalFiles:
    """Uploads as files, in the places that `Layout` names."""

    def __init__(self, root: str, durability: Durability) -> None:
        self.layout = Layout(root)
        self.durability = durability
        self._records = ParsedRecords()
        with translated():
            os.makedirs(self.layout.incoming, exist_ok=True)
            os.makedirs(self.layout.published, exist_ok=True)
            self._identity = self._identify()
        if len({device for device, _ in self._identity}) > 1:
            # A file gets its public name at once, or not at all, only within one device.
            raise StoreError("incoming/ and uploads/ lie on different devices")

    # -- records ------------------------------------------------------------------------------

    def create(self, upload: Upload) -> None:
        """Empty data first, then the record: a crash in between leaves an id that can be given again."""
        data = self.layout.data(upload.id)
        with translated():
            self.check_identity()  # what goes into a foreign folder is not found again in ours
            try:
                with claimed(data) as is_new:
                    self._make_record(upload, data, is_new=is_new)
            except FileExistsError as error:
                raise NameTakenError(f"upload {upload.id} exists") from error
            if self.durability is Durability.COMMIT:
                sync_directory(self.layout.incoming)

    def _make_record(self, upload: Upload, data: str, *, is_new: bool) -> None:
        """Whoever else wants this id has to claim its data first."""
        record = self.layout.record(upload.id)
        if os.path.lexists(record):
            if is_new:
                unlink(data)  # its own are lost, and these would pass for them
            raise FileExistsError(record)
        unfinished = record + UNFINISHED
        try:
            replace_with(record, _line(upload), unfinished=unfinished, sync=self.forces(upload))
        except BaseException:
            unlink(unfinished)
            unlink(data)
            raise

    def load(self, upload_id: str) -> Upload:
        """The record with the measured offset, both of one moment.

        Between our looks at the one and the other an atomic append may begin, or end in either way, and a
        completion move the bytes: then we look again.
        """
        with translated():
            for _ in range(_LOOKS):
                record, stamp = self._read(upload_id)
                offset = self._measure(record)
                if self._has_stamp(upload_id, stamp):
                    break
            else:
                raise StoreError(f"the record of {upload_id} changes all the time")
            if offset is None:
                self.check_identity()
                raise UploadGoneError(upload_id)
            return record.at(offset)

    def _has_stamp(self, upload_id: str, stamp: Stamp) -> bool:
        try:
            return stamp_of(self.layout.record(upload_id)) == stamp
        except FileNotFoundError:
            return False

    def save(self, upload: Upload) -> None:
        """A line more, which counts when it is whole; a long file is replaced by a short one."""
        record, line = self.layout.record(upload.id), _line(upload)
        with translated():
            sync = self.forces(upload)
            appended = append_line(record, line, most=LONGEST_RECORD, sync=sync)
            if not appended:
                content = line + self._kept_mark(record)
                replace_with(record, content, unfinished=record + UNFINISHED, sync=sync)
            # A creation was forced to the device under COMMIT alone: its name may be in memory only.
            if sync and not (appended and self.durability is Durability.COMMIT):
                sync_directory(self.layout.incoming)

    def list(self) -> list[str]:
        """The ids on record."""
        with translated(), os.scandir(self.layout.incoming) as entries:
            return [e.name.removesuffix(RECORD) for e in entries if e.name.endswith(RECORD)]

    def forces(self, upload: Upload) -> bool:
        """Whether the upload's record is forced to the device."""
        finishing = upload.state is not UploadState.OPEN
        return self.durability is Durability.COMMIT or (self.durability is Durability.FINISH and finishing)

    @staticmethod
    def _kept_mark(record: str) -> bytes:
        """The mark that is in force, for the file that takes the place of this one."""
        try:
            mark = latest_mark(read_whole(record))
        except FileNotFoundError:
            return b""
        return b"" if mark is None else format_mark(mark)

    def read(self, upload_id: str) -> Parsed:
        """The record and its mark. UploadNotFoundError only when it is certain that there is none."""
        return self._read(upload_id)[0]

    def _read(self, upload_id: str) -> tuple[Parsed, Stamp]:
        try:
            content, stamp = read_stamped(self.layout.record(upload_id))
            record = self._records.parse(upload_id, content)
        except FileNotFoundError:
            self.check_identity()
            raise UploadNotFoundError(upload_id) from None
        if record.upload.id != upload_id:
            raise RecordCorruptError(f"the record of {upload_id} speaks of {record.upload.id}")
        return record, stamp

    def check_identity(self) -> None:
        """An unmounted or replaced folder lacks everything, but that says nothing about our uploads."""
        if self._identify() != self._identity:
            raise StoreError("the storage folder is not the one of start-up")

    def _identify(self) -> tuple[tuple[int, int], ...]:
        found = [os.stat(folder) for folder in (self.layout.incoming, self.layout.published)]
        return tuple((status.st_dev, status.st_ino) for status in found)

    # -- bytes --------------------------------------------------------------------------------

    def _measure(self, record: Parsed) -> int | None:
        """Bytes that count, or None where there is no file to measure or it is not what it was."""
        upload = record.upload
        if upload.state is UploadState.EXPIRED:
            return 0
        if upload.state is UploadState.COMPLETE:
            size = size_of(self._place(upload))
            return size if size == upload.length else None
        size = size_of(self.layout.data(upload.id))
        if size is None:  # published already, the record does not say so yet
            size = size_of(self.layout.public(upload))
        elif self.durability is Durability.COMMIT:
            sync_data(self.layout.data(upload.id))  # whoever is told this offset may forget these bytes
        if size is None:
            return None
        limits = (size, upload.length, record.mark)
        return min(limit for limit in limits if limit is not None)

    def _place(self, upload: Upload) -> str:
        return self.layout.public(upload) if upload.is_published else self.layout.data(upload.id)

    def open_at(self, upload: Upload, *, atomic: bool) -> int:
        """A descriptor to write with at `upload.offset`; surplus beyond it is cut.

        With `atomic`, a mark says from now on that nothing beyond that offset counts.
        """
        with translated():
            try:
                descriptor = os.open(self.layout.data(upload.id), os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self.read(upload.id)  # says so if there is no such upload
                raise
            try:
                self._cut(descriptor, upload, is_marked=self.read(upload.id).mark is not None)
                if atomic:
                    self._write_mark(upload.id, upload.offset)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor

    def _cut(self, descriptor: int, upload: Upload, *, is_marked: bool) -> None:
        """Nothing lies beyond `upload.offset` any more, and what comes there counts."""
        size = os.fstat(descriptor).st_size
        if size < upload.offset:
            raise StoreError(f"{size} bytes are left of {upload.offset}")
        if size > upload.offset:
            os.ftruncate(descriptor, upload.offset)
        if is_marked:  # an atomic append was left, or ended in a crash
            if self.durability is Durability.COMMIT:
                os.fdatasync(descriptor)  # the surplus is gone for good before the mark is
            self._write_mark(upload.id, None)

    def accept(self, descriptor: int, upload_id: str) -> None:
        """What an atomic append wrote counts from now on: taking the mark back is the whole commit."""
        with translated():
            if self.durability is Durability.COMMIT:
                os.fdatasync(descriptor)
            self._write_mark(upload_id, None)

    def revoke(self, descriptor: int, upload: Upload) -> None:
        """What an atomic append wrote is gone."""
        with translated():
            self._cut(descriptor, upload, is_marked=True)

    def _write_mark(self, upload_id: str, offset: int | None) -> None:
        """A line more, as `save` does; None takes the mark back."""
        record, line = self.layout.record(upload_id), format_mark(offset)
        sync = self.durability is Durability.COMMIT
        # What begins to be short of room does so with the mark, and not when that is to be taken back.
        most = LONGEST_RECORD - (0 if offset is None else len(format_mark(None)))
        if not append_line(record, line, most=most, sync=sync):
            content = latest(read_whole(record)).rstrip(b"\n") + b"\n"
            if offset is not None:
                content += line
            replace_with(record, content, unfinished=record + UNFINISHED, sync=sync)
            if sync:
                sync_directory(self.layout.incoming)

    def open_for_reading(self, upload: Upload) -> BinaryIO:
        """The published file, else the incoming one."""
        with translated():
            try:
                return open(self._place(upload), "rb")
            except FileNotFoundError:  # published or removed in the meantime
                self.read(upload.id)
                return open(self.layout.public(upload), "rb")

    # -- the end ------------------------------------------------------------------------------

    def concatenate(self, upload: Upload, parts: Sequence[Upload]) -> None:
        """Copy the parts' bytes one behind the other, from the start whatever an earlier try left."""
        data, public = self.layout.data(upload.id), self.layout.public(upload)
        with translated():
            size = size_of(data)
            if size is None and size_of(public) == upload.length:
                return  # joined and published before an interruption
            if size is not None and os.path.exists(public) and os.path.samefile(data, public):
                return  # joined, and linked: what is written now would be written to the published file
            target = os.open(data, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(target, 0)
                position = 0
                for part in parts:
                    position += self._copy_part(upload, part, target, position)
            finally:
                os.close(target)

    def _copy_part(self, upload: Upload, part: Upload, target: int, position: int) -> int:
        length = part.length or 0
        try:
            source = os.open(self.layout.data(part.id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            self.check_identity()
            raise UploadGoneError(upload.id) from error
        try:
            copy(source, target, length, position)
        finally:
            os.close(source)
        return length

    def publish(self, upload: Upload) -> None:
        """Give the whole file its public name. Every step may already have been done."""
        is_public = upload.kind is not UploadKind.PARTIAL
        with translated():
            self.check_identity()
            size = size_of(self.layout.data(upload.id))
            if size is not None:
                self._finish_whole(upload, size)
            elif not is_public or size_of(self.layout.public(upload)) != upload.length:
                self.read(upload.id)
                raise StoreError(f"upload {upload.id} has no bytes to publish")
            if self.durability is not Durability.OS:
                sync_directory(self.layout.published)

    def _finish_whole(self, upload: Upload, size: int) -> None:
        data, public = self.layout.data(upload.id), self.layout.public(upload)
        if size != upload.length:
            raise StoreError(f"{size} bytes are stored of {upload.length}")
        if self.durability is not Durability.OS:
            sync_data(data)
        if upload.kind is UploadKind.PARTIAL:
            return
        try:
            move_without_replacing(data, public)
        except FileExistsError as error:
            if not os.path.samefile(data, public):
                raise NameTakenError(f"{os.path.basename(public)} is taken") from error
            os.unlink(data)  # linked before an interruption

    def delete(self, upload_id: str) -> None:
        """Published file, bytes, record, in this order: until the last step it can be done again."""
        with translated():
            self.discard(self.read(upload_id).upload)
            unlink(self.layout.record(upload_id) + UNFINISHED)
            unlink(self.layout.record(upload_id))
            if self.durability is not Durability.OS:
                sync_directory(self.layout.incoming)

    def discard(self, upload: Upload) -> None:
        """Published file, bytes; the record stays."""
        data, public = self.layout.data(upload.id), self.layout.public(upload)
        with translated():
            self.check_identity()  # elsewhere there is nothing of it to remove
            if self._owns_public(upload, data, public):
                unlink(public)
            unlink(data)
            if self.durability is not Durability.OS:
                sync_directory(self.layout.published)
                sync_directory(self.layout.incoming)

    @staticmethod
    def _owns_public(upload: Upload, data: str, public: str) -> bool:
        """Whether the file of that name is this upload's: linked from its bytes, or moved there."""
        if upload.kind is UploadKind.PARTIAL:
            return False
        if upload.state is UploadState.COMPLETE:
            return True
        if os.path.exists(data):
            return os.path.exists(public) and os.path.samefile(data, public)
        if upload.state is UploadState.EXPIRED:  # perhaps discarded before; our id is in no other's name
            return os.path.basename(public).partition(".")[0] == upload.id
        return upload.state is UploadState.COMPLETING

    # -- the whole ----------------------------------------------------------------------------

    def free_space(self) -> int:
        """Bytes that an ordinary user may still fill."""
        with translated():
            status = os.statvfs(self.layout.root)
            return status.f_bavail * status.f_frsize

    def check(self) -> None:
        """Write and remove a byte where uploads arrive."""
        probe = os.path.join(self.layout.incoming, f".check-{os.getpid()}{UNFINISHED}")
        with translated():
            self.check_identity()
            try:
                write_new(probe, b"\0", sync=False)
            finally:
                unlink(probe)
