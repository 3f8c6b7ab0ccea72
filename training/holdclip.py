"""Train holdclip, a small CLIP of our own: `python -m training.holdclip {pretrain,validate,finish} DATASET`.

Contrastive training of an image tower and a text tower, both open_clip's, on crops with captions. Many crops
of a batch share a caption and many captions are true of a crop, so each has several targets: UniCL's
bidirectional loss (Yang et al. 2022, Unified Contrastive Learning in Image-Text-Label Space; in form that of
Khosla et al. 2020, Supervised Contrastive Learning), where open_clip's own has one.

pretrain learns from holds of the train photos and of rendered walls; validate goes on from there with the
named crops, in folds by photo; finish does so with all of them.
"""

import argparse
import copy
import json
import math
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn import functional

from holdcheck import colour_score, crops
from holdcheck.classifier import COLOURS
from holdcheck.prepare import prompts
from holdcheck.runtime import towers  # makes torchvision importable, which open_clip needs
from training import holdclip_captions, holdclip_crops
from training.checkpoints import save_whole
from training.holdclip_captions import Captions
from training.holdclip_crops import Example

import open_clip  # isort: skip

CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "quick_gelu": False,
    "vision_cfg": {
        "image_size": 56,
        "patch_size": 8,
        "width": 160,
        "head_width": 32,
        "layers": 6,
        "pool_type": "avg",
    },
    # The tokenizer's 49,408 rows set the width: 6 MB of fp16.
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
CONFIG_FILE, WEIGHTS_FILE = "open_clip_config.json", "open_clip_model.safetensors"
_SERVED = 0.5
"""Share of the captions that prepare's own templates give."""
_JUDGED_WALLS = 12
_WARMUP = 0.05
_EMA = 0.99
"""Decay of the weights' moving average once many steps are done; a short run averages over its last tenth."""
_MAX_SCALE = math.log(100)
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and on what to train."""

    minutes: float
    rate: float
    shares: dict[str, float]
    """Of a batch, by source."""
    balance: float = 0.5
    """Exponent of a colour's inverse frequency in its source: 0 leaves frequencies, 1 evens them out."""
    batch: int = 96
    weight_decay: float = 0.05
    backgrounds: tuple[crops.Background, ...] = (crops.BACKGROUND,)
    """What a crop's background becomes, drawn for each."""
    seed: int = 0
    steps: int = 0
    """Where not 0, so many steps instead of minutes."""


PRETRAIN = Recipe(40, 1.5e-3, {"sure": 0.5, "looked": 0.15, "drawn": 0.35})
FINE_TUNE = Recipe(
    0, 4e-4, {"named": 0.6, "looked": 0.15, "sure": 0.2, "drawn": 0.05}, balance=0.25, steps=40
)
_TEMPERATURES = tuple(round(float(value), 3) for value in np.geomspace(0.3, 4, 80))


