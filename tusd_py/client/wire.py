"""One request, one answer; whatever goes wrong in between comes as a `ClientError` of one line."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tusd_py.client.errors import (
    BusyError,
    ClientError,
    NoConnectionError,
    ProtocolError,
    RefusedError,
    TlsError,
)
from tusd_py.protocol.fields import parse_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

VERSION = "1.0.0"
RESUMABLE = {"Tus-Resumable": VERSION}
PIECE = 64 * 1024
"""Bytes handed to the network at once; sign of life, and step of a progress bar."""
_TEXT = 300
_LONGEST_WAIT = 60.0
PASSING = frozenset({409, 423, 429, 460})
"""Refusals that the next attempt may not meet, beside all 5xx: another offset, a busy upload, too many
requests, and a chunk that was spoilt on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said. `text` is the beginning of the body, for people."""

    method: str
    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    text: str = ""

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    def number(self, name: str) -> int | None:
        """A field that holds a number of bytes, None where it is absent. Raises ProtocolError."""
        text = self.headers.get(name)
        number = None if text is None else parse_bytes(text.strip())
        if text is not None and number is None:
            raise ProtocolError(f"{self.method} {self.url}: {name} is {text[:40]!r}, not a number of bytes")
        return number

    def address(self, name: str) -> URL | None:
        """A field that holds an address, resolved against that of the request. ProtocolError."""
        text = self.headers.get(name)
        if not text:
            return None
        try:
            address = self.url.join(URL(text))
            is_usable = address.scheme in {"http", "https"} and bool(address.host)
        except ValueError:
            is_usable = False
        if not is_usable:
            raise ProtocolError(f"{self.method} {self.url}: {name} is {text[:80]!r}, no address")
        return address

    def words(self, name: str) -> tuple[str, ...]:
        """A field that holds a list."""
        return tuple(word.strip() for word in self.headers.get(name, "").split(",") if word.strip())

    def check(self) -> Self:
        """Itself, if it is a success. Raises RefusedError, or BusyError where asking again may help."""
        if self.is_success:
            return self
        line = f"{self.method} {self.url} was answered {_status_line(self.status)}"
        if 300 <= self.status < 400 and "Location" in self.headers:
            line += f", a redirection to {self.headers['Location'][:200]}"
        elif self.text:
            line += f": {self.text}"
        if self.status >= 500 or self.status in PASSING:
            seconds = parse_bytes(self.headers.get("Retry-After", ""))
            raise BusyError(line, self.status, min(float(seconds or 0), _LONGEST_WAIT))
        raise RefusedError(line, self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A file as the server gives it: how many bytes, and what they sum up to (hex)."""

    answer: Answer
    size: int
    sha256: str


