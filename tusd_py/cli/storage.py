"""The storage that a command works on, opened where it is and led where it has to be."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tusd_py.app import make_engine
from tusd_py.cli import logs
from tusd_py.core.errors import TusdError
from tusd_py.settings import Settings, SettingsError
from tusd_py.stores.local_layout import Layout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tusd_py.engine.uploads import UploadEngine


class StorageLedError(TusdError):
    """Somebody else cleans this storage up: a running server, as a rule."""

    def __init__(self, harmless: str) -> None:
        super().__init__(
            f"a running server cleans this storage up by itself, every --gc-interval; {harmless}"
        )


def check_is_storage(settings: Settings) -> None:
    """Raise SettingsError unless a server has stored something in the folder; nothing is made there.

    Whether a bucket is there shows with the first call.
    """
    folder = settings.upload_dir
    if settings.s3_bucket is not None:
        return
    if not folder.is_dir():
        raise SettingsError(f"--upload-dir: there is no folder {str(folder)!r}; the one of the server")
    layout = Layout(str(folder))
    for part in (layout.incoming, layout.published):
        if not folder.joinpath(part).is_dir():
            name = folder.joinpath(part).name
            raise SettingsError(
                f"--upload-dir: {str(folder)!r} is not a storage, it has no folder {name!r};"
                " the one of the server"
            )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[UploadEngine]:
    """An engine on the storage that is there; closed at the end. Only trouble is logged, to stderr."""
    logs.configure(settings.log_format, "warning")
    engine = make_engine(settings)
    try:
        yield engine
    finally:
        await engine.store.close()


@asynccontextmanager
async def leading(engine: UploadEngine, *, harmless: str) -> AsyncIterator[None]:
    """Be the only one who cleans up. StorageLedError, with what is `harmless`, where somebody else is."""
    async with engine.store.lead() as leads:
        if not leads:
            raise StorageLedError(harmless)
        yield
