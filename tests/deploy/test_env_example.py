"""`.env.example` says of every setting what the code says: its name, default, range and unit."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from backend.settings import ServiceSettings
from holdcheck.prepare.hub import TOKEN_NAMES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".env.example").read_text(encoding="utf-8")
FIELDS = {name.upper(): field for name, field in ServiceSettings.model_fields.items()}
OF_PREPARE = {TOKEN_NAMES[0]}
"""Read by `prepare` alone."""
UNITS = {"_S": "seconds", "_MB": "MiB", "_MEGAPIXELS": "megapixels", "_SIZE": "pixels", "_THREADS": "threads"}
COUNTED = {
    "CLIP_BATCH_SIZE": "crops",
    "MAX_HOLDS": "holds",
    "MAX_QUEUE": "photos",
    "RAY_MIN_REPLICAS": "replicas",
    "RAY_MAX_REPLICAS": "replicas",
    "RAY_GPUS": "GPUs",
    "RAY_CLASSIFIER_BATCH": "crops",
}

NUMBERS = [
    name
    for name, field in FIELDS.items()
    if field.annotation in (int, float) and name not in ("PORT", "YOLO_CONF")
]
_ENDS = ("gt", "ge", "lt", "le", "multiple_of")
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$")
_INTERPOLATED = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")


def _entries() -> dict[str, tuple[str, str]]:
    """Each variable's value, and the comment right above it."""
    found: dict[str, tuple[str, str]] = {}
    comment: list[str] = []
    for line in TEXT.splitlines():
        match = _LINE.match(line)
        if match:
            assert match[1] not in found, f"{match[1]} stands there twice"
            found[match[1]] = match[2], " ".join(comment)
        comment = [*comment, line.lstrip("# ")] if line.startswith("# ") else []
    return found


ENTRIES = _entries()


def _of_compose() -> set[str]:
    """What docker-compose.yml asks for beyond the program's own settings."""
    file = ROOT / "docker-compose.yml"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return set(_INTERPOLATED.findall(text)) - FIELDS.keys()


def test_it_lists_every_setting_and_nothing_else() -> None:
    assert ENTRIES.keys() == FIELDS.keys() | OF_PREPARE | _of_compose()


def test_it_shows_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ENTRIES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    defaults = ServiceSettings.load()
    (tmp_path / ".env").write_text(TEXT)
    assert ServiceSettings.load() == defaults
    # An empty value means the default, whatever that is: only a default that is empty may look so.
    shown = {name for name in FIELDS if ENTRIES[name][0]}
    assert shown == {name for name, field in FIELDS.items() if _is_something(field.default)}


def _is_something(default: Any) -> bool:
    return str(default) not in ("", "()")


@pytest.mark.parametrize("name", ENTRIES)
def test_each_line_has_a_sentence_above_it(name: str) -> None:
    _, comment = ENTRIES[name]
    assert re.search(r"[A-Za-z].*[.)]$", comment), comment


@pytest.mark.parametrize("name", FIELDS)
def test_each_line_says_what_the_code_takes(name: str) -> None:
    _, comment = ENTRIES[name]
    for wanted in _ranges(FIELDS[name]):
        assert wanted in comment, f"{name}: {comment!r} does not say {wanted!r}"


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_has_its_unit(name: str) -> None:
    units = [COUNTED[name]] if name in COUNTED else [UNITS[end] for end in UNITS if name.endswith(end)]
    assert units, f"{name}: say here what its unit is"
    assert f"({units[0]}, " in ENTRIES[name][1]


def _ranges(field: FieldInfo) -> Iterable[str]:
    """How the file writes what a field takes."""
    if get_origin(field.annotation) is Literal:
        yield from get_args(field.annotation)
    if field.annotation is bool:
        yield "(0 or 1)"
    if field.annotation in (int, float):
        ends = {end: _number(bound) for end in _ENDS if (bound := _bound(field, end)) is not None}
        yield f"above {ends['gt']}, below {ends['lt']}" if "gt" in ends else f"{ends['ge']} to {ends['le']}"
        if "multiple_of" in ends:
            yield f"a multiple of {ends['multiple_of']}"


def _bound(field: FieldInfo, end: str) -> Any:
    return next((getattr(entry, end) for entry in field.metadata if hasattr(entry, end)), None)


def _number(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)
