"""System calls with the little around them that makes them safe to repeat. Everything here blocks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING, TypeAlias

from tusd_py.core.errors import StorageFullError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

Stamp: TypeAlias = tuple[int, int, int]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_COPY_PIECE = 1 << 20
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
_SMALL = 1 << 16


class translated:  # noqa: N801 - it stands in a `with`, like contextlib's, whose generators take longer
    """The one place where the operating system's errors become ours."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            kind = StorageFullError if error.errno in _FULL else StoreError
            raise kind(f"{error.strerror} (errno {error.errno})") from error


def size_of(path: str) -> int | None:
    """Bytes in the file, None if there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def unlink(path: str) -> None:
    """Remove the file if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def write_new(path: str, content: bytes, *, sync: bool) -> None:
    """Write a file of its own under that name.

    What an interruption left there may be a second name of another file: written to in place, that one
    would be torn.
    """
    try:
        descriptor = os.open(path, _NEW, 0o666)
    except FileExistsError:
        os.unlink(path)
        descriptor = os.open(path, _NEW, 0o666)
    try:
        _write(descriptor, content)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claimed(path: str, *, makes: bool = True) -> Iterator[bool]:
    """Have an empty file of that name to oneself: no other who enters here gets it for as long.

    Yields whether it was made now; one that was there is taken over. Raises FileExistsError where there
    are bytes in it, or somebody else is at it; FileNotFoundError where there is none, without `makes`.
    """
    descriptor, is_new = _open_or_make(path, makes=makes)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not is_new or error.errno not in _NO_LOCKS:  # without locks, nobody takes over anything
                raise FileExistsError(errno.EEXIST, "exists", path) from error
        if not is_new and not _is_empty(descriptor, path):
            raise FileExistsError(errno.EEXIST, "exists", path)
        yield is_new
    finally:
        os.close(descriptor)


def _open_or_make(path: str, *, makes: bool) -> tuple[int, bool]:
    """A descriptor, and whether the file is a new one."""
    while True:
        if makes:
            with contextlib.suppress(FileExistsError):
                return os.open(path, _NEW, 0o666), True
        try:
            return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), False
        except FileNotFoundError:
            if not makes:
                raise  # else somebody whose creation failed has just removed it


def _is_empty(descriptor: int, path: str) -> bool:
    """Whether it has no bytes and its name still, which another may have taken from it meanwhile."""
    ours = os.fstat(descriptor)
    try:
        named = os.lstat(path)
    except FileNotFoundError:
        return False
    return not ours.st_size and (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)


def stamp_of(file: str | int) -> Stamp:
    """What of a file, a path or a descriptor, is another after each `append_line` and `replace_with`."""
    status = os.stat(file)
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_whole(path: str) -> bytes:
    """The content of a small file."""
    return read_stamped(path)[0]


def read_stamped(path: str) -> tuple[bytes, Stamp]:
    """The content of a small file, and its stamp from before it was read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        stamp = stamp_of(descriptor)
        content = piece = os.read(descriptor, _SMALL)
        while len(piece) == _SMALL:
            piece = os.read(descriptor, _SMALL)
            content += piece
    finally:
        os.close(descriptor)
    return content, stamp


def replace_with(path: str, content: bytes, *, unfinished: str, sync: bool) -> None:
    """Temporary file, then rename: `path` has the old content or the new, never a part of it."""
    write_new(unfinished, content, sync=sync)
    os.replace(unfinished, path)


def append_line(path: str, line: bytes, *, most: int, sync: bool) -> bool:
    """Put a line behind the others of a file, which may have `most` bytes in the end.

    False where that cannot be: it would be longer, is not there, or ends within a line.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        size = os.fstat(descriptor).st_size
        if size + len(line) > most or os.pread(descriptor, 1, max(size - 1, 0)) != b"\n":
            return False
        _write(descriptor, line)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def move_without_replacing(source: str, target: str) -> None:
    """rename(2) replaces what is there; link(2) does not, and is as atomic. Raises FileExistsError."""
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


def sync_directory(path: str) -> None:
    """Force the names in a folder to the device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_data(path: str) -> None:
    """Force a file's bytes to the device, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def copy(source: int, target: int, count: int, position: int) -> None:
    """Copy the first `count` bytes of one descriptor to `position` of another.

    Within the kernel, and as a shared extent (reflink), where the file system can.
    """
    done = 0
    while done < count:
        copied = _copy_piece(source, target, count - done, done, position + done)
        if not copied:
            raise StoreError(f"{done} bytes are left of {count}")
        done += copied


def _copy_piece(source: int, target: int, count: int, start: int, position: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, count, start, position)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
                raise
    return os.pwrite(target, os.pread(source, min(count, _COPY_PIECE), start), position)