class Sampler:
    """Draws varied crops, balanced between sources and colours, with a caption for each."""

    def __init__(self, examples: Sequence[Example], captions: Captions, size: int, recipe: Recipe) -> None:
        self._examples, self._captions, self._size, self._recipe = examples, captions, size, recipe
        self._weights = _weights(examples, recipe)
        self._true: dict[tuple[str, ...], NDArray[np.float64]] = {}
        self._plain = [np.flatnonzero(captions.served & (captions.colour == i)) for i in range(len(COLOURS))]

    def batch(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
        """Crops (N, S, S, 3), their attributes (N, A), and the captions (M,) to tell them by.

        Among the captions is one for every colour, so that each is told from all.
        """
        recipe = self._recipe
        chosen = rng.choice(len(self._examples), recipe.batch, p=self._weights)
        pictures, attributes, texts = [], [], []
        for index in chosen:
            background = recipe.backgrounds[int(rng.integers(len(recipe.backgrounds)))]
            crop, names = holdclip_crops.varied(self._examples[index], rng, self._size, background)
            pictures.append(crop)
            attributes.append(holdclip_captions.encode(names))
            texts.append(int(rng.choice(len(self._captions.texts), p=self._captions_of(names))))
        texts.extend(int(rng.choice(plain)) for plain in self._plain)
        return np.stack(pictures), np.stack(attributes), np.unique(texts)

    def _captions_of(self, attributes: tuple[str, ...]) -> NDArray[np.float64]:
        """Probability of each caption for a crop with these attributes, (T,)."""
        if attributes not in self._true:
            true = self._captions.true_of(holdclip_captions.encode(attributes)[None])[0]
            odds = np.zeros(len(true))
            for part, share in (
                (true & self._captions.served, _SERVED),
                (true & ~self._captions.served, 1 - _SERVED),
            ):
                if part.any():
                    odds[part] = share / part.sum()
            self._true[attributes] = odds / odds.sum()
        return self._true[attributes]


def _weights(examples: Sequence[Example], recipe: Recipe) -> NDArray[np.float64]:
    """Sampling probability of each example."""
    groups = np.array([f"{example.source} {example.colour}" for example in examples])
    sources = np.array([example.source for example in examples])
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = counts[inverse].astype(float) ** -recipe.balance
    total = np.zeros(len(examples))
    for source, share in recipe.shares.items():
        here = sources == source
        if here.any():
            total[here] = share * weights[here] / weights[here].sum()
    return np.asarray(total / total.sum())


def loss_of(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """UniCL's loss: (N, D) and (M, D) unit rows, and which text is true of which image, (N, M) bool.

    Both directions: the mean over what has any target of the mean negative log probability of its targets.
    """
    logits = scale * images @ texts.T
    return (_one_way(logits, targets) + _one_way(logits.T, targets.T)) / 2


def _one_way(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    has_any = targets.any(dim=1)
    probabilities = functional.log_softmax(logits[has_any], dim=1)
    wanted = targets[has_any].float()
    return -((probabilities * wanted).sum(dim=1) / wanted.sum(dim=1)).mean()


def new_model(seed: int = 0, config: dict[str, Any] = CONFIG) -> Any:
    """open_clip's CLIP with its own initialisation.

    Its attention is computed as in prepare's exported form: the same weights under the same names, and a step
    takes 0.6 of the time that torch's bf16 kernel needs on a CPU.
    """
    torch.manual_seed(seed)
    model = open_clip.CLIP(**copy.deepcopy(config))
    towers.simplify_attention(model.visual)
    return model


@dataclass
class Progress:
    """What a log line says."""

    step: int = 0
    minutes: float = 0.0
    losses: list[float] = field(default_factory=list)

    def line(self) -> str:
        recent = self.losses[-50:]
        return json.dumps(
            {
                "step": self.step,
                "minutes": round(self.minutes, 2),
                "loss": round(sum(recent) / len(recent), 4),
            }
        )


def train(
    model: Any,
    examples: Sequence[Example],
    recipe: Recipe,
    checkpoint: Path | None = None,
    log: Path | None = None,
) -> Any:
    """Train a copy; returns the moving average of its weights, which is what counts.

    The learning rate follows a cosine over the time given. With `checkpoint`, a run that was stopped goes on.
    """
    captions = holdclip_captions.build()
    # Captions use a hundred of 49,408 tokens: only those rows are worth an optimiser's and an average's time.
    used, tokens = torch.unique(_tokens(captions.texts, model.context_length), return_inverse=True)
    vocabulary, model = model.token_embedding.weight.detach(), copy.deepcopy(model)
    model.token_embedding = _embedding(vocabulary[used])
    sampler = Sampler(examples, captions, model.visual.image_size[0], recipe)
    trainer = _Trainer(model, recipe)
    if checkpoint is not None and checkpoint.is_file():
        trainer.restore(torch.load(checkpoint, weights_only=True))
    rng = np.random.default_rng((recipe.seed, trainer.progress.step))
    while trainer.share_done < 1:
        start = time.perf_counter()
        pictures, attributes, texts = sampler.batch(rng)
        targets = torch.from_numpy(captions.true_of(attributes)[:, texts])
        trainer.step(torch.from_numpy(pictures), tokens[torch.from_numpy(texts)], targets)
        trainer.progress.minutes += (time.perf_counter() - start) / 60
        if trainer.progress.step % 50 == 0:
            if log is not None:
                with log.open("a") as file:
                    file.write(trainer.progress.line() + "\n")
            if checkpoint is not None:
                save_whole(trainer.state(), checkpoint)
    trained: Any = trainer.average.module.cpu().eval()
    trained.token_embedding = _embedding(
        vocabulary.index_copy(0, used, trained.token_embedding.weight.detach())
    )
    return trained


def _embedding(rows: torch.Tensor) -> torch.nn.Embedding:
    table = torch.nn.Embedding(*rows.shape)
    table.weight = torch.nn.Parameter(rows.clone())
    return table


class _Trainer:
    """Model, optimiser, schedule and moving average."""

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.recipe, self.progress = model.to(self.device).train(), recipe, Progress()
        flat = [p for p in model.parameters() if p.ndim < 2]
        decayed = [p for p in model.parameters() if p.ndim >= 2]
        groups = [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": flat, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
        self.average = torch.optim.swa_utils.AveragedModel(model, avg_fn=_averaged)
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        self._mean, self._std = (255 * part.view(1, 3, 1, 1).to(self.device) for part in (mean, std))

    @property
    def share_done(self) -> float:
        if self.recipe.steps:
            return self.progress.step / self.recipe.steps
        return self.progress.minutes / self.recipe.minutes

    def step(self, pictures: torch.Tensor, tokens: torch.Tensor, targets: torch.Tensor) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * _schedule(self.share_done)
        pictures, tokens, targets = (part.to(self.device) for part in (pictures, tokens, targets))
        pixels = (pictures.permute(0, 3, 1, 2).float() - self._mean) / self._std
        with torch.autocast(self.device.type, torch.bfloat16):
            images, texts = self.model.encode_image(pixels), _encode_text(self.model, tokens)
        images, texts = (
            functional.normalize(images.float(), dim=-1),
            functional.normalize(texts.float(), dim=-1),
        )
        loss = loss_of(images, texts, self.model.logit_scale.exp(), targets)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, _MAX_SCALE)
        self.average.update_parameters(self.model)
        self.progress.step += 1
        self.progress.losses.append(loss.item())

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])


def _averaged(average: torch.Tensor, current: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
    decay = min(_EMA, (1 + int(steps)) / (10 + int(steps)))
    return average + (1 - decay) * (current - average)


def _schedule(share: float) -> float:
    if share < _WARMUP:
        return max(share / _WARMUP, 0.02)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min((share - _WARMUP) / (1 - _WARMUP), 1))) / 2


