"""monitor_memory.sh as an owner runs it, beside the real server."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backend import photos
from tests.backend.server import Server, start
from tests.cgroup import MemoryCgroup, memory_limit
from tests.deploy.terminal import ROOT, SHELLS, environment, in_pipe, in_terminal

SCRIPT = str(ROOT / "monitor_memory.sh")
ALL_SCRIPTS = (ROOT / "monitor_memory.sh", ROOT / "monitor_docker.sh", ROOT / "deploy" / "monitor.sh")
FAKES = {"YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake", "ALLOW_DUMMY": "1"}
KEY = '0123456789-with-"quotes"-and-\\'
NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""
_HOLDER = """
import sys, time
held = bytearray(int(sys.argv[1]) << 20)
held[::4096] = b"x" * len(held[::4096])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def limited() -> Iterator[MemoryCgroup]:
    with memory_limit(256, cold=False) as group:
        yield group


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, limited: MemoryCgroup) -> Iterator[Server]:
    """In a container's limit; one photo analysed, and a CLIP missing of which it has much to say."""
    settings = {"CLIP_MODEL": "ViT-L/14", "MAX_QUEUE": "5", "MAX_HOLDS": "3"}
    server = start(tmp_path_factory.mktemp("watched"), settings, limited)
    assert server.post(photos.wall(), "/api/analyze").status_code == 200
    yield server
    server.stop()


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with a key, and without a limit."""
    server = start(tmp_path_factory.mktemp("closed"), {**FAKES, "API_KEYS": KEY})
    yield server
    server.stop()


def reading(*arguments: str, shell: str = "dash", **settings: str) -> dict[str, Any]:
    done = in_pipe([*SHELLS[shell], SCRIPT, "--once", "--json", *arguments], **settings)
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert done.returncode == int(told["service"] is None)
    return told


@pytest.mark.parametrize("shell", SHELLS)
def test_a_reading_agrees_with_the_kernel_and_with_the_service(server: Server, shell: str) -> None:
    if shutil.which(SHELLS[shell][0]) is None:
        pytest.skip(f"NOT RUN UNDER {shell}: it is not installed")
    told = reading("--url", server.url, shell=shell)
    health = server.get("/api/health").json()
    assert told["process"]["pid"] == server.process.pid
    assert told["process"]["rss_mb"] == pytest.approx(health["memory"]["rss_mb"], abs=3)
    assert told["process"]["peak_mb"] == pytest.approx(health["memory"]["peak_mb"], abs=3)
    assert told["container"]["limit_mb"] == told["process"]["limit_mb"] == 256.0
    held_mb = 256 - health["memory"]["available_mb"]
    assert told["container"]["used_mb"] == pytest.approx(held_mb, abs=8)
    assert told["container"]["charged_mb"] > told["container"]["used_mb"] > 20
    assert told["system"]["limit_mb"] > 256
    service = told["service"]
    assert service["error_reason"] == health["error_reason"]
    assert service["status"] == "degraded"
    assert service["last_analysis_s"] == pytest.approx(sum(health["timings_ms"].values()) / 1000, abs=0.01)
    assert (service["running"], service["waiting"], service["queue_limit"]) == (0, 0, 5)
    assert (service["done"], service["failed"]) == (1, 0)
    assert told["data"]["limit_mb"] == 1024.0


def test_where_the_process_cannot_be_seen_the_service_tells_of_it(
    server: Server, closed_server: Server
) -> None:
    hidden = ["unshare", "--pid", "--fork", "--mount-proc", SCRIPT, "--once", "--url", server.url]
    done = in_pipe([*hidden, "--json"])
    if "unshare" in done.stderr:
        pytest.skip(f"NOT TRIED WITH HIDDEN PROCESSES: it takes root ({done.stderr.strip()})")
    told, memory = json.loads(done.stdout), server.get("/api/health").json()["memory"]
    assert "pid" not in told["process"]
    assert told["process"]["rss_mb"] == pytest.approx(memory["rss_mb"], abs=3)
    assert told["container"]["limit_mb"] == 256.0
    assert told["container"]["used_mb"] == pytest.approx(256 - memory["available_mb"], abs=8)
    assert "page cache" not in in_pipe(hidden).stdout
    unlimited = json.loads(in_pipe([*hidden[:-1], closed_server.url, "--json"]).stdout)
    assert unlimited["process"]["rss_mb"] > 20
    assert unlimited["container"] is None


def test_a_narrow_terminal_shows_all_of_it(server: Server) -> None:
    narrow = in_terminal(40, [SCRIPT, "--once", "--color=never", "--url", server.url])
    assert max(len(line) for line in narrow.splitlines()) <= 40
    for text in (
        "system",
        "/ 256 MiB",
        f"pid {server.process.pid}",
        "0 running, 0 of 5 waiting",
        "1 done",
        "degraded",
    ):
        assert text in " ".join(narrow.split())
    reason = server.get("/api/health").json()["error_reason"]
    assert reason in " ".join(narrow.split())
    wide = in_terminal(120, [SCRIPT, "--once", "--color=never", "--url", server.url])
    assert len(wide.splitlines()) < len(narrow.splitlines())


@pytest.mark.parametrize(
    ("mib", "colour"),
    [(40, None), (83, "\033[33m"), (92, "\033[1;31m")],  # the interpreter itself takes some 5 of the 100
    ids=["below", "from 80%", "from 90%"],
)
def test_colours_warn_on_a_terminal(mib: int, colour: str | None) -> None:
    with memory_limit(100, cold=False) as group:
        command = group.command(sys.executable, "-c", _HOLDER, str(mib - 5))
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            watch = [SCRIPT, "--once", "--url", NOBODY, "--pid", str(holder.pid)]
            assert _colour_of_container(in_terminal(80, watch)) == colour
            assert _colour_of_container(in_pipe([*watch, "--color"]).stdout) == colour
            for plain in (
                in_pipe(watch).stdout,
                in_terminal(80, watch, NO_COLOR="1"),
                in_terminal(80, [*watch, "--color=never"]),
                in_terminal(80, watch, TERM="dumb"),
            ):
                assert "\033" not in plain
                assert "container" in plain
        finally:
            holder.kill()
            holder.communicate()


def _colour_of_container(text: str) -> str | None:
    (line,) = (line for line in text.splitlines() if "container " in line)
    before = line.partition("container")[0]
    assert line.endswith("\033[0m") == bool(before)
    return before or None


def test_without_the_service_it_says_so_in_a_line_and_measures_the_rest(server: Server) -> None:
    done = in_pipe([SCRIPT, "--once", "--color=never", "--url", NOBODY])
    assert done.returncode == 1
    assert done.stderr == ""
    assert f"service   {NOBODY} does not answer" in done.stdout
    told = reading("--url", NOBODY)
    assert told["system"]["used_mb"] > 0
    assert told["service"] is None
    # One that listens elsewhere is not ours; one in a container may be.
    assert told["process"] is None or told["process"]["pid"] != server.process.pid
    assert NOBODY in told["service_error"]


def test_a_stranger_on_the_port_is_not_taken_for_the_service(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "health").write_text("<html>hello</html>")
    stranger = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert stranger.stdout is not None
        port = stranger.stdout.readline().split(" port ")[1].split()[0]
        assert "something else answers" in reading(PORT=port)["service_error"]
    finally:
        stranger.kill()
        stranger.communicate()


def test_a_closed_service_tells_more_with_a_key(closed_server: Server) -> None:
    without = reading(URL=closed_server.url)
    assert without["service"]["status"] == "degraded"
    assert "done" not in without["service"]
    assert "data" not in without
    # Wherever it is, the process is not in a group of ours here.
    assert without["process"]["pid"] == closed_server.process.pid
    with_key = reading(URL=closed_server.url, API_KEY=KEY)
    assert with_key["service"]["done"] == 0
    wrong = reading(URL=closed_server.url, API_KEY="0123456789-none-of-them")
    assert wrong["service"]["status"] == "degraded"
    assert "done" not in wrong["service"]


@pytest.mark.parametrize("client", ["curl", "python3", "wget", "busybox wget", "none"])
def test_any_http_client_does_and_none_is_said(closed_server: Server, tmp_path: Path, client: str) -> None:
    """A PATH with the tools of POSIX and one client; the key only where nobody else can read it."""
    tools = "sh awk sed tr cut cat head grep ls date sleep stty dirname readlink timeout"
    _link(tmp_path, *tools.split(), *([] if client == "none" else [client]))
    settings = {"PATH": str(tmp_path), "API_KEY": KEY, "http_proxy": NOBODY, "ALL_PROXY": NOBODY}
    done = in_pipe(["sh", SCRIPT, "--once", "--json", "--url", closed_server.url], **settings)
    told = json.loads(done.stdout)
    assert done.stderr == ""
    if client == "none":
        assert "it takes curl, python3 or wget" in told["service_error"]
        return
    assert told["service"]["status"] == "degraded"
    assert ("done" in told["service"]) == (client in {"curl", "python3"})
    refused = in_pipe(["sh", SCRIPT, "--once", "--json", "--url", NOBODY], **settings)
    assert "does not answer" in json.loads(refused.stdout)["service_error"]


def test_busybox_alone_is_enough(server: Server, tmp_path: Path) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("NOT RUN WITH BUSYBOX'S TOOLS: busybox is not installed")
    subprocess.run(["busybox", "--install", "-s", str(tmp_path)], check=True)
    done = in_pipe(
        [str(tmp_path / "sh"), SCRIPT, "--once", "--json", "--url", server.url], PATH=str(tmp_path)
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["process"]["pid"] == server.process.pid
    assert told["container"]["limit_mb"] == 256.0
    assert told["service"]["done"] == 1


def _link(folder: Path, *names: str) -> None:
    for name in names:
        program, _, applet = name.partition(" ")
        found = sys.executable if program == "python3" else shutil.which(program)
        if found is None:
            pytest.skip(f"NOT TRIED: there is no {program}")
        (folder / (applet or name)).symlink_to(found)


def test_it_repeats_and_ends_with_its_reader(closed_server: Server) -> None:
    command = [SCRIPT, "--json", "--interval", "1", "--url", closed_server.url]
    process = subprocess.Popen(command, env=environment({}), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        assert second["service"]["uptime_s"] - first["service"]["uptime_s"] >= 1
        process.stdout.close()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_a_terminal_is_redrawn_until_it_is_interrupted() -> None:
    redrawn = "\033[H\033[2Jholdcheck 20"
    written = in_terminal(80, [SCRIPT, "--interval", "1", "--url", NOBODY], enough=redrawn)
    assert written.count(redrawn) == written.count("holdcheck 20") == 2
    assert "^C" in written


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--interval", "0"], "--interval 0 takes whole seconds"),
        (["--interval", "soon"], "--interval soon takes whole seconds"),
        (["--interval"], "--interval is unknown, or takes a value"),
        (["--port", "http"], "PORT=http takes a port"),
        (["--color=blue"], "--color=blue takes auto, always or never"),
        (["--pid", "one"], "--pid is unknown"),
        (["--verbose", "1"], "--verbose is unknown"),
        (["now"], "'now' is no option"),
    ],
)
def test_what_it_does_not_take_is_said_in_a_line(arguments: list[str], says: str) -> None:
    done = in_pipe([SCRIPT, "--once", *arguments])
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert says in line


@pytest.mark.parametrize("script", ["monitor_memory.sh", "monitor_docker.sh"])
def test_help_names_every_option(script: str) -> None:
    done = in_pipe([str(ROOT / script), "--help"])
    assert done.returncode == 0
    for option in ("--once", "--interval", "--json", "--color", "--url", "--port", "API_KEY"):
        assert option in done.stdout


@pytest.mark.parametrize("script", ["monitor_memory.sh", "monitor_docker.sh"])
def test_copied_alone_it_says_what_belongs_beside_it(script: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / script, tmp_path)
    alone = in_pipe([str(tmp_path / script), "--help"])
    assert alone.returncode == 2
    assert alone.stderr == f"{script}: copy deploy/monitor.sh beside it, too\n"
    shutil.copy(ROOT / "deploy" / "monitor.sh", tmp_path)
    assert in_pipe([str(tmp_path / script), "--help"]).returncode == 0


def test_cgroup_v2_is_read_as_well(tmp_path: Path) -> None:
    """Where the kernel has v2 beside v1: a group of it, with files laid over its folder."""
    mounted = Path("/sys/fs/cgroup/unified")
    if not mounted.is_dir():
        pytest.skip(
            "V2 FILES NOT TRIED: no cgroup2 beside v1 (where v2 is all there is, the other tests read it)"
        )
    files = {
        "memory.max": str(64 << 20),
        "memory.high": "max",
        "memory.current": str(50 << 20),
        "memory.stat": f"anon {30 << 20}\ninactive_file {9 << 20}\nactive_file {1 << 20}\n",
        "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    group = mounted / f"holdcheck-monitor-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"V2 FILES NOT TRIED: takes root and a cgroup file system that may be written ({error})")
    enter = f"echo $$ >{group}/cgroup.procs && mount --bind {tmp_path} {group}"
    inside = f'{enter} && exec "$0" --once --json --pid $$'
    try:
        done = in_pipe(["unshare", "--mount", "sh", "-c", inside, SCRIPT], URL=NOBODY)
        assert done.stderr == ""
        container = json.loads(done.stdout)["container"]
        assert container == {
            "used_mb": 40.0,
            "charged_mb": 50.0,
            "limit_mb": 64.0,
            "oom_kills": 2,
            "cgroup": "v2",
        }
        shown = in_pipe(["unshare", "--mount", "sh", "-c", inside.replace("--json", ""), SCRIPT], URL=NOBODY)
        assert "container     40 / 64 MiB  62%  50 with page cache, 2 killed for memory" in shown.stdout
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("SHELL SCRIPTS NOT CHECKED: shellcheck is not installed (apt-get install shellcheck)")
    done = in_pipe(["shellcheck", "-x", *map(str, ALL_SCRIPTS)])
    assert done.stdout == ""
    assert done.returncode == 0
