"""tus 1.0.0: core, creation, creation-with-upload, creation-defer-length, termination.

Citations name the sections of the protocol text, https://tus.io/protocols/resumable-upload.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import assert_never

from tusd_py.core.errors import (
    MethodNotAllowedError,
    OffsetMismatchError,
    UnsupportedExtensionError,
    UnsupportedVersionError,
    UploadError,
    UploadNotFoundError,
)
from tusd_py.core.intents import Append, Create, Discover, Intent, Malformed, Read, ReadOffset, Terminate
from tusd_py.core.model import Upload, UploadState
from tusd_py.core.outcomes import Appended, Created, Discovered, Inspected, Outcome, Terminated
from tusd_py.protocol import fields
from tusd_py.protocol.answers import answer_for
from tusd_py.protocol.heads import Fields, RequestHead, ResponseHead, Urls

VERSION = "1.0.0"
RESUMABLE = ("Tus-Resumable", VERSION)
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_RETRY_AFTER = ("Retry-After", "1")
_RETRIED = {423, 503, 507}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tus1:
    """The dialect, as this server is set up. `max_size` in bytes, None without a limit."""

    urls: Urls
    max_size: int | None = None
    termination: bool = True
    download: bool = True

    @property
    def extensions(self) -> tuple[str, ...]:
        """tus 1.0.0, Tus-Extension: what really works, nothing else."""
        creation = ("creation", "creation-with-upload", "creation-defer-length")
        return (*creation, "termination") if self.termination else creation

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
            return _parse_creation(head)
        if not _ID.fullmatch(upload_id):
            raise UploadNotFoundError(upload_id)
        try:
            return _parse_upload_request(head, upload_id)
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

    # -- answers ------------------------------------------------------------------------------

    def render(self, outcome: Outcome, head: RequestHead) -> ResponseHead:
        """See tusd_py.protocol.dialect.Dialect.render."""
        match outcome:
            case Created():
                answer = self._created(outcome, head)
            case Appended(upload=upload):
                # tus 1.0.0, PATCH: 204 with the new Upload-Offset.
                offset = ("Upload-Offset", str(upload.offset))
                answer = ResponseHead(status=204, fields=(offset, *self._published(upload, head)))
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
        return ResponseHead(status=201, fields=location + offset + self._published(upload, head))

    def _state(self, upload: Upload, head: RequestHead) -> Fields:
        # tus 1.0.0, HEAD: Upload-Offset always; Upload-Length when known; never from a cache.
        length = (
            # tus 1.0.0, Creation: while the length is unknown, Upload-Defer-Length: 1 on every HEAD.
            ("Upload-Defer-Length", "1") if upload.length is None else ("Upload-Length", str(upload.length))
        )
        # tus 1.0.0, Upload-Metadata: the value as given at creation.
        metadata: Fields = (("Upload-Metadata", upload.metadata.raw),) if upload.metadata.raw else ()
        return (
            ("Upload-Offset", str(upload.offset)),
            length,
            *metadata,
            ("Cache-Control", "no-store"),
            *self._published(upload, head),
        )

    def _published(self, upload: Upload, head: RequestHead) -> Fields:
        if upload.state is not UploadState.COMPLETE or not self.download:
            return ()
        return (("Content-Location", self.urls.published(head, upload.name)),)

    def _abilities(self) -> Fields:
        maximum: Fields = () if self.max_size is None else (("Tus-Max-Size", str(self.max_size)),)
        return (("Tus-Version", VERSION), ("Tus-Extension", ",".join(self.extensions)), *maximum)

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
        match error:
            case UnsupportedVersionError():  # tus 1.0.0, Tus-Resumable: the 412 MUST carry Tus-Version.
                facts += (("Tus-Version", VERSION),)
            case MethodNotAllowedError(allowed=allowed):
                facts += (("Allow", ", ".join(allowed)),)
            case OffsetMismatchError(expected=expected):
                facts += (("Upload-Offset", str(expected)),)
        text = "" if head.method == "HEAD" else f"{answer.code}: {answer.words(error)}\n"
        return ResponseHead(status=status, fields=facts, text=text)


def _check_version(head: RequestHead) -> None:
    """tus 1.0.0, Tus-Resumable: an unsupported version is answered 412 and not processed.

    GET and HEAD may do without the header: browsers and probes do not know it.
    """
    requested = head.get("tus-resumable")
    if requested == VERSION or (requested is None and head.method in {"GET", "HEAD"}):
        return
    raise UnsupportedVersionError(requested)


def _parse_creation(head: RequestHead) -> Create:
    _refuse_unsupported(head)
    metadata = head.get("upload-metadata")
    # tus 1.0.0, Creation With Upload: the body counts only with the type of a chunk.
    has_body = fields.is_chunk_type(head.get("content-type"))
    return Create(
        length=fields.parse_creation_length(head.get("upload-length"), head.get("upload-defer-length")),
        metadata=fields.parse_metadata(metadata),
        has_body=has_body,
        body_length=head.body_length if has_body else 0,
    )


def _parse_upload_request(head: RequestHead, upload_id: str) -> Intent:
    match head.method:
        case "HEAD":
            return ReadOffset(upload_id=upload_id)
        case "GET":
            return Read(upload_id=upload_id)
        case "DELETE":
            return Terminate(upload_id=upload_id)
        case _:
            return _parse_append(head, upload_id)


def _parse_append(head: RequestHead, upload_id: str) -> Append:
    fields.check_chunk_type(head.get("content-type"))
    _refuse_checksum(head)
    return Append(
        upload_id=upload_id,
        offset=fields.parse_offset(head.get("upload-offset")),
        declared_length=fields.parse_declared_length(head.get("upload-length")),
        body_length=head.body_length,
    )


def _refuse_unsupported(head: RequestHead) -> None:
    """A request that relies on an extension that is off must not pass as something simpler."""
    if head.get("upload-concat") is not None:
        raise UnsupportedExtensionError("concatenation", "Upload-Concat")
    _refuse_checksum(head)


def _refuse_checksum(head: RequestHead) -> None:
    if head.get("upload-checksum") is not None:
        raise UnsupportedExtensionError("checksum", "Upload-Checksum")
