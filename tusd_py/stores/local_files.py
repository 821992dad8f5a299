"""The local store's files: the layout on disk and the order of system calls that keeps it sound.

Everything here blocks. `tusd_py.stores.local` calls it from threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from tusd_py.core.errors import (
    NameTakenError,
    RecordCorruptError,
    StorageFullError,
    StoreError,
    UploadGoneError,
    UploadNotFoundError,
)
from tusd_py.core.model import Upload, UploadState
from tusd_py.stores.records import format_record, parse_record

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_RECORD = ".json"
_UNFINISHED_RECORD = ".json.tmp"


class Durability(StrEnum):
    """When bytes are forced to the device.

    `OS`: never; survives a crash of the process. `FINISH`: before an upload is reported complete.
    `COMMIT`: before every acknowledged offset and record.
    """

    OS = "os"
    FINISH = "finish"
    COMMIT = "commit"


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """The one place where the operating system's errors become ours."""
    try:
        yield
    except OSError as error:
        kind = StorageFullError if error.errno in _FULL else StoreError
        raise kind(f"{error.strerror} (errno {error.errno})") from error


class LocalFiles:
    """`incoming/<id>` (bytes), `incoming/<id>.json` (record) and `uploads/<name>` (published)."""

    def __init__(self, root: str, durability: Durability) -> None:
        self.root = os.path.abspath(root)
        self.durability = durability
        self._incoming = os.path.join(self.root, "incoming")
        self._published = os.path.join(self.root, "uploads")
        with translated():
            os.makedirs(self._incoming, exist_ok=True)
            os.makedirs(self._published, exist_ok=True)
            self._identity = self._identify()

    # -- records ------------------------------------------------------------------------------

    def create(self, upload: Upload) -> None:
        """Empty data first, then the record: a crash in between leaves an id that nobody knows."""
        data = self._data(upload.id)
        with translated():
            self._check_identity()  # what goes into a foreign folder is not found again in ours
            try:
                os.close(os.open(data, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
                self._claim_record(upload, data)
            except FileExistsError as error:
                raise NameTakenError(f"upload {upload.id} exists") from error
            if self.durability is Durability.COMMIT:
                _sync_directory(self._incoming)

    def _claim_record(self, upload: Upload, data: str) -> None:
        try:
            self._write_unfinished_record(upload)
            _move_without_replacing(self._unfinished_record(upload.id), self._record(upload.id))
        except BaseException:
            _unlink(self._unfinished_record(upload.id))
            _unlink(data)  # ours, made a moment ago: beside another's record it would pass for its bytes
            raise

    def load(self, upload_id: str) -> Upload:
        """The record with the measured offset."""
        with translated():
            for _ in range(2):  # a completion may move the bytes between our two looks
                upload = self._read_record(upload_id)
                size = self._measure(upload)
                if size is not None:
                    return replace(upload, offset=size)
            self._check_identity()
            raise UploadGoneError(upload_id)

    def save(self, upload: Upload) -> None:
        """Temporary file, then rename: a torn record cannot exist."""
        with translated():
            self._write_unfinished_record(upload)
            os.replace(self._unfinished_record(upload.id), self._record(upload.id))
            if self._syncs(upload):
                _sync_directory(self._incoming)

    def list(self) -> list[str]:
        """The ids on record."""
        with translated(), os.scandir(self._incoming) as entries:
            return [e.name.removesuffix(_RECORD) for e in entries if e.name.endswith(_RECORD)]

    def _write_unfinished_record(self, upload: Upload) -> None:
        with _open_new(self._unfinished_record(upload.id)) as file:
            file.write(format_record(upload))
            if self._syncs(upload):
                file.flush()
                os.fsync(file.fileno())

    def _syncs(self, upload: Upload) -> bool:
        finishing = upload.state is not UploadState.OPEN
        return self.durability is Durability.COMMIT or (self.durability is Durability.FINISH and finishing)

    def _read_record(self, upload_id: str) -> Upload:
        try:
            with open(self._record(upload_id), "rb") as file:
                upload = parse_record(file.read())
        except FileNotFoundError:
            self._check_identity()
            raise UploadNotFoundError(upload_id) from None
        if upload.id != upload_id:
            raise RecordCorruptError(f"the record of {upload_id} speaks of {upload.id}")
        return upload

    def _check_identity(self) -> None:
        """An unmounted or replaced folder lacks everything, but that says nothing about our uploads."""
        if self._identify() != self._identity:
            raise StoreError("the storage folder is not the one of start-up")

    def _identify(self) -> tuple[tuple[int, int], ...]:
        found = [os.stat(folder) for folder in (self._incoming, self._published)]
        return tuple((status.st_dev, status.st_ino) for status in found)

    # -- bytes --------------------------------------------------------------------------------

    def _measure(self, upload: Upload) -> int | None:
        """Bytes stored, or None where there is no file to measure or it is not what it was."""
        if upload.state is UploadState.COMPLETE:
            size = _size(self._public(upload))
            return size if size == upload.length else None
        size = _size(self._data(upload.id))
        if size is None:  # published already, the record does not say so yet
            size = _size(self._public(upload))
        elif self.durability is Durability.COMMIT:
            self._sync_data(upload.id)  # whoever is told this offset may forget these bytes
        return size if size is None or upload.length is None else min(size, upload.length)

    def _sync_data(self, upload_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # published in the meantime, and synced by that
            descriptor = os.open(self._data(upload_id), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def open_at(self, upload: Upload) -> int:
        """A descriptor to write with at `upload.offset`; surplus beyond it is cut."""
        with translated():
            try:
                descriptor = os.open(self._data(upload.id), os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self._read_record(upload.id)  # says so if there is no such upload
                raise
            try:
                _cut(descriptor, upload.offset)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor

    def open_for_reading(self, upload: Upload) -> BinaryIO:
        """The published file, else the incoming one."""
        with translated():
            try:
                return open(self._public_or_data(upload), "rb")
            except FileNotFoundError:  # published or removed in the meantime
                self._read_record(upload.id)
                return open(self._public(upload), "rb")

    def _public_or_data(self, upload: Upload) -> str:
        complete = upload.state is UploadState.COMPLETE
        return self._public(upload) if complete else self._data(upload.id)

    # -- the end ------------------------------------------------------------------------------

    def publish(self, upload: Upload) -> None:
        """Give the whole file its public name. Every step may already have been done."""
        data, public = self._data(upload.id), self._public(upload)
        with translated():
            self._check_identity()
            size = _size(data)
            if size is not None:
                self._link_whole(upload, size)
            elif _size(public) != upload.length:
                self._read_record(upload.id)
                raise StoreError(f"upload {upload.id} has no bytes to publish")
            if self.durability is not Durability.OS:
                _sync_directory(self._published)

    def _link_whole(self, upload: Upload, size: int) -> None:
        data, public = self._data(upload.id), self._public(upload)
        if size != upload.length:
            raise StoreError(f"{size} bytes are stored of {upload.length}")
        if self.durability is not Durability.OS:
            self._sync_data(upload.id)
        try:
            _move_without_replacing(data, public)
        except FileExistsError as error:
            if not os.path.samefile(data, public):
                raise NameTakenError(f"{os.path.basename(public)} is taken") from error
            os.unlink(data)  # linked before an interruption

    def delete(self, upload_id: str) -> None:
        """Published file, bytes, record, in this order: until the last step it can be done again."""
        with translated():
            upload = self._read_record(upload_id)
            self._check_identity()  # elsewhere there is nothing of it to remove
            data, public = self._data(upload_id), self._public(upload)
            if self._owns_public(upload, data, public):
                _unlink(public)
            _unlink(data)
            _unlink(self._unfinished_record(upload_id))
            _unlink(self._record(upload_id))
            if self.durability is not Durability.OS:
                _sync_directory(self._published)
                _sync_directory(self._incoming)

    @staticmethod
    def _owns_public(upload: Upload, data: str, public: str) -> bool:
        """Whether the file of that name is this upload's: linked from its bytes, or moved there."""
        if upload.state is UploadState.COMPLETE:
            return True
        if os.path.exists(data):
            return os.path.exists(public) and os.path.samefile(data, public)
        return upload.state is UploadState.COMPLETING

    # -- the whole ----------------------------------------------------------------------------

    def free_space(self) -> int:
        """Bytes that an ordinary user may still fill."""
        with translated():
            status = os.statvfs(self.root)
            return status.f_bavail * status.f_frsize

    def check(self) -> None:
        """Write and remove a byte where uploads arrive."""
        probe = os.path.join(self._incoming, f".check-{os.getpid()}")
        with translated():
            self._check_identity()
            try:
                with open(probe, "wb") as file:
                    file.write(b"\0")
            finally:
                _unlink(probe)

    def _data(self, upload_id: str) -> str:
        if not _ID.fullmatch(upload_id):
            raise UploadNotFoundError(upload_id)
        return os.path.join(self._incoming, upload_id)

    def _record(self, upload_id: str) -> str:
        return self._data(upload_id) + _RECORD

    def _unfinished_record(self, upload_id: str) -> str:
        return self._data(upload_id) + _UNFINISHED_RECORD

    def _public(self, upload: Upload) -> str:
        return os.path.join(self._published, os.path.basename(upload.name))


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def _cut(descriptor: int, offset: int) -> None:
    size = os.fstat(descriptor).st_size
    if size > offset:
        os.ftruncate(descriptor, offset)
    elif size < offset:
        raise StoreError(f"{size} bytes are left of {offset}")


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _open_new(path: str) -> BinaryIO:
    """An empty file of its own to write to.

    What an interruption left under that name may be a second name of the record itself: written to
    in place, the record would be torn.
    """
    try:
        return open(path, "xb")
    except FileExistsError:
        os.unlink(path)
        return open(path, "xb")


def _move_without_replacing(source: str, target: str) -> None:
    """rename(2) replaces what is there; link(2) does not, and is as atomic."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "exists", target) from error
        os.rename(source, target)
    else:
        os.unlink(source)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
