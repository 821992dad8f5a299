"""From the last byte to the published file, so that no crash, fault or veto in between is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tusd_py.core.errors import StoreError, UploadRejectedError
from tusd_py.core.events import CompletionDelayed, UploadFinished
from tusd_py.core.model import Upload, UploadState

if TYPE_CHECKING:
    from tusd_py.core.ports import EventSink, Store
    from tusd_py.engine.hookpoints import Hookpoints


class Completion:
    """Drives uploads whose bytes are all stored to their end. The caller holds the upload's lock."""

    def __init__(self, store: Store, hooks: Hookpoints, emit: EventSink) -> None:
        self._store = store
        self._hooks = hooks
        self._emit = emit

    async def settle(self, upload: Upload) -> Upload:
        """`upload` as it may be reported: driven to its end if it was waiting for that."""
        return await self.complete(upload) if upload.awaits_completion else upload

    async def complete(self, upload: Upload) -> Upload:
        """The complete upload, published.

        Every step may be repeated. On StoreError the upload stays `completing` and is tried again by
        the next request to it and by the next start. A hook's veto makes it `failed`, for good, and
        raises UploadRejectedError.
        """
        try:
            upload = await self._mark(upload, UploadState.COMPLETING)
            await self._hooks.pre_finish(upload)
            await self._store.complete(upload)
            upload = await self._record_end(upload)
        except UploadRejectedError:
            await self._mark(upload, UploadState.FAILED)
            raise
        except StoreError as error:
            self._emit(CompletionDelayed(upload=upload, error=error))
            raise
        self._emit(UploadFinished(upload=upload))
        return upload

    async def _record_end(self, upload: Upload) -> Upload:
        """Put `complete` on record. If that fails, look: it may have been done and only not been told."""
        try:
            return await self._mark(upload, UploadState.COMPLETE)
        except StoreError:
            upload = await self._store.load(upload.id)
            if upload.state is not UploadState.COMPLETE:
                raise
            return upload

    async def _mark(self, upload: Upload, state: UploadState) -> Upload:
        if upload.state is not state:
            upload = replace(upload, state=state)
            await self._store.save(upload)
        return upload
