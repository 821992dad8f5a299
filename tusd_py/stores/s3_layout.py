"""What lies where in a bucket.

<prefix>uploads/<name>          a finished file; until then the key of its multipart upload
<prefix>state/<id>.json         what is known of an upload
<prefix>state/<id>.data         a partial upload, which is never public
<prefix>state/<id>.tail.<...>   bytes behind the last whole part: start, epoch, stage
<prefix>state/leader            who cleans up, and until when
<prefix>state/check             written and removed to see whether that works
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tusd_py.core.errors import UploadNotFoundError
from tusd_py.core.model import UploadKind
from tusd_py.stores.local_layout import is_id
from tusd_py.stores.s3_parts import Segment

if TYPE_CHECKING:
    from tusd_py.core.model import Upload

RECORD = ".json"
DATA = ".data"
TAIL = ".tail."


class Layout:
    """Names only; nothing is touched. Raises UploadNotFoundError for what cannot be an id."""

    def __init__(self, prefix: str) -> None:
        segments = [segment for segment in prefix.split("/") if segment]  # some servers fold "//"
        self.prefix = "".join(f"{segment}/" for segment in segments)
        self.state = f"{self.prefix}state/"
        self.published = f"{self.prefix}uploads/"
        self.leadership = f"{self.state}leader"
        self.trial = f"{self.state}check"  # always the same: a crash leaves one at most

    def record(self, upload_id: str) -> str:
        """What is known of the upload."""
        return self._of(upload_id, RECORD)

    def tails(self, upload_id: str) -> str:
        """What the keys of an upload's segments begin with."""
        return self._of(upload_id, TAIL)

    def tail(self, upload_id: str, start: int, epoch: int, *, stage: str = "") -> str:
        """One segment: in the order of the keys, the earlier bytes come first.

        `stage` names an append that is all or nothing: its segments count when they are on record.
        """
        return f"{self.tails(upload_id)}{start:016d}.{epoch:08d}" + (f".{stage}" if stage else "")

    def data(self, upload: Upload) -> str:
        """The object that the bytes become, or are."""
        if upload.kind is UploadKind.PARTIAL:
            return self._of(upload.id, DATA)
        return self.public(upload.name)

    def public(self, name: str) -> str:
        """The object of that public name."""
        return self.published + os.path.basename(name)

    def recorded(self, key: str) -> str | None:
        """The id of the upload whose record has that key; None if it is no record."""
        upload_id = key.removeprefix(self.state).removesuffix(RECORD)
        return upload_id if is_id(upload_id) and key == self.record(upload_id) else None

    def owner(self, key: str) -> str | None:
        """The id of the upload that an object under our prefix belongs to; None for anything else."""
        if key.startswith(self.published):
            return key.removeprefix(self.published).partition(".")[0]
        name = key.removeprefix(self.state)
        for suffix in (TAIL, RECORD, DATA):
            upload_id, found, rest = name.partition(suffix)
            is_whole = self.segment(key, 0) is not None if suffix == TAIL else not rest
            if found and is_id(upload_id) and is_whole:
                return upload_id
        return None

    def segment(self, key: str, size: int) -> Segment | None:
        """The segment that an object of that key is; None if it is none."""
        start, _, rest = key.partition(TAIL)[2].partition(".")
        epoch, _, stage = rest.partition(".")
        if not (start.isdecimal() and epoch.isdecimal()):
            return None
        return Segment(start=int(start), size=size, epoch=int(epoch), key=key, is_staged=bool(stage))

    def _of(self, upload_id: str, suffix: str) -> str:
        if not is_id(upload_id):
            raise UploadNotFoundError(upload_id)
        return f"{self.state}{upload_id}{suffix}"
