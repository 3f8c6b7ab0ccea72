"""The commands as a user types them, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from holdcheck.result import Result
from training.walls import WallSpec, render, write_dataset

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "plywood.jpg"


def holdcheck(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdcheck", *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_analyze_prints_stages_and_problems_and_writes_what_was_asked(tmp_path: Path) -> None:
    done = holdcheck("analyze", SAMPLE, "--json", tmp_path / "a.json", "--draw", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    assert "detection_complete" in done.stdout
    assert "holds" in done.stdout.splitlines()[-2]
    result = Result.model_validate_json((tmp_path / "a.json").read_bytes())
    assert result.statistics.total_holds > 20
    drawn = Image.open(tmp_path / "a.png")
    assert abs(drawn.width / drawn.height - result.image_width / result.image_height) < 0.01
    assert drawn.tobytes() != Image.open(SAMPLE).convert("RGB").resize(drawn.size).tobytes()


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("analyze", "README.md"), {}, "JPEG"),  # not a photo: what is accepted
        (("analyze", "nowhere.jpg"), {}, "nowhere.jpg"),
        (("analyze", SAMPLE), {"MAX_HOLDS": "many"}, "MAX_HOLDS='many'"),
        (("analyze", SAMPLE), {"YOLO_WEIGHTS": "mine.pt"}, "prepare --yolo mine.pt"),
        (("evaluate", "docs"), {}, "images/val"),
        (("analyze", SAMPLE, "--draw", "x.xyz"), {}, ".png"),  # before the analysis, not after it
        (("analyze", SAMPLE, "--draw", "nowhere/x.png"), {}, "no folder nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: tuple[str | Path, ...], environment: dict[str, str], says: str
) -> None:
    done = holdcheck(*arguments, **environment)
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["analyze", "prepare", "evaluate", "export-corrections", "doctor"])
def test_every_command_has_help(command: str) -> None:
    done = holdcheck(command, "--help")
    assert done.returncode == 0
    assert f"holdcheck {command}" in done.stdout


def test_evaluate_measures_rendered_walls_and_holds_them_to_a_floor(tmp_path: Path) -> None:
    walls = (("val", f"w{seed}", render(WallSpec(1024, 768, seed, light="easy"))) for seed in range(4))
    write_dataset(tmp_path, walls)
    done = holdcheck("evaluate", tmp_path, "--floor", "0.6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4 photos")
    assert holdcheck("evaluate", tmp_path, "--floor", "1.0").returncode == 1


def test_the_written_json_is_the_whole_answer(tmp_path: Path) -> None:
    holdcheck("analyze", SAMPLE, "--json", tmp_path / "a.json", MAX_HOLDS="3")
    answer = json.loads((tmp_path / "a.json").read_text())
    assert answer["statistics"]["holds_kept"] == len(answer["hold_data"]) == 3
    assert answer["statistics"]["truncated"]
