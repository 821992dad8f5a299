"""What can go wrong between a server and S3: faults that strike the `nth` call of an operation from now.

`key` is a regular expression for the end of the object's key, and no operation stands for any. With `times`
the next such calls go the same way, so that repetitions come to nothing: S3 clients try several times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import faults
from tests.support.faults import Fault

if TYPE_CHECKING:
    from tests.support.s3_operations import Operation

ALWAYS = 1_000_000
"""As `times`: until the proxy's `clear`."""


def of(operation: Operation | None, key: str = "") -> str:
    """The calls of one operation, or of any, for the faults of `tests.support.faults`."""
    return rf"{operation or '[A-Z][A-Za-z0-9]+'} .*{key}$"


def refuse(operation: Operation | None, *, key: str = "", nth: int = 1, times: int = 1) -> Fault:
    """The connection breaks before S3 hears of the call."""
    return faults.refuse(of(operation, key), nth, times)


def cut(operation: Operation | None, after: int, *, key: str = "", nth: int = 1, times: int = 1) -> Fault:
    """The connection breaks when S3 has `after` bytes of the call's body."""
    return faults.reset_after(after, of(operation, key), nth, times)


def lose_response(operation: Operation | None, *, key: str = "", nth: int = 1, times: int = 1) -> Fault:
    """The call is carried out, and the connection breaks before its answer is there."""
    return faults.lose_response(of(operation, key), nth, times)


def hold(operation: Operation | None, *, key: str = "", nth: int = 1) -> Fault:
    """The call stands still before S3 hears of it, until `release` or the client leaves."""
    return faults.hold(of(operation, key), nth)


def hold_response(operation: Operation | None, *, key: str = "", nth: int = 1) -> Fault:
    """The call is carried out, and its answer stands still until the proxy's `release`."""
    return faults.hold_response(of(operation, key), nth)


def answer_error(
    operation: Operation | None,
    status: int,
    code: str,
    *,
    key: str = "",
    nth: int = 1,
    times: int = 1,
    done: bool = False,
) -> Fault:
    """S3 says that it failed. With `done` the call was carried out nevertheless."""
    act = faults.answer_instead if done else faults.answer
    return act(error(status, code), of(operation, key), nth, times)


def internal_error(
    operation: Operation | None, *, key: str = "", nth: int = 1, times: int = 1, done: bool = False
) -> Fault:
    """500 InternalError, which clients take as a reason to try again."""
    return answer_error(operation, 500, "InternalError", key=key, nth=nth, times=times, done=done)


def slow_down(operation: Operation | None, *, key: str = "", nth: int = 1, times: int = 1) -> Fault:
    """503 SlowDown, which clients take as a reason to wait and try again."""
    return answer_error(operation, 503, "SlowDown", key=key, nth=nth, times=times)


def error_in_body(
    operation: Operation | None, *, key: str = "", nth: int = 1, times: int = 1, done: bool = False
) -> Fault:
    """200, and an error in the body: S3 began its answer before it knew (Complete and the copies may)."""
    return answer_error(operation, 200, "InternalError", key=key, nth=nth, times=times, done=done)


def error(status: int, code: str) -> bytes:
    """A whole response with S3's error document."""
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>By order of the test.</Message>"
        "<RequestId>0</RequestId><HostId>0</HostId></Error>"
    ).encode()
    head = (
        f"HTTP/1.1 {status} By Order\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(document)}\r\nConnection: close\r\n\r\n"
    ).encode()
    return head + document
