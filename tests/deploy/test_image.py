"""Every stage builds, and the last one serves a photo in 256 MiB, read-only, without privileges."""

import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest

from tests.deploy.images import HARDENED, ROOT, Container, Tools, running, tools

_MOST_MB = 350
_PHOTO = ROOT / "samples" / "plywood.jpg"
_UNWANTED = {"sh", "bash", "apt", "dpkg", "perl", "pip", "node", "npm", "gcc", "cc", "ld", "curl", "wget"}
_LOOK = """
import importlib.util, json, os, sys
files, bytes_ = [], 0
for folder, folders, names in os.walk("/"):
    folders[:] = [name for name in folders if not os.path.ismount(os.path.join(folder, name))]
    for name in names:
        path = os.path.join(folder, name)
        files.append(path)
        bytes_ += os.lstat(path).st_blocks * 512
status = dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "files": files, "mb": bytes_ / 1e6, "uid": os.getuid(), "gid": os.getgid(),
    "capabilities": status["CapEff"].strip(), "no_new_privileges": status["NoNewPrivs"].strip(),
    "writable": [path for path in "/ /app /opt/venv /data /models /tmp".split() if os.access(path, os.W_OK)],
    "importable": [name for name in "torch pip ensurepip setuptools pytest tests training bench".split()
                   if importlib.util.find_spec(name)],
}))
"""


@pytest.fixture(scope="module")
def images() -> Tools:
    return tools()


@pytest.fixture(scope="module")
def runtime(images: Tools) -> Tools:
    done = images.build("runtime")
    assert done.returncode == 0, done.stdout[-4000:]
    return images


