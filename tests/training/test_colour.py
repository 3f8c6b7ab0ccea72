"""Training the colour model."""

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from holdcheck import colour
from holdcheck.classifier import COLOURS
from holdcheck.colour_score import figures
from holdcheck.evaluate.named_crops import NamedCrop
from training import colour_pool, illuminant
from training.colour import Examples, calibrate, cross_validate, fit, tempered
from training.colour_crops import LABELS, labelled_crops
from training.walls import Wall, WallSpec, mask, render

RED, GREEN, BLUE = (COLOURS.index(name) for name in ("red", "green", "blue"))


def hard_walls() -> list[Wall]:
    """The worst light that the renderer knows, a shadow's edge across, at seeds that no training uses."""
    specs = [
        WallSpec(width=800, height=600, seed=seed, light="hard", quality="phone", shadow=True)
        for seed in (3, 4, 5)
    ]
    return [render(spec) for spec in specs]


def test_rendered_holds_keep_their_colour_under_the_hardest_light() -> None:
    stats, labels = [], []
    for wall in hard_walls():
        height, width = wall.pixels.shape[:2]
        for hold in wall.holds:
            x1, y1, width_px, height_px = cv2.boundingRect(np.round(hold.polygon).astype(np.int32))
            box = (max(x1, 0), max(y1, 0), min(x1 + width_px, width), min(y1 + height_px, height))
            inside = mask(hold, height, width)[box[1] : box[3], box[0] : box[2]].astype(bool)
            if hold.kind == "hold" and inside.sum() >= 40:
                stats.append(colour.measure(wall.pixels, box, inside))
                labels.append(COLOURS.index(hold.colour))
    score = figures(colour.lab_probabilities(stats), np.array(labels))
    assert score.holds >= 60
    assert score.top1 >= 0.96  # without the wall and the halves: 0.93
    assert score.top3 >= 0.99


def cluster_examples(photos: int = 12) -> Examples:
    """Three colours far apart in two features; every third photo is labelled rather than scored."""
    rng = np.random.default_rng(0)
    labels = np.tile([RED, GREEN, BLUE], photos)
    centres = {RED: (4.0, 0.0), GREEN: (-4.0, 0.0), BLUE: (0.0, 4.0)}
    features = np.array([centres[label] for label in labels])[:, None] + rng.normal(
        0, 0.5, (len(labels), 2, 2)
    )
    names = np.repeat([f"p{number}" for number in range(photos)], 3)
    scored = np.repeat(np.arange(photos) % 3 > 0, 3)
    floats = features.astype(np.float32)
    lights = np.ones((*floats.shape[:2], 4, 3), dtype=np.float32)
    return Examples(
        real=floats,
        lights=lights,
        real_labels=labels,
        photos=names,
        scored=scored,
        hard=floats[scored, 1],
        hard_lights=lights[scored, 1],
        drawn=floats[:3],
        drawn_lights=lights[:3],
        drawn_labels=labels[:3],
    )


def test_a_fitted_model_names_what_it_learned() -> None:
    data = cluster_examples()
    model = fit(data, np.ones(len(data.photos), dtype=bool), steps=60, seeds=(0,))
    assert (model(data.real[:, 1]).argmax(axis=1) == data.real_labels).all()


def test_cross_validation_scores_the_named_crops_alone_and_keeps_photos_together() -> None:
    data = cluster_examples()
    held = cross_validate(data, folds=3, steps=60, seeds=(0,))
    assert len(held.answers) == data.scored.sum()
    assert (held.labels == data.real_labels[data.scored]).all()
    folds_of = Counter((photo, fold) for photo, fold in zip(data.photos[data.scored], held.fold, strict=True))
    assert set(folds_of.values()) == {3}
    assert (held.answers.argmax(axis=1) == held.labels).all()


def test_no_answer_is_learned_from_its_own_photo() -> None:
    """One photo's labels are turned round: a model that had seen it would agree with them."""
    data = cluster_examples()
    lying = data.photos == "p4"
    turned = np.where(data.real_labels == RED, GREEN, np.where(data.real_labels == GREEN, RED, BLUE))
    data.real_labels[lying] = turned[lying]
    held = cross_validate(data, folds=3, steps=60, seeds=(0,))
    mine = lying[data.scored]
    wrong = held.answers.argmax(axis=1) != held.labels
    assert wrong[mine].sum() == 2
    assert not wrong[~mine].any()


def test_the_temperature_undoes_too_much_surety() -> None:
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.full(13, 0.3), 4000).astype(np.float32)
    labels = np.array([rng.choice(13, p=row / row.sum()) for row in honest.astype(float)])
    assert calibrate(tempered(honest, 0.5), labels) == pytest.approx(2.0, rel=0.1)


