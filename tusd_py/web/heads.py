"""Between aiohttp's requests and responses and the protocol's heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tusd_py.protocol.heads import RequestHead, ResponseHead, effective_method
from tusd_py.protocol.origins import public_origin
from tusd_py.web.keys import ERROR_CODE

if TYPE_CHECKING:
    from collections.abc import Callable

_REASONS = {423: "Locked", 460: "Checksum Mismatch"}


def head_reader(*, behind_proxy: bool) -> Callable[[web.Request], RequestHead]:
    """A function that reads a request's head; `behind_proxy`: believe what a proxy says of the origin."""

    def read_head(request: web.Request) -> RequestHead:
        fields = tuple((name.lower(), value) for name, value in request.headers.items())
        # No allow-list has looked at request.method before this: the effective method is the only one.
        override = request.headers.get("X-HTTP-Method-Override")
        return RequestHead(
            method=effective_method(request.method, override),
            path=request.path,
            fields=fields,
            origin=public_origin(
                scheme="https" if request.secure else "http",
                authority=request.headers.get("Host"),
                fields=fields,
                behind_proxy=behind_proxy,
            ),
        )

    return read_head


def write_head(answer: ResponseHead) -> web.Response:
    """The answer as aiohttp sends it: `CODE: message` as text/plain, or no body at all."""
    response = web.Response(status=answer.status, reason=answer.reason or _REASONS.get(answer.status))
    for name, value in answer.fields:
        response.headers.add(name, value)
    if answer.text:
        response.text = answer.text
        response.content_type = "text/plain"
    if answer.code:
        response[ERROR_CODE] = answer.code
    return response
