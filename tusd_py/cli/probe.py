"""`tusd-py probe`: look at a tus server, or at an upload, for people and for monitors."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from tusd_py.cli.output import human_size, human_span, inline, iso, say, say_json
from tusd_py.cli.remote import DEFAULT_TIMEOUT, PROBE, parse_address
from tusd_py.client.probe import Verdict, Wishes, probe
from tusd_py.client.wire import Wire
from tusd_py.settings import SettingsError, load_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from yarl import URL

    from tusd_py.client.discovery import Server
    from tusd_py.client.probe import Report, Seen


def run(argv: Sequence[str]) -> int:
    """Probe as `argv` says. The exit code is that of the verdict, as monitors read it."""
    try:
        url, options = _read(argv)
    except SettingsError as error:  # a monitor must not take a misspelt flag for a broken server
        sys.stderr.write(f"tusd-py: {error}\n")
        return Verdict.UNKNOWN
    with asyncio.Runner() as runner:
        report = runner.run(_probe(url, options))
    if "json" in options:
        say_json(_fields(url, report))
    else:
        say(_lines(report))
    return report.verdict


def _read(argv: Sequence[str]) -> tuple[URL, dict[str, Any]]:
    operands, options = load_arguments(PROBE, argv)
    if len(operands) != 1:
        raise SettingsError(f"one address is needed, not {len(operands)}: tusd-py probe URL")
    return parse_address(operands[0]), options


async def _probe(url: URL, options: dict[str, Any]) -> Report:
    wishes = Wishes(
        write="write" in options,
        drafts="drafts" in options,
        is_upload="upload" in options,
        max_age=options.get("max_age"),
        expire_after=options.get("expire_after"),
    )
    timeout = options.get("timeout", DEFAULT_TIMEOUT).total_seconds()
    async with Wire(url, headers=options.get("header", ()), timeout=timeout) as wire:
        return await probe(wire, url, wishes)


def _lines(report: Report) -> Iterator[str]:
    yield f"TUS {report.verdict.name}: {inline(report.summary)}"
    if report.server is not None:
        yield from (_line(name, value) for name, value in _server_lines(report.server))
        yield _line("IETF draft", _draft_text(report.server, report.drafts))
    if report.upload is not None:
        yield from (_line(name, value) for name, value in _upload_lines(report.upload))
    for step in report.steps:
        yield _line(step.name, f"{'ok' if step.passed else 'FAILED'}, {step.seconds:.3f} s: {step.detail}")
    if report.steps or report.drafts is not None:
        yield _line("left behind", ", ".join(map(str, report.left)) or "nothing")


def _line(name: str, value: str) -> str:
    return f"  {name:<12} {inline(value)}"


def _server_lines(server: Server) -> Iterator[tuple[str, str]]:
    yield "software", server.software or "not told"
    yield "tus", ", ".join(server.versions) or "no"
    yield "extensions", ", ".join(server.extensions) or "none"
    size = server.max_size
    yield "max size", "no limit told" if size is None else f"{size} bytes ({human_size(size)})"
    yield "checksums", ", ".join(server.algorithms) or "none"


def _draft_text(server: Server, versions: tuple[int, ...] | None) -> str:
    if versions:
        return f"interop version {', '.join(map(str, versions))}"
    if server.draft_signs:
        return f"spoken, by its {', '.join(server.draft_signs)}; --drafts tells the version"
    return "not spoken" if versions is not None else "no sign of it"


def _upload_lines(seen: Seen) -> Iterator[tuple[str, str]]:
    yield "offset", "not told" if seen.offset is None else str(seen.offset)
    yield "length", "not told" if seen.length is None else str(seen.length)
    if seen.expires_at is not None:
        left = human_span((seen.expires_at - seen.now).total_seconds())
        yield "expires", f"{iso(seen.expires_at)} (in {left})"
    if seen.changed_at is not None and seen.age is not None:
        span = human_span(seen.age.total_seconds())
        yield "changed", f"{iso(seen.changed_at)} ({span} ago, by {seen.changed_by})"
    if seen.location is not None:
        yield "file", str(seen.location)
    for key, value in seen.metadata.pairs:
        yield "metadata", f"{key}: {value.decode('utf-8', 'replace')}"


def _fields(url: URL, report: Report) -> dict[str, object]:
    return {
        "url": str(url),
        "status": report.verdict.name.lower(),
        "summary": report.summary,
        "server": report.server and _server_fields(report.server, report.drafts),
        "upload": report.upload and _upload_fields(report.upload),
        "steps": [
            {"name": step.name, "passed": step.passed, "detail": step.detail, "seconds": step.seconds}
            for step in report.steps
        ],
        "left_behind": [str(each) for each in report.left],
    }


def _server_fields(server: Server, drafts: tuple[int, ...] | None) -> dict[str, object]:
    return {
        "software": server.software,
        "versions": server.versions,
        "extensions": server.extensions,
        "max_size": server.max_size,
        "checksum_algorithms": server.algorithms,
        "ietf_draft": {"signs": server.draft_signs, "interop_versions": drafts},
    }


def _upload_fields(seen: Seen) -> dict[str, object]:
    return {
        "offset": seen.offset,
        "length": seen.length,
        "percent": seen.percent,
        "finished": seen.is_finished,
        "expires_at": iso(seen.expires_at),
        "expires_in_seconds": seen.expires_at and (seen.expires_at - seen.now).total_seconds(),
        "changed_at": iso(seen.changed_at),
        "age_seconds": None if seen.age is None else seen.age.total_seconds(),
        "age_from": seen.changed_by,
        "location": None if seen.location is None else str(seen.location),
        "metadata": {key: value.decode("utf-8", "replace") for key, value in seen.metadata.pairs},
    }