def test_a_clip_that_knows_nothing_gets_no_weight() -> None:
    rng = np.random.default_rng(0)
    lab = rng.dirichlet(np.full(13, 0.3), 2000).astype(np.float32)
    labels = np.array([rng.choice(13, p=row / row.sum()) for row in lab.astype(float)])
    noise = rng.dirichlet(np.full(13, 0.3), 2000).astype(np.float32)
    assert colour_pool.best_weight(lab, noise, labels) == 0


def test_a_clip_that_knows_as_much_gets_its_weight_and_helps() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 13, 2000)
    lab, clip = (noisy(labels, rng) for _ in range(2))
    fold = np.arange(2000) % 5
    both = figures(colour_pool.nested(lab, clip, labels, fold), labels)
    assert colour_pool.best_weight(lab, clip, labels) == pytest.approx(1, abs=0.2)
    assert both.top1 > figures(lab, labels).top1 + 0.05


def noisy(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """The true posterior of labels seen through Gaussian noise."""
    seen = 2 * np.eye(13)[labels] + rng.normal(0, 1, (len(labels), 13))
    odds = np.exp(2 * seen)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


def test_pooling_while_training_is_pooling_while_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    lab, clip = np.random.default_rng(0).dirichlet(np.ones(13), (2, 5)).astype(np.float32)
    served = colour.fuse(clip, lab, "holdclip")
    assert colour_pool.pooled(lab, clip, colour.pool_weight("holdclip")) == pytest.approx(served, abs=1e-6)


@pytest.mark.parametrize("method", range(3), ids=illuminant.METHODS[:3])
def test_the_light_on_a_grey_wall_is_found_and_taken_away(method: int) -> None:
    rng = np.random.default_rng(0)
    cast = np.array([1.0, 0.8, 0.6])
    linear = rng.uniform(0.1, 0.6, (30, 40, 1)) * cast
    picture = (linear ** (1 / 2.2) * 255).astype(np.uint8)
    light = illuminant.estimates(picture)[method]
    assert light / light[0] == pytest.approx(cast, abs=0.02)
    lab = cv2.cvtColor(picture[:1].astype(np.float32) / 255, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    assert np.abs(lab[:, 1:]).max() > 10
    corrected = illuminant.corrected(lab, np.tile(light, (len(lab), 1)))
    assert np.abs(corrected[:, 1:]).max() < 2.5


def test_grey_edge_finds_the_light_of_grey_edges_on_a_coloured_wall() -> None:
    linear = np.full((32, 48, 3), (0.1, 0.2, 0.4))
    linear[:, 10:20] += 0.3 * np.array([1.0, 0.8, 0.6])
    light = illuminant.estimates((linear ** (1 / 2.2) * 255).astype(np.uint8))
    assert light[3] / light[3][0] == pytest.approx([1, 0.8, 0.6], abs=0.03)
    assert light[0][2] > light[0][0]  # the mean is misled by the blue wall


def test_labels_name_each_hold_once_in_the_vocabulary() -> None:
    with LABELS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["color"] for row in rows} <= set(COLOURS)
    assert len({(row["photo"], row["row"]) for row in rows}) == len(rows) > 500


def test_labelled_holds_are_cut_with_wall_around_them(tmp_path: Path) -> None:
    for folder in ("images/train", "boxes/train", "outlines/train"):
        (tmp_path / folder).mkdir(parents=True)
    picture = np.full((100, 200, 3), 90, dtype=np.uint8)
    picture[40:60, 100:140] = (200, 30, 30)
    cv2.imwrite(str(tmp_path / "images/train/wall.jpg"), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    boxes = "0 0.1 0.1 0.1 0.1\n0 0.6 0.5 0.2 0.2\n"
    (tmp_path / "boxes/train/wall.txt").write_text(boxes)
    outline = "0 0.5 0.4 0.7 0.4 0.7 0.6 0.5 0.6\n"
    (tmp_path / "outlines/train/wall.txt").write_text(outline * 2)
    labels = tmp_path / "labels.csv"
    labels.write_text("photo,row,color\nwall,1,red\nelsewhere,0,blue\n")
    (crop,) = labelled_crops(tmp_path, labels)
    assert isinstance(crop, NamedCrop)
    assert (crop.colour, crop.photo) == ("red", "wall")
    assert crop.box == pytest.approx((14, 14, 54, 34), abs=1)  # 35% of 40 px around it
    assert crop.mask.mean() > 0.9
    assert colour.measure(crop.pixels, crop.box, crop.mask).rgb == pytest.approx((200, 30, 30), abs=4)
