"""What can go wrong, as facts. Edges choose the words and the status codes (one table per dialect)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from tusd_py.core.model import Upload
    from tusd_py.core.outcomes import BodyEnd


class TusdError(Exception):
    """Root of everything raised on purpose. `upload` is the one concerned, where it is known."""

    upload: Upload | None = None


class UploadError(TusdError):
    """The request is refused; the storage is sound."""


class InvalidFieldError(UploadError):
    """A header field cannot be understood. `problem` and `accepted` are short texts for people."""

    def __init__(self, field: str, problem: str, accepted: str) -> None:
        super().__init__(f"{field}: {problem}; accepted: {accepted}")
        self.field = field
        self.problem = problem
        self.accepted = accepted


class InvalidOffsetError(InvalidFieldError):
    """Upload-Offset is missing or malformed."""


class InvalidLengthError(InvalidFieldError):
    """Upload-Length is missing, malformed, or contradicts what is known of the upload."""


class AmbiguousLengthError(InvalidFieldError):
    """A length is given and deferred at once."""


class InvalidDeferLengthError(InvalidFieldError):
    """Upload-Defer-Length has a value other than 1."""


class InvalidUploadMetadataError(InvalidFieldError):
    """Upload-Metadata is malformed."""


class InvalidContentTypeError(InvalidFieldError):
    """A chunk came with another media type than the protocol's."""


class InvalidChecksumError(InvalidFieldError):
    """Upload-Checksum is malformed, missing where it was announced, or of the wrong length."""


class InvalidConcatError(InvalidFieldError):
    """Upload-Concat is malformed or names something other than partial uploads of this server."""


class InvalidMessageError(InvalidFieldError):
    """What came over a live connection is not what its protocol has."""


class FrameTooLargeError(UploadError):
    """A message of a live connection is larger than it takes; `max_frame` in bytes."""

    def __init__(self, max_frame: int) -> None:
        super().__init__(f"larger than {max_frame} bytes")
        self.max_frame = max_frame


class UpgradeRequiredError(UploadError):
    """The address speaks WebSocket alone, and the request is not its handshake."""


class InvalidFormError(InvalidFieldError):
    """A form cannot be understood, or a field of it is missing, doubled or malformed."""


class UnsupportedChecksumError(UploadError):
    """The checksum's algorithm is not offered; `offered` are those that are."""

    def __init__(self, algorithm: str, offered: tuple[str, ...]) -> None:
        super().__init__(f"{algorithm!r} is not one of {', '.join(offered)}")
        self.algorithm = algorithm
        self.offered = offered


class FinalNotModifiableError(UploadError):
    """A final upload consists of its partials and takes no bytes itself."""


class UnsupportedVersionError(UploadError):
    """The protocol version asked for is not spoken here; None when none was named."""

    def __init__(self, requested: str | None) -> None:
        super().__init__(f"version {requested!r} is not supported")
        self.requested = requested


class UnsupportedExtensionError(UploadError):
    """The request needs an extension that is off; `field` is the header that asks for it."""

    def __init__(self, extension: str, field: str) -> None:
        super().__init__(f"{field} needs the extension {extension}, which is off")
        self.extension = extension
        self.field = field


class MethodNotAllowedError(UploadError):
    """The resource has no such method; `allowed` are the ones it has."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method} is not one of {', '.join(allowed)}")
        self.method = method
        self.allowed = allowed


class OriginNotAllowedError(UploadError):
    """A browser page of this origin may not use the server."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"origin {origin!r} is not allowed")
        self.origin = origin


class MaxSizeExceededError(UploadError):
    """The upload would be larger than the server takes; sizes in bytes."""

    def __init__(self, max_size: int) -> None:
        super().__init__(f"larger than {max_size} bytes")
        self.max_size = max_size


class InsufficientSpaceError(UploadError):
    """A new upload cannot fit into the storage now; sizes in bytes."""

    def __init__(self, needed: int, available: int) -> None:
        super().__init__(f"{needed} bytes needed, {available} available")
        self.needed = needed
        self.available = available


class UploadRejectedError(UploadError):
    """A hook refused the upload; `reason` is the hook's text for the client."""

    def __init__(self, reason: str = "the upload was rejected") -> None:
        super().__init__(reason)
        self.reason = reason


class ServerShutdownError(UploadError):
    """The server is going down and takes nothing new."""


