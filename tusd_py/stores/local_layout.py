"""What lies where in a local storage folder (for people: storage/README.md)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tusd_py.core.errors import UploadNotFoundError

if TYPE_CHECKING:
    from tusd_py.core.model import Upload

PUBLISHED = "uploads"
RECORD = ".json"
UNFINISHED = ".tmp"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_id(text: str) -> bool:
    """Whether it can be an upload's id: nothing that names another folder, and no suffix of ours."""
    return _ID.fullmatch(text) is not None


class Layout:
    """Names only; nothing is touched. Raises UploadNotFoundError for what cannot be an id."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.incoming = os.path.join(self.root, "incoming")
        self.published = os.path.join(self.root, PUBLISHED)
        self.leadership = os.path.join(self.root, ".janitor.lock")

    def data(self, upload_id: str) -> str:
        """The bytes, until they are published."""
        if not is_id(upload_id):
            raise UploadNotFoundError(upload_id)
        return f"{self.incoming}{os.sep}{upload_id}"

    def record(self, upload_id: str) -> str:
        """What is known of the upload."""
        return self.data(upload_id) + RECORD

    def public(self, upload: Upload) -> str:
        """The finished file."""
        return os.path.join(self.published, os.path.basename(upload.name))
