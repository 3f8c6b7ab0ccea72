"""`python -m holdcheck doctor` in set-ups that are really broken, each in its own way."""

import dataclasses
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdcheck.doctor import configuration, disk, machine, models, network
from holdcheck.doctor.configuration import Configuration, Service
from holdcheck.doctor.finding import Finding, table, verdict
from holdcheck.settings import BUNDLED_MODELS, Settings
from tests.backend.disks import small_disk
from tests.backend.server import ROOT, Server, environment, start
from tests.cgroup import MemoryCgroup, memory_limit
from tests.holdcheck.test_registry import HOLDCLIP, with_a_bit_changed

FAKES = {"YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake", "ALLOW_DUMMY": "1"}
Told = dict[str, Any]


def doctor(
    folder: Path, *arguments: str, cgroup: MemoryCgroup | None = None, **settings: str
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "holdcheck", "doctor", *arguments]
    done = subprocess.run(
        cgroup.command(*command) if cgroup else command,
        env=environment({"PORT": "0", **settings}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    return done


def examined(folder: Path, cgroup: MemoryCgroup | None = None, **settings: str) -> tuple[Told, list[Told]]:
    """The whole answer, and of its findings those that are not well."""
    done = doctor(folder, "--json", cgroup=cgroup, **settings)
    answer = json.loads(done.stdout)
    assert done.returncode == int(not answer["well"])
    return answer, [finding for finding in answer["findings"] if finding["level"] != "ok"]


def configured(folder: Path, **service: Any) -> Configuration:
    usual = Service(
        host="127.0.0.1",
        port=0,
        data_dir=folder / "data",
        max_data_mb=64,
        max_upload_mb=20,
        has_keys=False,
        rate_limited=False,
        trusted_proxies=(),
        trusted_hosts=(),
    )
    library = Settings.model_validate({"models_dir": folder / "models"})
    return Configuration(library, dataclasses.replace(usual, **service))


# --- the whole of it --------------------------------------------------------------------------------------


def test_a_default_set_up_is_well_and_fits_80_columns(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("well")
    text = " ".join(done.stdout.split())
    for said in (
        "ok python CPython",
        "ok settings every value makes sense",
        "ok memory",
        "ok device cpu: RUNTIME=onnx",
        "holds-yolo11n-seg (fp32) finds holds",
        "holdclip (int8) names colours until CLIP_MODEL=ViT-B/32 is prepared (make models)",
        "ok models 6 files have the checksums of their manifests",
        "ok access HOST=127.0.0.1",
    ):
        assert said in text
    assert list(tmp_path.iterdir()) == []  # it looks, and leaves nothing


def test_a_changed_model_is_a_problem_and_one_that_does_not_answer_a_warning(tmp_path: Path) -> None:
    changed = with_a_bit_changed(HOLDCLIP, tmp_path / "models" / "clip" / "vit-b-32")
    answer, (problem,) = examined(tmp_path)
    assert answer["verdict"] == "1 problem: change what the arrows say"
    assert problem["level"] == "problem"
    assert (
        f"{changed.relative_to(tmp_path) / 'model.ort'} is not the file that its manifest" in problem["text"]
    )
    assert "prepare it again" in problem["remedy"]
    (warning,) = ill(models_examined(tmp_path, clip_model="holdclip"))
    assert warning.level == "warning"
    assert "model.ort is not the file that its manifest" in warning.text
    (unloaded,) = ill(models_examined(tmp_path, loads=False))
    assert unloaded.level == "problem"


def test_an_image_may_lack_what_runtime_torch_alone_reads(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "yolo" / "mine"
    shutil.copytree(BUNDLED_MODELS / "holds-yolo11n-seg", folder)
    (folder / "weights.safetensors").unlink()
    assert ill(models_examined(tmp_path, loads=False)) == []
    (problem,) = ill(models_examined(tmp_path, loads=False, runtime="torch"))
    assert "weights.safetensors is missing" in problem.text


def models_examined(folder: Path, *, loads: bool = True, **settings: str) -> list[Finding]:
    library = Settings.model_validate({"models_dir": folder / "models", **settings})
    return models.examine(Configuration(library, None), loads=loads)


def ill(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level != "ok"]


def test_a_clip_that_is_missing_says_what_answers_instead(tmp_path: Path) -> None:
    (warning,) = ill(models_examined(tmp_path, clip_model="ViT-L/14"))
    assert warning.level == "warning"
    assert "CLIP_MODEL=ViT-L/14 is not prepared" in warning.text
    assert "The bundled holdclip answers instead" in warning.text
    assert warning.remedy == "prepare it, or CLIP_MODEL=holdclip"


def test_a_detector_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    (problem,) = ill(models_examined(tmp_path, yolo_weights="mine.pt"))
    assert problem.level == "problem"
    assert "prepare --yolo mine.pt" in problem.text
    assert problem.remedy == "YOLO_WEIGHTS="


def test_models_without_real_weights_are_a_problem(tmp_path: Path) -> None:
    (problem,) = ill(models_examined(tmp_path, yolo_weights="fake", clip_model="holdclip", allow_dummy="1"))
    assert problem.level == "problem"
    assert "its answers mean nothing" in problem.text


def test_too_little_memory_is_said_and_not_died_of(tmp_path: Path) -> None:
    with memory_limit(110, cold=False) as group:
        answer, (problem,) = examined(tmp_path, group)
        assert group.usage().oom_kills == 0
    assert problem["about"] == "memory"
    assert "110 MiB allowed by a cgroup" in problem["text"]
    assert "needs up to 157" in problem["text"]
    assert "allow 157 MiB or more (mem_limit, MemoryMax=)" in problem["remedy"]
    assert not any("finds holds" in finding["text"] for finding in answer["findings"])  # it loaded none


@pytest.mark.parametrize(
    ("mib", "settings", "level", "remedy"),
    [
        (200, {}, "warning", "allow 256 MiB (mem_limit, MemoryMax=)"),
        (300, {"YOLO_IMG_SIZE": "1920"}, "problem", "or YOLO_IMG_SIZE=320 CLIP_BATCH_SIZE=1, which needs"),
    ],
)
def test_memory_is_held_against_what_the_settings_need(
    tmp_path: Path, mib: int, settings: dict[str, str], level: str, remedy: str | None
) -> None:
    code = (
        "from holdcheck.doctor import room; from holdcheck.doctor.configuration import Configuration\n"
        "from holdcheck.settings import Settings\n"
        "found = room.examine(Configuration(Settings.load(), None), in_use=False)\n"
        "print(found.level, found.remedy, sep='|')"
    )
    with memory_limit(mib, cold=False) as group:
        done = subprocess.run(
            group.command(sys.executable, "-c", code),
            env=environment(settings),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    found, _, changed = done.stdout.strip().partition("|")
    assert found == level
    assert (remedy or "None") in changed


def test_a_gpu_that_is_not_there_is_a_problem() -> None:
    finding = machine.device(Configuration(Settings.model_validate({"device": "cuda"}), None))
    assert finding.level == "problem"
    assert finding.text == "DEVICE=cuda: RUNTIME=onnx computes on the CPU alone"
    assert finding.remedy is not None
    assert finding.remedy.startswith("set RUNTIME=torch, after `make models CUDA=1`")


# --- settings ---------------------------------------------------------------------------------------------


def test_each_value_that_makes_no_sense_is_a_problem_in_the_services_own_words(tmp_path: Path) -> None:
    answer, problems = examined(tmp_path, MAX_HOLDS="many", YOLO_CONF="7")
    assert [problem["text"].split(":")[0] for problem in problems] == ["MAX_HOLDS='many'", "YOLO_CONF='7'"]
    assert answer["verdict"].startswith("2 problems")


def test_a_key_that_is_none_is_a_problem_and_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _enter(tmp_path, monkeypatch)
    monkeypatch.setenv("API_KEYS", "secret")
    settings, (problem,) = configuration.examine()
    assert settings is None
    assert problem.text.startswith("API_KEYS=(hidden): key 1 of 1 is none")
    assert "secret" not in problem.text


def _enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_slip_in_the_env_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _enter(tmp_path, monkeypatch)
    Path(".env").write_text("MAX_HOLD=20\nPORTS=9000\nDOMAIN=wall.example.org\nHF_TOKEN=x\nMAX_HOLDS=20\n")
    settings, found = configuration.examine()
    assert settings is not None
    assert settings.library.max_holds == 20
    assert settings.service is not None
    assert settings.service.port == 8000
    assert [(finding.text, finding.remedy) for finding in found] == [
        (".env: MAX_HOLD is no setting", "MAX_HOLDS="),
        (".env: PORTS is no setting", "PORT="),
    ]


# --- the port ---------------------------------------------------------------------------------------------


@contextmanager
def stranger() -> Iterator[int]:
    """A server that is not ours; its port."""
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_port_that_something_else_has_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_PATIENCE_S", 0.3)
    with stranger() as number:
        port = network.port(configured(tmp_path, port=number))
    assert (port.models, port.finding.level) == (None, "problem")
    assert "taken by something else" in port.finding.text
    assert port.finding.remedy is not None
    assert port.finding.remedy.startswith(f"PORT={number + 1}, or end what has it")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # listens, and never answers
        number = silent.getsockname()[1]
        assert network.port(configured(tmp_path, port=number)).finding.level == "problem"
    assert network.port(configured(tmp_path, port=number)).finding.level == "ok"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(
        tmp_path_factory.mktemp("examined"), {**FAKES, "TRUSTED_HOSTS": "127.0.0.1, *.example.org"}
    )
    yield server
    server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_the_service_has_is_well(tmp_path: Path, server: Server, host: str) -> None:
    number = int(server.url.rpartition(":")[2])
    port = network.port(configured(tmp_path, host=host, port=number, trusted_hosts=("*.example.org",)))
    assert port.models == ("fake (none)", "fake (none)")
    assert port.finding.level == "warning"  # its models are fakes
    assert "holdcheck" in port.finding.text
    assert "A fake answers for YOLO_WEIGHTS=fake" in port.finding.text


def test_beside_a_service_that_runs_nothing_is_loaded(tmp_path: Path, server: Server) -> None:
    answer, _ = examined(tmp_path, PORT=server.url.rpartition(":")[2], TRUSTED_HOSTS="127.0.0.1")
    told = [finding["text"] for finding in answer["findings"] if finding["about"] == "models"]
    assert told[:2] == ["fake (none) answers in the service that runs here"] * 2
    assert not any("finds holds" in text for text in told)


@pytest.mark.parametrize("host", ["198.51.100.7", "no-such-host.invalid", "a..b"])
def test_an_address_that_is_not_this_machines_is_a_problem(tmp_path: Path, host: str) -> None:
    finding = network.port(configured(tmp_path, host=host)).finding
    assert finding.level == "problem"
    assert f"HOST={host} PORT=0: cannot listen" in finding.text


# --- folders ----------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_a_problem_for_data_and_none_for_models(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20):
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        prepared, data = disk.examine(configured(tmp_path / "disk"))
    assert prepared.level == "ok"
    assert "enough to serve, not to prepare" in prepared.text
    assert data.level == "problem"
    assert "cannot be written: Read-only file system" in data.text
    assert data.remedy is not None
    assert "chown" in data.remedy


def test_a_disk_with_too_little_room_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40 << 20):
        prepared, data = disk.examine(configured(tmp_path / "disk"))
        assert (prepared.level, data.level) == ("warning", "warning")
        assert "MAX_DATA_MB=64 cannot be kept" in data.text
        assert data.remedy == "make room, or lower MAX_DATA_MB"
        (tmp_path / "disk" / "data").mkdir()
        (tmp_path / "disk" / "data" / "kept").write_bytes(bytes(30 << 20))
        assert "less than a photo may have" in disk.examine(configured(tmp_path / "disk"))[1].text
        # What jobs hold already is theirs to have.
        kept = configured(tmp_path / "disk", max_data_mb=39, max_upload_mb=1)
        assert disk.examine(kept)[1].level == "ok"
    (tmp_path / "file").write_text("")
    assert disk.examine(configured(tmp_path, data_dir=tmp_path / "file"))[1].level == "problem"


# --- who gets in, and proxies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "remedy"),
    [
        ({"host": "0.0.0.0"}, "API_KEYS=$(openssl rand -hex 24)"),
        ({"host": "0.0.0.0", "has_keys": True}, None),
        ({"host": "::1"}, None),
        ({"trusted_proxies": ("10.0.0.0/8",)}, "TRUSTED_PROXIES=127.0.0.1, or another HOST"),
        ({"trusted_proxies": ("10.0.0.0/8", "127.0.0.1/32")}, None),
        ({"rate_limited": True}, "TRUSTED_PROXIES=127.0.0.1 where there is a proxy"),
        ({"rate_limited": True, "has_keys": True}, None),
        ({"trusted_hosts": ("wall.example.org",)}, "127.0.0.1 in TRUSTED_HOSTS"),
        ({"trusted_hosts": ("wall.example.org", "127.0.0.1")}, None),
    ],
)
def test_who_gets_in(tmp_path: Path, service: dict[str, Any], remedy: str | None) -> None:
    (finding,) = network.access(configured(tmp_path, **service))
    assert finding.remedy == remedy
    assert finding.level == ("warning" if remedy else "ok")


@pytest.mark.parametrize(
    ("variables", "remedies"),
    [
        ({}, [None]),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, [None]),
        ({"HTTP_PROXY": "http://proxy.example:3128"}, ["NO_PROXY=127.0.0.1,localhost"]),
        ({"http_proxy": "http://proxy.example", "no_proxy": "localhost, 127.0.0.1"}, [None]),
        ({"http_proxy": "http://proxy.example", "NO_PROXY": "*"}, [None]),
        ({"HTTPS_PROXY": "proxy.example:3128"}, ["HTTPS_PROXY=http://HOST:PORT"]),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}, ["https_proxy=the same"]),
    ],
)
def test_proxies_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], remedies: list[str | None]
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert [finding.remedy for finding in network.proxies()] == remedies


