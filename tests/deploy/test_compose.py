"""docker-compose.yml: sound by the rules of compose, and by ours."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import tusd_py
from tests.docs.pages import ROOT, read
from tusd_py.settings import Settings
from tusd_py.settings.naming import variable_of

COMPOSE: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ("tusd-py-1", "tusd-py-2")
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+(\.\d+)+(-[a-z0-9-]+)?")
KNOWN_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
NOT_HARDENED = {"s3"}
"""Images that have to be root and to write to themselves, as far as is known."""

service = pytest.mark.parametrize("name", SERVICES)


def compose(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """What `docker compose` says, by whichever name it is there; AssertionError if it is not content."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            subprocess.run([*command, "version"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.CalledProcessError):
            continue
        done = subprocess.run(
            [*command, "-f", str(ROOT / "docker-compose.yml"), *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
    raise AssertionError("these tests need compose: apt-get install docker-compose")


def test_compose_takes_the_file() -> None:
    """`docker compose config` checks it against the schema of compose, and fills in what is chosen."""
    chosen = {
        "PUBLISH": "0.0.0.0:80",
        "S3_SECRET_KEY": "s3cret",
        "REDIS_PASSWORD": "pass",
        "MAX_SIZE": "9GiB",
    }

    config = yaml.safe_load(compose("config", environment=chosen))["services"]

    assert set(config) == set(SERVICES)
    assert {config[name]["environment"]["AWS_SECRET_ACCESS_KEY"] for name in (*SERVERS, "s3")} == {"s3cret"}
    assert config["redis"]["environment"]["REDISCLI_AUTH"] == "pass"
    assert {config[name]["environment"]["TUSD_PY_MAX_SIZE"] for name in SERVERS} == {"9GiB"}
    assert "80" in str(config["nginx"]["ports"])


def test_secrets_have_defaults_that_nobody_takes_for_secrets() -> None:
    """It runs as it is, for the machine alone, and every password in it asks to be changed."""
    text = read("docker-compose.yml")
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))

    secrets = [value for name, value in defaults.items() if "SECRET" in name or "PASSWORD" in name]
    published = [value for name, value in defaults.items() if "PUBLISH" in name]

    assert secrets == ["change-me", "change-me"]
    assert sorted(published) == ["127.0.0.1:8080", "127.0.0.1:9090"]
    assert all(name in text.partition("\nx-")[0] for name in defaults)


@service
def test_every_service_says_whether_it_is_well(name: str) -> None:
    """A check in exec form with its times, and what happens when the process ends."""
    check = SERVICES[name]["healthcheck"]

    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"


@service
def test_every_image_is_of_one_version(name: str) -> None:
    """Tomorrow's `up` starts what today's did."""
    assert PINNED.fullmatch(SERVICES[name]["image"])


