"""Where the server listens, and under which URLs clients find what they made."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.server import ServerProcess
from tests.wire.raw import Wire
from tests.wire.tus import CHUNK_TYPE, Tus, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORWARDED: dict[str, tuple[dict[str, str | list[str]], str]] = {
    "nothing": ({}, "http://files.test"),
    "x-forwarded": (
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "up.example"},
        "https://up.example",
    ),
    "x-forwarded, several proxies": (
        {"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "up.example, inner"},
        "https://up.example",
    ),
    "scheme alone": ({"X-Forwarded-Proto": "https"}, "https://files.test"),
    "host alone": ({"X-Forwarded-Host": "up.example:8443"}, "http://up.example:8443"),
    "default port": (
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "up.example:443"},
        "https://up.example",
    ),
    "other default port": (
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "up.example:80"},
        "https://up.example:80",
    ),
    "forwarded": ({"Forwarded": "proto=https;host=up.example"}, "https://up.example"),
    "forwarded, quoted": (
        {"Forwarded": 'for=1.2.3.4;host="up.example:8443";proto="https"'},
        "https://up.example:8443",
    ),
    "forwarded, several proxies": (
        {"Forwarded": "host=up.example;proto=https, host=inner;proto=http"},
        "https://up.example",
    ),
    "forwarded, several lines": (
        {"Forwarded": ["host=up.example;proto=https", "host=inner"]},
        "https://up.example",
    ),
    "forwarded wins": (
        {"Forwarded": "host=up.example;proto=https", "X-Forwarded-Host": "other.example"},
        "https://up.example",
    ),
    "address": ({"X-Forwarded-Host": "[2001:db8::1]:8080"}, "http://[2001:db8::1]:8080"),
}
NONSENSE: dict[str, dict[str, str | list[str]]] = {
    "host with a path": {"X-Forwarded-Host": "up.example/evil"},
    "host with blanks": {"X-Forwarded-Host": "up.example evil"},
    "host with markup": {"X-Forwarded-Host": '"><script>'},
    "host with userinfo": {"X-Forwarded-Host": "user@up.example"},
    "strange scheme": {"X-Forwarded-Proto": "javascript"},
}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tus]:
    """A server that believes its proxy."""
    with ServerProcess(tmp_path_factory.mktemp("proxied") / "store", "--behind-proxy") as server:
        yield Tus.of(server)


@pytest.mark.parametrize(("fields", "origin"), FORWARDED.values(), ids=FORWARDED)
def test_a_trusted_proxy_says_where_the_client_is(
    proxied: Tus, fields: dict[str, str | list[str]], origin: str
) -> None:
    """RFC 7239, 4, and X-Forwarded-*: Location has the public scheme and host (T-069, C-05)."""
    chunk = {"Upload-Length": "3", "Content-Type": CHUNK_TYPE}

    answer = proxied.ask("POST", fields={**chunk, **fields}, body=b"abc")
    path = path_of(answer)

    assert answer.get("Location") == f"{origin}{path}"
    assert answer.get("Content-Location") == f"{origin}/uploads/{path.rpartition('/')[2]}"
    assert proxied.head(path, fields).get("Content-Location") == answer.get("Content-Location")


@pytest.mark.parametrize("fields", NONSENSE.values(), ids=NONSENSE)
def test_a_proxy_cannot_write_nonsense_into_location(
    proxied: Tus, fields: dict[str, str | list[str]]
) -> None:
    """Where there is no usable public address, the path alone is one (C-05)."""
    location = proxied.ask("POST", fields={"Upload-Length": "3", **fields}).get("Location")

    assert location is not None
    assert location.startswith("/files/")


@pytest.mark.parametrize("fields", [fields for fields, _ in FORWARDED.values()], ids=FORWARDED)
def test_strangers_do_not_say_where_the_client_is(tus: Tus, fields: dict[str, str | list[str]]) -> None:
    """Without --behind-proxy any client could send these fields, so they are ignored (C-05)."""
    location = tus.ask("POST", fields={"Upload-Length": "3", **fields}).get("Location")

    assert location is not None
    assert location.startswith("http://files.test/files/")


@pytest.mark.parametrize("host", ["files.test:8080", "127.0.0.1:1", "[::1]:8080"])
def test_location_is_where_the_client_came_to(tus: Tus, host: str) -> None:
    """tus 1.0.0, Creation: an absolute Location follows the Host of the request (T-069, C-05)."""
    location = tus.ask("POST", fields={"Upload-Length": "3", "Host": host}).get("Location")

    assert location is not None
    assert location.startswith(f"http://{host}/files/")


def test_locations_may_be_relative(tmp_path: Path) -> None:
    """tus 1.0.0, Creation: with --relative-location a path-absolute one, never a bare id (T-069, C-05)."""
    chunk = {"Upload-Length": "3", "Content-Type": CHUNK_TYPE}
    with ServerProcess(tmp_path / "store", "--relative-location") as server:
        answer = Tus.of(server).ask("POST", fields=chunk, body=b"abc")
        path = answer.get("Location") or ""

    assert path == path_of(answer)
    assert path.startswith("/files/")
    assert answer.get("Content-Location") == f"/uploads/{path.rpartition('/')[2]}"


@pytest.mark.parametrize(
    ("base_path", "base"), [("/", "/"), ("/api/v1/up", "/api/v1/up/"), ("uploads-in/", "/uploads-in/")]
)
def test_uploads_live_below_the_base_path(tmp_path: Path, base_path: str, base: str) -> None:
    """--base-path, with or without slashes, moves all uploads and nothing else (T-068)."""
    with ServerProcess(tmp_path / "store", "--base-path", base_path) as server:
        tus = Tus.of(server)
        path = tus.upload(b"abc", {"Upload-Metadata": "filename YS50eHQ="})
        name = path.removeprefix(base)
        statuses = [
            tus.head(path).status,
            tus.ask("OPTIONS", base.rstrip("/") or "/").status,
            tus.ask("GET", f"/uploads/{name}.txt").status,
            tus.ask("GET", "/healthz").status,
            tus.ask("POST", "/files/", {"Upload-Length": "1"}).status,
            tus.ask("DELETE", path).status,
        ]

    assert tus.base == base
    assert path == base + name
    assert "/" not in name
    assert statuses == [200, 204, 200, 200, 405 if base == "/" else 404, 204]


@contextmanager
def serving(*flags: str) -> Iterator[str]:
    """A server that listens elsewhere than on a TCP port; its greeting."""
    argv = [sys.executable, "-m", "tusd_py", "serve", "--host", "127.0.0.1", *flags]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_a_unix_socket_is_as_good_as_a_port(tmp_path: Path) -> None:
    """--unix-sock: the same server, and a socket left behind by a dead one is no obstacle."""
    path, folder = tmp_path / "sock", tmp_path / "store"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()

    def connect() -> Wire:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        return Wire(sock)

    with serving("--unix-sock", str(path), "--upload-dir", str(folder)) as greeting:
        tus = Tus(connect, "/files/", folder)
        content = tus.content(tus.upload(b"abc"))

    assert greeting.startswith("You can now upload files to: ")
    assert str(path) in greeting
    assert content == b"abc"


def test_a_file_in_the_way_of_the_socket_is_not_removed(tmp_path: Path) -> None:
    """--unix-sock: what is not a socket stays, and the server says so in one line."""
    path = tmp_path / "precious"
    path.write_text("data")
    argv = [
        sys.executable,
        "-m",
        "tusd_py",
        "serve",
        "--unix-sock",
        str(path),
        "--upload-dir",
        str(tmp_path),
    ]

    run = subprocess.run(argv, capture_output=True, text=True, timeout=20)

    assert run.returncode == 1
    assert "exists and is not a socket" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert path.read_text() == "data"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A self-signed certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    argv = ["openssl", "req", *kind, *name, "-keyout", key, "-out", certificate]
    subprocess.run(argv, check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tls_carries_the_same_bytes(tmp_path: Path, certificate: tuple[str, str], loop: str) -> None:
    """--tls-certificate and --tls-key: https in Location, and the file is the file (T-069)."""
    folder, data = tmp_path / "store", bytes(range(256)) * 2000
    context = ssl.create_default_context(cafile=certificate[0])
    flags = ["--port", "0", "--upload-dir", str(folder), "--loop", loop]
    flags += ["--tls-certificate", certificate[0], "--tls-key", certificate[1]]
    with serving(*flags) as greeting:
        port = int(greeting.rpartition(":")[2].partition("/")[0])

        def connect() -> Wire:
            sock = socket.create_connection(("127.0.0.1", port))
            return Wire(context.wrap_socket(sock, server_hostname="localhost"))

        tus = Tus(connect, "/files/", folder)
        created = tus.ask("POST", fields={"Upload-Length": str(len(data))})
        path = path_of(created)
        patched = tus.patch(path, 0, data)
        served = tus.ask("GET", path)

    assert greeting.startswith("You can now upload files to: https://127.0.0.1:")
    assert created.get("Location") == f"https://files.test{path}"
    assert patched.status == 204
    assert served.body == data
