"""Activation outliers as trained transformers have them: int8 has to survive them without more memory."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from holdcheck.prepare import prepare_clip, verify
from holdcheck.prepare.outliers import Watch, divisors
from tests.holdcheck import tiny_clip


@pytest.fixture(autouse=True)
def _tiny_architecture(tmp_path: Path) -> Iterator[None]:
    tiny_clip.register(tmp_path)
    yield
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What one scale of 8 bits leaves."""
    scale = np.abs(values).max() / 127
    return np.asarray(np.rint(values / scale) * scale, dtype=np.float32)


def test_dividing_channels_and_multiplying_rows_keeps_the_product_and_frees_the_quiet_ones(
    random: np.random.Generator,
) -> None:
    activations = random.normal(size=(50, 96)).astype(np.float32)
    activations[:, 5] *= 80
    matrix = random.normal(size=(96, 32)).astype(np.float32)
    matrix[5] /= 80
    divisor = divisors(np.abs(activations).max(axis=0), matrix)
    expected = activations @ matrix
    equalised, shared = activations / divisor, matrix * divisor[:, None]
    np.testing.assert_allclose(equalised @ shared, expected, rtol=1e-3, atol=1e-3)
    plain_error = np.linalg.norm(_rounded(activations) @ matrix - expected)
    assert np.linalg.norm(_rounded(equalised) @ shared - expected) < plain_error / 10


def test_a_channel_that_was_silent_for_the_samples_is_not_made_loud(random: np.random.Generator) -> None:
    peaks = np.ones(64, dtype=np.float32)
    peaks[7] = 0
    matrix = np.ones((64, 8), dtype=np.float32)
    matrix[9] = 0
    divisor = divisors(peaks, matrix)
    assert np.isfinite(divisor).all()
    assert divisor[7] == divisor[0]  # as if it had been as loud as the others
    assert divisor[9] > divisor[0]  # what nobody reads may become as quiet as it likes


def test_the_loudest_of_all_batches_is_recorded_for_each_matrix() -> None:
    tower = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 4))
    batches = (torch.tensor([[[1.0, -5.0, 0.0]]]), torch.tensor([[[-2.0, 3.0, 0.5]], [[0.0, 0.0, 0.25]]]))
    with torch.inference_mode(), Watch(tower) as watch:
        answers = [tower(batch) for batch in batches]
    assert watch.peaks["0.weight"].tolist() == [2, 5, 0.5]
    assert watch.peaks.keys() == {"0.weight", "2.weight"}
    with torch.inference_mode():
        assert torch.equal(answers[0], tower(batches[0]))


def _plant(block: Any, scale: float) -> None:
    """A few loud channels behind both LayerNorms and GELU; the weights after them make up for it."""
    for norm, weight in ((block.ln_1, block.attn.in_proj_weight), (block.ln_2, block.mlp.c_fc.weight)):
        for values in (norm.weight, norm.bias):
            values.data[[3, 40]] *= scale
        weight.data[:, [3, 40]] /= scale
    for values in (block.mlp.c_fc.weight, block.mlp.c_fc.bias):
        values.data[[9, 77]] *= scale
    block.mlp.c_proj.weight.data[:, [9, 77]] /= scale


def test_outliers_that_spoil_int8_are_moved_into_the_weights_and_int8_stays(tmp_path: Path) -> None:
    plain: list[str] = []
    before = prepare_clip(
        tiny_clip.save(tiny_clip.model(), tmp_path / "plain.safetensors"), tmp_path, plain.append
    )
    assert not any("falling back" in line for line in plain)

    clip, lines = tiny_clip.model(), list[str]()
    for block in clip.visual.transformer.resblocks:
        _plant(block, 150)
    name = tiny_clip.save(clip, tmp_path / "outliers.safetensors")
    manifest = prepare_clip(name, tmp_path, lines.append)
    assert any(line.startswith(f"int8: below {verify.LEAST_MEAN_COSINE}") for line in lines)
    assert any(line.startswith("int8, outliers moved into the weights: cosine") for line in lines)
    assert manifest.precision == "int8"
    assert manifest.cosine is not None
    assert manifest.cosine.minimum > 0.999
    assert manifest.model.bytes < before.model.bytes * 1.05  # one number a channel more