@service
def test_every_service_has_no_more_rights_than_it_needs(name: str) -> None:
    """No new privileges, no capabilities, a root file system that cannot be written to."""
    known = SERVICES[name]

    assert known["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in known
    if name not in NOT_HARDENED:
        assert known["read_only"] is True
        assert known["cap_drop"] == ["ALL"]


@service
def test_everything_that_is_named_is_there(name: str) -> None:
    """Files that are mounted (read-only), volumes, networks, and the services that others wait for."""
    known = SERVICES[name]
    mounts = [mount.split(":") for mount in known.get("volumes", ())]
    files = [mount for mount in mounts if mount[0].startswith(".")]
    waited_for = known.get("depends_on", {})

    assert all((ROOT / source).is_file() and mode == "ro" for source, _, mode in files)
    assert {mount[0] for mount in mounts if mount not in files} <= set(COMPOSE["volumes"])
    assert set(known["networks"]) <= set(COMPOSE["networks"])
    assert set(waited_for) <= set(SERVICES)
    assert all(each == {"condition": "service_healthy"} for each in waited_for.values())


def test_every_volume_is_used_and_nothing_else_is_kept() -> None:
    """Uploads and measurements outlive their containers."""
    used = {mount.split(":")[0] for known in SERVICES.values() for mount in known.get("volumes", ())}

    assert set(COMPOSE["volumes"]) == {name for name in used if not name.startswith(".")}


def test_nobody_but_nginx_and_prometheus_can_be_reached() -> None:
    """The servers believe what nginx says of a client; so nobody else may talk to them."""
    reachable = {name for name, known in SERVICES.items() if "ports" in known}
    outside = {name for name, known in SERVICES.items() if "outside" in known["networks"]}

    assert reachable == outside == {"nginx", "prometheus"}
    assert COMPOSE["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize("name", SERVERS)
def test_the_servers_are_told_what_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their variables are settings, and the values are accepted."""
    told: dict[str, str] = SERVICES[name]["environment"]
    settings = {variable_of(field) for field in Settings.model_fields}
    for variable, value in told.items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value))

    loaded = Settings()

    assert set(told) <= settings | KNOWN_VARIABLES
    assert loaded.behind_proxy
    assert loaded.effective_max_size == 5 * 2**30


def test_the_servers_are_alike() -> None:
    """Whichever nginx asks, the answer is the same."""
    one, other = (SERVICES[name] for name in SERVERS)

    assert one == other
    assert one["image"] == f"tusd-py:{tusd_py.__version__}"


def test_the_addresses_in_the_mounted_files_are_services() -> None:
    """nginx and Prometheus look for the servers under the names and ports they have here."""
    nginx = re.findall(r"^\s*server (\S+):(\d+)", read("examples/nginx/nginx.conf"), re.MULTILINE)
    jobs = yaml.safe_load(read("examples/prometheus/prometheus.yml"))["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}

    assert nginx == [(name, "8080") for name in SERVERS]
    assert targets["tusd-py"] == [f"{name}:8080" for name in SERVERS]
    assert targets["seaweedfs"] == ["s3:9327"]
    assert "-metricsPort=9327" in SERVICES["s3"]["command"]


# -- the image --------------------------------------------------------------------------------------

DOCKERFILE = read("Dockerfile").replace("\\\n", " ")
_INSTRUCTION = re.compile(r"^([A-Z]+) (.+)$", re.MULTILINE)


def instructions(name: str) -> list[str]:
    """The arguments of an instruction of the Dockerfile, in order."""
    return [arguments for instruction, arguments in _INSTRUCTION.findall(DOCKERFILE) if instruction == name]


def test_the_image_is_made_of_one_version_of_python_in_two_stages() -> None:
    """What builds is left behind."""
    [base] = instructions("ARG")

    assert PINNED.fullmatch(base.removeprefix("PYTHON="))
    assert instructions("FROM") == ["${PYTHON} AS build", "${PYTHON}"]


def test_the_image_is_nobody_s_root_and_hears_signals() -> None:
    """The last user is not root, the server is process 1, and compose checks it as the image does."""
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    [check] = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", DOCKERFILE)

    assert instructions("USER") == ["10001:10001"]
    assert "USER 10001:10001" in last_stage
    assert instructions("ENTRYPOINT") == ['["tusd-py"]']
    assert instructions("CMD") == ['["serve"]']
    assert ["CMD", *yaml.safe_load(check)] == SERVICES["tusd-py-1"]["healthcheck"]["test"]


def test_the_image_gets_what_it_is_made_of_and_nothing_else() -> None:
    """What is copied exists and is not ignored; all else, .git and uploads included, is."""
    copied = {name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]}
    lines = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]

    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
    assert lines[-1] == "**/__pycache__"


def test_the_image_keeps_uploads_where_it_may_write() -> None:
    """The folder is its user's, and a volume."""
    assert "TUSD_PY_UPLOAD_DIR=/srv/uploads" in DOCKERFILE
    assert "--owner tusd-py --group tusd-py /srv/uploads" in DOCKERFILE
    assert [Path(name) for name in instructions("VOLUME")] == [Path("/srv/uploads")]