def _encode_text(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """open_clip's encode_text on a context as short as the tokens: causal attention makes it the same."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    pooled: torch.Tensor = x[torch.arange(len(x)), tokens.argmax(dim=-1)] @ model.text_projection
    return pooled


def _tokens(texts: Sequence[str], context: int) -> torch.Tensor:
    """(T, L), as short as the longest caption."""
    tokens: torch.Tensor = open_clip.SimpleTokenizer(context_length=context)(list(texts))
    return tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]


@torch.inference_mode()
def embed(model: Any, pictures: NDArray[np.uint8]) -> Floats:
    """(N, S, S, 3) -> (N, D) unit rows."""
    mean, std = 255 * torch.tensor(MEAN).view(1, 3, 1, 1), 255 * torch.tensor(STD).view(1, 3, 1, 1)
    rows = []
    for at in range(0, len(pictures), 64):
        pixels = torch.from_numpy(pictures[at : at + 64]).permute(0, 3, 1, 2).float()
        rows.append(functional.normalize(model.encode_image((pixels - mean) / std), dim=-1))
    return np.asarray(torch.cat(rows).numpy())


@torch.inference_mode()
def prompt_embeddings(model: Any) -> Floats:
    """(13, D): the colours as prepare embeds them (holdcheck.prepare.prompts)."""
    captions = holdclip_captions.build()
    tokens = _tokens(captions.texts, model.context_length)
    rows = []
    for colour in COLOURS:
        wanted = [captions.texts.index(text) for text in prompts.of(colour)]
        mean = functional.normalize(_encode_text(model, tokens[wanted]), dim=-1).mean(dim=0)
        rows.append(functional.normalize(mean, dim=0))
    return np.asarray(torch.stack(rows).numpy())


def zero_shot(model: Any, embeddings: Floats) -> Floats:
    """(N, D) -> (N, 13) probabilities, as a PromptHead gives them."""
    logits = float(model.logit_scale.detach().exp()) * embeddings @ prompt_embeddings(model).T
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


@torch.inference_mode()
def kind_recall(model: Any, examples: Sequence[Example], background: crops.Background) -> dict[str, float]:
    """By kind (hold, volume, START card ...), the share whose likeliest kind it is, by its captions."""
    captions = holdclip_captions.build()
    tokens = _tokens(captions.texts, model.context_length)
    kinds = holdclip_captions.KINDS
    rows = []
    for kind in kinds:
        wanted = (captions.claims == holdclip_captions.encode((kind,))).all(axis=1)
        means = functional.normalize(_encode_text(model, tokens[torch.from_numpy(wanted)]), dim=-1).mean(
            dim=0
        )
        rows.append(functional.normalize(means, dim=0))
    size = model.visual.image_size[0]
    pictures = np.stack([holdclip_crops.plain(example, size, background) for example in examples])
    best = (embed(model, pictures) @ torch.stack(rows).numpy().T).argmax(axis=1)
    truth = np.array([next(kinds.index(a) for a in e.attributes if a in kinds) for e in examples])
    return {
        k: round(float((best[truth == i] == i).mean()), 3) for i, k in enumerate(kinds) if (truth == i).any()
    }


def write(model: Any, folder: Path, config: dict[str, Any] = CONFIG) -> None:
    """An open_clip folder (`local-dir:FOLDER`): the configuration and the weights in fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "model_cfg": config,
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"},
    }
    (folder / CONFIG_FILE).write_text(json.dumps(described, indent=2) + "\n")
    state = {name: value.detach().half().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / WEIGHTS_FILE)


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to learn from."""

    named: list[Example]
    others: list[Example]
    """From no photo that a named crop comes from."""


def material(dataset: Path, out: Path, walls: int, looked_at: Path | None) -> Material:
    """All crops, cut once and kept in `out/crops`."""
    kept = out / "crops"
    looked = [] if looked_at is None else list(holdclip_crops.looked_at(dataset, looked_at, "train"))
    known = {example.file for example in looked}
    sure = holdclip_crops.cached(kept / "sure.pkl", holdclip_crops.sure(dataset))
    drawn = holdclip_crops.cached(kept / f"drawn_{walls}.pkl", holdclip_crops.drawn(walls))
    named = holdclip_crops.cached(kept / "named.pkl", holdclip_crops.named(dataset))
    return Material(named, [*looked, *(example for example in sure if example.file not in known), *drawn])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What models that saw nothing of a crop's photo say of it."""

    probabilities: Floats
    """(N, 13)"""
    embeddings: Floats
    """(N, D), unit rows; each fold has a space of its own."""


