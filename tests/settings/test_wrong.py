"""A wrong setting is one line that names it as the operator wrote it."""

from pathlib import Path

import pytest

from tests.settings.support import complaint, write_config
from tusd_py.settings import load_settings

DURATION = "is not a duration such as 90, 90s, 500ms, 15m, 2h or 7d"
SIZE = "is not a size such as 1048576, 512KiB, 50MiB or 2GB"
ALGORITHMS = "is not a list of sha1, sha256, sha512, md5, crc32, each once and sha1 among them, or empty"
APART = "two separate paths are needed, such as /files/ and /uploads/"
WITHIN = "lie within each other; separate paths are needed, such as /file/"
ALONE = "a path of its own is needed, such as /metrics"
LIVE_ALONE = "a path of its own is needed, such as /live"
PAIR = "as well; give both, or neither for plain HTTP"
CODE = "is not a list of package.module:callable or names of installed entry points, each once"
LISTED = "no such setting; `tusd-py serve --help` lists them all"


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--prot", "80"], "--prot: no such flag; did you mean --port?"),
        (["--prot=80"], "--prot: no such flag; did you mean --port?"),
        (["-port", "80"], "-port: no such flag; did you mean --port?"),
        (["--por", "80"], "--por: no such flag; did you mean --port?"),
        (["--quux"], "--quux: no such flag; `tusd-py serve --help` lists them all"),
        (["8080"], "'8080': an argument nobody asked for; flags begin with --"),
        (["--port"], "--port: no value given; a value has to follow it"),
        (["--port", "65536"], "--port: '65536' is not a whole number from 0 to 65535"),
        (["--port", "-1"], "--port: '-1' is not a whole number from 0 to 65535"),
        (["--port="], "--port: '' is not a whole number from 0 to 65535"),
        (["--host", ""], "--host: '' is not a host name or address"),
        (["--host", "http://x/"], "--host: 'http://x/' is not a host name or address"),
        (["--durability", "OS"], "--durability: 'OS' is not one of os, finish, commit"),
        (["--log-level", "loud"], "--log-level: 'loud' is not one of debug, info, warning, error"),
        (["--disable-cors=maybe"], "--disable-cors: 'maybe' is not true or false"),
        (["--cors-allow-origin", "("], "--cors-allow-origin: '(' is not a regular expression"),
        (
            ["--cors-allow-headers", "X-A\r\nSet-Cookie: a"],
            r"--cors-allow-headers: 'X-A\r\nSet-Cookie: a' is not a list of names separated by commas",
        ),
        (["--upload-dir", ""], "--upload-dir: '' is not the path of a folder"),
        (
            ["--local-storage-chunk-size", "1023"],
            "--local-storage-chunk-size: '1023' is not a size from 1KiB to 16MiB",
        ),
        (
            ["--local-storage-chunk-size", "17MiB"],
            "--local-storage-chunk-size: '17MiB' is not a size from 1KiB to 16MiB",
        ),
        (
            ["--network-timeout", "0"],
            f"--network-timeout: '0' {DURATION}, longer than 0",
        ),
        (
            ["--cors-max-age", "500ms"],
            f"--cors-max-age: '500ms' {DURATION}, in whole seconds",
        ),
        (["--checksum-algorithms", "sha256"], f"--checksum-algorithms: 'sha256' {ALGORITHMS}"),
        (["--checksum-algorithms", "sha1,md4"], f"--checksum-algorithms: 'sha1,md4' {ALGORITHMS}"),
        (["--checksum-algorithms", "SHA1"], f"--checksum-algorithms: 'SHA1' {ALGORITHMS}"),
        (["--checksum-algorithms", "sha1,sha1"], f"--checksum-algorithms: 'sha1,sha1' {ALGORITHMS}"),
        (["--expiration", "never"], "--expiration: 'never' is not one of sliding, absolute"),
        (["--expire-after", "-1"], f"--expire-after: '-1' {DURATION}, up to 36500d; 0 is never"),
        (["--expire-after", "never"], f"--expire-after: 'never' {DURATION}, up to 36500d; 0 is never"),
        (
            ["--finished-retention", "36501d"],
            f"--finished-retention: '36501d' {DURATION}, up to 36500d; 0 is never",
        ),
        (["--remember-expired", ""], f"--remember-expired: '' {DURATION}, up to 36500d"),
        (["--gc-interval", "36501d"], f"--gc-interval: '36501d' {DURATION}, up to 36500d"),
        (["--processor", "a b"], f"--processor: 'a b' {CODE}"),
        (["--processor", "a:b:c"], f"--processor: 'a:b:c' {CODE}"),
        (["--processor", "a:b", "--processor", "a:b"], f"--processor: 'a:b,a:b' {CODE}"),
        (["--processor-abandon", "/a"], f"--processor-abandon: '/a' {CODE}"),
        (
            ["--processor", "a:b", "--processor-abandon", "a:b"],
            "--processor-abandon: 'a:b' is in use as a processor; one or the other",
        ),
        (
            ["--processor-concurrency", "0"],
            "--processor-concurrency: '0' is not a whole number from 1 to 256",
        ),
        (
            ["--processor-attempts", "-1"],
            "--processor-attempts: '-1' is not a whole number; 0 sets no limit",
        ),
        (
            ["--tls-certificate", "c.pem"],
            f"--tls-certificate: needs tls_key {PAIR}",
        ),
        (
            ["--tls-key", "k.pem"],
            f"--tls-key: needs tls_certificate {PAIR}",
        ),
        (
            ["--public-path", "/files/done"],
            f"--public-path: '/files/done/' lies within base_path '/files/'; {APART}",
        ),
        (
            ["--base-path", "/uploads"],
            f"--public-path: '/uploads/' lies within base_path '/uploads/'; {APART}",
        ),
        (
            ["--public-path", "/"],
            "--public-path: '/' would hide every other address; give a path such as /uploads/",
        ),
        (
            ["--form-path", "/"],
            "--form-path: '/' would hide every other address; give a path such as /file/",
        ),
        (
            ["--form-path", "/files/forms"],
            f"--form-path: '/files/forms/' and base_path '/files/' {WITHIN}",
        ),
        (
            ["--base-path", "/file/tus"],
            f"--form-path: '/file/' and base_path '/file/tus/' {WITHIN}",
        ),
        (
            ["--public-path", "/file/"],
            f"--form-path: '/file/' and public_path '/file/' {WITHIN}",
        ),
        (
            ["--metrics-path", "/file/stats"],
            f"--metrics-path: '/file/stats' lies within form_path '/file/'; {ALONE}",
        ),
        (
            ["--metrics-path", "/"],
            "--metrics-path: '/' is not a path such as /metrics, of letters, digits and . _ ~ -",
        ),
        (
            ["--metrics-path", "/files/stats"],
            f"--metrics-path: '/files/stats' lies within base_path '/files/'; {ALONE}",
        ),
        (
            ["--metrics-path", "/uploads"],
            f"--metrics-path: '/uploads' lies within public_path '/uploads/'; {ALONE}",
        ),
        (
            ["--metrics-path", "/healthz"],
            "--metrics-path: '/healthz' is a health check; give a path such as /metrics",
        ),
        (
            ["--live-path", "/files/live"],
            "--live-path: '/files/live' lies within base_path '/files/'; "
            + ALONE.replace("metrics", "live"),
        ),
        (
            ["--live-path", "/metrics"],
            "--live-path: '/metrics' is metrics_path, too; give a path such as /live",
        ),
        (
            ["--live-processor", "speech.models"],
            "--live-processor: 'speech.models' is not the name of code, as package.module:callable",
        ),
        (
            ["--live-max-frame", "32MiB"],
            "--live-max-frame: '32MiB' is not a size from 1KiB to 16MiB",
        ),
        (["--config", "no.toml"], "--config: cannot read 'no.toml': No such file or directory"),
        (["--config", "."], "--config: cannot read '.': Is a directory"),
    ],
)
def test_a_wrong_flag_is_one_line(argv: list[str], line: str) -> None:
    """The line names the flag, says what is wrong, and what is accepted."""
    assert complaint(argv) == line


