"""A value that makes no sense stops the start with one line."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from backend.addresses import parse_networks
from backend.hosts import parse_hosts
from backend.settings import ServiceSettings
from tests.backend.server import environment


def start_and_end(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "backend", *arguments],
        env=environment(settings),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "80000"),
        ("MAX_UPLOAD_MB", "0"),
        ("MAX_QUEUE", "-1"),
        ("MAX_DATA_MB", "23"),
        ("JOB_TIMEOUT_S", "soon"),
        ("MAX_UPLOAD_MB", "1e-7"),
        ("JOB_TIMEOUT_S", "0.0001"),
        ("MAX_IMAGE_MEGAPIXELS", "0.0001"),
        ("JOB_TTL_S", "0.0001"),
        ("JOB_TTL_S", "-5"),
        ("JOB_TTL_S", "inf"),
        ("JOB_TTL_S", "nan"),
        ("CORS_ORIGINS", "wall.example"),
        ("CORS_ORIGINS", "http://:::"),
        ("RATE_LIMIT", "30/fortnight"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_HOSTS", "https://wall.example"),
        ("TRUSTED_HOSTS", "a..b"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("CLIP_BATCH_SIZE", "0"),
        ("YOLO_IMG_SIZE", "641"),
        ("YOLO_CONF", "1.5"),
        ("MAX_HOLDS", "many"),
        ("OMP_NUM_THREADS", "0"),
        ("RUNTIME", "tensorflow"),
        ("DEVICE", "tpu"),
        ("RAY_CLASSIFIER_BATCH", "2"),  # less than CLIP_BATCH_SIZE
    ],
)
def test_nonsense_is_one_line_that_names_variable_and_value(tmp_path: Path, name: str, value: str) -> None:
    ended = start_and_end(tmp_path, **{name: value})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert name in line
    assert value in line
    assert not ended.stdout


def test_a_queue_for_whose_answers_there_is_no_room_is_one_line(tmp_path: Path) -> None:
    ended = start_and_end(tmp_path, "--port", "0", MAX_QUEUE="1000", DATA_DIR=str(tmp_path / "data"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "MAX_DATA_MB=1024" in line
    assert "MAX_QUEUE" in line
    assert "3024" in line


def test_dotenv_is_read_and_validated(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_HOLDS=0\n")
    ended = start_and_end(tmp_path)
    assert ended.returncode == 2
    assert "MAX_HOLDS" in ended.stderr


def test_a_dotenv_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"MAX_HOLDS=40\nAPI_KEYS=secr\xe9t-0123456789-0123\n")
    ended = start_and_end(tmp_path)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line == "holdcheck: .env: takes UTF-8 text; byte 26 of it is none"


@pytest.mark.parametrize(
    "value",
    [
        "http://:::",
        "https://",
        "https://:8443",
        "https://a:",
        "https://a:0",
        "https://a:99999",
        "https://a:x",
        "https://a..b",
        "https://-a",
        "https://a/",
        "https://a?b",
        "https://a#b",
        "https://me@a",
        "https://[::1",
        "https://[1.2.3.4]",
        "https://::1",
        "ftp://a",
        "null",
        "https://a, b",
    ],
)
def test_what_is_no_origin_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="takes origins like"):
        ServiceSettings(_env_file=None, cors_origins=value)


def test_origins_are_as_browsers_send_them() -> None:
    value = (
        "https://Example.org, HTTP://[::1]:8000, https://gym.example:443,http://localhost:80 ,http://a:443, *"
    )
    settings = ServiceSettings(_env_file=None, cors_origins=value)
    assert settings.cors_origins == (
        "https://example.org",
        "http://[::1]:8000",
        "https://gym.example",
        "http://localhost",
        "http://a:443",
        "*",
    )


@pytest.mark.parametrize("value", ["0.0.0.0/0", "::/0", "127.0.0.1, 0.0.0.0/1", "10.0.0.0/7", "2000::/3", ""])
def test_a_proxy_is_not_everybody(value: str) -> None:
    with pytest.raises(ValueError, match="none wider than"):
        parse_networks(value)


def test_private_networks_may_be_proxies() -> None:
    assert parse_networks("10.0.0.0/8, fc00::/7") == ("10.0.0.0/8", "fc00::/7")


@pytest.mark.parametrize(
    "value", ["a..b", "*.", "*", "a.", ".a", "[:::]", "[1.2.3.4]", "*.*.a", "a,,b", "a b"]
)
def test_what_is_no_host_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="takes names like"):
        parse_hosts(value)


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = taken.getsockname()[1]
        ended = start_and_end(tmp_path, "--port", str(taken_port))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"HOST=127.0.0.1 PORT={taken_port}: cannot listen" in line


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1", "a..b"])  # the second: nobody's (RFC 5737)
def test_a_host_that_is_not_this_machine_is_one_line(tmp_path: Path, host: str) -> None:
    ended = start_and_end(tmp_path, "--port", "0", HOST=host)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"HOST={host} " in line


def test_a_models_dir_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = start_and_end(tmp_path, "--port", "0", MODELS_DIR=str(tmp_path / "file"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"MODELS_DIR='{tmp_path / 'file'}'" in line


def test_a_data_dir_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = start_and_end(tmp_path, "--port", "0", DATA_DIR=str(tmp_path / "file"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "DATA_DIR" in line


def test_help_explains_the_options(tmp_path: Path) -> None:
    ended = start_and_end(tmp_path, "--help")
    assert ended.returncode == 0
    assert "--port" in ended.stdout
    assert "--host" in ended.stdout


def test_the_settings_are_printed_without_the_keys_and_nothing_is_made(tmp_path: Path) -> None:
    shown = start_and_end(
        tmp_path, "--settings", "--port", "9000", API_KEYS="0123456789-secret-key", MAX_HOLDS="7"
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    told = json.loads(shown.stdout)
    assert told.keys() == ServiceSettings.model_fields.keys()
    assert (told["max_holds"], told["port"]) == (7, 9000)
    assert told["api_keys"]
    assert "secret" not in shown.stdout
    assert list(tmp_path.iterdir()) == []