# --- the machine ------------------------------------------------------------------------------------------


def test_the_speed_to_expect_goes_by_the_processor() -> None:
    assert "as fast as" in machine._speed(frozenset({"avx2", "avx_vnni"}))
    assert "as fast as" in machine._speed(frozenset({"asimd", "asimddp"}))
    assert "no int8 dot products" in machine._speed(frozenset({"avx2"}))
    assert "neither AVX2 nor NEON" in machine._speed(frozenset({"sse4_2"}))
    assert machine.cpu(None).level == "ok"


def test_more_threads_than_cores_are_a_warning(tmp_path: Path) -> None:
    busy = Configuration(Settings.model_validate({"omp_num_threads": 64}), None)
    finding = machine.cpu(busy)
    assert finding.level == "warning"
    assert finding.remedy is not None
    assert finding.remedy.startswith("OMP_NUM_THREADS=")


def test_the_table_wraps_and_points() -> None:
    findings = [
        Finding("port", "word " * 30, "problem", "PORT=8001"),
        Finding("disk", "room", "warning", "x"),
        Finding("cpu", "fast"),
    ]
    text = table(findings)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0].startswith("NO   port      word")
    assert "               -> PORT=8001" in text
    assert text.splitlines()[-1] == "1 problem, 1 warning: change what the arrows say"
    assert verdict(findings[1:]) == "well, with 1 warning"
    assert verdict(findings[2:]) == "well"
