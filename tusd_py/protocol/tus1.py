"""tus 1.0.0, core and all its extensions.

Citations name the sections of the protocol text, https://tus.io/protocols/resumable-upload.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import assert_never

from tusd_py.core.checksums import Promised
from tusd_py.core.errors import (
    FinalNotModifiableError,
    InvalidChecksumError,
    InvalidLengthError,
    MethodNotAllowedError,
    OffsetMismatchError,
    TusdError,
    UnsupportedExtensionError,
    UnsupportedVersionError,
    UploadError,
    UploadNotFoundError,
)
from tusd_py.core.intents import (
    Append,
    Concatenate,
    Create,
    Discover,
    Intent,
    Malformed,
    Read,
    ReadOffset,
    StatedChecksum,
    Terminate,
)
from tusd_py.core.model import Upload, UploadKind, UploadState
from tusd_py.core.outcomes import Appended, Created, Discovered, Inspected, Outcome, Terminated
from tusd_py.protocol import fields
from tusd_py.protocol.answers import answer_for
from tusd_py.protocol.concat import parse_final
from tusd_py.protocol.heads import Fields, RequestHead, ResponseHead, Urls

VERSION = "1.0.0"
RESUMABLE = ("Tus-Resumable", VERSION)
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_RETRY_AFTER = ("Retry-After", "1")
_RETRIED = {423, 503, 507}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tus1:
    """The dialect, as this server is set up. `max_size` in bytes, None without a limit.

    `trailers`: what follows a body reaches us, so that checksums may come there. An empty
    `checksum_algorithms` turns checksums off.
    """

    urls: Urls
    max_size: int | None = None
    checksum_algorithms: tuple[str, ...] = ()
    trailers: bool = False
    concatenation: bool = True
    expiration: bool = False
    termination: bool = True
    download: bool = True

    @property
    def extensions(self) -> tuple[str, ...]:
        """tus 1.0.0, Tus-Extension: what really works, nothing else."""
        switched = {
            "creation": True,
            "creation-with-upload": True,
            "creation-defer-length": True,
            "checksum": bool(self.checksum_algorithms),
            "checksum-trailer": bool(self.checksum_algorithms) and self.trailers,
            "concatenation": self.concatenation,
            "concatenation-unfinished": self.concatenation,
            "expiration": self.expiration,
            "termination": self.termination,
        }
        return tuple(name for name, is_on in switched.items() if is_on)

    # -- requests -----------------------------------------------------------------------------

    def parse(self, head: RequestHead) -> Intent:
        """See tusd_py.protocol.dialect.Dialect.parse."""
        # tus 1.0.0, OPTIONS: Tus-Resumable in the request MUST be ignored.
        if head.method == "OPTIONS":
            return Discover()
        upload_id = self._upload_id(head.path)
        allowed = self._allowed(upload_id)
        if head.method not in allowed:
            raise MethodNotAllowedError(head.method, allowed)
        _check_version(head)
        if upload_id is None:
            return self._parse_creation(head)
        if not _ID.fullmatch(upload_id):
            raise UploadNotFoundError(upload_id)
        try:
            return self._parse_upload_request(head, upload_id)
        except UploadError as complaint:
            return Malformed(upload_id=upload_id, complaint=complaint)

    def _upload_id(self, path: str) -> str | None:
        """What stands behind the base path; None for the base path itself."""
        return path.removeprefix(self.urls.base.rstrip("/")).strip("/") or None

    def _allowed(self, upload_id: str | None) -> tuple[str, ...]:
        if upload_id is None:
            return ("OPTIONS", "POST")
        termination = ("DELETE",) if self.termination else ()
        download = ("GET",) if self.download else ()
        return ("OPTIONS", "HEAD", "PATCH", *download, *termination)

    def _parse_creation(self, head: RequestHead) -> Create | Concatenate:
        concat = head.get("upload-concat")
        if concat is not None:
            if not self.concatenation:
                raise UnsupportedExtensionError("concatenation", "Upload-Concat")
            parts = parse_final(concat, head, self.urls)
            if parts is not None:
                return self._parse_final(head, parts, concat)
        # tus 1.0.0, Creation With Upload: the body counts only with the type of a chunk.
        has_body = fields.is_chunk_type(head.get("content-type"))
        return Create(
            length=fields.parse_creation_length(head.get("upload-length"), head.get("upload-defer-length")),
            metadata=fields.parse_metadata(head.get("upload-metadata")),
            has_body=has_body,
            body_length=head.body_length if has_body else 0,
            checksum=self._parse_checksum(head) if has_body else None,
            is_partial=concat is not None,
        )

    def _parse_final(self, head: RequestHead, parts: tuple[str, ...], concat: str) -> Concatenate:
        if fields.is_chunk_type(head.get("content-type")):
            raise FinalNotModifiableError
        # tus 1.0.0, Concatenation: the client MUST NOT send Upload-Length with a final upload.
        for name in ("Upload-Length", "Upload-Defer-Length"):
            if head.get(name.lower()) is not None:
                raise InvalidLengthError(
                    name, "a final upload came with it", "no length: the partials have it"
                )
        metadata = fields.parse_metadata(head.get("upload-metadata"))
        return Concatenate(parts=parts, concat=concat, metadata=metadata)

    def _parse_upload_request(self, head: RequestHead, upload_id: str) -> Intent:
        match head.method:
            case "HEAD":
                return ReadOffset(upload_id=upload_id)
            case "GET":
                return Read(upload_id=upload_id)
            case "DELETE":
                return Terminate(upload_id=upload_id)
            case _:
                return self._parse_append(head, upload_id)

    def _parse_append(self, head: RequestHead, upload_id: str) -> Append:
        fields.check_chunk_type(head.get("content-type"))
        return Append(
            upload_id=upload_id,
            offset=fields.parse_offset(head.get("upload-offset")),
            declared_length=fields.parse_declared_length(head.get("upload-length")),
            body_length=head.body_length,
            checksum=self._parse_checksum(head),
        )

    def _parse_checksum(self, head: RequestHead) -> StatedChecksum:
        """A checksum that cannot be verified must not pass as none."""
        text = head.get("upload-checksum")
        is_promised = fields.announces_checksum(head.get("trailer"))
        if (text is not None or is_promised) and not self.checksum_algorithms:
            raise UnsupportedExtensionError("checksum", "Upload-Checksum")
        if is_promised and not self.trailers:
            raise UnsupportedExtensionError("checksum-trailer", "Trailer")
        if text is not None and is_promised:
            raise InvalidChecksumError(
                "Upload-Checksum", "it is announced as a trailer as well", "one of the two"
            )
        if is_promised:
            return Promised.IN_TRAILER
        return None if text is None else fields.parse_checksum(text)

    # -- answers ------------------------------------------------------------------------------

    def render(self, outcome: Outcome, head: RequestHead) -> ResponseHead:
        """See tusd_py.protocol.dialect.Dialect.render."""
        match outcome:
            case Created():
                answer = self._created(outcome, head)
            case Appended(upload=upload):
                # tus 1.0.0, PATCH: 204 with the new Upload-Offset.
                offset = ("Upload-Offset", str(upload.offset))
                answer = ResponseHead(status=204, fields=(offset, *self._aftermath(upload, head)))
            case Inspected(upload=upload):
                answer = ResponseHead(status=200, fields=self._state(upload, head))
            case Terminated():
                answer = ResponseHead(status=204)
            case Discovered():
                answer = ResponseHead(status=204, fields=self._abilities())
            case _:
                assert_never(outcome)
        return answer.plus(RESUMABLE)

    def _created(self, created: Created, head: RequestHead) -> ResponseHead:
        upload = created.upload
        # tus 1.0.0, Creation: 201 with the Location of the new upload.
        location: Fields = (("Location", self.urls.upload(head, upload.id)),)
        # tus 1.0.0, Creation With Upload: the response MUST carry Upload-Offset.
        offset: Fields = (("Upload-Offset", str(upload.offset)),) if created.took_body else ()
        return ResponseHead(status=201, fields=location + offset + self._aftermath(upload, head))

    def _state(self, upload: Upload, head: RequestHead) -> Fields:
        # tus 1.0.0, Upload-Metadata: the value as given at creation. Concatenation: likewise.
        as_given = (("Upload-Metadata", upload.metadata.raw), ("Upload-Concat", upload.concat))
        return (
            *_progress(upload),
            *(field for field in as_given if field[1]),
            ("Cache-Control", "no-store"),  # tus 1.0.0, HEAD
            *self._aftermath(upload, head),
        )

    def _aftermath(self, upload: Upload, head: RequestHead) -> Fields:
        """When the upload will be gone, and where the file is."""
        published: Fields = ()
        if upload.is_published and self.download:
            published = (("Content-Location", self.urls.published(head, upload.name)),)
        return _expiry(upload) + published

    def _abilities(self) -> Fields:
        maximum: Fields = () if self.max_size is None else (("Tus-Max-Size", str(self.max_size)),)
        algorithms = ",".join(self.checksum_algorithms)
        # tus 1.0.0, Checksum: OPTIONS MUST carry Tus-Checksum-Algorithm.
        checksum: Fields = (("Tus-Checksum-Algorithm", algorithms),) if algorithms else ()
        extensions = ("Tus-Extension", ",".join(self.extensions))
        return (("Tus-Version", VERSION), extensions, *maximum, *checksum)

    def render_error(self, error: Exception, head: RequestHead) -> ResponseHead:
        """See tusd_py.protocol.dialect.Dialect.render_error."""
        answer = answer_for(error)
        status = answer.status
        if head.method == "HEAD" and status >= 500:
            # A client whose HEAD fails with anything but 423 starts again from byte 0.
            status = 423
        facts: Fields = (RESUMABLE, ("Cache-Control", "no-store"))
        if status in _RETRIED:
            facts += (_RETRY_AFTER,)
        if isinstance(error, TusdError) and error.upload is not None:
            # tus 1.0.0, Expiration: on every PATCH response, the refused ones too.
            facts += _expiry(error.upload)
        match error:
            case UnsupportedVersionError():  # tus 1.0.0, Tus-Resumable: the 412 MUST carry Tus-Version.
                facts += (("Tus-Version", VERSION),)
            case MethodNotAllowedError(allowed=allowed):
                facts += (("Allow", ", ".join(allowed)),)
            case OffsetMismatchError(expected=expected):
                facts += (("Upload-Offset", str(expected)),)
        text = "" if head.method == "HEAD" else f"{answer.code}: {answer.words(error)}\n"
        return ResponseHead(status=status, fields=facts, text=text, code=answer.code)


def _check_version(head: RequestHead) -> None:
    """tus 1.0.0, Tus-Resumable: an unsupported version is answered 412 and not processed.

    GET and HEAD may do without the header: browsers and probes do not know it.
    """
    requested = head.get("tus-resumable")
    if requested == VERSION or (requested is None and head.method in {"GET", "HEAD"}):
        return
    raise UnsupportedVersionError(requested)


def _progress(upload: Upload) -> Fields:
    """tus 1.0.0, HEAD: Upload-Offset always, but on a final only once it is joined (Concatenation)."""
    is_joined = upload.kind is not UploadKind.FINAL or upload.state is UploadState.COMPLETE
    offset: Fields = (("Upload-Offset", str(upload.offset)),) if is_joined else ()
    if upload.length is not None:
        return (*offset, ("Upload-Length", str(upload.length)))
    # tus 1.0.0, Creation: while the length is not known, Upload-Defer-Length: 1 on every HEAD.
    return (*offset, ("Upload-Defer-Length", "1"))


def _expiry(upload: Upload) -> Fields:
    if upload.expires_at is None:
        return ()
    return (("Upload-Expires", fields.format_time(upload.expires_at)),)
