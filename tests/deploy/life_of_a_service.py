"""Runs inside tests/deploy/machine.py: an owner installs, uses, upgrades, rolls back and removes holdcheck.

Prints what was seen, as JSON; test_service.py judges it.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

_URL = "http://127.0.0.1:8000"
_SETTINGS = Path("/etc/holdcheck/env")
_CODE = Path("/opt/holdcheck")
_UNIT = "/etc/systemd/system/holdcheck.service"
_STORE = "/var/lib/holdcheck/data/jobs.sqlite3"
_INSTALLED = [str(_CODE / "current"), _STORE, str(_SETTINGS), _UNIT, f"{_UNIT}.d"]
_PATHS = [
    *("/opt/holdcheck/x", "/etc/x", "/tmp/x", "/var/lib/holdcheck/x"),
    *("/var/lib/holdcheck/models/x", "/var/lib/holdcheck/data/x"),
]
_WRITE = "touch {0} 2>/dev/null && rm {0} && echo yes || echo no"


def main(first: Path, second: Path) -> None:
    seen: dict[str, Any] = {"networks": sorted(path.name for path in Path("/sys/class/net").iterdir())}
    install(first)
    seen["verify"] = run("systemd-analyze", "verify", "holdcheck.service")
    seen["first"] = look()
    seen["process"] = process()
    seen["writes"] = {path: may_write(path) for path in _PATHS}
    as_user = ["setpriv", "--reuid=holdcheck", "--regid=holdcheck", "--clear-groups"]
    seen["homes"] = inside_service(*as_user, "sh", "-c", "ls -A /root /home 2>&1; ls /dev")
    photo = (first / "samples" / "navy.jpg").read_bytes()
    events = analyse(photo)
    seen["steps"] = [event["step"] for event in events]
    job = events[0]["job_id"]
    seen["job"] = {"first": job_status(job)}
    with _SETTINGS.open("a") as settings:
        settings.write("MAX_HOLDS=7\n")
    install(second, "--memory", "300M", "--skip-self-test")
    seen["second"] = look()
    seen["job"]["second"] = job_status(job)
    answer = httpx.post(f"{_URL}/api/analyze", files={"image": photo}, timeout=60).json()
    seen["holds_kept"] = answer["statistics"]["holds_kept"]
    run("sh", "/opt/holdcheck/current/install.sh", "--rollback")
    seen["rolled back"] = look()
    seen["job"]["rolled back"] = job_status(job)
    seen["killed"] = kill()
    seen["changed model"] = change_a_model()
    run("sh", "/opt/holdcheck/current/install.sh", "--uninstall")
    seen["uninstalled"] = left()
    run("sh", str(first / "install.sh"), "--uninstall", "--purge")
    seen["purged"] = left()
    print(json.dumps(seen))


def run(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def install(bundle: Path, *options: str) -> str:
    return run("sh", str(bundle / "install.sh"), *options)


def look() -> dict[str, Any]:
    health = httpx.get(f"{_URL}/api/health").json()
    page = httpx.get(f"{_URL}/")
    names = [model["name"] for model in health["models"]]
    return {
        "version": health["version"],
        "limit_mb": health["memory"]["limit_mb"],
        "models": names,
        "page": page.text,
        "current": str((_CODE / "current").readlink()),
        "versions": sorted(path.name for path in _CODE.iterdir() if not path.is_symlink()),
    }


def show(*properties: str) -> dict[str, str]:
    lines = run("systemctl", "show", "holdcheck", *(f"--property={name}" for name in properties)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def process() -> dict[str, str]:
    """What /proc says of the running server."""
    status = Path(f"/proc/{show('MainPID')['MainPID']}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {name: fields[name] for name in ("Uid", "Gid", "NoNewPrivs", "Seccomp", "CapBnd", "CapEff")}


def inside_service(*command: str) -> str:
    """Run a command, as root, among the files that the service sees."""
    return run("nsenter", f"--target={show('MainPID')['MainPID']}", "--mount", *command)


def may_write(path: str) -> bool:
    """Whether root could, there: what stops it is not who owns the file."""
    return inside_service("sh", "-c", _WRITE.format(path)).strip() == "yes"


def analyse(photo: bytes) -> list[dict[str, Any]]:
    with httpx.stream("POST", f"{_URL}/api/analyze-stream", files={"image": photo}, timeout=60) as answer:
        return [json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")]


def job_status(job: str) -> str:
    return str(httpx.get(f"{_URL}/api/jobs/{job}").json()["status"])


def kill() -> dict[str, str]:
    run("systemctl", "kill", "--signal=KILL", "holdcheck")
    wait_for(lambda: show("NRestarts")["NRestarts"] == "1")
    wait_for(lambda: httpx.get(f"{_URL}/readyz").status_code == 200)
    return show("NRestarts", "ActiveState")


def change_a_model() -> dict[str, str]:
    """One byte more in a model file, and a restart."""
    run("systemctl", "stop", "holdcheck")
    run("systemctl", "reset-failed", "holdcheck")
    file = next(
        Path("/opt/holdcheck/current/venv/lib").glob(
            "python3*/site-packages/holdcheck/models/holds-*/model.ort"
        )
    )
    with file.open("ab") as model:
        model.write(b"x")
    run("systemctl", "start", "holdcheck")
    wait_for(lambda: show("ActiveState")["ActiveState"] == "failed")
    return show("ActiveState", "ExecMainStatus", "NRestarts", "Result")


def wait_for(condition: Any) -> None:
    for _ in range(240):
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    raise SystemExit(run("journalctl", "--unit", "holdcheck", "--lines", "30", "--no-pager"))


def left() -> dict[str, bool]:
    return {path: Path(path).exists() for path in _INSTALLED}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
