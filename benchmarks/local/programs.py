"""Finds or builds the programs that are compared. What cannot be had is Missing; the others go on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tusd_py

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache"
"""Everything that is built lies here, or in the node_modules of `node`."""
BUILD_SECONDS = 1200
FLAGS = ("-O2", "-Wall", "-Wextra")
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class Missing(Exception):  # noqa: N818 - it is an answer, not a failure
    """A program cannot be had here; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a server is started with: its command line for a port and a folder that exists."""

    version: str
    command: Callable[[int, Path], Sequence[str | Path]]
    environment: Callable[[Path], Mapping[str, str]] = field(default=lambda _: {})


def build_c(name: str, *sources: str) -> Path:
    """A program of native/, compiled anew; Missing without a compiler."""
    program = CACHE / "native" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    files = [HERE / "native" / source for source in sources]
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:  # another run may be using the old one
        made = Path(folder) / name
        _run(_find("cc"), *FLAGS, "-o", made, *files)
        made.replace(program)
    return program


def tusload() -> Path:
    """The load generator."""
    return build_c("tusload", "tusload.c", "figures.c", "options.c")


def c_receiver() -> Program:
    """The least that a server can do."""
    program = build_c("csink", "csink.c")
    compiler = _run(_find("cc"), "--version").partition("\n")[0]
    return Program(version=compiler, command=lambda port, folder: [program, str(port), folder])


def our_server(*flags: str) -> Program:
    """`tusd-py serve`; Missing when it has not all of the flags."""
    known = _run(sys.executable, "-m", "tusd_py", "serve", "--help")
    for flag in flags:
        if flag.startswith("--") and not re.search(rf"^\s+{flag}\b", known, re.MULTILINE):
            raise Missing(f"this version has no {flag}")
    limits = ["--max-local-file-size", "0", "--min-free-space", "1MiB"]  # a small tmpfs has no more
    fixed = ["--host", "127.0.0.1", *limits, *flags]

    def command(port: int, folder: Path) -> Sequence[str | Path]:
        place = ["--port", str(port), "--upload-dir", str(folder)]
        return [sys.executable, "-m", "tusd_py", "serve", *fixed, *place]

    return Program(version=_our_version(), command=command)


def tusd() -> Program:
    """tusd in Go: the one in PATH, or the newest by `go install`."""
    found = shutil.which("tusd")
    program = Path(found) if found else CACHE / "go" / "tusd"
    if not program.exists():
        environment = {"GOBIN": str(program.parent)}
        _run(_find("go"), "install", "github.com/tus/tusd/v2/cmd/tusd@latest", environment=environment)
    fixed = ["-host", "127.0.0.1", "-base-path", "/files/"]
    return Program(
        version=_go_version(program),
        command=lambda port, folder: [program, *fixed, "-port", str(port), "-upload-dir", folder],
    )


def tus_node() -> Program:
    """@tus/server by npm, on Node."""
    node, place = _find("node"), HERE / "node"
    wanted, have = place / "package-lock.json", place / "node_modules" / ".package-lock.json"
    if not have.exists() or have.stat().st_mtime < wanted.stat().st_mtime:
        _run(_find("npm"), "ci", "--prefix", place, "--no-audit", "--no-fund", "--loglevel=error")
        have.touch()
    versions = re.findall(r'"(@tus/\S+)": "(\S+)"', (place / "package.json").read_text())
    named = ", ".join(f"{name} {version}" for name, version in versions)
    return Program(
        version=f"{named}, Node {_run(node, '--version').strip()}",
        command=lambda port, folder: [node, place / "server.mjs", str(port), folder],
        environment=lambda _: {"NODE_ENV": "production"},
    )


def tuspyserver() -> Program:
    """tuspyserver on uvicorn, by pip, in an environment of its own: its pins are not ours."""
    place, wanted = HERE / "tuspyserver", HERE / "tuspyserver" / "requirements.txt"
    python, done = CACHE / "tuspyserver" / "bin" / "python", CACHE / "tuspyserver" / "installed.txt"
    if not done.exists() or done.read_text() != wanted.read_text():
        _run(sys.executable, "-m", "venv", "--clear", CACHE / "tuspyserver")
        _run(python, "-m", "pip", "install", "--quiet", "--requirement", wanted)
        done.write_text(wanted.read_text())
    fixed = ["-m", "uvicorn", "--app-dir", str(place), "--host", "127.0.0.1", "application:app"]
    return Program(
        version=wanted.read_text().strip().replace("==", " ").replace("\n", ", "),
        command=lambda port, _: [python, *fixed, "--port", str(port)],
        environment=lambda folder: {"UPLOAD_FOLDER": str(folder)},
    )


def rustus() -> Program:
    """rustus in Rust: the one in PATH, or by `cargo install`."""
    found = shutil.which("rustus")
    program = Path(found) if found else CACHE / "cargo" / "bin" / "rustus"
    if not program.exists():
        options = ["--quiet", "--locked", "--features", "hashers", "--root", str(CACHE / "cargo")]
        _run(_find("cargo"), "install", *options, "rustus")

    def command(port: int, folder: Path) -> Sequence[str | Path]:
        places = ["--data-dir", str(folder / "data"), "--info-dir", str(folder / "info")]
        # It keeps a whole PATCH in memory and takes no larger one than this: a TiB is "no limit".
        return [program, "--host", "127.0.0.1", "--port", str(port), *places, "--max-body-size", str(2**40)]

    return Program(version=_run(program, "--version").strip(), command=command)


def nginx() -> Program:
    """nginx with its DAV module, which takes a PUT."""
    program = _find("nginx")
    said = _run(program, "-V")
    if "http_dav_module" not in said:
        raise Missing("this nginx has no DAV module: apt-get install nginx-full")

    def command(port: int, folder: Path) -> Sequence[str | Path]:
        template = (HERE / "nginx.conf").read_text(encoding="utf-8")
        configuration = folder / "nginx.conf"
        configuration.write_text(template.replace("PORT", str(port)).replace("FOLDER", str(folder)))
        (folder / "files").mkdir()
        who = ["-g", "user root;"] if os.geteuid() == 0 else []  # the folder is ours alone
        return [program, "-p", folder, "-e", os.devnull, *who, "-c", configuration]

    return Program(version=said.partition("\n")[0].partition(": ")[2], command=command)


def _our_version() -> str:
    git = shutil.which("git")
    if not git or not (HERE.parents[1] / ".git").exists():
        return tusd_py.__version__
    commit = _run(git, "-C", HERE, "rev-parse", "--short", "HEAD").strip()
    changed = _run(git, "-C", HERE, "status", "--porcelain", "--untracked-files=no").strip()
    return f"{tusd_py.__version__} at {commit}{', changed' if changed else ''}"


def _go_version(program: Path) -> str:
    go = shutil.which("go")
    said = _run(go, "version", "-m", program) if go else ""
    found = re.search(r"\bmod\s+(\S+)\s+(\S+)", said)
    return f"tusd {found[2]}" if found else "tusd " + _run(program, "-version").partition("\n")[0]


def _find(command: str) -> str:
    found = shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if found is None:
        raise Missing(f"there is no {command} here")
    return found


def _run(command: str | Path, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run to the end, and what it said; Missing when it fails."""
    name = " ".join(str(each) for each in (Path(command).name, *arguments[:2]))
    try:
        done = subprocess.run(
            [command, *arguments],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BUILD_SECONDS,
            text=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"`{name}` failed: {error}") from error
    if done.returncode:
        said = done.stdout.strip()[-200:] or f"exit status {done.returncode}"
        raise Missing(f"`{name}` failed: {said}")
    return done.stdout
