"""holdclip from crops to an answer: what it learns from, its captions, and the whole chain in short."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from holdcheck import crops, registry
from holdcheck.classifier import COLOURS
from holdcheck.prepare import prepare_clip, prompts
from holdcheck.settings import Settings
from training import holdclip, holdclip_captions, holdclip_crops
from training.holdclip import Recipe
from training.holdclip_captions import ATTRIBUTES, encode
from training.holdclip_crops import Example
from training.walls import WallSpec, mask, render

SMALL: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 32, "layers": 2},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def drawn() -> list[Example]:
    return list(holdclip_crops.drawn(7))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_caption_is_true_of_whatever_has_all_that_it_claims() -> None:
    captions = holdclip_captions.build()
    true = captions.true_of(np.stack([encode(("red", "hold", "long")), encode(("blue", "volume"))]))
    said = [{text for text, is_true in zip(captions.texts, row, strict=True) if is_true} for row in true]
    assert {
        "a photo of a red hold",
        "a photo of a climbing hold",
        "a photo of a long red climbing hold",
    } <= said[0]
    assert "a photo of a red climbing hold" in said[0]  # what prepare asks
    assert not any("blue" in text or "volume" in text or "tag" in text for text in said[0])
    assert "a photo of a volume" in said[1]
    assert "a photo of a blue hold" not in said[1]
    assert "a photo of a blue climbing hold" in said[1]  # prepare asks for the colour of volumes, too


def test_every_prompt_that_prepare_embeds_is_a_caption() -> None:
    captions = holdclip_captions.build()
    for index, colour in enumerate(COLOURS):
        of_colour = captions.served & (captions.colour == index)
        assert set(prompts.of(colour)) <= {t for t, s in zip(captions.texts, of_colour, strict=True) if s}
    assert captions.claims.shape == (len(captions.texts), len(ATTRIBUTES))
    assert captions.claims.any(axis=1).all()


def test_with_one_target_each_the_loss_is_clips() -> None:
    generator = torch.Generator().manual_seed(0)
    images, texts = (functional.normalize(torch.randn(6, 8, generator=generator), dim=1) for _ in range(2))
    logits, order = 10 * images @ texts.T, torch.arange(6)
    expected = (functional.cross_entropy(logits, order) + functional.cross_entropy(logits.T, order)) / 2
    loss = holdclip.loss_of(images, texts, torch.tensor(10.0), torch.eye(6, dtype=torch.bool))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_crops_that_share_a_caption_are_no_negatives_of_each_other() -> None:
    same = functional.normalize(torch.ones(4, 8), dim=1)
    other = -same
    targets = torch.tensor([[True, False]] * 4 + [[False, True]] * 4)
    loss = holdclip.loss_of(
        torch.cat([same, other]), torch.stack([same[0], other[0]]), torch.tensor(50.0), targets
    )
    # Four images are equally true of each text: the mean over targets can be no less than log 4.
    assert loss.item() == pytest.approx(np.log(4) / 2, abs=1e-4)


def test_a_caption_that_is_true_of_no_crop_of_the_batch_only_repels() -> None:
    rows = functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    targets = torch.tensor([[True, False, False], [False, True, False], [True, False, False]])
    loss = holdclip.loss_of(rows, rows, torch.tensor(5.0), targets)
    assert torch.isfinite(loss)


def test_an_examples_crop_is_the_one_that_would_be_served() -> None:
    wall = render(WallSpec(640, 480, seed=3, light="easy"))
    height, width = wall.pixels.shape[:2]
    compared = 0
    for example, hold in zip(holdclip_crops._bodies(wall, "w"), wall.holds, strict=True):
        x1, y1 = (int(v) for v in np.maximum(np.floor(hold.polygon.min(axis=0)), 0))
        x2, y2 = (int(v) for v in np.minimum(np.ceil(hold.polygon.max(axis=0)) + 1, (width, height)))
        if max(x2 - x1, y2 - y1) > 50:
            continue  # reduced when it was kept
        inside = mask(hold, height, width)[y1:y2, x1:x2].astype(bool)
        served = crops.cut(wall.pixels, (x1, y1, x2, y2), inside, 56)
        np.testing.assert_array_equal(holdclip_crops.plain(example, 56, crops.BACKGROUND), served)
        compared += 1
    assert compared > 5


def test_walls_give_holds_tags_tape_and_bare_wall(drawn: list[Example]) -> None:
    kinds = {kind for example in drawn for kind in example.attributes}
    assert {"hold", "start", "top", "tape", "wall"} <= kinds
    for example in drawn:
        x1, y1, x2, y2 = example.box
        assert example.mask.shape == (y2 - y1, x2 - x1)
        assert 0 <= x1 < x2 <= example.pixels.shape[1]
        assert 0 <= y1 < y2 <= example.pixels.shape[0]
        assert (
            bool(example.colour) == bool({"hold", "volume"} & set(example.attributes)) or not example.colour
        )


def test_varied_crops_differ_and_keep_what_they_are(drawn: list[Example]) -> None:
    rng = np.random.default_rng(0)
    for example in drawn[:40]:
        crop, attributes = holdclip_crops.varied(example, rng, 48, "dimmed")
        assert crop.shape == (48, 48, 3)
        assert crop.dtype == np.uint8
        assert set(example.attributes) <= set(attributes) <= set(ATTRIBUTES)
        assert not np.array_equal(crop, holdclip_crops.plain(example, 48, "dimmed"))


def test_only_labels_of_the_split_are_read(tmp_path: Path) -> None:
    from training.walls import write_dataset

    walls = (
        (split, name, render(WallSpec(480, 360, seed=seed, light="easy")))
        for seed, (split, name) in enumerate((("train", "a"), ("val", "b")))
    )
    write_dataset(tmp_path, walls)
    labels = tmp_path / "labels.csv"
    labels.write_text("photo,row,color\na,0,red\nb,0,blue\na,1,what\nelsewhere,0,red\n")
    found = list(holdclip_crops.looked_at(tmp_path, labels, "train"))
    assert [(example.file, example.colour, example.source) for example in found] == [("a:0", "red", "looked")]


def test_a_run_that_was_stopped_goes_on_where_it_was(drawn: list[Example], tmp_path: Path) -> None:
    recipe = Recipe(0, 1e-3, {"drawn": 1.0}, batch=8, steps=50)
    checkpoint, log = tmp_path / "run.pt", tmp_path / "log.jsonl"
    holdclip.train(holdclip.new_model(config=SMALL), drawn, recipe, checkpoint, log)
    kept = torch.load(checkpoint, weights_only=True)["average"]["module.visual.conv1.weight"]
    other = holdclip.new_model(seed=1, config=SMALL)
    after = holdclip.train(other, drawn, replace(recipe, steps=51), checkpoint, log)
    assert len(log.read_text().splitlines()) == 1  # one step more, not fifty-one
    assert (after.visual.conv1.weight - kept).abs().max() < 0.01


def test_the_whole_chain_from_rendered_walls_to_an_answer(drawn: list[Example], tmp_path: Path) -> None:
    recipe = Recipe(0, 2e-3, {"drawn": 1.0}, batch=64, steps=120)
    model = holdclip.train(holdclip.new_model(config=SMALL), drawn, recipe)
    folder = tmp_path / "ours"
    holdclip.write(model, folder, SMALL)
    manifest = prepare_clip(str(folder), tmp_path, lambda _: None)
    assert manifest.mean == holdclip.MEAN

    unseen = [e for e in holdclip_crops.drawn(2, first_seed=90_000) if e.colour]
    pictures = np.stack([holdclip_crops.plain(e, 32, crops.BACKGROUND) for e in unseen])
    truth = np.array([COLOURS.index(e.colour) for e in unseen])
    answers = []
    for runtime in ("onnx", "torch"):
        settings = Settings(_env_file=None, models_dir=tmp_path, clip_model=str(folder), device="cpu")
        models = registry.load(settings.model_copy(update={"runtime": runtime}))
        assert models.classifier is not None
        assert not models.degraded
        answers.append(models.classifier.head.probabilities(models.classifier.embed(pictures)))
    assert np.abs(answers[0] - answers[1]).max() < 0.05
    top1 = (answers[0].argmax(axis=1) == truth).mean()
    top3 = (np.argsort(-answers[0], axis=1)[:, :3] == truth[:, None]).any(axis=1).mean()
    assert len(truth) > 30
    assert top1 > 0.4  # by chance: 0.08
    assert top3 > 0.7
