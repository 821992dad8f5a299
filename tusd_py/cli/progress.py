"""How uploads are shown while they run: bars on a terminal, elsewhere a line for each trouble."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tusd_py.cli.output import inline
from tusd_py.client.uploader import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

    from tusd_py.client.batch import Job


class _Lines(Watcher):
    """What goes wrong and passes, in lines: for logs of scripts."""

    def __init__(self, job: Job) -> None:
        self._name = inline(job.path)

    def waits(self, reason: str, seconds: float) -> None:
        """As promised by Watcher."""
        self._say(f"{inline(reason)}; again in {seconds:g} s")

    def warns(self, text: str) -> None:
        """As promised by Watcher."""
        self._say(inline(text))

    def _say(self, text: str) -> None:
        sys.stderr.write(f"tusd-py: {self._name}: {text}\n")


class _Bar(_Lines):
    """A bar that shows what the network has taken, and falls back to what the server has."""

    def __init__(self, job: Job, progress: Progress) -> None:
        super().__init__(job)
        self._job = job
        self._progress = progress
        self._task: TaskID = progress.add_task(self._name, total=None, start=False)

    def began(self, offset: int) -> None:
        """As promised by Watcher."""
        self._progress.update(self._task, total=self._job.length, completed=offset)
        self._progress.start_task(self._task)

    def moved(self, offset: int) -> None:
        """As promised by Watcher."""
        self._progress.update(self._task, completed=offset)

    def verifies(self) -> None:
        """As promised by Watcher."""
        self._progress.update(self._task, description=f"{self._name} (comparing)")

    def _say(self, text: str) -> None:
        from rich.text import Text  # noqa: PLC0415 - as in `show`

        self._progress.console.print(Text(f"{self._name}: {text}"))


@contextmanager
def show() -> Iterator[Callable[[Job], Watcher]]:
    """What to watch each job with while the context lasts."""
    if not sys.stderr.isatty():
        yield _Lines
        return
    from rich import progress as bars  # noqa: PLC0415 - a quarter of the start-up time, and only here
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.DownloadColumn(binary_units=True),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as progress:
        yield lambda job: _Bar(job, progress)
