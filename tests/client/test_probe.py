"""`tusd-py probe` beside a real server: what it supports, an upload there and back, how far one is."""

from __future__ import annotations

import subprocess
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from tests.client.commands import Ended, feed, run
from tests.client.conftest import EXPIRE_AFTER
from tests.client.scripted import ScriptedServer
from tests.support.faults import corrupt_at, lose_response, refuse
from tests.support.server import ServerProcess, fetch, head

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.faults import Fault
    from tests.support.proxy import FaultProxy

CHUNK = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


def created(server: ServerProcess, length: int, arrived: bytes) -> str:
    """An upload of `length` bytes of which some have come."""
    made = fetch(server.url, "POST", {"Tus-Resumable": "1.0.0", "Upload-Length": str(length)})
    url = made.headers["location"]
    if arrived:
        assert fetch(url, "PATCH", CHUNK | {"Upload-Offset": "0"}, arrived).status == 204
    return url


def stored(server: ServerProcess) -> set[str]:
    """Every file in the storage."""
    return {str(path) for path in server.upload_dir.rglob("*") if path.is_file()}


def first_line(ended: Ended) -> str:
    """What a monitor shows."""
    return ended.out.splitlines()[0]


def test_a_server_s_abilities_are_told(server: ServerProcess, state: Path) -> None:
    """tus 1.0.0, OPTIONS: versions, extensions, the largest size, algorithms; nothing is written."""
    before = stored(server)
    ended = run(state, "probe", server.url, "--json")

    assert ended.code == 0
    assert ended.json["status"] == "ok"
    assert ended.json["server"]["software"] == "tusd-py"
    assert ended.json["server"]["versions"] == ["1.0.0"]
    assert {"creation", "checksum", "termination"} <= set(ended.json["server"]["extensions"])
    assert ended.json["server"]["max_size"] is None
    assert ended.json["server"]["checksum_algorithms"][0] == "sha1"
    assert (ended.json["upload"], ended.json["steps"], ended.json["left_behind"]) == (None, [], [])
    assert stored(server) == before


def test_people_get_a_line_for_monitors_and_the_facts_below(server: ServerProcess, state: Path) -> None:
    """The first line says how it stands; the sizes and names follow."""
    ended = run(state, "probe", server.url)

    assert (ended.code, ended.err) == (0, "")
    assert first_line(ended).startswith(f"TUS OK: {server.url} speaks tus 1.0.0 with ")
    assert "  software     tusd-py\n" in ended.out
    assert "  max size     no limit told\n" in ended.out


def test_write_sends_an_upload_there_and_back_and_leaves_nothing(
    server: ServerProcess, state: Path
) -> None:
    """Two chunks with their sums, a HEAD between them, the file read back, and then terminated."""
    before = stored(server)
    ended = run(state, "probe", server.url, "--write", "--json")

    names = [step["name"] for step in ended.json["steps"]]
    assert ended.code == 0
    assert names == ["create", "send", "offset", "resume", "complete", "download", "terminate"]
    assert all(step["passed"] for step in ended.json["steps"])
    assert "sha256 is right" in ended.json["steps"][5]["detail"]
    assert ended.json["left_behind"] == []
    assert stored(server) == before


def test_what_cannot_be_removed_is_named(tmp_path: Path, state: Path) -> None:
    """Without termination the upload and its file stay, and both addresses are told."""
    with ServerProcess(tmp_path / "store", "--disable-termination") as server:
        ended = run(state, "probe", server.url, "--write", "--json")
        [upload, file] = ended.json["left_behind"]

        assert ended.code == 0
        assert head(upload).headers["upload-offset"] == "65536"
        assert file == server.public_url(upload)


def test_a_server_that_serves_no_files_is_well(tmp_path: Path, state: Path) -> None:
    """Reading back is compared where it is possible, and no fault where the server does not offer it."""
    with ServerProcess(tmp_path / "store", "--disable-download", "--max-size", "1000") as server:
        ended = run(state, "probe", server.url, "--write")

    assert ended.code == 0
    assert "  complete     ok" in ended.out
    assert "1000 of 1000 bytes" in ended.out
    assert "not served (" in ended.out
    assert "  left behind  nothing\n" in ended.out