class Wire:
    """Requests to one server. Use it as a context.

    `headers` go to the origin of `home` alone: they may hold secrets, and an answer can name any
    address. A request fails when nothing at all has moved for `timeout` seconds, however long it takes
    as a whole. Redirections are not followed: an upload has one address.
    """

    def __init__(
        self, home: URL, *, headers: Iterable[tuple[str, str]] = (), timeout: float = 30.0
    ) -> None:
        self.home = home
        self.timeout = timeout
        self._headers = CIMultiDict(headers)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None),
            headers={"User-Agent": "tusd-py", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def headers_for(self, url: URL) -> CIMultiDict[str]:
        """The headers that were given, if `url` is at home."""
        return CIMultiDict(self._headers) if url.origin() == self.home.origin() else CIMultiDict()

    async def ask(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        on_sent: Callable[[int], None] = lambda _: None,
    ) -> Answer:
        """The answer, of whatever status. `on_sent` is told how much of `body` the network has taken.

        Raises NoConnectionError and TlsError. Then nobody knows what has become of the request.
        """
        fields = self.headers_for(url)
        fields.update(headers or {})
        try:
            async with asyncio.timeout(self.timeout) as watch:
                data = self._pieces(body, watch, on_sent) if body else b""
                if body:
                    fields["Content-Length"] = str(len(body))
                async with self._session.request(
                    method, url, headers=fields, data=data, allow_redirects=False
                ) as response:
                    return await _answer(response)
        except tuple(TROUBLE) as error:
            raise trouble(f"{method} {url}", error, self.timeout) from error

    async def fetch(self, url: URL) -> Served:
        """GET, and the sum of what comes: no byte of it is kept. Raises as `ask` does."""
        digest, size = hashlib.sha256(), 0
        try:
            async with asyncio.timeout(self.timeout) as watch:
                fields = self.headers_for(url)
                async with self._session.get(url, headers=fields, allow_redirects=False) as response:
                    if response.status != HTTPStatus.OK:
                        return Served(answer=await _answer(response), size=0, sha256="")
                    async for piece in response.content.iter_any():
                        digest.update(piece)
                        size += len(piece)
                        self._move(watch)
                    return Served(answer=await _answer(response), size=size, sha256=digest.hexdigest())
        except tuple(TROUBLE) as error:
            raise trouble(f"GET {url}", error, self.timeout) from error

    async def _pieces(
        self, body: bytes, watch: asyncio.Timeout, on_sent: Callable[[int], None]
    ) -> AsyncIterator[bytes]:
        for start in range(0, len(body), PIECE):
            yield body[start : start + PIECE]
            self._move(watch)
            on_sent(min(start + PIECE, len(body)))

    def _move(self, watch: asyncio.Timeout) -> None:
        if not watch.expired():
            watch.reschedule(asyncio.get_running_loop().time() + self.timeout)


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    is_for_people = response.method != "HEAD" and response.content_type != "text/html"
    start = await response.content.read(_TEXT) if is_for_people else b""
    text = start.decode("utf-8", "replace").partition("\n")[0].strip()
    return Answer(
        method=response.method,
        url=response.url,
        status=response.status,
        headers=response.headers,
        text="".join(character if character.isprintable() else "?" for character in text),
    )


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _no_name(_: BaseException, url: str) -> ClientError:
    return NoConnectionError(f"{url}: this host name is not known")


def _no_trust(error: BaseException, url: str) -> ClientError:
    return TlsError(f"{url}: the server's certificate is not trusted: {_reason(error)}")


def _no_tls(error: BaseException, url: str) -> ClientError:
    return TlsError(f"{url}: no TLS connection: {_reason(error)}")


def _no_way(error: BaseException, url: str) -> ClientError:
    return NoConnectionError(f"{url}: no connection: {_reason(error)}")


def _broken(_: BaseException, url: str) -> ClientError:
    return NoConnectionError(f"{url}: the connection broke off")


def _nonsense(_: BaseException, url: str) -> ClientError:
    return NoConnectionError(f"{url}: what answers there does not speak HTTP")


TROUBLE: dict[type[BaseException], Callable[[BaseException, str], ClientError]] = {
    aiohttp.ClientConnectorDNSError: _no_name,
    aiohttp.ClientConnectorCertificateError: _no_trust,
    aiohttp.ClientConnectorSSLError: _no_tls,
    ssl.SSLCertVerificationError: _no_trust,
    ssl.SSLError: _no_tls,
    aiohttp.ClientConnectorError: _no_way,
    aiohttp.ClientResponseError: _nonsense,
    aiohttp.ClientError: _broken,
    asyncio.IncompleteReadError: _broken,
    ConnectionRefusedError: _no_way,
    OSError: _broken,
}
"""What foreign exceptions mean here; the nearest class counts. TimeoutError is an OSError."""


def trouble(request: str, error: BaseException, timeout: float) -> ClientError:
    """The error to raise for a foreign one."""
    if isinstance(error, TimeoutError):
        return NoConnectionError(f"{request}: no answer within {timeout:g} s")
    kind = next(kind for kind in type(error).__mro__ if kind in TROUBLE)
    return TROUBLE[kind](error, request)


def _reason(error: BaseException) -> str:
    """The shortest words the system has for it."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, ssl.SSLError):
        return (inner.reason or "handshake failed").lower().replace("_", " ")
    if isinstance(inner, OSError) and inner.errno:
        return os.strerror(inner.errno).lower()
    return "unknown reason"
