"""`tusd-py ls`: every upload on record."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tusd_py.cli.exits import Exit
from tusd_py.cli.lines import CORRUPT, GONE, LS
from tusd_py.cli.output import human_size, human_span, inline, iso, say, say_json
from tusd_py.cli.storage import check_is_storage, opened
from tusd_py.core.errors import RecordCorruptError, UploadGoneError, UploadNotFoundError
from tusd_py.settings import Settings, load_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tusd_py.core.model import Delivery, Upload
    from tusd_py.core.ports import Store

COLUMNS = ("ID", "KIND", "STATE", "OFFSET", "LENGTH", "AGE", "EXPIRES IN", "NAME", "PENDING")
_NUMBERS = {"OFFSET", "LENGTH", "AGE", "EXPIRES IN"}
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line: `upload` is None where there is nothing to be read of it, and `state` says why."""

    upload_id: str
    state: str
    upload: Upload | None = None

    @property
    def order(self) -> tuple[datetime, str]:
        """Oldest first; before them those of which nothing is known."""
        return (self.upload.created_at if self.upload else _EPOCH), self.upload_id


def run(argv: Sequence[str]) -> int:
    """List as `argv` says. Raises SettingsError and StoreError."""
    settings, options = load_command(LS, argv)
    check_is_storage(settings)
    with asyncio.Runner() as runner:
        listed = runner.run(_list(settings))
    listed = [each for each in listed if options.get("state", each.state) == each.state]
    if "json" in options:
        say_json([_fields(each) for each in listed])
    elif sys.stdout.isatty():
        _show_table(listed)
    else:
        say("\t".join(line) for line in (COLUMNS, *(_cells(each, str) for each in listed)))
    return Exit.OK


async def _list(settings: Settings) -> list[Listed]:
    async with opened(settings) as engine:
        found = [await _look(engine.store, upload_id) async for upload_id in engine.store.list()]
    return sorted((each for each in found if each is not None), key=lambda each: each.order)


async def _look(store: Store, upload_id: str) -> Listed | None:
    try:
        upload = await store.load(upload_id)
    except UploadNotFoundError:  # removed since it was listed
        return None
    except UploadGoneError:
        return Listed(upload_id=upload_id, state=GONE)
    except RecordCorruptError:
        return Listed(upload_id=upload_id, state=CORRUPT)
    return Listed(upload_id=upload_id, state=upload.state.value, upload=upload)


def _fields(listed: Listed) -> dict[str, object]:
    upload = listed.upload
    return {
        "id": listed.upload_id,
        "kind": upload.kind.value if upload else None,
        "state": listed.state,
        "offset": upload.offset if upload else None,
        "length": upload.length if upload else None,
        "created_at": iso(upload.created_at) if upload else None,
        "expires_at": iso(upload.expires_at) if upload else None,
        "name": upload.name if upload else None,
        "deliveries": [_delivery_fields(each) for each in upload.deliveries] if upload else None,
    }


def _delivery_fields(delivery: Delivery) -> dict[str, object]:
    return {"name": delivery.name, "attempts": delivery.attempts, "due_at": iso(delivery.due_at)}


def _cells(listed: Listed, size: Callable[[int], str]) -> tuple[str, ...]:
    upload = listed.upload
    if upload is None:
        return (inline(listed.upload_id), "-", listed.state, *("-" for _ in COLUMNS[3:]))
    now = datetime.now(UTC)
    expires_at = upload.expires_at
    return (
        inline(listed.upload_id),
        upload.kind.value,
        listed.state,
        size(upload.offset),
        "-" if upload.length is None else size(upload.length),
        human_span((now - upload.created_at).total_seconds()),
        "-" if expires_at is None else human_span((expires_at - now).total_seconds()),
        inline(upload.name),
        inline(", ".join(f"{each.name} ({each.attempts})" for each in upload.deliveries)) or "-",
    )


def _show_table(listed: Sequence[Listed]) -> None:
    from rich.console import Console  # noqa: PLC0415 - a quarter of the start-up time, and only here
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in COLUMNS:
        is_number = title in _NUMBERS
        table.add_column(
            title, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number
        )
    for each in listed:
        table.add_row(*(Text(cell) for cell in _cells(each, human_size)))  # a name is never markup
    Console().print(table if listed else "No uploads.")
