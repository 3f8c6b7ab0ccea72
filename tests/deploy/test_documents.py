"""Every command of the README and docs/deploy.md is run by a test, or the document says why not."""

import ast
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.documents import NOT_RUN, ROOT, blocks, commands, inline_commands, unaccounted

DOCUMENTS = ("README.md", "docs/deploy.md")
HERE = "tests/deploy/test_documents.py::test_a_newcomers_commands_do_what_the_documents_say"
_BACKUP = "tests/deploy/test_backup.py::test_a_backup_of_a_working_server_is_restored"
_STOPPED = "tests/deploy/test_backup.py::test_a_backup_of_a_stopped_server_is_restored"
RUN_BY = {
    "make run": HERE,
    "make demo": HERE,
    "make bundle": "tests/deploy/test_bundle.py::test_an_ordinary_user_installs_it_without_a_network",
    ".venv/bin/python -m holdcheck doctor": (
        "tests/holdcheck/test_doctor.py::test_a_default_set_up_is_well_and_fits_80_columns"
    ),
    "./monitor_memory.sh": (
        "tests/deploy/test_monitor_memory.py::test_a_terminal_is_redrawn_until_it_is_interrupted"
    ),
    "./monitor_docker.sh": (
        "tests/deploy/test_monitor_docker.py::test_a_reading_tells_of_the_container_and_of_the_service"
    ),
    "make test": ".ci/run",
    "cp deploy/profiles/256m.env .env": HERE,
    "curl -N -F image=@samples/plywood.jpg http://127.0.0.1:8000/api/analyze-stream": HERE,
    "curl -F image=@README.md http://127.0.0.1:8000/api/analyze": HERE,
    'KEY=$(openssl rand -hex 24) && echo "$KEY"': HERE,
    "API_KEYS=$KEY HOST=0.0.0.0 make run": HERE,
    ".venv/bin/python -m holdcheck analyze PHOTO --draw out.jpg": (
        "tests/holdcheck/test_cli.py::test_analyze_prints_stages_and_problems_and_writes_what_was_asked"
    ),
    ".venv/bin/python -m holdcheck evaluate DATASET": (
        "tests/holdcheck/test_evaluate_walls.py::test_the_command_prints_writes_and_draws"
    ),
    ".venv/bin/python -m holdcheck prepare --clip ViT-B/32:FILE": (
        "tests/holdcheck/test_prepare_clip.py::test_vit_b_32_is_prepared_from_a_checkpoint_inside_957_mib"
    ),
    ".venv/bin/python -m holdcheck prepare --yolo weights.pt": (
        "tests/holdcheck/test_prepare_yolo.py::test_a_users_own_weights_keep_their_class_names"
    ),
    ".venv/bin/python -m holdcheck prepare --undo": (
        "tests/holdcheck/test_prepare_artefact.py::"
        "test_one_command_brings_the_artefact_before_back_and_once_more_the_other"
    ),
    # Their short forms.
    "make load": "tests/bench/test_load.py::test_a_crowd_is_answered_photo_by_photo_once_each",
    "make fuzz": "tests/holdcheck/test_fuzz.py::test_six_hundred_damaged_photos_break_no_promise",
    "python -m bench.profiles": (
        "tests/deploy/test_profiles.py::test_the_server_works_with_a_profile_under_its_limit"
    ),
}
"""A command, as the document has it, and the test or the step that runs it."""
RUN_AS_THEY_STAND = {
    "Stopped, `DATA_DIR` is files like others": _STOPPED,
    "While the server runs, the database has to be copied": _BACKUP,
    "To restore, with the server stopped": _BACKUP,
}
"""Blocks that a test takes from docs/deploy.md, by the words before them."""


def _text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_run_or_says_that_it_is_not(document: str) -> None:
    text = _text(document)
    as_they_stand = [blocks(text[text.index(words) :])[0] for words in RUN_AS_THEY_STAND if words in text]
    assert unaccounted(text, set(RUN_BY), as_they_stand) == []


def test_no_promise_outlives_its_command() -> None:
    texts = [_text(document) for document in DOCUMENTS]
    said = {command.text for text in texts for block in blocks(text) for command in commands(block)}
    said |= {command for text in texts for command in inline_commands(text)}
    assert RUN_BY.keys() - said == set()
    assert [words for words in RUN_AS_THEY_STAND if words not in _text("docs/deploy.md")] == []


@pytest.mark.parametrize("step", sorted({*RUN_BY.values(), *RUN_AS_THEY_STAND.values()}))
def test_what_is_said_to_run_a_command_is_there(step: str) -> None:
    file, _, name = step.partition("::")
    if not name:
        assert "make test" in (ROOT / file).read_text(encoding="utf-8").splitlines()
        return
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


