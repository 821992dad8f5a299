"""How the log is written: lines for people, JSON for programs. To stderr: stdout is for results."""

from __future__ import annotations

import json
import logging
import sys
from functools import cache
from typing import TYPE_CHECKING

import structlog

try:
    import orjson
except ImportError:  # it comes with the extra `fast`
    orjson = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable


def configure(log_format: str, level: str, worker: int | None = None) -> None:
    """Set the whole process's log up. `log_format` is auto, text or json; `level` a name of logging's.

    Lines of a `worker` carry its number.
    """
    text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if worker is None else [_signing(worker)]),
    ]
    last = _text_lines() if text else _json_lines()
    threshold = logging.getLevelName(level.upper())
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(shared, last, threshold)


def _signing(worker: int) -> structlog.typing.Processor:
    def sign(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["worker"] = worker
        return event

    return sign


def _text_lines() -> list[structlog.typing.Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [renderer]


def _json_lines() -> list[structlog.typing.Processor]:
    # Local variables stay out of tracebacks: they hold header fields and pieces of bodies.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    renderer = structlog.processors.JSONRenderer(serializer=_dumps)
    return [structlog.processors.ExceptionRenderer(tracebacks), renderer]


def _dumps(event: dict[str, object], default: Callable[[object], object]) -> str:
    """ASCII only: what stderr would make of anything else depends on where it leads."""
    if orjson is not None:
        try:
            line = orjson.dumps(event, default=default, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except TypeError:  # half a pair of surrogates, or a number of more than 64 bits
            pass
        else:
            if line.isascii():
                return line.decode()
    return _encoder(default).encode(event)


@cache
def _encoder(default: Callable[[object], object]) -> json.JSONEncoder:
    """json.dumps would make one for each line."""
    return json.JSONEncoder(default=default, separators=(",", ":"))


def _route_standard_logging(
    shared: list[structlog.typing.Processor], last: list[structlog.typing.Processor], threshold: int
) -> None:
    """What aiohttp and asyncio have to say comes in the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO))
