"""The wall renderer: believable pictures are judged by eye, the truth about them is judged here."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections import defaultdict
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from training.render_samples import FOLDER, SAMPLES
from training.walls import COLOURS, TrueHold, Wall, WallSpec, mask, render, truth_of, write_dataset
from training.walls.__main__ import main
from training.walls.noise import value_noise
from training.walls.palette import SHADES
from training.walls.raster import coverage

RENDER = sys.modules[render.__module__]  # the name training.walls.render is the function


@cache
def wall(seed: int, **changes: object) -> Wall:
    return render(WallSpec(480, 360, seed, **{"light": "easy", "quality": "clean", **changes}))  # type: ignore[arg-type]


def lab_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def mask_of(hold: TrueHold, of: Wall) -> NDArray[np.uint8]:
    return mask(hold, *of.pixels.shape[:2])


# The picture


def test_the_same_seed_gives_the_same_picture_bit_for_bit() -> None:
    spec = WallSpec(320, 240, seed=3, light="hard", quality="poor")
    one, other = render(spec), render(spec)
    assert np.array_equal(one.pixels, other.pixels)
    assert truth_of(one) == truth_of(other)


def test_another_seed_gives_another_wall() -> None:
    assert truth_of(wall(1)) != truth_of(wall(2))


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (333, 251), (97, 401), (64, 64)])
def test_a_picture_has_the_size_that_was_ordered(size: tuple[int, int]) -> None:
    drawn = render(WallSpec(*size, seed=4))
    assert drawn.pixels.shape == (size[1], size[0], 3)
    assert drawn.pixels.dtype == np.uint8


@pytest.mark.parametrize("surface", ["wood", "gray", "painted"])
@pytest.mark.parametrize(
    ("angle", "light", "quality"),
    [("slab", "easy", "clean"), ("face", "medium", "phone"), ("overhang", "hard", "poor")],
)
def test_every_kind_of_wall_can_be_drawn(surface: str, angle: str, light: str, quality: str) -> None:
    choices = {"wall": surface, "wall_angle": angle, "light": light, "quality": quality}
    drawn = render(WallSpec(200, 150, seed=6, problems=2, **choices))  # type: ignore[arg-type]
    assert drawn.problems
    assert drawn.pixels.std() > 8  # a picture, not a plain card


def test_light_and_quality_change_the_picture_and_leave_the_truth_alone() -> None:
    easy, hard = wall(5), wall(5, light="hard", quality="poor")
    assert truth_of(easy) == truth_of(hard)
    assert not np.array_equal(easy.pixels, hard.pixels)


def test_a_shadow_darkens_a_part_of_the_wall_and_leaves_the_truth_alone() -> None:
    lit, shaded = wall(5), wall(5, shadow=True)
    assert truth_of(lit) == truth_of(shaded)
    kept = cv2.blur(shaded.pixels, (9, 9)).mean(axis=2) / cv2.blur(lit.pixels, (9, 9)).mean(axis=2)
    # Half to three quarters of the light: pixels, which are not linear, keep 0.53 to 0.73.
    assert np.quantile(kept, 0.1) < 0.78
    assert np.quantile(kept, 0.9) > 0.9


@pytest.mark.parametrize("seed", [2, 7, 8])
def test_twins_are_neighbours_in_two_clearly_different_shades_of_one_colour(seed: int) -> None:
    drawn = wall(seed, twins=True, problems=3)
    lab = lab_of(drawn.pixels)
    shades = [
        (problem.colour, np.median([_middle(lab, drawn, i) for i in problem.hold_ids], axis=0))
        for problem in drawn.problems
    ]
    twins = [(a, b) for (one, a), (other, b) in pairwise(shades) if one == other]
    assert len(twins) == 1
    assert np.linalg.norm(twins[0][0] - twins[0][1]) > 8


def _middle(lab: NDArray[np.float32], of: Wall, number: int) -> NDArray[np.float32]:
    return np.asarray(np.median(lab[mask_of(of.holds[number], of) > 0], axis=0), np.float32)


def test_an_overhang_is_darker_at_its_foot_than_a_slab() -> None:
    def foot(angle: str) -> float:
        choices = {"wall": "gray", "wall_angle": angle, "light": "easy", "problems": 1}
        drawn = [render(WallSpec(160, 120, seed, **choices)) for seed in range(4)]  # type: ignore[arg-type]
        return float(np.mean([picture.pixels[70:100] for picture in drawn]))

    assert foot("overhang") < foot("slab")


def test_memory_grows_by_the_picture_and_not_by_a_mask_for_each_hold() -> None:
    spec = WallSpec(1280, 960, seed=2, quality="phone")
    tracemalloc.start()
    drawn = render(spec)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(drawn.holds) > 40
    assert peak < 0.8 * len(drawn.holds) * spec.width * spec.height  # one byte-sized mask for each hold


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 63},
        {"height": 0},
        {"seed": -1},
        {"problems": 0},
        {"problems": 13},
        {"volumes": -1},
        {"metres": 0.5},
        {"wall": "brick"},
        {"quality": "best"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WallSpec(**wrong)  # type: ignore[arg-type]


# Outlines


@pytest.mark.parametrize("seed", [1, 9])
def test_painting_the_holds_changes_their_masks_and_nothing_else(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = wall(seed, volumes=2)
    monkeypatch.setattr(RENDER, "paint_hold", lambda *_: None)
    bare = render(WallSpec(480, 360, seed, light="easy", quality="clean", volumes=2))
    changed = np.abs(drawn.pixels.astype(int) - bare.pixels).max(axis=2) > 6
    inside = np.zeros(changed.shape, np.uint8)
    for hold in drawn.holds:
        if hold.kind == "hold":
            inside |= mask_of(hold, drawn)
    pixel = np.ones((3, 3), np.uint8)
    assert not changed[cv2.dilate(inside, pixel) == 0].any()
    assert changed[cv2.erode(inside, pixel) == 1].mean() > 0.97


def test_masks_fit_the_pixels_better_than_masks_moved_by_three_pixels() -> None:
    gain = defaultdict(list)
    for seed in range(2):
        drawn = wall(seed, quality="phone")
        lab = lab_of(drawn.pixels)
        for hold in drawn.holds:
            still = mask_of(hold, drawn)
            if hold.kind == "hold" and still.sum() > 80:
                for move in ((0, 0), (3, 0), (-3, 0), (0, 3), (0, -3)):
                    gain[move].append(_contrast(lab, np.roll(still, move, axis=(1, 0))))
    fits = {move: float(np.mean(values)) for move, values in gain.items()}
    assert max(fits, key=lambda move: fits[move]) == (0, 0)


def _contrast(lab: NDArray[np.float32], inside: NDArray[np.uint8]) -> float:
    around = cv2.dilate(inside, np.ones((5, 5), np.uint8)) - inside
    return float(np.linalg.norm(lab[inside > 0].mean(axis=0) - lab[around > 0].mean(axis=0)))


@pytest.mark.parametrize("seed", range(5))
def test_no_hold_hides_another(seed: int) -> None:
    drawn = wall(seed)
    total = sum((mask_of(hold, drawn) for hold in drawn.holds if hold.kind == "hold"), np.zeros((), np.uint8))
    assert int(np.max(total)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_hold_stands_on_one_volume_or_on_the_wall_but_never_across_an_edge(seed: int) -> None:
    drawn = wall(seed, volumes=5)
    volumes = [mask_of(hold, drawn) for hold in drawn.holds if hold.kind == "volume"]
    assert volumes
    for hold in drawn.holds:
        if hold.kind == "hold":
            body = mask_of(hold, drawn) > 0
            shares = [float(volume[body].mean()) for volume in volumes]
            assert all(share < 0.02 or share > 0.98 for share in shares)


@pytest.mark.parametrize("seed", range(3))
def test_polygons_lie_inside_the_picture(seed: int) -> None:
    drawn = wall(seed, volumes=5)
    for hold in drawn.holds:
        x1, y1, x2, y2 = hold.box
        assert hold.polygon.dtype == np.float32
        assert min(x1, y1) >= 0
        assert x2 <= 479
        assert y2 <= 359


def test_a_mask_has_the_area_of_its_polygon() -> None:
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    circle = np.column_stack([50.3 + 20 * np.cos(angle), 40.6 + 20 * np.sin(angle)]).astype(np.float32)
    drawn = mask(TrueHold(0, circle, "hold", "red", 0, None), 90, 100)
    assert drawn.sum() == pytest.approx(np.pi * 400, rel=0.02)
    rows, columns = np.nonzero(drawn)
    assert (columns.mean(), rows.mean()) == pytest.approx((50.3, 40.6), abs=0.1)


def test_a_mask_of_a_polygon_that_leaves_the_picture_is_cut_there() -> None:
    square = np.array([[-10, -10], [5.3, -10], [5.3, 5.3], [-10, 5.3]], np.float32)
    assert mask(TrueHold(0, square, "volume", "gray", None, None), 20, 20).sum() == 36  # 0..5 in both ways


def test_coverage_of_a_pixel_cut_in_half_is_a_half() -> None:
    right_half = np.array([[2.0, -0.5], [8.5, -0.5], [8.5, 8.5], [2.0, 8.5]])
    assert coverage(right_half, 9, 9)[4, 2] == pytest.approx(0.5, abs=0.13)


# Colours


def test_a_hold_differs_from_the_wall_around_it() -> None:
    gaps = []
    for seed in range(8):
        drawn = wall(seed)
        lab = lab_of(drawn.pixels)
        for hold in drawn.holds:
            inside = mask_of(hold, drawn)
            if hold.kind == "hold" and inside.sum() > 40:
                gaps.append(_contrast(lab, inside))
    assert np.mean(np.array(gaps) > 10) > 0.98


def test_holds_carry_the_colour_that_they_are_named_after() -> None:
    seen = defaultdict(list)
    for seed in range(16):
        drawn = wall(seed)
        lab = lab_of(drawn.pixels)
        for hold in drawn.holds:
            inside = mask_of(hold, drawn)
            if hold.kind == "hold" and inside.sum() > 40:
                seen[hold.colour].append(_lit_side(lab[inside > 0]))
    assert set(seen) == set(COLOURS)
    for colour, labs in seen.items():
        named = [_nearest(lab) for lab in labs]
        assert named.count(colour) > 0.7 * len(named), f"{colour} looks like {set(named)}"


def _lit_side(labs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour of the brighter half: people name a hold by its lit side."""
    return np.asarray(np.median(labs[labs[:, 0] >= np.median(labs[:, 0])], axis=0), np.float32)