_NEW = "## Start\n\n```sh\nmake run\nmake coffee    # strong\n```\n\nOr `make tea` instead.\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (_NEW, ["make coffee", "make tea"]),
        (_NEW.replace("# strong", "# not run here: there is no machine"), ["make tea"]),
        (_NEW.replace("# strong", "# not run here"), ["make coffee", "make tea"]),  # without a reason
        (_NEW.replace("sh\nmake", "sh\n# not run here: needs a kitchen\nmake"), ["make tea"]),
        (_NEW.replace("instead", "(not run here: needs a kitchen)"), ["make coffee"]),
        (_NEW.replace("`make tea`", "`make run`"), ["make coffee"]),
        (_NEW.replace("make coffee ", "make \\\n  coffee"), ["make coffee", "make tea"]),
        (_NEW.replace("```sh", "```"), ["make coffee", "make tea"]),
    ],
)
def test_a_new_command_that_nobody_runs_is_noticed(text: str, left: list[str]) -> None:
    assert unaccounted(text, {"make run"}, []) == left


def test_a_mark_gives_a_reason() -> None:
    assert NOT_RUN.search("make x  # not run here: needs a domain")
    assert not NOT_RUN.search("make x  # not run here: no")


# --- the commands themselves ------------------------------------------------------------------------------


def test_a_newcomers_commands_do_what_the_documents_say(tmp_path: Path) -> None:
    """In a checkout whose set-up `make test` has done: what is left of each command, as it is written."""
    checkout = _checkout(tmp_path / "holdcheck")
    _shell("cp deploy/profiles/256m.env .env", checkout)
    with _running("make run", checkout) as port:
        stream = _shell(
            _at(port, "curl -N -F image=@samples/plywood.jpg http://127.0.0.1:8000/api/analyze-stream"),
            checkout,
        )
        assert '"step":"complete"' in stream
        refusal = _shell(_at(port, "curl -F image=@README.md http://127.0.0.1:8000/api/analyze"), checkout)
        assert '"code":"photo_type_unsupported"' in refusal
    key = _shell('KEY=$(openssl rand -hex 24) && echo "$KEY"', checkout).strip()
    with _running(f"KEY={key}; API_KEYS=$KEY HOST=0.0.0.0 make run", checkout) as port:
        answers = [
            httpx.post(
                f"http://127.0.0.1:{port}/api/analyze", files={"image": b"x"}, headers=headers, verify=False
            )
            for headers in ({}, {"Authorization": f"Bearer {key}"}, {"X-API-Key": key})
        ]
        assert [answer.status_code for answer in answers] == [401, 415, 415]
    assert "the picture with every hold outlined" in _shell("make demo", checkout)
    assert (checkout / "build" / "demo.jpg").is_file()


def _checkout(folder: Path) -> Path:
    """As a clone after its set-up: the same files, this interpreter's environment, and stamps that say so."""
    if not (Path(sys.prefix) / "serve.stamp").is_file():
        pytest.skip(
            "NOT RUN: the documents' commands, for want of a .venv that `make` set up: run `make test`"
        )
    missing = [name for name in ("make", "curl", "openssl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"NOT RUN: the documents' commands, for want of {', '.join(missing)}: install, run again")
    folder.mkdir()
    for name in ("backend", "holdcheck", "samples", "deploy", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "frontend" / "node_modules").mkdir(parents=True)
    older = [folder / name for name in ("pyproject.toml", "constraints.txt", "Makefile")]
    for file in older:
        shutil.copyfile(ROOT / file.name, file)
    for name in ("package-lock.json", "node_modules/.package-lock.json"):
        older.append(folder / "frontend" / name)
        older[-1].touch()
    for file in older:
        os.utime(file, (1, 1))
    (folder / "build").mkdir()
    (folder / "build" / "app.stamp").touch()
    return folder


def _shell(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["sh", "-euc", command],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _at(port: int, command: str) -> str:
    return command.replace(":8000", f":{port}")


@contextmanager
def _running(command: str, folder: Path) -> Iterator[int]:
    """A server by the document's command, but for its port, and for 127.0.0.1 alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = command.replace("0.0.0.0", "127.0.0.1")
    with (folder / ".env").open("a") as settings:
        settings.write(f"PORT={port}\n")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["sh", "-euc", command],
            cwd=folder,
            env=_environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_ready(port, process, folder / "log")
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", verify=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if re.fullmatch("PATH|HOME|LANG", name)}
