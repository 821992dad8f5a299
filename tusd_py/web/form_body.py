"""A form as it arrives: its fields are collected, its file is a Body."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from tusd_py.core.errors import BodyInterruptedError, InvalidChecksumError, InvalidFormError
from tusd_py.core.outcomes import BodyEnd
from tusd_py.protocol.formdata import FormScanner, MalformedFormError, PartEnd, PartHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tusd_py.core.checksums import Checksum
    from tusd_py.web.body import RequestBody

MAX_BESIDE = 64 * 1024
"""Bytes of a form that may be something else than its file."""

READ_AHEAD = 256 * 1024
"""Bytes of the file that may wait in memory for the fields behind it."""

_MAX_FIELD = 4096


class FormBody:
    """See tusd_py.core.ports.Body: the bytes of the field `file_field`, WHOLE only if the whole form is.

    `fields` has a parser for each field that is known, which raises InvalidFormError; those named in
    `required` have to come, before the file or behind it. Other fields are passed over. Pieces have at
    most `chunk_size` bytes, or as many as the field of that name says, once it has come.

    `least` is how many bytes the file has at least, as far as the request's head tells. `values` is what
    was parsed so far; `file` is the head of the file once that has begun; `complaint` is why the form is
    refused: then the body ends as MALFORMED, wherever it was.
    """

    def __init__(
        self,
        body: RequestBody,
        boundary: str,
        *,
        file_field: str,
        fields: Mapping[str, Callable[[str], Any]],
        required: frozenset[str],
        least: int = 0,
        chunk_size: int | None = None,
    ) -> None:
        self.values: dict[str, Any] = {}
        self.file: PartHead | None = None
        self.complaint: InvalidFormError | None = None
        self.least = least
        self._body = body
        self._source = body.chunks()
        self._scanner = FormScanner(boundary)
        self._file_field = file_field
        self._fields = fields
        self._required = required
        self._chunk_size = chunk_size
        self._part: PartHead | None = None
        self._text = bytearray()
        self._pieces: deque[bytes] = deque()
        self._file_bytes = 0
        self._end: BodyEnd | None = None
        self._is_over = False

    async def read_ahead(self, needed: frozenset[str]) -> None:
        """Read until the file has begun and the fields `needed` are known, or are not to be had before it.

        They are not where more than READ_AHEAD bytes of the file come first. Raises InvalidFormError for
        a form that is none, or has no file, and BodyInterruptedError when it broke off.
        """
        while self.file is None or not (self.is_read or self.values.keys() >= needed):
            if sum(map(len, self._pieces)) >= READ_AHEAD or not await self._advance():
                break
        if self.complaint is not None:
            raise self.complaint
        if self.end is not BodyEnd.WHOLE:
            raise BodyInterruptedError("of a form", self.end, 0)
        if self.is_read:
            self._check_fields()

    @property
    def is_read(self) -> bool:
        """Every field is known that will be."""
        return self._scanner.is_over

    # -- the file as a Body -------------------------------------------------------------------

    @property
    def end(self) -> BodyEnd:
        """See tusd_py.core.ports.Body.end."""
        return self._end or self._body.end

    def cut(self, why: BodyEnd) -> None:
        """See tusd_py.core.ports.Body.cut. What waited in memory is dropped: a form counts whole."""
        if self._end is None and not self._is_over:
            self._end = why
            self._pieces.clear()
            self._body.cut(why)

    def trailing_checksum(self) -> Checksum:
        """See tusd_py.core.ports.Body.trailing_checksum."""
        raise InvalidChecksumError("Upload-Checksum", "a form has none", "nothing")

    def chunks(self) -> AsyncIterator[bytes]:
        """See tusd_py.core.ports.Body.chunks. An iterator, not a generator: leaving it costs nothing."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._is_over or self._end is not None or not await self._advance():
                self._is_over = True
                raise StopAsyncIteration
        piece = self._pieces.popleft()
        size = self.values.get("chunk_size", self._chunk_size)
        if size is not None and len(piece) > size:
            slices = [piece[start : start + size] for start in range(0, len(piece), size)]
            self._pieces.extendleft(reversed(slices))
            piece = self._pieces.popleft()
        return piece

    # -- the form -----------------------------------------------------------------------------

    async def _advance(self) -> bool:
        """Read a piece of the form; False when there is none, or it is refused."""
        try:
            data = await anext(self._source, b"")
            for event in self._scanner.feed(data):
                self._take(event)
            self._check_size()
            if not data:
                self._check_whole()
        except MalformedFormError as error:
            self._refuse(InvalidFormError("the form", str(error), "multipart/form-data"))
        except InvalidFormError as error:
            self._refuse(error)
        else:
            return bool(data)
        return False

    def _refuse(self, complaint: InvalidFormError) -> None:
        if self._end is None:
            self.complaint = complaint
            self._end = BodyEnd.MALFORMED
            self._pieces.clear()

    def _check_size(self) -> None:
        if self._body.received - self._file_bytes > MAX_BESIDE:
            raise InvalidFormError("the form", "it is too long", f"{MAX_BESIDE} bytes beside the file")

    def _check_whole(self) -> None:
        if self.end is not BodyEnd.WHOLE:
            return
        if not self._scanner.is_over:
            raise InvalidFormError("the form", "it ends before its last boundary", "multipart/form-data")
        self._check_fields()

    def _check_fields(self) -> None:
        for name in (self._file_field, *sorted(self._required)):
            if name not in self.values and (name != self._file_field or self.file is None):
                raise InvalidFormError(name, "it is missing", "a field of that name")

    def _take(self, event: PartHead | bytes | PartEnd) -> None:
        match event:
            case PartHead():
                self._begin_part(event)
            case bytes():
                self._take_bytes(event)
            case PartEnd():
                self._end_part()

    def _begin_part(self, part: PartHead) -> None:
        if part.name in self.values or (part.name == self._file_field and self.file is not None):
            raise InvalidFormError(part.name, "it came twice", "one field of that name")
        self._part = part
        self._text.clear()
        if part.name == self._file_field:
            self.file = part

    def _take_bytes(self, data: bytes) -> None:
        if self._part is self.file:
            self._file_bytes += len(data)
            self._pieces.append(data)
        elif self._part is not None and self._part.name in self._fields:
            self._text += data
            if len(self._text) > _MAX_FIELD:
                raise InvalidFormError(self._part.name, "it is too long", f"at most {_MAX_FIELD} bytes")

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is None or part is self.file or part.name not in self._fields:
            return
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            raise InvalidFormError(part.name, "it is not UTF-8", "text") from None
        self.values[part.name] = self._fields[part.name](text)
