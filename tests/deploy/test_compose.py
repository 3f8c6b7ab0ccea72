"""The compose files: valid, and at one with the service, its image and its settings."""

import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from backend.limits import ENVELOPE_BYTES
from backend.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
FILES = ["docker-compose.yml", "docker-compose.dev.yml"]
_INTERPOLATED = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?::-([^}]*))?\}")
_DEFAULTS_OF_COMPOSE = {"LOG_LEVEL": "debug", "TRUSTED_PROXIES": "172.28.117.14"}
"""Where compose means another default than the service alone: reload logs more, and Caddy is there."""


def _read(name: str) -> dict[str, Any]:
    file: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return file


COMPOSE = _read("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def _examples() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", FILES)
def test_it_is_what_the_compose_specification_takes(name: str) -> None:
    checker = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", ROOT / name], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", FILES)
def test_every_variable_is_in_the_example_file_with_the_same_default(name: str) -> None:
    wanted = dict(_INTERPOLATED.findall((ROOT / name).read_text(encoding="utf-8")))
    assert wanted
    shown = _examples() | _DEFAULTS_OF_COMPOSE
    assert wanted == {variable: shown.get(variable) for variable in wanted}


@pytest.mark.parametrize("name", FILES)
def test_a_copy_of_the_example_file_does_not_lead_the_container_astray(name: str) -> None:
    backend = _read(name)["services"]["backend"]
    image = dict(re.findall(r"\b(HOST|PORT|DATA_DIR|MODELS_DIR)=(\S+)", DOCKERFILE.partition("AS dev")[2]))
    assert len(image) == 4
    assert {variable: backend["environment"].get(variable) for variable in image} == image
    assert any(entry.endswith(f":{image['PORT']}") for entry in backend["ports"])
    mounted = {entry.split(":")[1] for entry in backend["volumes"]}
    assert {image["DATA_DIR"], image["MODELS_DIR"]} <= mounted


@pytest.mark.parametrize("name", FILES)
def test_it_asks_for_health_as_the_image_does(name: str) -> None:
    said = re.search(r"HEALTHCHECK .*?\n\s+CMD (\[.*\])", DOCKERFILE)
    assert said is not None
    assert yaml.safe_load(said[1]) == _read(name)["services"]["backend"]["healthcheck"]["test"][1:]


@pytest.mark.parametrize("name", FILES)
def test_it_builds_stages_that_are_there_with_arguments_that_they_know(name: str) -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    assert sorted(stages) == ["base", "dev", "frontend", "prepare", "runtime", "serve"]
    assert stages[-1] == "runtime", "`docker build .` makes the last one"
    known = set(re.findall(r"^ARG ([A-Z_]+)", DOCKERFILE, flags=re.MULTILINE))
    for service in _read(name)["services"].values():
        if "build" in service:
            assert service["build"]["target"] in stages
            assert service["build"].get("args", {}).keys() <= known


def test_the_memory_limit_is_a_limit_without_swap() -> None:
    backend = SERVICES["backend"]
    assert backend["mem_limit"] == backend["memswap_limit"] == "${MEM_LIMIT:-512m}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_do_little_beside_its_work(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()


@pytest.mark.parametrize("name", ["backend", "caddy"])
def test_what_serves_comes_back_after_a_restart_and_is_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["pids_limit"] > 0
    assert service["mem_limit"] == service["memswap_limit"]


def test_the_grace_to_stop_is_longer_than_the_servers_own() -> None:
    from backend import serve
    from backend.__main__ import _GRACE_S

    grace_s = int(SERVICES["backend"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > _GRACE_S + serve._STUCK_S


@pytest.mark.parametrize("megabytes", ["20", "0.25", "7.5", "1024"])
def test_caddy_takes_what_the_service_takes(megabytes: str) -> None:
    script = SERVICES["caddy"]["entrypoint"][-1].replace("$$", "$")
    computed = script.partition(" && exec caddy ")[0]
    assert computed != script
    done = subprocess.run(
        ["sh", "-c", f'{computed} && echo "$MAX_BODY"'],
        env={"MAX_UPLOAD_MB": megabytes, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    settings = ServiceSettings(_env_file=None, max_upload_mb=float(megabytes))
    assert int(done.stdout) == settings.max_upload_bytes + ENVELOPE_BYTES


def test_the_caddyfile_alone_takes_the_default() -> None:
    text = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
    default = ServiceSettings(_env_file=None).max_upload_bytes + ENVELOPE_BYTES
    assert re.findall(r"\{\$MAX_BODY:(\d+)\}", text) == [str(default)]
    port = SERVICES["backend"]["environment"]["PORT"]
    assert re.findall(r"\{\$UPSTREAM:(\S+)\}", text) == [f"backend:{port}"]


def test_only_caddys_address_is_believed_and_nobody_else_gets_it() -> None:
    address = SERVICES["caddy"]["networks"]["default"]["ipv4_address"]
    assert SERVICES["backend"]["environment"]["TRUSTED_PROXIES"] == f"${{TRUSTED_PROXIES:-{address}}}"
    network = COMPOSE["networks"]["default"]["ipam"]["config"][0]
    # Engines give addresses away from the first on: with three services nobody else comes to the last.
    assert ip_address(address) == list(ip_network(network["subnet"]).hosts())[-1]


def test_development_starts_the_app_once_the_service_is_healthy() -> None:
    services = _read("docker-compose.dev.yml")["services"]
    assert services["frontend"]["depends_on"] == {"backend": {"condition": "service_healthy"}}
    assert services["backend"]["environment"]["ALLOW_DUMMY"] == "1"
