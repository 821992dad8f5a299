"""Where settings come from, and which source wins."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.settings.support import write_config
from tusd_py.settings import Settings, load_settings
from tusd_py.settings.naming import flag_of, variable_of

MIB = 2**20


def test_the_defaults_are_the_documented_ones() -> None:
    """Nothing given: the values that the help promises."""
    assert load_settings([]).model_dump() == {
        "host": "0.0.0.0",
        "port": 8080,
        "unix_sock": None,
        "tls_certificate": None,
        "tls_key": None,
        "tls_mode": "tls12",
        "base_path": "/files/",
        "public_path": "/uploads/",
        "form_path": "/file/",
        "behind_proxy": False,
        "relative_location": False,
        "upload_dir": Path("storage"),
        "durability": "os",
        "min_free_space": 64 * MIB,
        "local_storage_chunk_size": 8192,
        "s3_bucket": None,
        "s3_object_prefix": "",
        "s3_endpoint": None,
        "s3_region": None,
        "s3_storage_chunk_size": 5 * MIB,
        "s3_concurrent_part_uploads": 8,
        "s3_memory_budget": 256 * MIB,
        "s3_checksums": "when_supported",
        "s3_storage_class": None,
        "s3_sse": None,
        "s3_serve": "proxy",
        "max_size": 0,
        "max_local_file_size": 50 * MIB,
        "ui": True,
        "disable_download": False,
        "disable_termination": False,
        "disable_concatenation": False,
        "use_chunked_local_upload": True,
        "form_tokens": False,
        "checksum_algorithms": ("sha1", "sha256", "sha512", "md5", "crc32"),
        "disable_live": False,
        "live_path": "/live",
        "live_max_frame": MIB,
        "live_chunk_size": 4096,
        "live_processor": None,
        "expire_after": None,
        "expiration": "sliding",
        "finished_retention": None,
        "remember_expired": 86400.0,
        "gc_interval": 600.0,
        "processor": (),
        "processor_concurrency": 2,
        "processor_chunk_size": 65536,
        "processor_timeout": 3600.0,
        "processor_retry": 1.0,
        "processor_retry_max": 600.0,
        "processor_attempts": 0,
        "processor_abandon": (),
        "disable_cors": False,
        "cors_allow_origin": re.compile(".*"),
        "cors_allow_credentials": False,
        "cors_allow_methods": (),
        "cors_allow_headers": (),
        "cors_expose_headers": (),
        "cors_max_age": 86400,
        "network_timeout": 60.0,
        "acquire_lock_timeout": 20.0,
        "holder_silence": 1.0,
        "shutdown_timeout": 10.0,
        "expose_metrics": True,
        "metrics_path": "/metrics",
        "log_format": "auto",
        "log_level": "info",
        "workers": 1,
        "loop": "auto",
        "receive": "auto",
    }


def test_settings_do_not_change() -> None:
    """One set of settings holds for the life of a server."""
    settings = load_settings([])

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_flags_go_before_environment_before_file_before_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source wins over those after it and leaves alone what it does not name."""
    config = write_config('port = 1\nhost = "file"\nmax_size = "1KiB"\n')
    monkeypatch.setenv("TUSD_PY_PORT", "2")
    monkeypatch.setenv("TUSD_PY_HOST", "environment")

    settings = load_settings(["--config", config, "--port", "3"])

    assert (settings.port, settings.host, settings.max_size, settings.durability) == (
        3,
        "environment",
        1024,
        "os",
    )


def test_the_file_can_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """TUSD_PY_CONFIG names the file that `--config` would."""
    monkeypatch.setenv("TUSD_PY_CONFIG", write_config("port = 81"))

    assert load_settings([]).port == 81


