"""A fault proxy in front of an S3 server: it counts operations, and its faults strike operations.

    with S3FaultProxy("127.0.0.1", seaweed.port) as proxy:
        proxy.script(s3_faults.slow_down(Operation.UPLOAD_PART, nth=2, times=4))
        ...  # the server under test has --s3-endpoint set to proxy.origin
        assert proxy.calls == {Operation.CREATE_MULTIPART_UPLOAD: 1, ...}

What is sent passes unchanged, so that signatures stay valid: clients sign for the proxy's address, and
the server checks them by the Host field it gets.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.support.proxy import FaultProxy
from tests.support.s3_operations import Call, Operation, recognise

if TYPE_CHECKING:
    from tests.support.framing import Request


class S3FaultProxy(FaultProxy):
    """What `FaultProxy` does, with `Call` in the place of the request line."""

    @property
    def calls(self) -> Counter[Operation]:
        """How often each operation was asked for since `forget_calls`, repetitions included."""
        return Counter(call.operation for call in self.log)

    @property
    def log(self) -> tuple[Call, ...]:
        """What was asked for since `forget_calls`, in the order the heads came; LookupError if unknown."""
        return tuple(recognise(request) for request in self.requests)

    def forget_calls(self) -> None:
        """Count from zero again."""
        self.forget_requests()

    def describe(self, request: Request) -> str:
        try:
            return str(recognise(request))
        except LookupError:
            return request.line
