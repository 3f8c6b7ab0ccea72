"""The shell commands of a document, as a reader would type them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"#\s*not run here: \S.{9,}")
"""How a document says that a command is not run, and why: after it, or in the first line of its block."""
_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_SHELL = frozenset({"sh", "bash", "shell", "console", ""})
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a block."""

    text: str
    """Without its comment."""
    is_marked: bool
    """Whether the document says that it is not run."""


def blocks(text: str) -> list[str]:
    """The contents of a document's shell blocks. One without a language counts where it looks like one."""
    return [
        body
        for language, body in _FENCE.findall(text)
        if language in _SHELL and (language or re.match(r"\$ |sudo |make |docker |curl |python", body))
    ]


def commands(block: str) -> list[Command]:
    """A block's commands, a line each; lines that end in a backslash go on in the next."""
    lines = [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    whole = bool(lines) and lines[0].startswith("#") and NOT_RUN.search(lines[0]) is not None
    found = []
    for line in lines:
        text = " ".join(_COMMENT.sub("", line).split())
        if text and not text.startswith("#"):
            found.append(Command(text, whole or NOT_RUN.search(line) is not None))
    return found


def block_after(document: str, words: str) -> str:
    """The first shell block after some words of a document: for a test that runs it as it stands there."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return blocks(text[text.index(words) :])[0]
