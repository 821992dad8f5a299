"""A part's bytes as the file that boto3 reads."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class CancelledSendingError(BaseException):
    """Raised where boto3 reads a part's body: it drops the connection and does not try again.

    Not an Exception, so that nothing on the way takes it for a failure to be repeated. S3 keeps nothing
    of a part whose body broke off.
    """


class PartBody(io.RawIOBase):
    """The bytes of a part as the file that boto3 reads, more than once if it has to; can be cancelled."""

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        super().__init__()
        self.pieces = pieces
        self._size = sum(len(piece) for piece in pieces)
        self._index = 0
        self._within = 0
        self._position = 0
        self.is_cancelled = False

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset`; the new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = min(max(base + offset, 0), self._size)
        self._index, self._within = 0, self._position
        while self._index < len(self.pieces) and self._within >= len(self.pieces[self._index]):
            self._within -= len(self.pieces[self._index])
            self._index += 1
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; b"" at the end."""
        if self.is_cancelled:
            raise CancelledSendingError
        left = self._size - self._position if size < 0 else size
        found: list[bytes | memoryview] = []
        while left and self._index < len(self.pieces):
            piece = self.pieces[self._index]
            taken = piece[self._within : self._within + left]
            found.append(taken)
            left -= len(taken)
            self._within += len(taken)
            self._position += len(taken)
            if self._within == len(piece):
                self._index, self._within = self._index + 1, 0
        return bytes(found[0]) if len(found) == 1 else b"".join(found)
