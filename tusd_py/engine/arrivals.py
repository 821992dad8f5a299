"""News of uploads, for those who follow one in the process that receives it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Arrivals:
    """Tells who follows an upload that something may have changed.

    It saves time, not data: whoever follows looks at the storage itself, again and again, since the
    bytes may come to another process.
    """

    def __init__(self) -> None:
        self._followers: dict[str, set[asyncio.Event]] = {}
        self.is_over = False
        """Nothing more comes in this process."""

    def note(self, upload_id: str) -> None:
        """Bytes of the upload count, or its state is another one."""
        for news in self._followers.get(upload_id, ()):
            news.set()

    def telling(self, upload_id: str, on_commit: Callable[[int], None]) -> Callable[[int], None]:
        """`on_commit`, and the followers hear of it, too."""

        def on_commit_and_note(offset: int) -> None:
            on_commit(offset)
            self.note(upload_id)

        return on_commit_and_note

    def end(self) -> None:
        """Nothing more comes: whoever waits has waited long enough."""
        self.is_over = True
        for upload_id in self._followers:
            self.note(upload_id)

    @contextmanager
    def watch(self, upload_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at every `note` of the upload, for as long as the block lasts."""
        news = asyncio.Event()
        followers = self._followers.setdefault(upload_id, set())
        followers.add(news)
        try:
            yield news
        finally:
            followers.discard(news)
            if not followers:
                self._followers.pop(upload_id, None)
