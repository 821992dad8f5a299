"""The page at `/`: uploading from a browser, and nothing a client could not do as well."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tusd_py.protocol.conditionals import Preconditions, Validators, Verdict, evaluate
from tusd_py.web.keys import HEAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

ADDRESS: Final = "/"
ASSETS: Final = "/@ui/"
"""Where the page's parts are. No path in the settings and no upload's id can have an @: it hides none."""

FOLDER: Final = Path(__file__).with_name("ui")

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
"""What is served of the folder, by suffix; what has another one is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """tus-js-client, which the page uploads with: in the page's folder, else from a CDN.

    `integrity` (W3C Subresource Integrity) is that of the file in the npm package, wherever it comes from.
    """

    version: str
    integrity: str
    name: str = "vendor/tus.min.js"

    @property
    def package(self) -> str:
        """What npm is asked for."""
        return f"tus-js-client@{self.version}"

    def is_in(self, content: bytes) -> bool:
        """Whether a file with this content is the pinned one."""
        digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
        return self.integrity == f"sha384-{digest}"

    @property
    def address(self) -> str:
        """The file on the CDN, which serves npm packages as they are."""
        return f"https://cdn.jsdelivr.net/npm/{self.package}/dist/tus.min.js"


LIBRARY: Final = Library(
    version="4.3.1",
    integrity="sha384-UlHjK3F7TCQCEUpnoa1ohMbP2oaWB3Aypv4gMo511vaZ86uUZ0Zv7UzZ0J1zRUT1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the page is told of this server. Sizes in bytes; `published` is None where nothing is served.

    `media` are sources (W3C CSP), besides this server, that finished files may come from.
    """

    endpoint: str
    published: str | None
    max_size: int | None
    termination: bool
    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    content: bytes
    etag: str
    fields: Mapping[str, str]


class Page:
    """Answers GET and HEAD of `ADDRESS` and of everything below `ASSETS`.

    `load` has to come first: then the whole page is in memory. Where uploads are created at `ADDRESS`
    as well, `uploads` takes every other method there: nobody creates an upload by GET, and none has an
    empty id.
    """

    def __init__(self, facts: Facts, *, uploads: Handler | None = None, folder: Path = FOLDER) -> None:
        self._facts = facts
        self._uploads = uploads
        self._folder = folder
        self._files: Mapping[str, _File] = {}

    async def load(self, _app: web.Application) -> None:
        """Read the files; for `on_startup`."""
        found = await asyncio.to_thread(_read_folder, self._folder)
        self._files = _prepare(found, self._facts)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of `ADDRESS`."""
        if self._uploads is not None and request[HEAD].method not in {"GET", "HEAD"}:
            return await self._uploads(request)
        return self._send(request, "index.html")

    async def send_part(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of a file below `ASSETS`."""
        return self._send(request, request.match_info["name"])

    def _send(self, request: web.Request, name: str) -> web.Response:
        method = request[HEAD].method
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        if method not in {"GET", "HEAD"}:
            raise web.HTTPMethodNotAllowed(method, ["GET", "HEAD"])
        asked = Preconditions(if_none_match=request[HEAD].get("if-none-match"))
        known = evaluate(asked, Validators(etag=file.etag), now=datetime.now(UTC))
        if known is Verdict.NOT_MODIFIED:
            return web.Response(status=304, headers=file.fields)
        silent = method == "HEAD" and request.method != "HEAD"  # after a real HEAD aiohttp is silent itself
        return web.Response(body=b"" if silent else file.content, headers=file.fields)


def _read_folder(folder: Path) -> dict[str, bytes]:
    """The content of every file that has a type, by its path below the folder."""
    paths = (path for path in folder.rglob("*") if path.suffix in _TYPES and path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _prepare(found: Mapping[str, bytes], facts: Facts) -> dict[str, _File]:
    # Another version than the pinned one would be refused by the browser, so it is none.
    is_local = LIBRARY.is_in(found.get(LIBRARY.name, b""))
    files = {name: _file(name, content) for name, content in found.items()}
    page = _render(found["index.html"].decode(), facts, is_local=is_local)
    files["index.html"] = _file("index.html", page, **_page_fields(facts, is_local=is_local))
    return files


def _file(name: str, content: bytes, **fields: str) -> _File:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(
        content=content,
        etag=etag,
        fields={
            "Content-Type": _TYPES[Path(name).suffix],
            "ETag": etag,
            # Kept, but asked for each time: a new version of the server must not meet half of an old page.
            "Cache-Control": "no-cache",
            "Cross-Origin-Resource-Policy": "same-origin",
            **fields,
        },
    )


def _render(template: str, facts: Facts, *, is_local: bool) -> bytes:
    address = ASSETS + LIBRARY.name if is_local else LIBRARY.address
    values = {
        "assets": ASSETS,
        "endpoint": facts.endpoint,
        "published": facts.published or "",
        "max_size": "" if facts.max_size is None else str(facts.max_size),
        "termination": "true" if facts.termination else "",
        "library": address,
        "integrity": LIBRARY.integrity,
    }
    return Template(template).substitute({key: escape(value) for key, value in values.items()}).encode()


def _page_fields(facts: Facts, *, is_local: bool) -> dict[str, str]:
    scripts = "'self'" if is_local else f"'self' {LIBRARY.address}"
    media = " ".join(("'self'", *facts.media))
    return {
        "Content-Security-Policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src {scripts}",
                "style-src 'self'",
                f"img-src {media}",
                f"media-src {media}",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
    }
