"""prepare for CLIP: from checkpoints in every form to an artefact that agrees with the torch tower."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from holdcheck.classifier import COLOURS
from holdcheck.errors import PrepareError
from holdcheck.manifest import Manifest, slug
from holdcheck.prepare import prepare_clip, prompts, run_undo, verify
from holdcheck.prepare.bundle import bundle_clip
from holdcheck.runtime import towers
from holdcheck.runtime.onnx import OnnxClassifier
from holdcheck.runtime.torch import TorchClassifier
from holdcheck.settings import BUNDLED_MODELS, Settings
from tests.cgroup import memory_limit
from tests.holdcheck import tiny_clip

CPU = Settings(device="cpu", runtime="torch")
CHECKPOINTS = Path("build/checkpoints")


@pytest.fixture(scope="module", autouse=True)
def _tiny_architecture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    tiny_clip.register(tmp_path_factory.mktemp("configs"))
    yield
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture
def lines() -> list[str]:
    return []


def test_an_int8_artefact_embeds_as_the_torch_tower_does(tmp_path: Path, lines: list[str]) -> None:
    name = tiny_clip.save(tiny_clip.model(), tmp_path / "tiny.safetensors")
    manifest = prepare_clip(name, tmp_path, lines.append)
    folder = tmp_path / "clip" / slug(name)
    crops = verify.sample_crops(tiny_clip.SIDE)
    onnx, torch_runtime = OnnxClassifier(folder, manifest, CPU), TorchClassifier(folder, manifest, CPU)
    agreement = verify.cosine(torch_runtime.embed(crops), onnx.embed(crops))
    assert manifest.precision == "int8"
    assert agreement.mean > 0.999
    assert agreement.minimum > 0.995
    assert manifest.cosine is not None
    assert manifest.cosine.mean == pytest.approx(agreement.mean, abs=1e-4)
    assert any("cosine" in line for line in lines)
    named = [model.head.probabilities(model.embed(crops)) for model in (onnx, torch_runtime)]
    assert np.abs(named[0] - named[1]).max() < 0.02


def test_a_second_preparation_keeps_the_first_and_says_so(tmp_path: Path, lines: list[str]) -> None:
    name = tiny_clip.save(tiny_clip.model(), tmp_path / "tiny.safetensors")
    first = prepare_clip(name, tmp_path, lines.append)
    assert not any("--undo" in line for line in lines)
    tiny_clip.save(tiny_clip.model(2), tmp_path / "tiny.safetensors")
    prepare_clip(name, tmp_path, lines.append)
    assert "--undo" in lines[-1]
    run_undo(name, None, Settings(models_dir=tmp_path), lines.append)
    assert Manifest.read(tmp_path / "clip" / slug(name)) == first


def test_an_artefact_takes_batches_of_any_size(tmp_path: Path, lines: list[str]) -> None:
    name = tiny_clip.save(tiny_clip.model(), tmp_path / "tiny.safetensors")
    classifier = OnnxClassifier(
        tmp_path / "clip" / slug(name), prepare_clip(name, tmp_path, lines.append), CPU
    )
    crops = verify.sample_crops(tiny_clip.SIDE)[:7]
    together = classifier.embed(crops)
    alone = np.concatenate([classifier.embed(crops[at : at + 1]) for at in range(7)])
    assert together.shape == (7, 64)
    # One activation scale serves a whole batch, so company changes the last digits.
    assert verify.cosine(alone, together).minimum > 0.995


def test_every_form_of_a_checkpoint_gives_the_same_embeddings(tmp_path: Path, lines: list[str]) -> None:
    clip = tiny_clip.model()
    tiny_clip.save(clip, tmp_path / "fp32.safetensors")
    state = {name: value.detach().half() for name, value in clip.state_dict().items()}
    save_file(state, tmp_path / "fp16.safetensors")
    torch.save(state, tmp_path / "plain.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "training.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.zeros(1, 3, tiny_clip.SIDE, tiny_clip.SIDE), torch.zeros(1, 77, dtype=torch.long))
        script = torch.jit.trace(clip, example, check_trace=False)  # type: ignore[no-untyped-call]
        script.save(tmp_path / "script.pt")
    crops = verify.sample_crops(tiny_clip.SIDE)
    embeddings = {}
    for file in ("fp32.safetensors", "fp16.safetensors", "plain.pt", "training.pt", "script.pt"):
        name = f"{tiny_clip.NAME}:{tmp_path / file}"
        manifest = prepare_clip(name, tmp_path, lines.append)
        embeddings[file] = OnnxClassifier(tmp_path / "clip" / slug(name), manifest, CPU).embed(crops)
    for other in embeddings.values():
        assert verify.cosine(embeddings["fp32.safetensors"], other).minimum > 0.999


def test_weights_that_int8_cannot_hold_fall_back_to_a_wider_precision(
    tmp_path: Path, lines: list[str]
) -> None:
    clip = tiny_clip.model()
    for block in clip.visual.transformer.resblocks:
        # Two constant channels with huge weights that cancel: all they do is spoil the scale of every output.
        block.ln_2.weight.data[3:5] = 0
        block.ln_2.bias.data[3:5] = 1
        block.mlp.c_fc.weight.data[:, 3] = 1000
        block.mlp.c_fc.weight.data[:, 4] = -1000
        block.mlp.c_proj.weight.data *= 10
    manifest = prepare_clip(tiny_clip.save(clip, tmp_path / "huge.safetensors"), tmp_path, lines.append)
    assert manifest.precision == "fp16"
    assert manifest.cosine is not None
    assert manifest.cosine.mean > 0.999
    assert sum("falling back" in line for line in lines) == 2


def test_prompts_are_averaged_over_templates_and_normalised_twice() -> None:
    import open_clip

    clip = tiny_clip.model()
    embeddings = prompts.embed(clip, tiny_clip.NAME)
    assert embeddings.shape == (len(COLOURS), 64)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(len(COLOURS)), abs=1e-5)
    tokenizer = open_clip.get_tokenizer(tiny_clip.NAME)
    tokens = tokenizer([template.format("red") for template in prompts.TEMPLATES])
    with torch.inference_mode():  # the full context of 77, by a model that was not shortened
        rows = tiny_clip.model().encode_text(tokens, normalize=True).mean(dim=0)
    expected = torch.nn.functional.normalize(rows, dim=0).numpy()
    assert np.abs(embeddings[COLOURS.index("red")] - expected).max() < 1e-5


def test_random_weights_say_that_they_are_a_dummy(tmp_path: Path, lines: list[str]) -> None:
    name = tiny_clip.save(tiny_clip.model(), tmp_path / "tiny.safetensors")
    manifest = prepare_clip(name, tmp_path, lines.append, random_weights=True)
    assert manifest.is_dummy
    assert (manifest.source, manifest.seed, manifest.checkpoint) == ("random", 0, "")
    folder = tmp_path / "clip" / slug(name)
    crops = verify.sample_crops(tiny_clip.SIDE)[:4]
    same_seed = TorchClassifier(folder, manifest, CPU).embed(crops)
    assert verify.cosine(same_seed, OnnxClassifier(folder, manifest, CPU).embed(crops)).mean > 0.999


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ViT-Z/99", "knows no ViT-Z/99"),
        ("ViT-B-32:nosuch", "it has: openai"),
        ("ViT-B-32:/nowhere/weights.pt", "does not exist"),
        ("ViT-B-32:{garbage}", "does not hold the weights"),
        ("ViT-B-32:{tiny}", "does not hold the weights"),  # of another architecture
    ],
)
def test_a_model_that_cannot_be_had_is_one_line_and_changes_nothing(
    name: str, hint: str, tmp_path: Path, lines: list[str]
) -> None:
    garbage, tiny = tmp_path / "garbage.safetensors", tmp_path / "tiny.safetensors"
    garbage.write_bytes(b"not weights at all" * 100)
    tiny_clip.save(tiny_clip.model(), tiny)
    name = name.format(garbage=garbage, tiny=tiny)
    folder = tmp_path / "clip" / slug(name)
    folder.mkdir(parents=True)
    (folder / "model.ort").write_text("the old artefact")
    with pytest.raises(PrepareError) as caught:
        prepare_clip(name, tmp_path, lines.append)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["model.ort"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_openai_weights_get_quick_gelu_under_each_of_their_names() -> None:
    import open_clip

    for name in ("ViT-B/32", "ViT-B-32:openai", "ViT-B-32-quickgelu:openai"):
        assert towers.parse(name) == towers.Origin("ViT-B-32-quickgelu", "openai")
    assert towers.parse("ViT-B/16").architecture == "ViT-B-16-quickgelu"
    assert towers.parse("ViT-B-32:laion2b_s34b_b79k").architecture == "ViT-B-32"
    gelu = type(towers.create("ViT-B-32-quickgelu").visual.transformer.resblocks[0].mlp.gelu)
    assert gelu is open_clip.transformer.QuickGELU


def as_folder(folder: Path, clip: Any) -> Path:
    """The tiny CLIP in open_clip's own form, with a normalisation of its own."""
    folder.mkdir()
    config = {
        "model_cfg": tiny_clip.CONFIG,
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.3]},
    }
    (folder / towers.FOLDER_CONFIG).write_text(json.dumps(config))
    tiny_clip.save(clip, folder / towers.FOLDER_WEIGHTS)
    return folder