def test_the_flag_names_the_file_before_the_environment_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config` replaces TUSD_PY_CONFIG; the other file is not even opened."""
    monkeypatch.setenv("TUSD_PY_CONFIG", "missing.toml")

    assert load_settings(["--config", write_config("port = 82")]).port == 82


SAMPLES: dict[str, tuple[str, Any]] = {
    "host": ("::1", "::1"),
    "port": ("0", 0),
    "unix_sock": ("/run/tusd.sock", Path("/run/tusd.sock")),
    "tls_certificate": ("cert.pem", Path("cert.pem")),
    "tls_key": ("key.pem", Path("key.pem")),
    "tls_mode": ("tls13", "tls13"),
    "base_path": ("api/tus", "/api/tus/"),
    "public_path": ("/done", "/done/"),
    "form_path": ("forms", "/forms/"),
    "behind_proxy": ("true", True),
    "relative_location": ("yes", True),
    "upload_dir": ("/srv/my uploads", Path("/srv/my uploads")),
    "durability": ("commit", "commit"),
    "min_free_space": ("0", 0),
    "local_storage_chunk_size": ("64KiB", 65536),
    "s3_bucket": ("my.bucket-1", "my.bucket-1"),
    "s3_object_prefix": ("tus/eu", "tus/eu"),
    "s3_endpoint": ("https://s3.example.org:9000", "https://s3.example.org:9000"),
    "s3_region": ("eu-central-1", "eu-central-1"),
    "s3_storage_chunk_size": ("8MiB", 8 * MIB),
    "s3_concurrent_part_uploads": ("4", 4),
    "s3_memory_budget": ("1GiB", 1024 * MIB),
    "s3_checksums": ("when_required", "when_required"),
    "s3_storage_class": ("STANDARD_IA", "STANDARD_IA"),
    "s3_sse": ("aws:kms:key-1", "aws:kms:key-1"),
    "s3_serve": ("redirect", "redirect"),
    "max_size": ("1.5GiB", 1610612736),
    "max_local_file_size": ("2 MB", 2_000_000),
    "ui": ("off", False),
    "disable_download": ("1", True),
    "disable_termination": ("on", True),
    "disable_concatenation": ("true", True),
    "use_chunked_local_upload": ("false", False),
    "form_tokens": ("yes", True),
    "checksum_algorithms": ("sha1, crc32,", ("sha1", "crc32")),
    "disable_live": ("true", True),
    "live_path": ("microphone/", "/microphone"),
    "live_max_frame": ("64KiB", 65536),
    "live_chunk_size": ("1MiB", MIB),
    "live_processor": ("speech.models:Whisper.hear", "speech.models:Whisper.hear"),
    "expire_after": ("7d", 604800.0),
    "expiration": ("absolute", "absolute"),
    "finished_retention": ("30d", 2592000.0),
    "remember_expired": ("0", 0.0),
    "gc_interval": ("1h30m", 5400.0),
    "processor": ("sound.text:write, thumbnails", ("sound.text:write", "thumbnails")),
    "processor_concurrency": ("7", 7),
    "processor_chunk_size": ("1MiB", 2**20),
    "processor_timeout": ("2h", 7200.0),
    "processor_retry": ("500ms", 0.5),
    "processor_retry_max": ("1h", 3600.0),
    "processor_attempts": ("12", 12),
    "processor_abandon": ("sound.text:old", ("sound.text:old",)),
    "disable_cors": ("True", True),
    "cors_allow_origin": (r"https://(www\.)?example\.org", re.compile(r"https://(www\.)?example\.org")),
    "cors_allow_credentials": ("true", True),
    "cors_allow_methods": ("PUT", ("PUT",)),
    "cors_allow_headers": ("X-One, X-Two,", ("X-One", "X-Two")),
    "cors_expose_headers": ("X-Three", ("X-Three",)),
    "cors_max_age": ("2h", 7200),
    "network_timeout": ("1m30s", 90.0),
    "acquire_lock_timeout": ("500ms", 0.5),
    "holder_silence": ("0.25", 0.25),
    "shutdown_timeout": ("0", 0.0),
    "expose_metrics": ("false", False),
    "metrics_path": ("internal/stats/", "/internal/stats"),
    "log_format": ("json", "json"),
    "log_level": ("warning", "warning"),
    "workers": ("4", 4),
    "loop": ("asyncio", "asyncio"),
    "receive": ("portable", "portable"),
}
COMPANIONS = {"tls_certificate": "tls_key", "tls_key": "tls_certificate"}


def with_companion(name: str) -> dict[str, str]:
    """The sample of `name`, with the setting it cannot be without."""
    names = [name, *filter(None, [COMPANIONS.get(name)])]
    return {each: SAMPLES[each][0] for each in names}


def test_every_setting_has_a_sample() -> None:
    """The three tests below cover all settings."""
    assert list(SAMPLES) == list(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_flag(name: str) -> None:
    """The flag is the field's name with dashes; the value is the next word or stands after `=`."""
    apart = [word for each, text in with_companion(name).items() for word in (flag_of(each), text)]
    joined = [f"{flag_of(each)}={text}" for each, text in with_companion(name).items()]

    assert getattr(load_settings(apart), name) == SAMPLES[name][1]
    assert getattr(load_settings(joined), name) == SAMPLES[name][1]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is the field's name in capitals behind TUSD_PY_."""
    for each, text in with_companion(name).items():
        monkeypatch.setenv(f"TUSD_PY_{each.upper()}", text)

    assert getattr(load_settings([]), name) == SAMPLES[name][1]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_key(name: str) -> None:
    """The key in the file is the field's name, and a string works for every kind of value."""
    config = write_config("\n".join(f"{each} = '{text}'" for each, text in with_companion(name).items()))

    assert getattr(load_settings(["--config", config]), name) == SAMPLES[name][1]


def test_the_file_may_use_toml_s_own_types() -> None:
    """Numbers, switches and lists need no quotes."""
    config = write_config(
        "port = 0\nmax_size = 10\nnetwork_timeout = 1.5\nbehind_proxy = true\n"
        "cors_allow_headers = ['X-A', 'X-B']\n"
    )

    settings = load_settings(["--config", config])

    assert (settings.port, settings.max_size, settings.network_timeout, settings.behind_proxy) == (
        0,
        10,
        1.5,
        True,
    )
    assert settings.cors_allow_headers == ("X-A", "X-B")


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--disable-cors"], True),
        (["--disable-cors=false"], False),
        (["--disable-cors", "false"], False),
        (["--disable-cors", "--port", "1"], True),
    ],
)
def test_a_switch_alone_is_on(argv: list[str], value: bool) -> None:
    """`--disable-cors` means true, and can still be given a value."""
    assert load_settings(argv).disable_cors is value


def test_a_switch_of_the_file_can_be_turned_off_again() -> None:
    """Precedence holds for switches, too."""
    config = write_config("behind_proxy = true")

    assert load_settings(["--config", config, "--behind-proxy=false"]).behind_proxy is False


def test_the_last_of_a_repeated_flag_wins() -> None:
    """A wrapper script can be given another value behind its own."""
    assert load_settings(["--port", "1", "--port", "2"]).port == 2


def test_a_list_of_code_grows_with_each_flag() -> None:
    """`--processor` may be given for each of them, or once for all."""
    argv = ["--processor", "a.b:c", "--port", "1", "--processor=d,e", "--processor", "f"]

    assert load_settings(argv).processor == ("a.b:c", "d", "e", "f")


@pytest.mark.parametrize("name", ["expire_after", "finished_retention", "processor_timeout"])
@pytest.mark.parametrize("never", ["''", "0", "'0'", "0.0", "'0s'"])
def test_a_lifespan_of_nothing_is_never(name: str, never: str) -> None:
    """Empty and 0 switch it off, in every way of writing them: no upload ends the moment it begins."""
    config = write_config(f"{name} = {never}")

    assert getattr(load_settings(["--config", config]), name) is None


def test_a_lifespan_of_the_file_can_be_switched_off_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable takes back what the file says."""
    monkeypatch.setenv("TUSD_PY_FINISHED_RETENTION", "")
    config = write_config("finished_retention = '30d'")

    assert load_settings(["--config", config]).finished_retention is None


def test_an_empty_list_of_algorithms_is_a_choice() -> None:
    """It turns checksums off; the default is all that can be computed."""
    assert load_settings(["--checksum-algorithms", ""]).checksum_algorithms == ()


@pytest.mark.parametrize("name", ["unix_sock", "tls_certificate", "tls_key"])
def test_an_empty_path_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable takes back what the file says: the setting is off."""
    monkeypatch.setenv(variable_of(name), "")
    config = write_config(f"{name} = 'x'")

    assert getattr(load_settings(["--config", config]), name) is None
