"""The shell commands of a document, as a reader would type them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"#.*\bnot run here: \S.{9,}")
"""How a document says that a command is not run, and why: after it, or in the first line of its block."""
_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_COMMAND = re.compile(
    r"(?:sudo |[A-Z_]+=\S+ )*(?:make|docker|git|curl|python3?|\.venv/bin/\w+|tar|systemctl|sh|ssh|scp|cp|mv"
    r"|chown|journalctl|npm|pip|caddy|apt-get) \S|\./\S+"
)
"""What looks like a command to type, of all that stands between backquotes."""
_NOT_RUN_INLINE = re.compile(r"[Nn]ot run here: \S.{9,}")
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


def inline_commands(text: str) -> dict[str, bool]:
    """The commands in sentences and tables, and whether their paragraph, item or table says why not."""
    found: dict[str, bool] = {}
    for paragraph in re.split(r"\n\s*\n|\n(?=- |\d+\. )", _FENCE.sub("", text)):
        for span in _SPAN.findall(paragraph):
            if _COMMAND.match(span):
                found[span] = found.get(span, False) or _NOT_RUN_INLINE.search(paragraph) is not None
    return found


def unaccounted(text: str, run: set[str], run_as_they_stand: list[str]) -> list[str]:
    """The commands of a document that nobody runs and no mark excuses.

    A command that is marked once is marked wherever it is named in the same document.

    Args:
        run: commands that something runs.
        run_as_they_stand: blocks that a test takes from the document.
    """
    in_blocks = [
        command for block in blocks(text) if block not in run_as_they_stand for command in commands(block)
    ]
    inline = inline_commands(text)
    excused = {command.text for command in in_blocks if command.is_marked}
    excused |= {command for command, is_marked in inline.items() if is_marked}
    named = [*(command.text for command in in_blocks), *inline]
    return [command for command in dict.fromkeys(named) if command not in excused | run]
