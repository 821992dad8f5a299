"""What a fault proxy can be told to do to a connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Action(Enum):
    """What a fault does."""

    RESET = auto()
    CLOSE = auto()
    SILENCE = auto()
    LOSE_RESPONSE = auto()
    REFUSE = auto()
    CORRUPT = auto()
    ANSWER = auto()
    ANSWER_INSTEAD = auto()
    HOLD = auto()
    HOLD_RESPONSE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`action`, when `after` bytes of a request's body have reached the server.

    `of` is a regular expression for the start of the request line (`PATCH /files/1`), or of what a
    proxy for one kind of server calls the request; `nth` says which such request, counted from 1 since
    the fault became the next one. It happens `times` times in all, to such requests one after another.
    `answer` is a whole response, with its head.
    """

    action: Action
    of: str
    nth: int = 1
    after: int = 0
    times: int = 1
    answer: bytes = b""


def reset_after(size: int, of: str = "PATCH", nth: int = 1, times: int = 1) -> Fault:
    """RST to both sides once the server has read exactly `size` bytes of the body, if it reads."""
    return Fault(action=Action.RESET, of=of, nth=nth, times=times, after=size)


def close_after(size: int, of: str = "PATCH", nth: int = 1) -> Fault:
    """Close both sides after exactly `size` bytes of the body: the server sees an early end (FIN)."""
    return Fault(action=Action.CLOSE, of=of, nth=nth, after=size)


def silence_after(size: int, of: str = "PATCH", nth: int = 1) -> Fault:
    """Let nothing pass any more, either way, after exactly `size` bytes of the body.

    Both connections stay open, whatever the client does. When the server gives up on its own, the
    client is reset, as if the line were back and nobody knew of the connection.
    """
    return Fault(action=Action.SILENCE, of=of, nth=nth, after=size)


def lose_response(of: str = "PATCH", nth: int = 1, times: int = 1) -> Fault:
    """Let the whole request pass, wait for the first bytes of its answer, drop them and reset both."""
    return Fault(action=Action.LOSE_RESPONSE, of=of, nth=nth, times=times)


def refuse(of: str = "PATCH", nth: int = 1, times: int = 1) -> Fault:
    """RST to both sides instead of the request: the server gets nothing of it."""
    return Fault(action=Action.REFUSE, of=of, nth=nth, times=times)


def corrupt_at(place: int, of: str = "PATCH", nth: int = 1) -> Fault:
    """Turn over every bit of the byte at `place` of the body, counted from 0; all else passes as it is."""
    return Fault(action=Action.CORRUPT, of=of, nth=nth, after=place)


def answer(response: bytes, of: str = "PATCH", nth: int = 1, times: int = 1) -> Fault:
    """Say `response` to the client and close; the server gets nothing of the request."""
    return Fault(action=Action.ANSWER, of=of, nth=nth, times=times, answer=response)


def answer_instead(response: bytes, of: str = "PATCH", nth: int = 1, times: int = 1) -> Fault:
    """Let the whole request pass, wait for its answer, and say `response` in its place; then close."""
    return Fault(action=Action.ANSWER_INSTEAD, of=of, nth=nth, times=times, answer=response)


def hold(of: str = "PATCH", nth: int = 1) -> Fault:
    """Keep the request back, all of it, until the proxy's `release`; a client that leaves ends it."""
    return Fault(action=Action.HOLD, of=of, nth=nth)


def hold_response(of: str = "PATCH", nth: int = 1) -> Fault:
    """Let the whole request pass, and keep its answer back until the proxy's `release`."""
    return Fault(action=Action.HOLD_RESPONSE, of=of, nth=nth)