def _nearest(lab: NDArray[np.float32]) -> str:
    # Shade darkens every hold: lightness says less than hue.
    weights = np.array([0.5, 1.0, 1.0])
    return min(
        SHADES, key=lambda name: min(float(np.linalg.norm((lab - shade) * weights)) for shade in SHADES[name])
    )


def test_two_names_never_mean_nearly_the_same_shade() -> None:
    shades = {name: np.array(SHADES[name]) for name in COLOURS}
    for one, other in combinations(COLOURS, 2):
        between = np.linalg.norm(shades[one][:, None] - shades[other][None], axis=2)
        assert between.min() > 20, (one, other)


def test_green_and_mint_are_far_apart() -> None:
    mint, green = np.array(SHADES["mint"]), np.array(SHADES["green"])
    assert np.linalg.norm(mint[:, None] - green[None], axis=2).min() > 35


# Problems


@pytest.mark.parametrize("seed", range(8))
def test_a_problem_has_one_colour_and_at_least_a_start_a_middle_and_a_top(seed: int) -> None:
    drawn = wall(seed)
    for problem in drawn.problems:
        holds = [drawn.holds[index] for index in problem.hold_ids]
        assert len(holds) >= 3
        assert {hold.colour for hold in holds} == {problem.colour}
        assert {hold.problem_id for hold in holds} == {problem.id}
        assert len(problem.start_ids) in (1, 2)
        assert len(problem.top_ids) == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_problem_goes_up(seed: int) -> None:
    drawn = wall(seed)
    for problem in drawn.problems:
        start, top = (
            drawn.holds[ids[0]].polygon[:, 1].mean() for ids in (problem.start_ids, problem.top_ids)
        )
        assert start > top


