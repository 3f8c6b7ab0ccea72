"""Runs in a network namespace of its own, as root: an ordinary user installs holdcheck, uses and removes it.

Prints what was seen, as JSON; test_bundle.py judges it.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

_AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "-i"]


def main(bundle: Path, home: Path, python: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    seen: dict[str, Any] = {"networks": up(), "unreachable": reach_out()}
    prefix = home / "holdcheck"
    prefix.mkdir()
    (prefix / ".env").write_text("MAX_HOLDS=0\n")
    for path in (prefix, prefix / ".env"):
        shutil.chown(path, "nobody", "nogroup")
    refused = attempt(bundle, home, "--python", python)
    seen["senseless settings"] = [refused.returncode, refused.stderr, (prefix / "current").exists()]
    (prefix / ".env").write_text("PORT=0\n")
    said = install(bundle, home, "--python", python, "--skip-self-test")
    seen["installed"] = str((prefix / "current").readlink())
    seen["owners"] = sorted({path.owner() for path in prefix.rglob("*") if not path.is_symlink()})
    seen |= use(said, home, bundle / "samples" / "navy.jpg")
    seen["again"] = install(bundle, home, "--python", python)
    seen["settings again"] = (prefix / ".env").read_text()
    install(bundle, home, "--uninstall")
    seen["left"] = sorted(path.name for path in prefix.iterdir())
    install(bundle, home, "--uninstall", "--purge")
    seen["left after a purge"] = prefix.exists()
    print(json.dumps(seen))


def up() -> list[str]:
    """Networks of this namespace (/sys shows those of the one that it was mounted in)."""
    listed = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True).stdout
    return sorted(link["ifname"] for link in json.loads(listed))


def reach_out() -> str:
    """Why not, in the kernel's words (192.0.2.0/24 is nobody's, RFC 5737)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        try:
            there.connect(("192.0.2.1", 53))
        except OSError as error:
            return str(error.strerror)
    return ""


def as_nobody(home: Path, *command: str) -> list[str]:
    return [*_AS_NOBODY, f"HOME={home}", "PATH=/usr/bin:/bin", *command]


def attempt(bundle: Path, home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = as_nobody(home, "sh", str(bundle / "install.sh"), *options)
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def install(bundle: Path, home: Path, *options: str) -> str:
    done = attempt(bundle, home, *options)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def use(said: str, home: Path, photo: Path) -> dict[str, Any]:
    """Start it as the installer said, and send a photo."""
    command = re.search("to start it: (.*)", said)
    if command is None:
        raise SystemExit(said)
    log = home / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            as_nobody(home, "sh", "-c", command[1].replace("&& ", "&& exec ")), stdout=output, stderr=output
        )
    try:
        url = wait_until_ready(server, log)
        files = {"image": photo.read_bytes()}
        with httpx.stream("POST", f"{url}/api/analyze-stream", files=files, timeout=60) as answer:
            events = [json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")]
        return {
            "health": httpx.get(f"{url}/api/health").json(),
            "page": httpx.get(f"{url}/").text,
            "steps": [event["step"] for event in events],
            "holds": events[-1]["result"]["statistics"]["total_holds"],
        }
    finally:
        server.terminate()
        server.wait(15)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False  # it says where it listens a moment before it does


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(240):
        if server.poll() is not None:
            break
        listens = re.search(r"listens on (http://[^\s,]+)", log.read_text())
        if listens and ready(listens[1]):
            return listens[1]
        time.sleep(0.25)
    raise SystemExit(log.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
