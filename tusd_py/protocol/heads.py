"""Request and response heads, free of any web framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

Fields: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """What a request says before its body.

    `method` is the effective one (see `effective_method`), `path` the decoded path, `origin` the
    scheme and authority under which the client knows this server, "" if that cannot be said.
    Field names in `fields` are lower case.
    """

    method: str
    path: str
    fields: Fields
    origin: str = ""
    _joined: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        joined: dict[str, str] = {}  # a request is asked for twenty fields
        for name, value in self.fields:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        object.__setattr__(self, "_joined", joined)

    def get(self, name: str) -> str | None:
        """The field's lines joined as one list (RFC 9110, 5.3), or None where there is none."""
        return self._joined.get(name)

    @property
    def body_length(self) -> int | None:
        """Bytes the body will have: 0 without one, None where its end is marked in the stream."""
        if self.get("transfer-encoding") is not None:
            return None
        length = self.get("content-length") or "0"
        return int(length) if length.isascii() and length.isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """An answer with at most a short text as its body. `code` names the error, where it is one."""

    status: int
    reason: str | None = None
    fields: Fields = ()
    text: str = ""
    code: str = ""

    def get(self, name: str) -> str | None:
        """The value of the field, or None."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    def plus(self, *fields: tuple[str, str]) -> ResponseHead:
        """The same answer with more fields."""
        return ResponseHead(
            status=self.status,
            reason=self.reason,
            fields=self.fields + fields,
            text=self.text,
            code=self.code,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Where things live. `base` is the creation path, `public` the one of finished files, `form` that of
    forms; all begin and end with a slash. `relative`: write path-absolute URLs instead of full ones."""

    base: str = "/files/"
    public: str = "/uploads/"
    form: str = "/file/"
    relative: bool = False

    def upload(self, head: RequestHead, upload_id: str) -> str:
        """The upload's URL as the asking client should use it."""
        return self._origin(head) + self.base + upload_id

    def published(self, head: RequestHead, name: str) -> str:
        """The finished file's URL."""
        return self._origin(head) + self.public + name

    def _origin(self, head: RequestHead) -> str:
        return "" if self.relative else head.origin


def effective_method(method: str, override: str | None) -> str:
    """The method that counts.

    tus 1.0.0, X-HTTP-Method-Override: its value MUST be taken as the method, the real one ignored.
    """
    return (override or "").strip().upper() or method