def _set_only(spec: WallSpec) -> Wall:
    """The truth alone: setting is quick, painting is not."""
    with pytest.MonkeyPatch.context() as patch:
        blank = np.zeros((spec.height, spec.width, 3), np.uint8)
        patch.setattr(RENDER.surface, "paint", lambda *_: blank)
        patch.setattr(RENDER, "_paint", lambda *_: None)
        return render(spec)


def test_problems_of_one_colour_stand_clearly_apart() -> None:
    pairs = 0
    for seed in range(24):
        drawn = _set_only(WallSpec(320, 240, seed))
        centres = [
            np.array([drawn.holds[index].polygon.mean(axis=0) for index in problem.hold_ids])
            for problem in drawn.problems
        ]
        for one, other in combinations(drawn.problems, 2):
            if one.colour == other.colour:
                pairs += 1
                between = np.linalg.norm(centres[one.id][:, None] - centres[other.id][None], axis=2)
                assert between.min() > 0.15 * 320
    assert pairs > 0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_problems_are_set_as_were_ordered(count: int) -> None:
    assert len(render(WallSpec(480, 360, seed=8, problems=count)).problems) == count


def test_volumes_belong_to_no_problem_and_ids_are_positions() -> None:
    drawn = wall(3, volumes=4)
    assert [hold.id for hold in drawn.holds] == list(range(len(drawn.holds)))
    assert all((hold.problem_id is None) == (hold.kind == "volume") for hold in drawn.holds)
    used = {problem.colour for problem in drawn.problems}
    assert used.isdisjoint(hold.colour for hold in drawn.holds if hold.kind == "volume")


def test_only_a_volume_of_bare_wood_has_no_colour_name() -> None:
    for seed in range(8):
        for hold in _set_only(WallSpec(480, 360, seed, volumes=3)).holds:
            assert hold.colour in COLOURS or (hold.kind == "volume" and hold.colour == "unknown")


