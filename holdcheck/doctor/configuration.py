"""The settings: the library's, and what the service says of its own.

The service is asked as a program, because this package never imports it; and before anything large is
imported here, so that the two do not take memory beside each other.
"""

import difflib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdcheck.doctor.finding import Finding, looked
from holdcheck.errors import SettingsError

if TYPE_CHECKING:
    from holdcheck.settings import Settings

_PATIENCE_S = 60
_ASKED = "python -m backend --settings"
_CLOSE = 0.85
"""How alike two names are of which one is a slip of the other (difflib's ratio)."""


@dataclass(frozen=True, slots=True)
class Service:
    """What of the service's settings this looks at; the service has read and checked them."""

    host: str
    port: int
    data_dir: Path
    max_data_mb: float
    max_upload_mb: float
    has_keys: bool
    rate_limited: bool
    trusted_proxies: tuple[str, ...]
    trusted_hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings; `service` is None where the library is installed alone."""

    library: "Settings"
    service: Service | None


def examine() -> tuple[Configuration | None, list[Finding]]:
    """Read them as the service would; None where a value makes no sense."""
    try:
        told = _ask_service() if importlib.util.find_spec("backend") else {}
        from holdcheck.settings import Settings

        library = Settings.load()
    except SettingsError as error:
        return None, [Finding("settings", text, "problem", _remedy(text)) for text in str(error).split("; ")]
    known = {name.upper() for name in (*Settings.model_fields, *told)}
    service = _service(told) if told else None
    slips = looked("settings", lambda: _slips(known))
    return Configuration(library, service), slips or [Finding("settings", "every value makes sense")]


def _remedy(text: str) -> str:
    if text.startswith(_ASKED):
        return "stop what else runs here, or allow more (mem_limit, MemoryMax=)"
    if text.startswith(".env: cannot be read"):
        return f"chown {os.getuid()} .env, or start this where the service starts"
    return "set it, or take it out, in the environment or in .env"


def _ask_service() -> dict[str, object]:
    done = subprocess.run(  # noqa: S603 - this Python, on the module beside this package
        [sys.executable, *_isolation(), "-m", "backend", "--settings"],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    if done.returncode == -signal.SIGKILL:
        raise SettingsError(f"{_ASKED} was killed: there is too little memory left here to look around in")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{_ASKED} does not answer"]
        raise SettingsError(lines[-1].removeprefix("holdcheck: "))
    told: dict[str, object] = json.loads(done.stdout)
    return told


def _isolation() -> list[str]:
    """As this Python was told to keep out of the working directory, which `-m` would run code from."""
    if sys.flags.isolated:
        return ["-I"]
    return ["-P"] if sys.flags.safe_path else []


def _service(told: dict[str, object]) -> Service:
    return Service(
        host=str(told["host"]),
        port=int(str(told["port"])),
        data_dir=Path(str(told["data_dir"])),
        max_data_mb=float(str(told["max_data_mb"])),
        max_upload_mb=float(str(told["max_upload_mb"])),
        has_keys=bool(told["api_keys"]),
        rate_limited=bool(told["rate_limit"]),
        trusted_proxies=_names(told["trusted_proxies"]),
        trusted_hosts=_names(told["trusted_hosts"]),
    )


def _names(listed: object) -> tuple[str, ...]:
    assert isinstance(listed, list)
    return tuple(map(str, listed))


def _slips(known: set[str]) -> list[Finding]:
    """Names in .env that are none of ours, and nearly are: such a line does nothing, and says nothing."""
    from dotenv import dotenv_values

    found = []
    for name in dotenv_values(".env", interpolate=False):
        meant = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_CLOSE)
        if meant and name.upper() not in known:
            found.append(Finding("settings", f".env: {name} is no setting", "warning", f"{meant[0]}="))
    return found