def cross_validate(
    pretrained: Any, data: Material, recipe: Recipe, folds: int = 5, seed: int = 0
) -> dict[crops.Background, HeldOut]:
    """Fine-tune in folds by photo; answers for the named crops in each of the recipe's backgrounds."""
    photos = np.array([example.photo for example in data.named])
    order = np.random.default_rng(seed).permutation(np.unique(photos))
    fold_of = {photo: index % folds for index, photo in enumerate(order)}
    fold = np.array([fold_of[photo] for photo in photos])
    size, shape = pretrained.visual.image_size[0], (len(fold), pretrained.visual.output_dim)
    found = {
        background: HeldOut(np.zeros((len(fold), len(COLOURS)), np.float32), np.zeros(shape, np.float32))
        for background in recipe.backgrounds
    }
    for index in range(folds):
        seen = [example for example, of in zip(data.named, fold, strict=True) if of != index]
        model = train(pretrained, [*seen, *data.others], recipe)
        unseen = np.flatnonzero(fold == index)
        for background in recipe.backgrounds:
            pictures = [holdclip_crops.plain(data.named[i], size, background) for i in unseen]
            answer = found[background]
            answer.embeddings[unseen] = embed(model, np.stack(pictures))
            answer.probabilities[unseen] = zero_shot(model, answer.embeddings[unseen])
    return found