def test_tags_name_the_first_and_last_holds_and_can_be_left_off() -> None:
    tagged, plain = wall(3), wall(3, tags=False)
    starts = {index for problem in tagged.problems for index in problem.start_ids}
    tops = {index for problem in tagged.problems for index in problem.top_ids}
    assert {hold.id for hold in tagged.holds if hold.tag == "start"} <= starts
    assert {hold.id for hold in tagged.holds if hold.tag == "top"} <= tops
    assert any(hold.tag for hold in tagged.holds)
    assert not any(hold.tag for hold in plain.holds)
    assert [problem.start_ids for problem in plain.problems]


# On disk


def test_a_data_set_reads_back_as_it_was_drawn(tmp_path: Path) -> None:
    drawn = wall(3, volumes=2)
    assert write_dataset(tmp_path, [("val", "one", drawn)]) == 1
    with Image.open(tmp_path / "images/val/one.jpg") as image:
        assert image.size == (480, 360)
    boxes = (tmp_path / "boxes/val/one.txt").read_text().splitlines()
    polygons = (tmp_path / "polygons/val/one.txt").read_text().splitlines()
    assert len(boxes) == len(polygons) == len(drawn.holds)
    for hold, box, polygon in zip(drawn.holds, boxes, polygons, strict=True):
        kind, *numbers = map(float, polygon.split())
        points = np.array(numbers).reshape(-1, 2)
        assert kind == float(box.split()[0]) == {"hold": 0, "volume": 1}[hold.kind]
        assert np.allclose(points * (480, 360) - 0.5, hold.polygon, atol=0.01)
        centre, size = np.array(box.split()[1:], float).reshape(2, 2)
        assert np.allclose(centre - size / 2, points.min(axis=0), atol=1e-5)
        assert np.allclose(centre + size / 2, points.max(axis=0), atol=1e-5)


def test_the_truth_file_names_colours_problems_and_tags(tmp_path: Path) -> None:
    drawn = wall(3)
    write_dataset(tmp_path, [("train", "one", drawn)])
    truth = json.loads((tmp_path / "truth/train/one.json").read_text())
    assert (truth["image_width"], truth["image_height"]) == (480, 360)
    assert [hold["colour"] for hold in truth["holds"]] == [hold.colour for hold in drawn.holds]
    assert [hold["tag"] for hold in truth["holds"]] == [hold.tag for hold in drawn.holds]
    assert [tuple(problem["hold_ids"]) for problem in truth["problems"]] == [
        p.hold_ids for p in drawn.problems
    ]


def test_the_command_draws_what_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = ["--out", str(tmp_path), "--count", "2", "--seed", "7", "--size", "200x150", "--mixed"]
    assert main(order) == 0
    assert "2 walls" in capsys.readouterr().out
    sizes = []
    for path in sorted((tmp_path / "images/train").iterdir()):
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sizes == [(150, 200), (200, 150)]


def test_the_command_explains_a_wrong_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--size", "10x10"])
    assert "width and height" in capsys.readouterr().err


# The committed samples


def test_there_are_six_samples_small_enough_to_commit_in_both_formats() -> None:
    pictures = {name: FOLDER / f"{name}.jpg" for name in SAMPLES}
    assert len(pictures) == 6
    assert all(path.stat().st_size <= 500_000 for path in pictures.values())
    assert {spec.width > spec.height for spec in SAMPLES.values()} == {True, False}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_shows_the_colours_that_its_truth_names(name: str) -> None:
    truth = json.loads((FOLDER / "truth.json").read_text())[name]
    with Image.open(FOLDER / f"{name}.jpg") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (truth["image_height"], truth["image_width"], 3)
    small = cv2.resize(pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    lab = lab_of(np.asarray(small, np.uint8))
    holds = [hold for hold in truth["holds"] if hold["kind"] == "hold"]
    gaps = []
    for hold in holds:
        polygon = np.array(hold["polygon"], np.float32) * np.float32(0.25)
        body = TrueHold(0, polygon, "hold", hold["colour"], None, None)
        gaps.append(_contrast(lab, mask(body, *lab.shape[:2])))
    assert np.mean(np.array(gaps) > 10) > 0.9


# Noise


@pytest.mark.parametrize("cell", [(3.0, 3.0), (40.0, 40.0), (2.0, 60.0)])
def test_noise_is_centred_and_of_unit_strength(cell: tuple[float, float]) -> None:
    noise = value_noise(np.random.default_rng(1), (400, 400), cell, 3)
    assert noise.shape == (400, 400)
    assert abs(float(noise.mean())) < 0.35
    assert 0.6 < float(noise.std()) < 1.5