def test_a_folder_without_a_name_leaves_the_other_artefacts_alone(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(as_folder(tmp_path / "mine", tiny_clip.model()))
    other = tmp_path / "models" / "clip" / "vit-b-32" / "model.ort"
    other.parent.mkdir(parents=True)
    other.write_text("another artefact")
    with pytest.raises(PrepareError, match="whole path"):
        prepare_clip(".", tmp_path / "models", lines.append)
    assert other.is_file()


def test_a_folder_may_be_called_as_open_clip_calls_its_quick_gelus(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "mine-quickgelu", tiny_clip.model())
    origin = towers.parse(str(folder))
    assert towers.open_clip_name(origin.architecture) == f"local-dir:{folder}"
    assert towers.input_size(towers.create(origin.architecture).visual) == tiny_clip.SIDE


@pytest.mark.parametrize("config", ["{not json", "{}", '{"model_cfg": {"embed_dim": 64}}'])
def test_a_folder_with_a_broken_configuration_is_one_line(
    config: str, tmp_path: Path, lines: list[str]
) -> None:
    folder = as_folder(tmp_path / "mine", tiny_clip.model())
    (folder / towers.FOLDER_CONFIG).write_text(config)
    with pytest.raises(PrepareError, match="cannot build") as caught:
        prepare_clip(str(folder), tmp_path, lines.append)
    assert "\n" not in str(caught.value)


def test_a_folder_in_open_clips_own_form_is_prepared_as_open_clip_loads_it(
    tmp_path: Path, lines: list[str]
) -> None:
    import open_clip

    folder = as_folder(tmp_path / "mine", tiny_clip.model())
    manifest = prepare_clip(str(folder), tmp_path, lines.append)
    assert (manifest.mean, manifest.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.3))
    crops = verify.sample_crops(tiny_clip.SIDE)
    served = OnnxClassifier(tmp_path / "clip" / slug(str(folder)), manifest, CPU).embed(crops)
    loaded = open_clip.create_model(f"local-dir:{folder}").eval()
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    pixels = (pixels - torch.tensor(manifest.mean).view(3, 1, 1)) / torch.tensor(manifest.std).view(3, 1, 1)
    with torch.inference_mode():
        expected = loaded.encode_image(pixels, normalize=True).numpy()
    assert verify.cosine(expected, served).minimum > 0.995
    assert towers.parse(f"local-dir:{folder}") == towers.parse(str(folder))


