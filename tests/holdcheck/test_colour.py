"""A hold's colour."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from holdcheck import colour
from holdcheck.classifier import COLOURS
from holdcheck.errors import ModelCorrupt
from holdcheck.prepare.artefact import list_file

SIDE = 40
BOX = (5, 5, 5 + SIDE, 5 + SIDE)
UNIFORM = np.full((1, 13), 1 / 13, dtype=np.float32)
PLASTIC = {
    "black": (25, 25, 28),
    "white": (225, 225, 220),
    "gray": (122, 122, 124),
    "red": (170, 30, 40),
    "orange": (215, 100, 35),
    "yellow": (225, 190, 40),
    "green": (30, 115, 70),
    "blue": (25, 85, 160),
    "purple": (85, 55, 125),
    "pink": (220, 80, 140),
    "brown": (110, 75, 50),
    "mint": (120, 200, 180),
    "lime": (150, 200, 50),
}


def disc() -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    cv2.circle(mask, (SIDE // 2, SIDE // 2), SIDE // 2 - 1, 1, -1)
    return mask.astype(bool)


def photo(rgb: tuple[int, int, int], wall: tuple[int, int, int] = (190, 160, 120)) -> NDArray[np.uint8]:
    """A round hold of one colour at BOX, with a little sensor noise."""
    pixels = np.full((SIDE + 10, SIDE + 10, 3), wall, dtype=np.float64)
    pixels[5 : 5 + SIDE, 5 : 5 + SIDE][disc()] = rgb
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def named(pixels: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> str:
    stats = colour.measure(pixels, BOX, disc() if mask is None else mask)
    return colour.name(colour.lab_probabilities([stats])[0])


@pytest.mark.parametrize(("expected", "rgb"), PLASTIC.items())
def test_plain_plastic_gets_its_name(expected: str, rgb: tuple[int, int, int]) -> None:
    assert named(photo(rgb)) == expected


@pytest.mark.parametrize("wall", [(40, 80, 170), (90, 90, 90), (230, 230, 225)])
def test_the_wall_around_a_hold_does_not_change_its_numbers(wall: tuple[int, int, int]) -> None:
    on_wood, on_wall = (
        colour.measure(photo(PLASTIC["red"], ground), BOX, disc()) for ground in ((190, 160, 120), wall)
    )
    assert on_wall.lab == pytest.approx(on_wood.lab, abs=0.5)


def test_a_hold_is_seen_against_its_wall() -> None:
    dark, bright = (
        colour.measure(photo(PLASTIC["gray"], ground), BOX, disc()).features
        for ground in ((40, 40, 40), (230, 230, 230))
    )
    changed = np.abs(dark - bright) > 5
    assert 1 <= changed.sum() <= 4  # its lightness against the wall's, and nothing of its own


def test_light_that_falls_on_hold_and_wall_leaves_their_contrast() -> None:
    pixels = photo(PLASTIC["white"], wall=(120, 120, 120))
    dimmed = (pixels * 0.75).astype(np.uint8)
    in_light, in_shade = (colour.measure(seen, BOX, disc()).features for seen in (pixels, dimmed))
    lightness, contrast = 2, 22
    assert in_light[lightness] - in_shade[lightness] > 15
    assert abs(in_light[contrast] - in_shade[contrast]) < 10


def test_a_hold_that_fills_the_picture_has_a_colour() -> None:
    pixels = np.full((SIDE, SIDE, 3), PLASTIC["blue"], dtype=np.uint8)
    stats = colour.measure(pixels, (0, 0, SIDE, SIDE), np.ones((SIDE, SIDE), dtype=bool))
    assert np.isfinite(stats.features).all()
    assert colour.name(colour.lab_probabilities([stats])[0]) == "blue"


def test_a_hold_at_the_photos_edge_is_measured() -> None:
    pixels = photo(PLASTIC["green"])[5:, 5:]
    stats = colour.measure(pixels, (0, 0, SIDE, SIDE), disc())
    assert colour.name(colour.lab_probabilities([stats])[0]) == "green"


def test_numbers_are_those_of_the_plastic() -> None:
    stats = colour.measure(np.full((50, 50, 3), (200, 50, 50), dtype=np.uint8), BOX, disc())
    assert stats.rgb == pytest.approx((200, 50, 50), abs=1)
    assert stats.hsv == pytest.approx((0, 75, 78.4), abs=0.6)
    assert stats.lab == pytest.approx((45.4, 58.2, 36.5), abs=0.3)  # sRGB to L*a*b*, D65


def test_a_mask_drawn_a_little_too_large_changes_little() -> None:
    pixels = photo(PLASTIC["blue"])
    exact = colour.measure(pixels, BOX, disc())
    larger = cv2.dilate(disc().astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    assert colour.measure(pixels, BOX, larger).lab == pytest.approx(exact.lab, abs=1)


def test_chalk_on_a_third_of_a_hold_is_ignored() -> None:
    clean, chalky = photo(PLASTIC["green"]), photo(PLASTIC["green"])
    chalky[5 : 5 + SIDE // 3, 5 : 5 + SIDE] = (225, 222, 215)
    expected = colour.measure(clean, BOX, disc())
    assert colour.measure(chalky, BOX, disc()).lab == pytest.approx(expected.lab, abs=1.5)


def test_a_highlight_is_ignored() -> None:
    clean, shiny = photo(PLASTIC["black"]), photo(PLASTIC["black"])
    cv2.circle(shiny, (20, 20), 6, (255, 255, 255), -1)
    expected = colour.measure(clean, BOX, disc())
    assert colour.measure(shiny, BOX, disc()).lab == pytest.approx(expected.lab, abs=1)


def test_a_hold_that_is_white_all_over_stays_white() -> None:
    pixels = photo(PLASTIC["white"])
    pixels[30:34] = (120, 118, 115)  # a shadow
    assert colour.measure(pixels, BOX, disc()).lab[0] > 85
    assert named(pixels) == "white"


@pytest.mark.parametrize("side", [1, 2, 4])
def test_tiny_holds_have_a_colour(side: int) -> None:
    box = (22, 22, 22 + side, 22 + side)
    stats = colour.measure(photo(PLASTIC["yellow"]), box, np.ones((side, side), dtype=bool))
    assert np.isfinite(stats.features).all()
    assert colour.name(colour.lab_probabilities([stats])[0]) == "yellow"


def test_a_thin_mask_between_the_samples_of_a_large_box_is_measured() -> None:
    pixels = np.full((400, 400, 3), PLASTIC["pink"], dtype=np.uint8)
    mask = np.zeros((400, 400), dtype=bool)
    mask[:, 1] = True
    assert colour.measure(pixels, (0, 0, 400, 400), mask).rgb == pytest.approx(PLASTIC["pink"], abs=1)


def test_a_photo_is_not_modified() -> None:
    pixels = photo(PLASTIC["red"])
    pixels.flags.writeable = False
    colour.measure(pixels, BOX, disc())


def test_probabilities_are_rows_that_sum_to_one() -> None:
    stats = [colour.measure(photo(rgb), BOX, disc()) for rgb in PLASTIC.values()]
    probabilities = colour.lab_probabilities(stats)
    assert probabilities.shape == (13, 13)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(13), abs=1e-5)
    assert (probabilities >= 0).all()


def test_no_holds_have_no_probabilities() -> None:
    assert colour.lab_probabilities([]).shape == (0, 13)


def test_forty_holds_are_measured_and_named_in_a_blink() -> None:
    pixels, mask = photo(PLASTIC["purple"]), disc()
    colour.lab_probabilities([colour.measure(pixels, BOX, mask)])
    start = time.process_time()
    colour.lab_probabilities([colour.measure(pixels, BOX, mask) for _ in range(40)])
    assert time.process_time() - start < 0.25  # a twentieth of it on an idle machine


def test_warming_up_reads_the_weights_before_the_first_photo() -> None:
    colour.load_model.cache_clear()
    colour.warm_up()
    assert colour.load_model.cache_info().currsize == 1


def test_without_clip_the_lab_answer_stands() -> None:
    lab = np.array([[0.7, 0.3] + [0.0] * 11], dtype=np.float32)
    assert (colour.fuse(None, lab) == lab).all()


def test_an_undecided_clip_leaves_the_lab_answer_as_it_is() -> None:
    lab = np.random.default_rng(1).dirichlet(np.ones(13), 5).astype(np.float32)
    assert colour.fuse(np.repeat(UNIFORM, 5, axis=0), lab) == pytest.approx(lab, abs=1e-6)


def test_experts_that_agree_are_surer_together() -> None:
    lab = np.full((1, 13), 0.4 / 12, dtype=np.float32)
    lab[0, 3] = 0.6
    fused = colour.fuse(lab, lab)
    assert fused[0, 3] > 0.6
    assert fused.sum() == pytest.approx(1, abs=1e-5)


def test_each_clip_has_its_own_weight_and_an_unknown_one_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = tmp_path / "pools.json"
    pools.write_text('{"mine": 0.0}')
    list_file(pools)
    monkeypatch.setattr(colour, "POOLS", pools)
    colour._pools.cache_clear()
    lab, clip = np.random.default_rng(2).dirichlet(np.ones(13), (2, 3)).astype(np.float32)
    try:
        assert colour.pool_weight("another") == colour.CLIP_WEIGHT
        assert colour.fuse(clip, lab, "mine") == pytest.approx(lab, abs=1e-6)
        assert colour.fuse(clip, lab, "another") != pytest.approx(lab, abs=1e-2)
        pools.write_text("{")
        list_file(pools)
        colour._pools.cache_clear()
        with pytest.raises(ModelCorrupt, match=r"pools\.json"):
            colour.fuse(clip, lab, "mine")
    finally:
        colour._pools.cache_clear()


def test_clip_decides_where_lab_hesitates() -> None:
    lab = np.array([[0.0, 0.51, 0.49] + [0.0] * 10], dtype=np.float32)
    clip = np.array([[0.0, 0.1, 0.9] + [0.0] * 10], dtype=np.float32)
    assert colour.name(colour.fuse(clip, lab)[0]) == "gray"


def test_a_clip_that_is_sure_and_wrong_does_not_overrule_a_sure_lab() -> None:
    lab = np.full((1, 13), 0.02 / 12, dtype=np.float32)
    lab[0, 3] = 0.98
    clip = np.zeros((1, 13), dtype=np.float32)
    clip[0, 6] = 1.0
    assert colour.name(colour.fuse(clip, lab)[0]) == "red"


def test_a_colour_that_is_hardly_likelier_than_others_is_unknown() -> None:
    assert colour.name(UNIFORM[0]) == "unknown"
    weak = np.full(13, (1 - colour.UNKNOWN_BELOW + 0.01) / 12, dtype=np.float32)
    weak[0] = colour.UNKNOWN_BELOW - 0.01
    assert colour.name(weak) == "unknown"
    weak[0] = colour.UNKNOWN_BELOW
    assert colour.name(weak) == "black"


def test_top3_lists_the_likeliest_first() -> None:
    probabilities = np.zeros(13, dtype=np.float32)
    probabilities[[2, 7, 12]] = 0.2, 0.5, 0.3
    best = colour.top3(probabilities)
    assert list(best) == ["blue", "lime", "gray"]
    assert list(best.values()) == pytest.approx([0.5, 0.3, 0.2])
    assert set(colour.top3(UNIFORM[0])) <= set(COLOURS)


def test_broken_weights_are_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "colour-lab.npz"
    broken.write_bytes(b"not an archive")
    list_file(broken)
    monkeypatch.setattr(colour, "MODEL", broken)
    colour.load_model.cache_clear()
    try:
        with pytest.raises(ModelCorrupt, match=r"colour-lab\.npz"):
            colour.lab_probabilities([colour.measure(photo(PLASTIC["red"]), BOX, disc())])
    finally:
        colour.load_model.cache_clear()
