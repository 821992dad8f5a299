"""Whether a body brings what is stored already. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tusd_py.core.errors import BodyInterruptedError
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Body, Reader, Store


async def is_same(body: Body, upload: Upload, store: Store) -> bool:
    """Compare while the body comes in, piece by piece; at the first difference it is cut.

    Raises BodyInterruptedError when it broke off before, and StoreError.
    """
    async with store.open(upload) as reader:
        position = 0
        async for piece in body.chunks():
            if piece != await _read(reader, position, len(piece)):
                body.cut(BodyEnd.TOO_LONG)
                return False
            position += len(piece)
        if body.end is not BodyEnd.WHOLE:
            raise BodyInterruptedError(upload.id, body.end, upload.offset)
        return position == reader.size


async def _read(reader: Reader, start: int, length: int) -> bytes:
    """`length` bytes from `start` on, or as many as there are."""
    stop = min(start + length, reader.size)
    return b"".join([piece async for piece in reader.chunks(start, stop)]) if start < stop else b""