@pytest.mark.parametrize(
    "text", ["", "-1", "0.5", "1 2", "50MiB!", "50 MiB free", "MiB", "1e3", "0x10", "1bit", "true"]
)
def test_a_size_is_read_whole(text: str) -> None:
    """Nothing that follows a size is ignored, and no fraction of a byte becomes 0, which is "no limit"."""
    assert complaint(["--max-size", text]) == f"--max-size: {text!r} {SIZE}"


@pytest.mark.parametrize(
    "path", ["", "//", "/a//b/", "/a/../b/", "/./", "/a b/", "/a?b/", "/ä/", "/a%2fb/"]
)
def test_a_url_path_needs_no_escaping(path: str) -> None:
    """Only unreserved characters (RFC 3986, 2.3), so that the path reads the same everywhere."""
    assert complaint(["--base-path", path]) == (
        f"--base-path: {path!r} is not a path such as /files/, of letters, digits and . _ ~ -"
    )


def test_a_base_path_may_be_the_root() -> None:
    """The whole host can be the upload address; published files keep their own path."""
    settings = load_settings(["--base-path", "/"])

    assert (settings.base_path, settings.public_path) == ("/", "/uploads/")


def test_a_page_that_is_off_is_in_nobody_s_way() -> None:
    """The path of a page that is not there does not matter."""
    argv = ["--base-path", "/metrics/", "--expose-metrics=false"]
    other = ["--public-path", "/live/", "--disable-live"]

    assert load_settings(argv).base_path == "/metrics/"
    assert load_settings(other).public_path == "/live/"