def test_a_spoilt_byte_is_critical_and_the_upload_is_removed(
    server: ServerProcess, proxy: FaultProxy, endpoint: str, state: Path
) -> None:
    """tus 1.0.0, Checksum: the chunk is refused with 460; the probe says so, and clears away."""
    before = stored(server)
    proxy.script(corrupt_at(100))
    ended = run(state, "probe", endpoint, "--write")

    assert ended.code == 2
    assert first_line(ended).startswith("TUS CRITICAL: send: PATCH ")
    assert "460" in first_line(ended)
    assert stored(server) == before


def test_an_unfinished_upload_s_offset_and_expiry_are_told(server: ServerProcess, state: Path) -> None:
    """tus 1.0.0, HEAD and Expiration: how far it is, and how long it will be there."""
    url = created(server, 400, b"x" * 100)
    ended = run(state, "probe", url, "--json")

    upload = ended.json["upload"]
    assert (ended.code, ended.json["server"]) == (0, None)
    assert (upload["offset"], upload["length"], upload["percent"], upload["finished"]) == (
        100,
        400,
        25,
        False,
    )
    assert 0 < upload["expires_in_seconds"] <= EXPIRE_AFTER
    assert (upload["age_seconds"], upload["age_from"], upload["location"]) == (None, None, None)


def test_expiry_tells_the_age_where_the_time_to_expiry_is_known(server: ServerProcess, state: Path) -> None:
    """The last bytes came --expire-after before Upload-Expires."""
    url = created(server, 400, b"x")
    expires = parsedate_to_datetime(head(url).headers["upload-expires"])
    ended = run(state, "probe", url, "--expire-after", "7d", "--json")

    upload = ended.json["upload"]
    assert upload["expires_at"] == expires.isoformat()
    assert upload["age_from"] == "Upload-Expires"
    assert 0 <= upload["age_seconds"] < 60


def test_an_upload_that_stands_still_is_a_warning(server: ServerProcess, state: Path) -> None:
    """--max-age: by a time to expiry that was longer, the last bytes came a year before."""
    url = created(server, 400, b"x")
    ended = run(state, "probe", url, "--expire-after", "365d", "--max-age", "1h")

    assert ended.code == 1
    assert first_line(ended).startswith(f"TUS WARNING: {url} has 1 of 400 bytes (0.2 %), unchanged for 3")


def test_an_age_that_nobody_tells_is_unknown(server: ServerProcess, state: Path) -> None:
    """--max-age without a date to judge by is neither well nor a warning."""
    ended = run(state, "probe", created(server, 400, b"x"), "--max-age", "1h")

    assert (ended.code, first_line(ended)[:12]) == (3, "TUS UNKNOWN:")


def test_a_finished_upload_is_as_old_as_its_file(server: ServerProcess, state: Path) -> None:
    """The published file's Last-Modified dates it, and --max-age no longer matters."""
    url = created(server, 3, b"abc")
    ended = run(state, "probe", url, "--max-age", "1ms", "--json")

    upload = ended.json["upload"]
    assert (ended.code, upload["finished"], upload["percent"]) == (0, True, 100)
    assert upload["location"] == server.public_url(url)
    assert upload["age_from"] == "Content-Location"


def test_an_upload_that_is_gone_is_critical(server: ServerProcess, state: Path) -> None:
    """With --upload a 404 is the end of the upload and no address where uploads are created."""
    ended = run(state, "probe", f"{server.url}{'0' * 32}", "--upload")

    assert ended.code == 2
    assert first_line(ended).endswith("was answered 404 Not Found")