@pytest.fixture(scope="module")
def inside(runtime: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the image looks like to a process in it."""
    printed = runtime.output("runtime", tmp_path_factory.mktemp("look"), "python", "-c", _LOOK)
    found: dict[str, Any] = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
    return found


@pytest.mark.parametrize("stage", ["base", "serve", "prepare", "frontend", "dev"])
def test_each_stage_builds(images: Tools, stage: str) -> None:
    done = images.build(stage)
    assert done.returncode == 0, done.stdout[-4000:]


def test_it_is_small(inside: dict[str, Any]) -> None:
    assert 100 < inside["mb"] <= _MOST_MB


def test_it_holds_nothing_that_serving_does_not_need(inside: dict[str, Any]) -> None:
    assert inside["importable"] == []
    names = {Path(file).name for file in inside["files"]}
    assert "model.ort" in names
    assert not names & _UNWANTED
    assert not [file for file in inside["files"] if file.endswith((".safetensors", ".pt", ".env"))]


def test_it_runs_as_nobody_in_particular_and_writes_to_its_volumes_alone(inside: dict[str, Any]) -> None:
    assert (inside["uid"], inside["gid"]) == (10001, 10001)
    assert int(inside["capabilities"], 16) == 0
    assert inside["no_new_privileges"] == "1"
    assert inside["writable"] == ["/data", "/models", "/tmp"]


def test_a_start_compiles_nothing(runtime: Tools, tmp_path: Path) -> None:
    imports = "import backend.serve, backend.settings as settings, holdcheck.registry as registry"
    code = f"{imports}; registry.load(settings.ServiceSettings.load())"
    printed = runtime.output("runtime", tmp_path, "python", "-v", "-c", code)
    loaded = re.findall(r"^# code object from '?([^'\s]+)", printed, flags=re.MULTILINE)
    assert sum(name.endswith(".pyc") for name in loaded) > 300
    assert [name for name in loaded if name.endswith(".py")] == []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module", params=["mounted at /models", "built in"])
def container(
    request: pytest.FixtureRequest,
    runtime: Tools,
    true_size_models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Container]:
    """With a ViT-B/32 of true size: on a volume, or below an empty one, as an image built with it has it."""
    folder = tmp_path_factory.mktemp("container")
    # A copy that anybody can read, whatever the folders above are like.
    models = folder / "models"
    shutil.copytree(true_size_models / "clip", models / "clip")
    for path in (models, *models.rglob("*")):
        path.chmod(0o755)
    place = "/models" if request.param.startswith("mounted") else "/app/holdcheck/models/clip"
    mounted = models if request.param.startswith("mounted") else models / "clip"
    with running(
        runtime, "runtime", folder, _free_port(), [*HARDENED, "-v", f"{mounted}:{place}:ro"]
    ) as container:
        yield container


def _stream(container: Container) -> Iterator[dict[str, Any]]:
    files = {"image": ("photo.jpg", _PHOTO.read_bytes())}
    url = f"{container.url}/api/analyze-stream"
    with (
        httpx.Client(timeout=120) as client,
        httpx_sse.connect_sse(client, "POST", url, files=files) as source,
    ):
        source.response.raise_for_status()
        yield from (event.json() for event in source.iter_sse())


def test_a_photo_goes_through_it_in_256_mib(container: Container) -> None:
    events = list(_stream(container))
    result = events[-1]["result"]
    assert events[-1]["step"] == "complete"
    assert result["statistics"]["holds_kept"] > 10
    assert result["memory"]["limit_mb"] == 256
    assert result["is_dummy"]  # random weights of the true size: the CLIP that was mounted did answer
    health = httpx.get(f"{container.url}/api/health").json()
    assert [model["name"] for model in health["models"]] == ["holds-yolo11n-seg", "ViT-B/32"]
    assert health["version"] != "0+uninstalled"


def test_the_app_is_in_it(container: Container) -> None:
    page = httpx.get(container.url)
    assert "text/html" in page.headers["content-type"]
    assert "assets/" in page.text


def test_its_healthcheck_passes(container: Container) -> None:
    container.wait_until_healthy()


def test_sigterm_lets_the_running_analysis_end(runtime: Tools, tmp_path: Path) -> None:
    slow = [*HARDENED, "-e", "MAX_HOLDS=500", "-e", "YOLO_CONF=0.02", "-e", "CLIP_BATCH_SIZE=1"]
    with running(runtime, "runtime", tmp_path, _free_port(), slow) as container:
        steps: list[str] = []
        for event in _stream(container):
            steps.append(event["step"])
            if event["step"] == "detection_complete":
                stopping = threading.Thread(target=container.stop)
                stopping.start()
                began = time.monotonic()
        assert steps[-1] == "complete"
        assert container.stop() == 0
        assert time.monotonic() - began < 10
        stopping.join()


def test_a_setting_that_makes_no_sense_ends_it_with_status_2(runtime: Tools, tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    assert runtime.start("runtime", log_file, [*HARDENED, "-e", "MAX_HOLDS=many"]).wait(60) == 2
    assert "MAX_HOLDS='many'" in log_file.read_text()


def test_development_serves_the_source_that_was_changed(images: Tools, tmp_path: Path) -> None:
    assert images.build("dev").returncode == 0
    source = tmp_path / "backend"
    shutil.copytree(ROOT / "backend", source, ignore=shutil.ignore_patterns("__pycache__"))
    tmp_path.chmod(0o755)
    options = ["-v", f"{source}:/app/backend:ro", "-e", "ALLOW_DUMMY=1", "-e", "CLIP_MODEL=fake"]
    with running(images, "dev", tmp_path, _free_port(), [*options, "-e", "YOLO_WEIGHTS=fake"]) as container:
        page = source / "routers" / "health.py"
        page.write_text(page.read_text().replace("alive: Literal[True] = True", "reloaded: bool = True"))
        deadline = time.monotonic() + 60
        while "reloaded" not in _livez(container):
            assert time.monotonic() < deadline, container.log()
            time.sleep(0.2)


def _livez(container: Container) -> str:
    try:
        return httpx.get(f"{container.url}/livez").text
    except httpx.TransportError:
        return ""


def test_a_clip_that_cannot_be_had_ends_the_build_with_what_to_do(images: Tools) -> None:
    """Installs torch: minutes. A checkpoint that is not there stands for a hub out of reach."""
    done = images.build("prepare", PREPARE_CLIP="ViT-B/32", CLIP_CHECKPOINT="weights/never-there.pt")
    assert done.returncode != 0
    assert "could not be prepared. Either build with PREPARE_CLIP=none" in done.stdout
    assert "CLIP_CHECKPOINT=weights/FILE" in done.stdout
    assert "Traceback" not in done.stdout