def test_a_folder_without_weights_is_said_to_have_none(tmp_path: Path, lines: list[str]) -> None:
    folder = as_folder(tmp_path / "mine", tiny_clip.model())
    (folder / towers.FOLDER_WEIGHTS).unlink()
    with pytest.raises(PrepareError, match="has no open_clip_model"):
        prepare_clip(str(folder), tmp_path, lines.append)


def test_a_bundled_clip_names_no_place_of_the_machine_that_made_it(tmp_path: Path, lines: list[str]) -> None:
    folder, target = as_folder(tmp_path / "mine", tiny_clip.model()), tmp_path / "bundled"
    target.mkdir()
    (target / "MODEL_CARD.md").write_text("written by hand")
    bundle_clip(folder, target, lines.append, name="small")
    assert (target / "MODEL_CARD.md").read_text() == "written by hand"
    manifest = Manifest.read(target)
    assert (manifest.name, manifest.source, manifest.architecture) == ("small", "bundled", "small")
    assert manifest.checkpoint == towers.FOLDER_WEIGHTS
    assert str(tmp_path) not in (target / "manifest.json").read_text()
    crops = verify.sample_crops(tiny_clip.SIDE)
    assert np.isfinite(OnnxClassifier(target, manifest, CPU).embed(crops)).all()


