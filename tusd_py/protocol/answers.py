"""From error to status, code and words, for tus 1.0.0. One row per error class, none missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tusd_py.core import errors as e
from tusd_py.core.outcomes import BodyEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` and machine-readable `code`; `words` makes the text for people out of the error."""

    status: int
    code: str
    words: Callable[[Any], str]


def _field(error: e.InvalidFieldError) -> str:
    return f"{error.field}: {error.problem}; accepted: {error.accepted}"


def _version(error: e.UnsupportedVersionError) -> str:
    problem = "it is missing" if error.requested is None else "this version is not supported"
    return f"Tus-Resumable: {problem}; accepted: 1.0.0"


def _missing(error: e.ChunksMissingError) -> str:
    return f"chunk_index: these chunks are missing: {format_numbers(error.missing)}"


def format_numbers(numbers: Sequence[int]) -> str:
    """Numbers in ascending order, runs of them as `3-7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def _says(text: str) -> Callable[[Any], str]:
    return lambda _: text


ANSWERS: dict[type[e.TusdError], Answer] = {
    e.InvalidOffsetError: Answer(400, "ERR_INVALID_OFFSET", _field),
    e.InvalidLengthError: Answer(400, "ERR_INVALID_UPLOAD_LENGTH", _field),
    e.AmbiguousLengthError: Answer(400, "ERR_AMBIGUOUS_UPLOAD_LENGTH", _field),
    e.InvalidDeferLengthError: Answer(400, "ERR_INVALID_UPLOAD_LENGTH_DEFER", _field),
    e.InvalidUploadMetadataError: Answer(400, "ERR_INVALID_METADATA", _field),
    e.InvalidChecksumError: Answer(400, "ERR_INVALID_CHECKSUM", _field),
    e.UnsupportedChecksumError: Answer(
        400,
        "ERR_UNSUPPORTED_CHECKSUM_ALGORITHM",
        lambda x: f"Upload-Checksum: this algorithm is not offered; accepted: {', '.join(x.offered)}",
    ),
    e.ChecksumMismatchError: Answer(
        460, "ERR_CHECKSUM_MISMATCH", lambda x: f"the chunk's {x.algorithm} differs; the chunk is discarded"
    ),
    e.InvalidConcatError: Answer(400, "ERR_INVALID_CONCAT", _field),
    e.FinalNotModifiableError: Answer(
        403, "ERR_MODIFY_FINAL", _says("a final upload consists of its partials and takes no bytes")
    ),
    e.InvalidFormError: Answer(422, "ERR_INVALID_FORM", _field),
    e.UploadExistsError: Answer(
        409, "ERR_UPLOAD_EXISTS", _says("file_uuid: it has its file already, which is left as it is")
    ),
    e.WrongTokenError: Answer(
        403,
        "ERR_WRONG_TOKEN",
        _says("token: this file was begun with another one; the answer to its first chunk told it"),
    ),
    e.ChunkMismatchError: Answer(
        409,
        "ERR_CHUNK_MISMATCH",
        lambda x: f"chunk_index: chunk {x.index} came before with other bytes, which are kept",
    ),
    e.ChunkCountMismatchError: Answer(
        409,
        "ERR_CHUNK_COUNT_MISMATCH",
        lambda x: f"total_chunks: the file has {x.expected} chunks, the request says {x.actual}",
    ),
    e.ChunksMissingError: Answer(409, "ERR_CHUNKS_MISSING", _missing),
    e.InvalidContentTypeError: Answer(415, "ERR_INVALID_CONTENT_TYPE", _field),
    e.InvalidMessageError: Answer(400, "ERR_INVALID_MESSAGE", _field),
    e.FrameTooLargeError: Answer(
        413, "ERR_FRAME_TOO_LARGE", lambda x: f"a message may have {x.max_frame} bytes at most"
    ),
    e.UpgradeRequiredError: Answer(
        426, "ERR_UPGRADE_REQUIRED", _says("this address speaks WebSocket (RFC 6455), version 13")
    ),
    e.LiveProcessorError: Answer(
        500, "ERR_LIVE_PROCESSOR", _says("the processor failed; the bytes are kept, it goes on behind them")
    ),
    e.UnsupportedVersionError: Answer(412, "ERR_UNSUPPORTED_VERSION", _version),
    e.UnsupportedExtensionError: Answer(
        400,
        "ERR_UNSUPPORTED_EXTENSION",
        lambda x: f"{x.field}: the extension {x.extension} is off; see Tus-Extension on OPTIONS",
    ),
    e.MethodNotAllowedError: Answer(
        405, "ERR_METHOD_NOT_ALLOWED", lambda x: f"accepted here: {', '.join(x.allowed)}"
    ),
    e.OriginNotAllowedError: Answer(
        403, "ERR_ORIGIN_NOT_ALLOWED", _says("Origin: pages of this origin may not use this server")
    ),
    e.MaxSizeExceededError: Answer(
        413, "ERR_MAX_SIZE_EXCEEDED", lambda x: f"uploads may have {x.max_size} bytes at most"
    ),
    e.InsufficientSpaceError: Answer(
        507,
        "ERR_INSUFFICIENT_STORAGE",
        lambda x: f"the upload needs {x.needed} bytes, {x.available} are available",
    ),
    e.UploadRejectedError: Answer(400, "ERR_UPLOAD_REJECTED", lambda x: str(x.reason)),
    e.ServerShutdownError: Answer(503, "ERR_SERVER_SHUTDOWN", _says("the server is going down; try again")),
    e.UploadNotFoundError: Answer(404, "ERR_UPLOAD_NOT_FOUND", _says("there is no such upload")),
    e.UploadIncompleteError: Answer(
        400, "ERR_INCOMPLETE_UPLOAD", _says("this upload can be read once it is complete")
    ),
    e.UploadExpiredError: Answer(410, "ERR_UPLOAD_EXPIRED", _says("the upload's time is over")),
    e.UploadGoneError: Answer(410, "ERR_UPLOAD_GONE", _says("the bytes of this upload no longer exist")),
    e.UploadLockedError: Answer(
        423, "ERR_UPLOAD_LOCKED", _says("another request is writing to this upload; try again")
    ),
    e.OffsetMismatchError: Answer(
        409,
        "ERR_MISMATCHED_OFFSET",
        lambda x: f"Upload-Offset: the upload is at {x.expected}, the request at {x.actual}",
    ),
    e.LengthExceededError: Answer(
        413,
        "ERR_UPLOAD_SIZE_EXCEEDED",
        lambda x: f"the body goes beyond the upload's length of {x.length} bytes",
    ),
    e.UploadFailedError: Answer(400, "ERR_UPLOAD_REJECTED", _says("the upload was rejected and stays so")),
    e.UploadStoppedError: Answer(
        400, "ERR_UPLOAD_STOPPED", _says("the server stopped and removed the upload")
    ),
    e.TerminationRejectedError: Answer(
        400, "ERR_UPLOAD_TERMINATION_REJECTED", _says("this upload may not be terminated")
    ),
    e.StoreError: Answer(
        500, "ERR_STORAGE", _says("the storage failed; nothing acknowledged is lost; try again")
    ),
    e.StorageFullError: Answer(
        507, "ERR_INSUFFICIENT_STORAGE", _says("the storage is full; what fitted is kept; try again later")
    ),
    e.RecordCorruptError: Answer(500, "ERR_STORAGE", _says("the upload's record cannot be read")),
    e.NameTakenError: Answer(500, "ERR_STORAGE", _says("the public name is taken; the bytes are kept")),
}

INTERRUPTIONS: dict[BodyEnd, Answer] = {
    # tusd answers 400 to most of these, which tus-js-client never retries; a 5xx or 423 it does.
    BodyEnd.DISCONNECTED: Answer(
        500, "ERR_UNEXPECTED_EOF", _says("the body ended early; HEAD tells what is kept")
    ),
    BodyEnd.MALFORMED: Answer(
        400,
        "ERR_INVALID_BODY",
        _says("Transfer-Encoding: the chunked framing is broken; HEAD tells what is kept"),
    ),
    BodyEnd.TIMED_OUT: Answer(
        500, "ERR_READ_TIMEOUT", _says("nothing came for too long; HEAD tells what is kept")
    ),
    BodyEnd.SUPERSEDED: Answer(
        423,
        "ERR_UPLOAD_INTERRUPTED",
        _says("a newer request took the upload over; HEAD tells what is kept"),
    ),
    BodyEnd.SHUTDOWN: Answer(
        503, "ERR_SERVER_SHUTDOWN", _says("the server is going down; HEAD tells what is kept")
    ),
}

UNEXPECTED = Answer(500, "ERR_INTERNAL_SERVER_ERROR", _says("something unforeseen happened; try again"))


def answer_for(error: Exception) -> Answer:
    """The row for `error`: its own, else that of its nearest ancestor, else an internal error."""
    if isinstance(error, e.BodyInterruptedError):
        return INTERRUPTIONS[error.end]
    for ancestor in type(error).__mro__:
        if ancestor in ANSWERS:
            return ANSWERS[ancestor]
    return UNEXPECTED
