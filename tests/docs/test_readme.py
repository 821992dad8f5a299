"""README.md and the other documents: what they tell people to type works."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import aiohttp
import pytest
from pydantic import ByteSize

from tests.docs.pages import ROOT, blocks, documents, read
from tests.support.payload import Payload, sha256
from tests.support.server import ServerProcess
from tusd_py.cli.serve import _limits
from tusd_py.settings import Settings, help_text

if TYPE_CHECKING:
    from pathlib import Path

    from tusd_py.web.connection import Runner

_MAKE = re.compile(r"(?:^|`)make ([a-z0-9-]+)", re.MULTILINE)
_SERVE = re.compile(r"(?:tusd-py serve|make run(?:-s3)? ARGS=\"|^  tusd-py)([^\n`]*)", re.MULTILINE)
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
_CREATION = {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}


@pytest.mark.parametrize("name", documents())
def test_make_has_the_targets_that_are_named(name: str) -> None:
    """`make TARGET` in a document is a target of the Makefile."""
    targets = re.findall(r"^([a-z0-9-]+):", read("Makefile"), re.MULTILINE)

    assert set(_MAKE.findall(read(name))) <= set(targets)


@pytest.mark.parametrize("name", documents())
def test_serve_has_the_flags_that_are_named(name: str) -> None:
    """What is shown behind `tusd-py serve` are its flags."""
    named = {flag for command in _SERVE.findall(read(name)) for flag in _FLAG.findall(command)}
    known = set(_FLAG.findall(help_text()))

    assert named <= known


def test_the_output_shown_is_the_output() -> None:
    """The README shows what the server prints with its defaults."""
    shown = blocks(read("README.md"), "")[0].splitlines()

    assert shown[0] == "You can now upload files to: http://0.0.0.0:8080/files/"
    assert shown[1:] == _limits(Settings())


def test_large_limits_are_said_in_large_units() -> None:
    """In S3 the limit is that of its parts: 10,000 of them, here of 128 MiB."""
    settings = Settings(s3_bucket="bucket", s3_storage_chunk_size=ByteSize(128 * 2**20))

    assert _limits(settings)[0] == "Largest upload: 1342177280000 bytes (1.2 TiB)"


def test_the_options_shown_are_the_options(tmp_path: Path) -> None:
    """tus 1.0.0, OPTIONS: the README shows what the server says of itself (T-043)."""
    [shown] = [block for block in blocks(read("README.md"), "console") if "-X OPTIONS" in block]

    with ServerProcess(tmp_path, "--expire-after", "7d", "--max-local-file-size", "50MiB") as server:
        request = urllib.request.Request(server.url, method="OPTIONS")
        with urllib.request.urlopen(request, timeout=10) as response:
            said = response.headers.items()

    told = [f"{name}: {value}" for name, value in said if name.startswith("Tus-")]
    assert told == [line for line in shown.splitlines() if line.startswith("Tus-")]
    assert len(told) == 5


def test_the_embedding_example_serves_and_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tus 1.0.0, Upload-Metadata: the README's hook rejects an upload for it; nothing is left (T-063)."""
    answers: list[tuple[int, str]] = []

    async def visit(runner: Runner) -> None:
        url = "http://{}:{}/files/".format(*runner.addresses[0][:2])
        async with aiohttp.ClientSession() as session:
            for metadata in ("filetype dGV4dC9wbGFpbg==", "filetype aW1hZ2UvcG5n"):
                async with session.post(url, headers=_CREATION | {"Upload-Metadata": metadata}) as response:
                    answers.append((response.status, await response.text()))
        await runner.cleanup()

    [source] = blocks(read("README.md"), "python")
    for theirs, ours in (
        ('"127.0.0.1", 9000', '"127.0.0.1", 0'),
        ("await asyncio.Event().wait()", "await visit(runner)"),
    ):
        assert source.count(theirs) == 1
        source = source.replace(theirs, ours)
    monkeypatch.chdir(tmp_path)

    exec(compile(source, "README.md", "exec", dont_inherit=True), {"visit": visit})

    assert answers == [(400, "ERR_UPLOAD_REJECTED: pictures only\n"), (201, "")]
    assert len(list((tmp_path / "pictures" / "incoming").glob("*.json"))) == 1


def test_the_javascript_example_uploads_and_says_where(tmp_path: Path) -> None:
    """The tus-js-client script of the README: the file arrives, a second run finds it finished."""
    payload = Payload(size=1_000_000, seed=4)
    (tmp_path / "photo.jpg").write_bytes(payload.data)
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "interop" / "node_modules")
    [source] = blocks(read("README.md"), "js")
    assert source.count("http://localhost:8080/files/") == 1

    with ServerProcess(tmp_path / "store") as server:
        script = source.replace("http://localhost:8080/files/", server.url)
        (tmp_path / "upload.mjs").write_text(script, encoding="utf-8")
        said = [run_node(tmp_path) for _ in range(2)]

    upload, file = said[0][-2:]
    name = file.rpartition("/")[2]
    assert upload.startswith(f"upload: {server.url}")
    assert file == f"file:   {server.origin}/uploads/{upload.rpartition('/')[2]}.jpg"
    assert sha256((tmp_path / "store" / "uploads" / name).read_bytes()) == payload.sha256
    assert said[1] == ["1000000 of 1000000 bytes", upload, file]


def run_node(folder: Path) -> list[str]:
    """Run the script on the photo; the lines it prints."""
    command = ["node", "upload.mjs", "photo.jpg"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()
