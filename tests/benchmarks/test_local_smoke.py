"""The benchmark runs: with its C programs, this server, and files too small to say anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.local.cases import CASES, MIB
from benchmarks.local.contestants import choose
from benchmarks.local.load import LoadError, load_generator
from benchmarks.local.measure import Place
from benchmarks.local.programs import FLAGS, Program, c_receiver, tusload
from benchmarks.local.run import Findings, Plan, fill, provide
from benchmarks.local.serving import ServerError, serving
from benchmarks.machine import is_running, process_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.local.cases import Case

PROJECT = Path(__file__).parents[2]
NATIVE = PROJECT / "benchmarks" / "local" / "native"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def tiny(case: Case) -> Case:
    """The case with files of a MiB and a tenth of a second."""
    if case.is_timed:
        return replace(case, seconds=0.1, size=min(case.size, MIB), uploads=min(case.uploads, 40))
    return replace(case, size=MIB, slow=min(case.slow, 5))


def test_every_case_is_measured_and_its_files_are_right(tmp_path: Path) -> None:
    """This server and the C receiver, one round."""
    plan = Plan(
        contestants=choose("tusd-py,csink"),
        cases=tuple(tiny(case) for case in CASES),
        places=(Place(key="disk", folder=tmp_path),),
        rounds=1,
    )
    findings, said = Findings(), list[str]()

    ready = provide(plan, findings, said.append)
    steps = sum(1 for _ in fill(findings, plan, ready, load_generator(tusload()), said.append))

    assert findings.failures == {}
    assert len(findings.measurements) == steps == 2 * len(CASES) - 1  # the receiver verifies no checksums
    assert all(each.rate > 0 and each.memory > 0 for each in findings.measurements)
    assert list(tmp_path.iterdir()) == []


def test_the_command_keeps_its_results(tmp_path: Path) -> None:
    """Table, plot and figures, in the folder that it is told."""
    options = ["--quick", "--only", "head", "--servers", "csink", "--place", "disk"]
    folders = ["--disk", str(tmp_path / "disk"), "--out", str(tmp_path / "results")]

    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.local", *options, *folders],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "| C receiver |" in (tmp_path / "results" / "local.md").read_text()
    assert (tmp_path / "results" / "local.svg").exists()
    assert [each["case"] for each in json.loads((tmp_path / "results" / "local.json").read_text())] == [
        "head"
    ]


@pytest.mark.parametrize("sources", [["csink.c"], ["tusload.c", "figures.c", "options.c"]])
def test_the_programs_in_c_compile_without_a_warning(sources: list[str], tmp_path: Path) -> None:
    """With the flags that they are built with."""
    files = [str(NATIVE / source) for source in sources]

    run = subprocess.run(
        ["cc", *FLAGS, "-Werror", "-o", str(tmp_path / "program"), *files], capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr


def test_nothing_of_a_server_is_left_when_its_run_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C: the process that it started goes, too."""
    receiver = c_receiver()
    nested = Program(
        version="",
        command=lambda port, folder: [
            "sh",
            "-c",
            '"$0" "$@" & wait',
            *(str(each) for each in receiver.command(port, folder)),
        ],
    )
    tree: list[int] = []

    def interrupted() -> None:
        with serving(nested, tmp_path) as server:
            tree.extend(process_tree(server.pid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert len(tree) == 2
    assert [pid for pid in tree if is_running(pid)] == []


def test_a_server_that_does_not_start_says_so(tmp_path: Path) -> None:
    """At once, not after the time it would be waited for."""
    program = Program(version="", command=lambda port, folder: ["sh", "-c", "exit 3"])

    with pytest.raises(ServerError, match="it ended with exit status 3"), serving(program, tmp_path):
        pass


def test_an_answer_that_claims_another_offset_is_an_error(tmp_path: Path) -> None:
    """Nobody is fast by answering early."""
    case = tiny(CASES[0])

    with (
        hasty_server() as port,
        pytest.raises(LoadError, match="patch /files/a: status 204, Upload-Offset 1"),
    ):
        load_generator(tusload()).run(case, port, "/files/", puts=False, finished=tmp_path / "finished")


@contextmanager
def hasty_server() -> Iterator[int]:
    """Says 204 to every PATCH, and that it has one byte."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.answer(201, "Location", "/files/a")

        def do_PATCH(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(204, "Upload-Offset", "1")

        def answer(self, status: int, field: str, value: str) -> None:
            self.send_response(status)
            self.send_header(field, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
