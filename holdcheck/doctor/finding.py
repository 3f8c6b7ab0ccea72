"""What was looked at, how it stands, and what to change."""

import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

_WIDTH = 80
Level = Literal["ok", "warning", "problem"]
"""warning: it works, and somebody should know. problem: the service cannot do its work like this."""
_MARKS = {"ok": "ok", "warning": "warn", "problem": "NO"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    about: str
    """A word: what it is about."""
    text: str
    level: Level = "ok"
    remedy: str | None = None
    """The setting or the command to change; None where all is well."""


def looked(about: str, check: Callable[[], list[Finding]], level: Level = "problem") -> list[Finding]:
    """What one check finds; what the system does not let it see is a finding of that level, too."""
    try:
        return check()
    except OSError as error:
        text = f"{error.filename or about}: {error.strerror or error}"
        return [Finding(about, text, level, f"let user {os.getuid()} in (ls -ld, chmod, chown)")]


def table(findings: Sequence[Finding]) -> str:
    """All of them for a terminal of 80 columns, and the verdict."""
    return "\n".join([*map(_lines, findings), "", verdict(findings)])


def verdict(findings: Sequence[Finding]) -> str:
    """One line: whether the service can do its work here."""
    problems = sum(finding.level == "problem" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    counts = [
        _count(number, noun) for number, noun in ((problems, "problem"), (warnings, "warning")) if number
    ]
    if problems:
        return f"{', '.join(counts)}: change what the arrows say"
    return f"well, with {counts[0]}" if counts else "well"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _lines(finding: Finding) -> str:
    head = f"{_MARKS[finding.level]:<5}{finding.about:<10}"
    text = _wrapped(finding.text, head)
    return f"{text}\n{_wrapped(finding.remedy, ' ' * len(head) + '-> ')}" if finding.remedy else text


def _wrapped(text: str, head: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
