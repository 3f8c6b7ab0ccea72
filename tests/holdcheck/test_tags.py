"""Reading START and TOP cards: what is read must be true; what is not read may be missed."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from holdcheck import pipeline, tags
from holdcheck.registry import Models
from holdcheck.result import Result
from holdcheck.settings import Settings
from holdcheck.tags import Box, Card
from tests.holdcheck.oracle import Oracle
from training.walls import TrueHold, Wall, WallSpec, render

SETTINGS = Settings(_env_file=None)


@cache
def wall(seed: int, *, cards: bool = True) -> Wall:
    return render(WallSpec(1024, 768, seed, problems=4, light="medium", quality="phone", tags=cards))


def holds(of: Wall) -> list[TrueHold]:
    return [hold for hold in of.holds if hold.kind == "hold"]


def boxes(of: Wall) -> list[Box]:
    return [hold.box for hold in holds(of)]


def board(text: str, font_px: int = 14, grey: int = 160) -> tuple[NDArray[np.uint8], list[Box]]:
    """Four holds on a plain wall; a card in another font than the reader's hangs under the second."""
    picture = Image.new("RGB", (400, 300), (grey, grey, grey))
    draw = ImageDraw.Draw(picture)
    places = [(60.0 + 80 * i, 100.0, 90.0 + 80 * i, 130.0) for i in range(4)]
    for place in places:
        draw.ellipse(place, fill=(190, 40, 40))
    font = ImageFont.load_default(font_px)
    left, top, right, bottom = draw.textbbox((0, 0), text, font)
    x, y = 155 - (right - left) / 2, 145.0
    draw.rectangle((x - 5, y - 5, x + right - left + 5, y + bottom - top + 5), fill=(238, 238, 235))
    draw.text((x - left, y - top), text, (20, 20, 20), font)
    return np.asarray(cv2.GaussianBlur(np.asarray(picture), (0, 0), 0.6), dtype=np.uint8), places


def test_cards_on_rendered_walls_are_found_and_none_is_invented() -> None:
    right = total = 0
    for seed in (31, 36, 37, 38):  # walls with cards, not tape
        of = wall(seed)
        read = tags.tagged(tags.read(of.pixels, boxes(of)), boxes(of))
        truth = {i: hold.tag for i, hold in enumerate(holds(of)) if hold.tag}
        assert {i: truth.get(i) for i in read} == read  # each tag read is true, and on its own hold
        right, total = right + len(read), total + len(truth)
    assert right >= 0.4 * total


@pytest.mark.parametrize("seed", [31, 36, 38])
def test_walls_without_cards_show_none(seed: int) -> None:
    of = wall(seed, cards=False)
    assert tags.read(of.pixels, boxes(of)) == []


@pytest.mark.parametrize(("text", "tag"), [("START", "start"), ("TOP", "top")])
def test_a_word_in_another_font_is_read(text: str, tag: str) -> None:
    picture, places = board(text)
    cards = tags.read(picture, places)
    assert [card.tag for card in cards] == [tag]
    assert tags.tagged(cards, places) == {1: tag}


@pytest.mark.parametrize("text", ["V5", "22", "B10", "PUSH", "6A+", "BLUE", "NEW SET"])
def test_other_words_are_not_read(text: str) -> None:
    assert tags.read(*board(text)) == []


def test_a_dark_photos_card_is_read_as_a_bright_ones() -> None:
    picture, places = board("START")
    dim = np.asarray(picture * 0.4, dtype=np.uint8)
    assert [card.tag for card in tags.read(dim, places)] == ["start"]


def test_without_holds_there_is_nothing_to_read() -> None:
    assert tags.read(np.zeros((50, 50, 3), dtype=np.uint8), []) == []
    assert tags.tagged([Card("top", (5, 5), 20, 0.9)], []) == {}


def test_a_card_between_two_holds_belongs_to_the_upper_one() -> None:
    card = Card("start", (50, 50), 24, 0.9)
    assert tags.tagged([card], [(40, 60, 60, 80), (40, 20, 60, 40)]) == {1: "start"}


def test_a_card_that_two_holds_could_claim_belongs_to_none() -> None:
    card = Card("start", (50, 50), 24, 0.9)
    assert tags.tagged([card], [(10, 42, 36, 58), (65, 42, 90, 58)]) == {}


def test_a_card_out_of_reach_belongs_to_no_hold() -> None:
    assert tags.tagged([Card("top", (200, 50), 24, 0.9)], [(40, 20, 60, 40)]) == {}


def test_a_card_on_a_volume_belongs_to_the_hold_on_it() -> None:
    volume, hold, other = (0.0, 0.0, 100.0, 100.0), (40.0, 50.0, 60.0, 66.0), (150.0, 50.0, 170.0, 66.0)
    card = Card("start", (50, 72), 24, 0.9)
    assert tags.tagged([card], [volume, hold, other], volumes=[0]) == {1: "start"}
    under = Card("start", (50, 110), 24, 0.9)  # on the wall, not on the volume
    assert tags.tagged([under], [volume, other], volumes=[0]) == {0: "start"}


def test_a_strip_that_one_hold_fills_is_still_searched() -> None:
    strip = np.full((1, 1600, 3), 120, dtype=np.uint8)
    assert tags.read(strip, [(0, 0, 1600, 1)]) == []


def test_a_hold_with_both_tags_has_neither() -> None:
    cards = [Card("start", (50, 50), 24, 0.9), Card("top", (50, 55), 20, 0.8)]
    assert tags.tagged(cards, [(40, 20, 60, 40)]) == {}


def test_a_detected_card_is_told_from_a_hold_that_a_card_hangs_on() -> None:
    card = Card("start", (50, 50), 24, 0.9)
    assert tags.is_card((33, 43, 67, 58), card)
    assert not tags.is_card((10, 10, 110, 90), card)
    assert not tags.is_card((80, 43, 114, 58), card)
    # TOP is as narrow on a card of the same size.
    assert tags.is_card((17, 30, 83, 70), Card("top", (50, 52), 28, 0.9))


def test_a_detected_card_is_read_though_the_search_missed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "_places", lambda *_: iter(()))
    picture, places = board("START")
    assert tags.read(picture, places) == []
    assert [card.tag for card in tags.read(picture, [*places, (125, 141, 185, 163)])] == ["start"]


def test_a_card_that_the_detector_took_for_a_hold_becomes_the_tag_of_its_hold(tmp_path: Path) -> None:
    picture, places = board("START")
    card = (125.0, 141.0, 185.0, 163.0)
    photo = tmp_path / "photo.png"
    Image.fromarray(picture).resize((800, 600)).save(photo)
    share = np.array([1 / 400, 1 / 300], dtype=np.float32)
    corners = [
        np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float32) * share
        for x1, y1, x2, y2 in [*places, card]
    ]
    events = list(pipeline.analyze(photo, Models(Oracle(corners), None), SETTINGS, job_id="job"))
    result = Result.model_validate(events[-1].data["result"])
    assert result.statistics.total_holds == result.statistics.holds_kept == 4
    assert not result.statistics.truncated
    (tagged,) = [hold for hold in result.hold_data if hold.tag == "start"]
    assert tagged.center == pytest.approx((310, 230), abs=3)
    (problem,) = [problem for problem in result.problems if problem.start_ids]
    assert problem.start_ids == [tagged.id]
    assert not problem.start_estimated
    assert problem.top_estimated
