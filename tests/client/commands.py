"""The command line as somebody types it: within this process, or in one of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tusd_py.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def command_line(*words: str) -> list[str]:
    """The program and its words."""
    return [sys.executable, "-m", "tusd_py", *words]


def environment(state: Path) -> dict[str, str]:
    """This process's own, without proxies, with the client's memory in `state`."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"XDG_STATE_HOME": str(state)}


def run(state: Path, *words: str) -> Ended:
    """Run it to its end in this process."""
    out, err = io.StringIO(), io.StringIO()
    with _replaced_environment(environment(state)), redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return Ended(code=code, out=out.getvalue(), err=err.getvalue())


@contextmanager
def _replaced_environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def feed(given: bytes, state: Path, *words: str, **variables: str) -> Ended:
    """Run it to its end in a process of its own, with `given` as its standard input."""
    known = environment(state) | variables
    done = subprocess.run(command_line(*words), input=given, capture_output=True, env=known, timeout=60)
    return Ended(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
