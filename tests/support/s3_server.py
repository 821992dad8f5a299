"""The real server on S3, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.server import ServerProcess, upload_id

if TYPE_CHECKING:
    from tests.support.seaweed import SeaweedProcess


class S3ServerProcess(ServerProcess):
    """`tusd-py serve` on a fresh prefix of `seaweed`; `endpoint`, when S3 is reached through a proxy.

    Its folder stays empty; beside it is the log.
    """

    def __init__(
        self, seaweed: SeaweedProcess, folder: Path, *flags: str, endpoint: str | None = None
    ) -> None:
        self.seaweed = seaweed
        self.prefix = seaweed.fresh_prefix()
        place = ("--s3-bucket", seaweed.bucket, "--s3-object-prefix", self.prefix)
        address = ("--s3-endpoint", endpoint or seaweed.endpoint)
        super().__init__(folder, *place, *address, *flags, environment=seaweed.environment)

    def published(self, upload: str) -> Path:
        """The key of the finished file, as a path; there is nothing on the disk."""
        return Path(self.prefix) / "uploads" / super().published(upload).name

    def content(self, upload: str) -> bytes:
        return self.seaweed.content(str(self.published(upload)))

    def names(self) -> list[str]:
        folder = f"{self.prefix}uploads/"
        return sorted(key.removeprefix(folder) for key in self.seaweed.objects(folder))

    def traces(self, upload: str) -> list[Any]:
        """Every object and every multipart upload of an upload, given by its URL or id."""
        name = upload_id(upload)
        unfinished = [each for each in self.seaweed.unfinished(self.prefix) if name in each.key]
        return [*(key for key in self.seaweed.objects(self.prefix) if name in key), *unfinished]

    def ids(self) -> list[str]:
        """The ids of all uploads on record."""
        folder = f"{self.prefix}state/"
        found = [key.removeprefix(folder) for key in self.seaweed.objects(folder)]
        return sorted(name.removesuffix(".json") for name in found if name.endswith(".json"))