def tempered(answers: Floats, temperature: float) -> Floats:
    """Probabilities (N, 13) at another temperature (Guo et al. 2017)."""
    powered = np.maximum(answers, 1e-12) ** (1 / temperature)
    return np.asarray(powered / powered.sum(axis=1, keepdims=True), dtype=np.float32)


def _log_loss(answers: Floats, labels: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(answers[np.arange(len(labels)), labels], 1e-9)).mean())


def _load(path: Path) -> Any:
    model = new_model()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def _pretrain(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    data = material(arguments.dataset, out, arguments.walls, arguments.looked_at)
    recipe = replace(PRETRAIN, minutes=arguments.minutes, backgrounds=tuple(arguments.background))
    begin = _load(arguments.start) if arguments.start else new_model()
    model = train(begin, data.others, recipe, out / "run.pt", out / "log.jsonl")
    save_whole(model.state_dict(), out / "pretrained.pt")


def _validate(arguments: argparse.Namespace) -> None:
    """Print figures by background; keep the first one's answers in `cv.npz`, to be combined with others."""
    out: Path = arguments.out
    data = material(arguments.dataset, out, arguments.walls, arguments.looked_at)
    recipe = replace(FINE_TUNE, steps=arguments.steps, backgrounds=tuple(arguments.background))
    found = cross_validate(_load(out / "pretrained.pt"), data, recipe)
    labels = np.array([COLOURS.index(example.colour) for example in data.named])
    for background, held_out in found.items():
        fits = {t: _log_loss(tempered(held_out.probabilities, t), labels) for t in _TEMPERATURES}
        temperature = min(fits, key=lambda t: fits[t])
        answers = tempered(held_out.probabilities, temperature)
        if background == recipe.backgrounds[0]:
            files = np.array([example.file for example in data.named])
            arrays = {"file": files, "probabilities": answers, "embeddings": held_out.embeddings}
            _write_arrays(out / "cv.npz", arrays)
        score = asdict(colour_score.figures(answers, labels))
        score["confusion"] = score["confusion"].tolist()
        report = {"background": background, "temperature": temperature, "steps": recipe.steps, **score}
        (out / f"cv_{background}.json").write_text(json.dumps(report) + "\n")
        print(json.dumps({key: value for key, value in report.items() if key != "confusion"}), flush=True)


def _write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """As np.savez, which takes no array by the name of its own argument, `file`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array)


def _finish(arguments: argparse.Namespace) -> None:
    """Fine-tune on every named crop; the logit scale takes the temperature that validate found."""
    out: Path = arguments.out
    data = material(arguments.dataset, out, arguments.walls, arguments.looked_at)
    recipe = replace(FINE_TUNE, steps=arguments.steps, backgrounds=tuple(arguments.background))
    model = train(_load(out / "pretrained.pt"), [*data.named, *data.others], recipe)
    temperature = json.loads((out / f"cv_{recipe.backgrounds[0]}.json").read_text())["temperature"]
    with torch.no_grad():
        model.logit_scale.sub_(math.log(temperature))
    write(model, out / "open_clip")
    unseen = list(holdclip_crops.drawn(_JUDGED_WALLS, first_seed=80_000))
    report = {"judged": len(unseen), "kind_recall": kind_recall(model, unseen, recipe.backgrounds[0])}
    (out / "kinds.json").write_text(json.dumps(report) + "\n")
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.holdclip", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, command in (("pretrain", _pretrain), ("validate", _validate), ("finish", _finish)):
        part = commands.add_parser(name)
        part.add_argument("dataset", type=Path)
        part.add_argument("--out", type=Path, default=Path("build/training/holdclip"))
        if name == "pretrain":
            part.add_argument("--minutes", type=float, default=40)
            part.add_argument("--start", type=Path, help="a pretrained.pt to begin from; else random weights")
        else:
            part.add_argument("--steps", type=int, default=FINE_TUNE.steps)
        part.add_argument("--walls", type=int, default=160, help="rendered walls")
        part.add_argument("--looked-at", type=Path, help="CSV of photo, row, color: holds named by eye")
        part.add_argument("--background", nargs="+", default=[crops.BACKGROUND], help="see holdcheck.crops")
        part.set_defaults(command=command)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    cv2.setNumThreads(1)
    arguments.command(arguments)


if __name__ == "__main__":
    main()