class ExistingUploadError(UploadError):
    """A refusal that concerns one upload."""

    def __init__(self, upload_id: str, message: str) -> None:
        super().__init__(f"upload {upload_id}: {message}")
        self.upload_id = upload_id


class UploadNotFoundError(ExistingUploadError):
    """There is certainly no such upload."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "not found")


class UploadGoneError(ExistingUploadError):
    """The upload is on record but its bytes are certainly lost."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "its data is gone")


class UploadIncompleteError(ExistingUploadError):
    """The storage gives the upload's bytes back only once it is complete."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "cannot be read before it is complete")


class UploadExpiredError(ExistingUploadError):
    """The upload's time is over, swept already or not."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "has expired")


class ChecksumMismatchError(ExistingUploadError):
    """The chunk does not sum up to what the client said; it is discarded whole."""

    def __init__(self, upload_id: str, algorithm: str) -> None:
        super().__init__(upload_id, f"the chunk's {algorithm} differs")
        self.algorithm = algorithm


class UploadExistsError(ExistingUploadError):
    """The id that the client chose has its file already; that is left as it is."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "exists")


class WrongTokenError(ExistingUploadError):
    """The file was begun by somebody who knows a token that this request does not bring."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "wrong token")


class ChunkMismatchError(ExistingUploadError):
    """A chunk came again with other bytes; what came first is left as it is."""

    def __init__(self, upload_id: str, index: int) -> None:
        super().__init__(upload_id, f"chunk {index} differs from what came before")
        self.index = index


class ChunkCountMismatchError(ExistingUploadError):
    """A request takes the file for one of another number of chunks."""

    def __init__(self, upload_id: str, *, expected: int, actual: int) -> None:
        super().__init__(upload_id, f"has {expected} chunks, the request says {actual}")
        self.expected = expected
        self.actual = actual


class ChunksMissingError(ExistingUploadError):
    """The whole was asked for before every chunk was there; `missing` are their numbers, in order."""

    def __init__(self, upload_id: str, missing: tuple[int, ...]) -> None:
        super().__init__(upload_id, f"{len(missing)} chunks are missing")
        self.missing = missing


class UploadLockedError(ExistingUploadError):
    """Another request holds the upload and did not let go in time."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "locked by another request")


class OffsetMismatchError(ExistingUploadError):
    """The request writes at another offset than the upload's; both in bytes."""

    def __init__(self, upload_id: str, *, expected: int, actual: int) -> None:
        super().__init__(upload_id, f"is at {expected}, the request at {actual}")
        self.expected = expected
        self.actual = actual


class LengthExceededError(ExistingUploadError):
    """The body is longer than what is left of the upload; `length` in bytes."""

    def __init__(self, upload_id: str, length: int) -> None:
        super().__init__(upload_id, f"the body goes beyond the length {length}")
        self.length = length


class UploadFailedError(ExistingUploadError):
    """The upload was refused for good when it was about to finish."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "was rejected")


class UploadStoppedError(ExistingUploadError):
    """A hook stopped the running upload; it no longer exists."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "was stopped by the server")


class TerminationRejectedError(ExistingUploadError):
    """A hook refused the termination; the upload is as it was."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id, "may not be terminated")


class BodyInterruptedError(ExistingUploadError):
    """The body ended early; `end` tells how. What arrived is kept: the upload is at `offset` bytes."""

    def __init__(self, upload_id: str, end: BodyEnd, offset: int) -> None:
        super().__init__(upload_id, f"body ended early ({end.name}) at {offset}")
        self.end = end
        self.offset = offset


class StoreError(TusdError):
    """Our side failed: the request may succeed later, and nothing is certain about the upload."""


class StorageFullError(StoreError):
    """No space left. What fitted is kept."""


class RecordCorruptError(StoreError):
    """A stored record cannot be read; a person has to look."""


class NameTakenError(StoreError):
    """The id belongs to another upload, or the public name to another file; nothing was replaced."""


class LiveProcessorError(TusdError):
    """The operator's code that looks at a live upload failed or took too long; the bytes are kept."""


class concerning:  # noqa: N801 - it stands in a `with`, like contextlib's, whose generators take longer
    """Errors from within tell which upload they are about, as it is known nearest to them."""

    __slots__ = ("_upload",)

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, TusdError) and error.upload is None:
            error.upload = self._upload
