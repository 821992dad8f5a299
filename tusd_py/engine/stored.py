"""Bytes that are stored already, as a Body: for what becomes a part of something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tusd_py.core.errors import InvalidChecksumError, StoreError
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.core.checksums import Checksum
    from tusd_py.core.ports import Reader

_PIECE = 256 * 1024


class StoredBody:
    """See tusd_py.core.ports.Body. `failure` is why the storage did not give all of it, if it did not."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._end = BodyEnd.WHOLE
        self._is_over = False
        self.failure: StoreError | None = None

    @property
    def end(self) -> BodyEnd:
        """See tusd_py.core.ports.Body.end."""
        return self._end

    async def chunks(self) -> AsyncIterator[bytes]:
        """See tusd_py.core.ports.Body.chunks."""
        for start in range(0, self._reader.size, _PIECE):
            if self._end is not BodyEnd.WHOLE:
                break
            stop = min(start + _PIECE, self._reader.size)
            try:
                piece = b"".join([part async for part in self._reader.chunks(start, stop)])
            except StoreError as error:
                self.failure = error
                self.cut(BodyEnd.DISCONNECTED)
            else:
                yield piece
        self._is_over = True

    def trailing_checksum(self) -> Checksum:
        """See tusd_py.core.ports.Body.trailing_checksum."""
        raise InvalidChecksumError("Upload-Checksum", "stored bytes have none", "nothing")

    def cut(self, why: BodyEnd) -> None:
        """See tusd_py.core.ports.Body.cut."""
        if self._end is BodyEnd.WHOLE and not self._is_over:
            self._end = why
