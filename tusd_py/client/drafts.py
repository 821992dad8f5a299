"""Which versions of the IETF draft (resumable uploads for HTTP) a server speaks.

Only its interim answer 104 says so, and to a creation alone. So each version is asked for by creating an
empty upload in it. HTTP libraries pass over interim answers; here the heads are read from the connection.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from yarl import URL

from tusd_py.client.errors import ClientError, ProtocolError
from tusd_py.client.wire import TROUBLE, trouble

if TYPE_CHECKING:
    from tusd_py.client.wire import Wire

DRAFTS = {
    # interop version: the drafts that have it, and the field that says "more will follow"
    9: ("-12", "Upload-Complete", "?0"),
    8: ("-09 to -11", "Upload-Complete", "?0"),
    7: ("-06 to -08", "Upload-Complete", "?0"),
    6: ("-04, -05", "Upload-Complete", "?0"),
    5: ("-03", "Upload-Complete", "?0"),
    4: ("-02", "Upload-Complete", "?0"),
    3: ("-01", "Upload-Incomplete", "?1"),
}
INTEROP = "Upload-Draft-Interop-Version"
_LARGEST_HEAD = 64 * 1024
_MOST_HEADS = 100
_STATUS = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: |$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of one answer. Names are lower-case; of repeated fields the last counts."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftReport:
    """Which interop versions are spoken, newest first, and the uploads that could not be removed again."""

    versions: tuple[int, ...]
    left: tuple[URL, ...]


async def ask_drafts(wire: Wire, url: URL) -> DraftReport:
    """Create an empty upload in every version, and remove each again. Raises ClientError."""
    spoken: list[int] = []
    left: list[URL] = []
    for version in DRAFTS:
        heads = await _create(wire, url, version)
        if any(_is_spoken(head, version) for head in heads):
            spoken.append(version)
        for created in {head.headers["location"] for head in heads if "location" in head.headers}:
            address = url.join(URL(created))
            if not await _removed(wire, address, version):
                left.append(address)
    return DraftReport(versions=tuple(spoken), left=tuple(left))


async def _create(wire: Wire, url: URL, version: int) -> list[Head]:
    _, name, value = DRAFTS[version]
    fields = {INTEROP: str(version), name: value, "Content-Length": "0", "Connection": "close"}
    return await read_heads(wire, "POST", url, fields)


def _is_spoken(head: Head, version: int) -> bool:
    """A 104 with the version asked for is the proof; some servers repeat it on a good final answer."""
    good = head.status == 104 or HTTPStatus.OK <= head.status < HTTPStatus.MULTIPLE_CHOICES
    return good and head.headers.get(INTEROP.lower()) == str(version)


async def _removed(wire: Wire, url: URL, version: int) -> bool:
    try:
        return (await wire.ask("DELETE", url, {INTEROP: str(version)})).is_success
    except ClientError:
        return False


async def read_heads(wire: Wire, method: str, url: URL, fields: dict[str, str]) -> list[Head]:
    """Every head that comes back for one request on a connection of its own, the final one last.

    Raises ClientError, also when it takes longer than the wire's timeout.
    """
    lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
    lines += [f"{name}: {value}" for name, value in [*wire.headers_for(url).items(), *fields.items()]]
    request = "".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8")
    try:
        async with asyncio.timeout(wire.timeout):
            reader, writer = await asyncio.open_connection(
                url.host, url.port, ssl=url.scheme == "https" or None, limit=_LARGEST_HEAD
            )
            try:
                writer.write(request)
                await writer.drain()
                return await _read_all(reader)
            finally:
                writer.close()
    except tuple(TROUBLE) as error:
        raise trouble(f"{method} {url}", error, wire.timeout) from error
    except (asyncio.LimitOverrunError, ValueError) as error:
        raise ProtocolError(f"{method} {url}: the answer is not HTTP") from error


async def _read_all(reader: asyncio.StreamReader) -> list[Head]:
    heads: list[Head] = []
    while not heads or heads[-1].status < HTTPStatus.OK:
        if len(heads) == _MOST_HEADS:
            raise ValueError("interim answers without an end")
        heads.append(_parse_head((await reader.readuntil(b"\r\n\r\n")).decode("latin-1")))
    return heads


def _parse_head(text: str) -> Head:
    first, *rest = text.rstrip("\r\n").split("\r\n")
    status = _STATUS.match(first)
    if status is None:
        raise ValueError("no status line")
    pairs = (line.partition(":") for line in rest)
    return Head(
        status=int(status[1]), headers={name.strip().lower(): value.strip() for name, _, value in pairs}
    )
