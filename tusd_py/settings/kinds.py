"""The kinds of value a setting can have: how people write them, and what is accepted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field
from pydantic_settings import NoDecode

from tusd_py.core.checksums import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable

KIB, MIB = 2**10, 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Words for one kind of value. `accepted` completes the sentence "this is not ..."."""

    metavar: str
    accepted: str
    unit: str = ""
    format: Callable[[Any], str] = str
    repeatable: bool = False
    """Its flag may be given more than once, for one more each time."""


_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 36500 * 86400.0
"""A century: what is added to a date stays a date."""
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SIZE = re.compile(r"[0-9]+\s*b?|[0-9]+(?:\.[0-9]+)?\s*[kmgtpe](?:i?b)?", re.IGNORECASE)
_URL_PATH = re.compile(r"/|(?:/(?!\.{1,2}/)[A-Za-z0-9._~-]+)+/")
_TARGET = re.compile(r"[A-Za-z0-9_.]+:[A-Za-z0-9_.]+")
_TARGET_OR_NAME = re.compile(rf"{_TARGET.pattern}|[A-Za-z0-9_.-]+")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def parse_duration(value: object) -> float:
    """Seconds, from a number of them or a text such as `500ms`, `90s`, `15m`, `1h30m`, `7d`.

    Raises ValueError.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    text = str(value).strip().lower()
    if _NUMBER.fullmatch(text):
        return float(text)
    if _DURATION.fullmatch(text):
        return sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    raise ValueError("not a duration")


def format_duration(seconds: float) -> str:
    """The short form of a number of seconds, which `parse_duration` reads back."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _DURATION_UNITS[unit] == 0:
            return f"{seconds / _DURATION_UNITS[unit]:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def format_size(size: int) -> str:
    """The short form of a number of bytes, exact."""
    for unit, factor in (("MiB", MIB), ("KiB", KIB)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _check_number(value: object) -> object:
    if isinstance(value, bool):  # TOML's `true` would pass for the number 1
        raise ValueError("a number is needed")  # noqa: TRY004 - pydantic collects ValueError only
    return value


def _check_size(value: object) -> object:
    # pydantic ignores what follows a unit, and takes 0.5 bytes for 0, which means "no limit" here.
    if isinstance(value, str) and not _SIZE.fullmatch(value.strip()):
        raise ValueError("not a size")
    return _check_number(value)


def _parse_whole_seconds(value: object) -> int:
    seconds = parse_duration(value)
    if not seconds.is_integer():
        raise ValueError("not whole seconds")
    return int(seconds)


def _parse_lifespan(value: object) -> float | None:
    """Seconds; None for `""` and 0, which both say that it never ends."""
    seconds = 0.0 if value is None or value == "" else parse_duration(value)
    if not 0 <= seconds <= _LONGEST:
        raise ValueError("not a time that uploads live")
    return seconds or None


def _check_not_empty(value: object) -> object:
    if value == "":
        raise ValueError("empty")
    return value


def _empty_to_none(value: object) -> object:
    return None if value == "" else value


def _parse_url_path(value: str) -> str:
    text = value.strip()
    path = f"/{text.strip('/')}/" if text.strip("/") else text
    if not _URL_PATH.fullmatch(path):
        raise ValueError("not a path")
    return path


def _parse_page_path(value: str) -> str:
    path = _parse_url_path(value).rstrip("/")
    if not path:
        raise ValueError("the root")
    return path


def _split_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    # RFC 9110, 5.6.2: names of fields and methods are tokens; a line break would start a new field.
    if not all(_TOKEN.fullmatch(name) for name in names):
        raise ValueError("not a list of names")
    return names


def _check_target(value: str | None) -> str | None:
    if value is not None and not _TARGET.fullmatch(value):
        raise ValueError("not a name of code")
    return value


def _check_targets(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_TARGET_OR_NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
        raise ValueError("not names of code, each once")
    return names


def _check_algorithms(names: tuple[str, ...]) -> tuple[str, ...]:
    if not ALGORITHMS.keys() >= set(names) or len(set(names)) < len(names):
        raise ValueError("not algorithms, each once")
    # tus 1.0.0, Checksum: the server MUST support at least sha1.
    if names and "sha1" not in names:
        raise ValueError("no sha1")
    return names


def _format_lifespan(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)


def _format_switch(value: object) -> str:
    return "true" if value else "false"


def _format_path(value: object) -> str:
    return str(value) if value else ""


def _format_names(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _format_pattern(pattern: re.Pattern[str]) -> str:
    return pattern.pattern


def _one_of(literal: object) -> Kind:
    choices = get_args(literal)
    return Kind(metavar="|".join(choices), accepted=f"one of {', '.join(choices)}")


_DURATION_TEXT = "a duration such as 90, 90s, 500ms, 15m, 2h or 7d"
_TIME = partial(Kind, metavar="TIME", unit="seconds", format=format_duration)
_BYTES = partial(Kind, metavar="SIZE", unit="bytes", format=format_size)
_PATH = partial(Kind, format=_format_path)
_DURABILITY = Literal["os", "finish", "commit"]
_TLS_MODE = Literal["tls12", "tls12-strong", "tls13"]
_LOG_FORMAT = Literal["auto", "text", "json"]
_LOG_LEVEL = Literal["debug", "info", "warning", "error"]
_LOOP = Literal["auto", "asyncio", "uvloop"]
_RECEIVE = Literal["auto", "portable"]
_EXPIRATION = Literal["sliding", "absolute"]
_S3_CHECKSUMS = Literal["when_supported", "when_required"]
_S3_SERVE = Literal["proxy", "redirect"]

Host = Annotated[str, Field(pattern=r"^[^\s/]+$"), Kind(metavar="HOST", accepted="a host name or address")]
Port = Annotated[
    int,
    BeforeValidator(_check_number),
    Field(ge=0, le=65535),
    Kind(metavar="PORT", accepted="a whole number from 0 to 65535"),
]
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0),
    _TIME(accepted=f"{_DURATION_TEXT}, longer than 0"),
]
Patience = Annotated[
    float, BeforeValidator(parse_duration), Field(ge=0), _TIME(accepted=f"{_DURATION_TEXT}")
]
Lifespan = Annotated[
    float | None,
    BeforeValidator(_parse_lifespan),
    Kind(
        metavar="TIME",
        unit="seconds",
        accepted=f"{_DURATION_TEXT}, up to 36500d; 0 is never",
        format=_format_lifespan,
    ),
]
Span = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0, le=_LONGEST),
    _TIME(accepted=f"{_DURATION_TEXT}, up to 36500d"),
]
WholeSeconds = Annotated[
    int,
    BeforeValidator(_parse_whole_seconds),
    Field(ge=0),
    _TIME(accepted=f"{_DURATION_TEXT}, in whole seconds"),
]
Size = Annotated[
    ByteSize,
    BeforeValidator(_check_size),
    _BYTES(accepted="a size such as 1048576, 512KiB, 50MiB or 2GB"),
]
ChunkSize = Annotated[
    ByteSize,
    BeforeValidator(_check_size),
    Field(ge=KIB, le=16 * MIB),
    _BYTES(accepted="a size from 1KiB to 16MiB"),
]
PartSize = Annotated[
    ByteSize,
    BeforeValidator(_check_size),
    Field(ge=5 * MIB, le=5 * 2**30),
    _BYTES(accepted="a size from 5MiB to 5GiB"),
]
Count = Annotated[
    int,
    BeforeValidator(_check_number),
    Field(ge=1, le=256),
    Kind(metavar="NUMBER", accepted="a whole number from 1 to 256"),
]
Bucket = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$")] | None,
    BeforeValidator(_empty_to_none),
    Kind(metavar="BUCKET", accepted="the name of a bucket", format=_format_path),
]
ObjectPrefix = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9!_.*'()/-]{0,512}$"),
    Kind(metavar="PREFIX", accepted="letters, digits and ! _ . * ' ( ) - in segments with / between them"),
]
Endpoint = Annotated[
    Annotated[str, Field(pattern=r"^https?://[^/\s?#@]+/?$")] | None,
    BeforeValidator(_empty_to_none),
    Kind(metavar="URL", accepted="an address such as https://s3.example.org", format=_format_path),
]
OptionalName = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None,
    BeforeValidator(_empty_to_none),
    Kind(metavar="NAME", accepted="a name of letters, digits, _ and -", format=_format_path),
]
Encryption = Annotated[
    Annotated[str, Field(pattern=r"^(AES256|aws:kms(:\S+)?)$")] | None,
    BeforeValidator(_empty_to_none),
    Kind(metavar="SSE", accepted="AES256, aws:kms or aws:kms: with a key's id", format=_format_path),
]
UrlPath = Annotated[
    str,
    AfterValidator(_parse_url_path),
    Kind(metavar="PATH", accepted="a path such as /files/, of letters, digits and . _ ~ -"),
]
PagePath = Annotated[
    str,
    AfterValidator(_parse_page_path),
    Kind(metavar="PATH", accepted="a path such as /metrics, of letters, digits and . _ ~ -"),
]
Folder = Annotated[
    Path, BeforeValidator(_check_not_empty), _PATH(metavar="FOLDER", accepted="the path of a folder")
]
OptionalFile = Annotated[
    Path | None, BeforeValidator(_empty_to_none), _PATH(metavar="FILE", accepted="the path of a file")
]
Names = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_names),
    AfterValidator(_check_names),
    Kind(metavar="NAMES", accepted="a list of names separated by commas", format=_format_names),
]
Target = Annotated[
    str | None,
    BeforeValidator(_empty_to_none),
    AfterValidator(_check_target),
    Kind(metavar="NAME", accepted="the name of code, as package.module:callable", format=_format_path),
]
Targets = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_names),
    AfterValidator(_check_targets),
    Kind(
        metavar="NAME",
        accepted="a list of package.module:callable or names of installed entry points, each once",
        format=_format_names,
        repeatable=True,
    ),
]
Limit = Annotated[
    int,
    BeforeValidator(_check_number),
    Field(ge=0),
    Kind(metavar="NUMBER", accepted="a whole number; 0 sets no limit"),
]
Algorithms = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_names),
    AfterValidator(_check_algorithms),
    Kind(
        metavar="NAMES",
        accepted=f"a list of {', '.join(ALGORITHMS)}, each once and sha1 among them, or empty",
        format=_format_names,
    ),
]
Pattern = Annotated[
    re.Pattern[str], Kind(metavar="REGEX", accepted="a regular expression", format=_format_pattern)
]
Switch = Annotated[bool, Kind(metavar="true|false", accepted="true or false", format=_format_switch)]
Durability = Annotated[_DURABILITY, _one_of(_DURABILITY)]
Expiration = Annotated[_EXPIRATION, _one_of(_EXPIRATION)]
S3Checksums = Annotated[_S3_CHECKSUMS, _one_of(_S3_CHECKSUMS)]
S3Serve = Annotated[_S3_SERVE, _one_of(_S3_SERVE)]
TlsMode = Annotated[_TLS_MODE, _one_of(_TLS_MODE)]
LogFormat = Annotated[_LOG_FORMAT, _one_of(_LOG_FORMAT)]
LogLevel = Annotated[_LOG_LEVEL, _one_of(_LOG_LEVEL)]
Loop = Annotated[_LOOP, _one_of(_LOOP)]
Receive = Annotated[_RECEIVE, _one_of(_RECEIVE)]