def test_the_bundled_clip_is_small_and_is_prepared_like_any_other(tmp_path: Path, lines: list[str]) -> None:
    bundled = BUNDLED_MODELS / "holdclip"
    assert sum(path.stat().st_size for path in bundled.iterdir()) <= 20 << 20
    manifest, shipped = prepare_clip("holdclip", tmp_path, lines.append), Manifest.read(bundled)
    assert (manifest.name, manifest.architecture) == (shipped.name, shipped.architecture)
    assert manifest.precision == shipped.precision
    crops = verify.sample_crops(shipped.input_size)
    anew = OnnxClassifier(tmp_path / "clip" / "holdclip", manifest, CPU)
    kept = OnnxClassifier(bundled, shipped, CPU)
    assert np.abs(anew.head.embeddings - kept.head.embeddings).max() < 1e-4
    assert verify.cosine(anew.embed(crops), kept.embed(crops)).minimum > 0.999
    reference = TorchClassifier(bundled, shipped, CPU)
    assert verify.cosine(reference.embed(crops), kept.embed(crops)).minimum > 0.99


@pytest.mark.parametrize("form", ["fp32.safetensors", "script.pt"])
def test_vit_b_32_is_prepared_from_a_checkpoint_inside_957_mib(form: str, tmp_path: Path) -> None:
    import subprocess

    checkpoint = _vit_b_32(form)
    with memory_limit(957) as group:
        done = subprocess.run(
            group.command(
                *(sys.executable, "-m", "holdcheck", "prepare"),
                *("--clip", f"ViT-B-32-quickgelu:{checkpoint}"),
            ),
            env={"MODELS_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            timeout=500,
        )
        usage = group.usage()
    assert done.returncode == 0, f"{done.stderr}\n{usage}"
    assert usage.oom_kills == 0
    manifest = Manifest.read(tmp_path / "clip" / slug(checkpoint.name))
    assert manifest.precision == "int8"
    assert manifest.cosine is not None
    assert manifest.cosine.mean > 0.99
    assert manifest.model.bytes < 100 << 20


def _vit_b_32(form: str) -> Path:
    """A true-size checkpoint of both towers, seeded, made once and kept: fp32, or as OpenAI publishes."""
    path = CHECKPOINTS / f"vitb32_{form}"
    if path.is_file():
        return path.resolve()
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    clip = towers.random_model("ViT-B-32-quickgelu", 1).requires_grad_(False)
    aside = path.with_suffix(".part")
    if form == "fp32.safetensors":
        save_file({name: value.detach() for name, value in clip.state_dict().items()}, aside)
    else:
        example = (torch.zeros(1, 3, 224, 224).half(), torch.zeros(1, 77, dtype=torch.long))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(clip.half(), example, check_trace=False)  # type: ignore[no-untyped-call]
            traced.save(aside)
    aside.rename(path)
    return path.resolve()