def test_a_wrong_variable_is_named_as_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name in the line is the one to look for."""
    monkeypatch.setenv("TUSD_PY_PORT", "tcp://10.0.0.1:80")

    assert complaint([]) == "TUSD_PY_PORT: 'tcp://10.0.0.1:80' is not a whole number from 0 to 65535"


def test_an_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable must not be a silently missing setting."""
    monkeypatch.setenv("TUSD_PY_MAXSIZE", "1")

    assert complaint([]) == "TUSD_PY_MAXSIZE: no such setting; did you mean TUSD_PY_MAX_SIZE?"


def test_a_variable_of_another_program_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the names behind TUSD_PY_ are ours."""
    monkeypatch.setenv("TUSD_PORT", "1")
    monkeypatch.setenv("PORT", "2")

    assert load_settings([]).port == 8080


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prot = 1", "prot in tusd.toml: no such setting; did you mean port?"),
        ("max-size = 1", "max-size in tusd.toml: no such setting; did you mean max_size?"),
        ("[zone]\nport = 1", f"zone in tusd.toml: {LISTED}"),
        ("port = 70000", "port in tusd.toml: 70000 is not a whole number from 0 to 65535"),
        ("port = true", "port in tusd.toml: True is not a whole number from 0 to 65535"),
        ("[port]", "port in tusd.toml: {} is not a whole number from 0 to 65535"),
        (
            "max_size = -1",
            f"max_size in tusd.toml: -1 {SIZE}",
        ),
        (
            "max_size = true",
            f"max_size in tusd.toml: True {SIZE}",
        ),
        (
            "shutdown_timeout = inf",
            f"shutdown_timeout in tusd.toml: inf {DURATION}",
        ),
        (
            "shutdown_timeout = true",
            f"shutdown_timeout in tusd.toml: True {DURATION}",
        ),
        (
            "finished_retention = false",
            f"finished_retention in tusd.toml: False {DURATION}, up to 36500d; 0 is never",
        ),
        (
            "expire_after = []",
            f"expire_after in tusd.toml: [] {DURATION}, up to 36500d; 0 is never",
        ),
        ("tls_key = 'k'", f"tls_key in tusd.toml: needs tls_certificate {PAIR}"),
    ],
)
def test_a_wrong_key_is_one_line(text: str, line: str) -> None:
    """The line names the key and its file."""
    assert complaint(["--config", write_config(text)]) == line


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_file_that_is_not_toml_is_one_line(content: bytes) -> None:
    """The file is named, and where the reading stopped."""
    Path("tusd.toml").write_bytes(content)

    line = complaint(["--config", "tusd.toml"])

    assert line.startswith("--config: 'tusd.toml' is not a TOML file: ")
    assert "\n" not in line


def test_an_unreadable_file_is_blamed_on_the_variable_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever reads the line knows where the wrong path stands."""
    monkeypatch.setenv("TUSD_PY_CONFIG", "no.toml")

    assert complaint([]) == "TUSD_PY_CONFIG: cannot read 'no.toml': No such file or directory"
