"""What can go wrong with somebody else's server. Each error is one line for people."""

from __future__ import annotations

from tusd_py.core.errors import TusdError


class ClientError(TusdError):
    """It did not work, and asking again will not help."""


class PassingError(ClientError):
    """It did not work now. `retry_after` is how many seconds the server asks to wait, if it does."""

    retry_after: float = 0.0


class NoConnectionError(PassingError):
    """The server was not reached, or the connection to it broke off."""


class TlsError(ClientError):
    """The server cannot prove who it is, or does not speak TLS."""


class NotTusError(ClientError):
    """Whatever answers there, it is no tus 1.0.0 server."""


class ProtocolError(ClientError):
    """The server says what the protocol does not allow; going on would risk wrong bytes."""


class RefusedError(ClientError):
    """The server says no. `status` is its code."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class BusyError(PassingError):
    """The server says: not now. `status` is its code."""

    def __init__(self, text: str, status: int, retry_after: float) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after


class StartAgainError(PassingError):
    """What the server has at the address is not the upload that was begun there: a new one is needed."""


class ChunkTooLargeError(PassingError):
    """Something on the way takes no request of this size; a smaller one may pass."""


class VanishedError(ClientError):
    """The server no longer knows an upload that it has just said is whole."""


class SourceChangedError(ClientError):
    """The file changed while it was being sent: what the server has is neither the old nor the new one."""


class SourceSpentError(ClientError):
    """Bytes of a stream are needed once more that cannot be read again."""


class UnverifiedError(ClientError):
    """The server has all bytes, but what it serves is not shown to be the file."""