def test_a_partial_is_an_upload_and_a_waiting_final_has_no_offset(
    server: ServerProcess, state: Path
) -> None:
    """tus 1.0.0, Concatenation: HEAD of a final has no Upload-Offset before the join."""
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Concat": "partial"}
    part = fetch(server.url, "POST", headers).headers["location"]
    headers = {"Tus-Resumable": "1.0.0", "Upload-Concat": f"final;{part}"}
    final = fetch(server.url, "POST", headers).headers["location"]
    ended = run(state, "probe", final)

    assert (ended.code, run(state, "probe", part, "--json").json["upload"]["length"]) == (0, 9)
    assert "waits for its parts" in first_line(ended)
    assert "  offset       not told\n  length       9\n" in ended.out


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://no-such-host.invalid/files/", "this host name is not known"),
        ("http://127.0.0.1:1/files/", "no connection: connection refused"),
        ("https://127.0.0.1:{port}/files/", "no TLS connection: "),
        ("http://127.0.0.1:{port}/healthz", "was answered 405 Method Not Allowed: ERR_METHOD_NOT_ALLOWED"),
    ],
    ids=["name", "refused", "no TLS", "4xx"],
)
def test_what_is_in_the_way_is_one_line(server: ServerProcess, state: Path, url: str, line: str) -> None:
    """Nobody there, no such name, no TLS, an error: critical, in words that say which."""
    ended = run(state, "probe", url.format(port=server.port))

    assert (ended.code, ended.err, len(ended.out.splitlines())) == (2, "", 1)
    assert line in ended.out


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A self-signed certificate for localhost, and its key."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv = ["openssl", "req", *kind, *name, "-keyout", key, "-out", certificate]
    subprocess.run(argv, check=True, capture_output=True)
    return certificate, key


def test_a_certificate_has_to_be_trusted(tmp_path: Path, state: Path, certificate: tuple[str, str]) -> None:
    """A self-signed one is refused with the reason in the line; SSL_CERT_FILE says that it is good."""
    flags = ("--tls-certificate", certificate[0], "--tls-key", certificate[1])
    with ServerProcess(tmp_path / "store", *flags) as server:
        words = ("probe", server.url, "--write", "--drafts")
        refused = run(state, *words)
        trusted = feed(b"", state, *words, SSL_CERT_FILE=certificate[0])

    assert refused.code == 2
    assert "the server's certificate is not trusted: self-signed certificate" in refused.out
    assert (trusted.code, trusted.err) == (0, "")
    assert "  download     ok" in trusted.out


def test_a_silent_server_is_given_up_after_the_timeout(state: Path) -> None:
    """--timeout: nothing moved for that long."""
    with ScriptedServer(lambda _: None) as server:
        ended = run(state, "probe", f"{server.origin}/files/", "--timeout", "200ms")

    assert (ended.code, "no answer within 0.2 s" in ended.out) == (2, True)


@pytest.mark.parametrize("fault", [lose_response("OPTIONS"), refuse("OPTIONS")])
def test_a_connection_that_breaks_is_critical(
    proxy: FaultProxy, endpoint: str, state: Path, fault: Fault
) -> None:
    """A probe tells what is; it does not try again until it pleases (but once on a reused connection)."""
    proxy.script(fault, fault)
    ended = run(state, "probe", endpoint)

    assert (ended.code, "the connection broke off" in ended.out) == (2, True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "one address is needed, not 0: tusd-py probe URL"),
        (["a", "b"], "one address is needed, not 2: tusd-py probe URL"),
        (["ftp://x/"], "'ftp://x/' is not an address such as https://example.com/files/"),
        (["http://x/", "--timeout", "soon"], "--timeout: 'soon' is not a duration such as"),
        (["http://x/", "--timeout", "0"], "--timeout: '0' is not a duration such as"),
        (["http://x/", "--header", "a b: c"], "--header: 'a b: c' is not a header field such as"),
        (["http://x/", "--wirte"], "--wirte: no such flag; did you mean --write?"),
        (["http://x/", "--config", "x"], "--config: no such flag"),
    ],
)
def test_a_wrong_command_line_is_unknown_to_monitors(state: Path, words: list[str], line: str) -> None:
    """Exit code 3 and one line: a misspelt flag is no broken server."""
    ended = run(state, "probe", *words)

    assert (ended.code, ended.out, len(ended.err.splitlines())) == (3, "", 1)
    assert line in ended.err
