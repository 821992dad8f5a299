"""The supervisor: workers that die are replaced, renewed when it is told to, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.faults.wire import create, offset_of, published_digest, resume, wait_until, wait_until_stored
from tests.support.payload import Payload
from tests.support.server import ServerProcess, fetch
from tests.wire.tus import Tus
from tests.workers.crew import Crew, children_of, is_alive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.wire.raw import Wire

DATA = Payload(size=2_000_000, seed=3)


def run(*flags: str) -> tuple[int, str]:
    """`serve` with some flags, which it does not like: its exit code and what it says on stderr."""
    command = [sys.executable, "-m", "tusd_py", "serve", "--host", "127.0.0.1", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == ""
    return ended.returncode, "".join(
        line + "\n" for line in ended.stderr.splitlines() if not line.startswith("{")
    )


def all_gone(workers: Sequence[int] | set[int]) -> bool:
    """Whether none of these processes is left."""
    return not any(map(is_alive, workers))


def begin(crew: Crew, worker: int, size: int) -> tuple[str, Wire]:
    """An upload whose PATCH this worker receives, `size` bytes of it so far; its URL and the request."""
    url = create(crew.url, DATA.size)
    wire = crew.connect(worker)
    wire.send(Tus.of(crew).patch_head(urlsplit(url).path, 0, DATA.size) + DATA.data[:size])
    wait_until_stored(crew, url, size)
    return url, wire


def test_a_killed_worker_is_replaced_and_what_it_received_is_kept(crew: Crew, two: tuple[int, int]) -> None:
    """kill -9 within an upload: the other one tells every byte at once, a third one takes the place."""
    url, wire = begin(crew, two[0], 700_000)
    with wire:
        os.kill(two[0], signal.SIGKILL)
        assert wire.rest() == b""
        assert offset_of(url) == 700_000
    wait_until(lambda: len(crew.workers() - {two[0]}) == 2, "nobody takes its place")
    [successor] = crew.workers() - set(two)
    with crew.connect(successor) as wire:
        wire.send(Tus.of(crew).head_of("HEAD", urlsplit(url).path))
        assert wire.read("HEAD").get("Upload-Offset") == "700000"

    assert resume(url, DATA.data) == 700_000
    assert published_digest(crew, url) == DATA.sha256
    assert is_alive(two[1])


def test_a_shutdown_ends_all_workers_and_keeps_what_they_received(crew: Crew, two: tuple[int, int]) -> None:
    """SIGTERM: exit code 0, running requests hear of it, nobody is left, the next start goes on."""
    begun = [begin(crew, worker, 300_000) for worker in two]
    port = crew.port

    code = crew.terminate()

    answers = [wire.read("PATCH").status for _, wire in begun]
    assert (code, answers) == (0, [503, 503])
    assert all_gone(two)
    crew.start(port)
    for url, wire in begun:
        wire.sock.close()
        assert resume(url, DATA.data) == 300_000
        assert published_digest(crew, url) == DATA.sha256


def test_a_signal_to_everybody_is_one_signal(crew: Crew, two: tuple[int, int]) -> None:
    """systemd and terminals signal workers and supervisor alike: nobody takes that for a second one."""
    url, wire = begin(crew, two[0], 300_000)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for worker in two:
            os.kill(worker, number)

    code = crew.terminate()

    with wire:
        assert wire.read("PATCH").status == 503
    assert (code, all_gone(two)) == (0, True)
    crew.start()
    assert offset_of(crew.direct(url)) == 300_000


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    """Exit code 128 + signal, as with one process; nobody is left, what was received is."""
    with Crew(
        tmp_path / "store", "--shutdown-timeout", "1h", "--processor", "tests.workers.slow:take"
    ) as crew:
        workers = crew.workers()
        url = create(crew.url, 5)
        resume(url, b"hello")
        wait_until(lambda: "slow processor" in crew.log, "the processor is not called")
        os.kill(crew.pid, signal.SIGTERM)
        wait_until(lambda: "shutting down the workers" in crew.log, "it does not hear")
        code = crew.terminate()

        assert code == 128 + signal.SIGTERM
        wait_until(lambda: all_gone(workers), "workers are left")
        assert crew.content(url) == b"hello"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_workers_end_with_their_supervisor(crew: Crew, two: tuple[int, int], number: int) -> None:
    """However it dies: they go down as at a shutdown, bytes are kept, and the port is free again."""
    url, wire = begin(crew, two[1], 300_000)
    port = crew.port

    os.kill(crew.pid, number)
    with wire:
        answer = wire.read("PATCH")
    crew.kill9()

    assert answer.status == 503
    wait_until(lambda: all_gone(two), "workers are left")
    crew.start(port)
    assert resume(url, DATA.data) == 300_000
    assert published_digest(crew, url) == DATA.sha256


@pytest.mark.parametrize("holders", ["1", "2"])
def test_a_port_in_use_is_told_as_by_one_process(tmp_path: Path, holders: str) -> None:
    """Also where another crew has it, which shares it among its own: exit code 1, the same line."""
    with ServerProcess(tmp_path / "first", "--workers", holders) as holder:
        flags = ["--port", str(holder.port), "--upload-dir", str(tmp_path / "other")]
        alone = run(*flags, "--loop", "asyncio")
        several = run(*flags, "--workers", "2")

    assert several == alone
    assert several[0] == 1
    assert several[1].startswith("tusd-py: cannot listen on 127.0.0.1:")


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["--upload-dir", "{file}"], 2),
        (["--processor", "no.such:thing"], 2),
        (["--tls-certificate", "{file}", "--tls-key", "{file}"], 2),
        (["--unix-sock", "{file}"], 1),
        (["--unix-sock", "/no/such/folder/socket"], 1),
    ],
)
def test_what_is_wrong_at_the_start_is_told_once_and_as_by_one_process(
    flags: list[str], code: int, tmp_path: Path
) -> None:
    """The same line, the same exit code, whoever finds out."""
    (tmp_path / "file").write_text("neither a folder nor a key nor a socket")
    given = ["--port", "0", "--upload-dir", str(tmp_path / "store"), "--loop", "asyncio"]
    given += [flag.format(file=tmp_path / "file") for flag in flags]

    alone, several = run(*given), run(*given, "--workers", "3")

    assert several == alone
    assert several[0] == code
    assert several[1].count("\n") == 1


def test_workers_that_cannot_start_any_more_end_the_server(tmp_path: Path) -> None:
    """It does not hold a port on which nobody will ever answer: exit code 1, and it says why."""
    config = tmp_path / "config.toml"
    config.write_text("")
    with Crew(tmp_path / "store", "--config", str(config)) as crew:
        config.write_text("workerz = 3")
        for worker in crew.workers():
            os.kill(worker, signal.SIGKILL)
        code = crew.wait_for_end()

    assert code == 1
    assert "tusd-py: no worker can start" in crew.log
    assert "workerz in" in crew.log


def test_a_worker_that_dies_at_its_first_start_ends_the_server(tmp_path: Path) -> None:
    """Whoever started the server hears of it at once."""
    flags = ["--port", "0", "--upload-dir", str(tmp_path), "--processor", "tests.workers.dying:take"]

    code, said = run(*flags, "--workers", "2")

    assert code == 1
    assert said == "tusd-py: a worker ended before it accepted connections: killed by signal 9\n"


def test_a_unix_socket_is_shared(tmp_path: Path) -> None:
    """All workers accept from the one that the supervisor made; its stale file is no obstacle later."""
    path = tmp_path / "socket"
    command = [sys.executable, "-m", "tusd_py", "serve", "--workers", "2"]
    for _ in range(2):
        process = subprocess.Popen(
            [*command, "--unix-sock", str(path), "--upload-dir", str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == f"You can now upload files to: http+unix://{path}/files/\n"
            workers = children_of(process.pid)
            asked = ["curl", "-sf", "--unix-socket", str(path), "http://localhost/healthz"]
            assert b"ok" in subprocess.run(asked, capture_output=True, check=True).stdout
            process.terminate()
            assert process.wait(30) == 0
        assert (len(workers), all_gone(workers)) == (2, True)


def test_one_worker_has_no_supervisor(tmp_path: Path) -> None:
    """--workers 1, as it is unless said otherwise: the process that was started serves."""
    with ServerProcess(tmp_path / "store", "--workers", "1") as server:
        assert children_of(server.pid) == set()
        assert fetch(server.origin + "/healthz").status == 200


def test_the_start_is_announced_once_and_accepted_by_all(tmp_path: Path) -> None:
    """Who waits for the line on stdout finds every worker accepting."""
    with Crew(tmp_path / "store", workers=3) as crew:
        for worker in crew.workers():
            crew.connect(worker).sock.close()
        assert len(crew.workers()) == 3

    assert crew.log.count("You can now upload files to:") == 1
    assert crew.log.count("Stored in:") == 1


def test_folders_of_killed_servers_are_removed_in_the_end(tmp_path: Path) -> None:
    """In order, a server removes what its workers shared; what a killed one left is nobody's."""
    base = tmp_path / "run"
    base.mkdir()
    with Crew(tmp_path / "store", environment={"RUNTIME_DIRECTORY": str(base)}) as crew:
        [left] = base.iterdir()
        workers = crew.workers()
        crew.kill9()
        wait_until(lambda: all_gone(workers), "workers are left")
        os.utime(left, (0, 0))
        crew.start()
        [own] = base.iterdir()
        assert own != left

    assert list(base.iterdir()) == []
