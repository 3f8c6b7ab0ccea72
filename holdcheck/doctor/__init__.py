"""`python -m holdcheck doctor`: a look at the set-up: what is wrong, and what to change."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from holdcheck.doctor import configuration
from holdcheck.doctor.finding import Finding, looked, table, verdict


def run(say: Callable[[str], None], *, as_json: bool) -> int:
    """Look at everything and say it; returns the exit code: 0 where there is no problem, warnings or not."""
    _go_first()
    findings = examine()
    well = all(finding.level != "problem" for finding in findings)
    if as_json:
        answer = {"well": well, "verdict": verdict(findings), "findings": [asdict(each) for each in findings]}
        say(json.dumps(answer, indent=2))
    else:
        say(table(findings))
    return int(not well)


def _go_first() -> None:
    """Be what the kernel takes where memory runs out, with all that this starts: `docker exec` runs it inside
    the service's own group, whose largest process is the service."""
    with suppress(OSError):  # no Linux
        Path("/proc/self/oom_score_adj").write_text("1000")


def examine() -> list[Finding]:
    """Look at everything, with the settings that the service would take from here."""
    settings, found = configuration.examine()
    from holdcheck.doctor import disk, machine, models, network, room  # now that the one it asked has ended

    found = [machine.python(), machine.cpu(settings), *found]
    if settings is None:
        return [*found, *network.proxies()]
    service = network.port(settings)
    memory = room.examine(settings, in_use=service.models is not None, service_limit_mb=service.limit_mb)
    device = machine.device(settings)
    # What does not fit would be killed, and this with it.
    loads = "problem" not in (memory.level, device.level)
    return [
        *found,
        memory,
        device,
        *looked("models", lambda: models.examine(settings, loads=loads, running=service.models)),
        *disk.examine(settings),
        service.finding,
        *network.access(settings),
        *network.proxies(),
        machine.prepare(),
    ]
