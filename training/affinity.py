"""Fit and score how holds are grouped into problems, on rendered walls whose problems are known.

python -m training.affinity fit --walls 160      # prints the coefficients of holdcheck/affinity.py
python -m training.affinity score --walls 40     # prints the table of docs/problems.md
python -m training.affinity ablate --walls 40    # prints what each kind of evidence is worth
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields, replace

import numpy as np
from numpy.typing import NDArray

from holdcheck import registry, routes
from holdcheck.affinity import Weights, differences, log_odds
from holdcheck.evaluate.grouping import Agreement
from holdcheck.evaluate.labels import NO_PROBLEM
from holdcheck.routes import ColouredHold, average_linkage
from holdcheck.settings import Settings
from training.grouping import GroupedWall, Grouping, score, through_pipeline, through_truth
from training.walls import WallSpec, render
from training.walls.spec import Light

_FIT_SEED, _SCORE_SEED = 50_000, 90_000
_LIGHTS: tuple[Light, ...] = ("easy", "medium", "hard", "hard")
_MAX_HOLDS = 150
_RIDGE = 1e-4
_EVIDENCE: dict[str, tuple[str, ...]] = {
    "hue and chroma": ("hue", "chroma"),
    "lightness": ("lightness",),
    "colour names": ("naming",),
    "colour at all": ("hue", "chroma", "lightness", "naming"),
    "place": ("sideways", "upwards", "distance"),
}
"""What may be left out, to see what it is worth."""


def fit(walls: Sequence[GroupedWall], without: Sequence[str] = ()) -> Weights:
    """Logistic regression on all pairs of holds, each wall weighing the same (Newton's method).

    Differences named in `without` weigh nothing.
    """
    terms, same, weight = (np.concatenate(part) for part in zip(*map(_pairs, walls), strict=True))
    names = [field.name for field in fields(Weights)][1:]
    terms[:, [names.index(name) for name in without]] = 0
    design = np.column_stack([np.ones(len(terms)), terms])
    weight = weight / weight.sum()
    factors = np.zeros(design.shape[1])
    ridge = _RIDGE * np.eye(len(factors))
    for _ in range(30):
        probable = 1 / (1 + np.exp(-design @ factors))
        slope = design.T @ (weight * (probable - same)) + ridge @ factors
        curvature = (design * (weight * probable * (1 - probable))[:, None]).T @ design + ridge
        factors -= np.linalg.solve(curvature, slope)
    return Weights(*(round(float(value), 3) for value in factors))


def _pairs(wall: GroupedWall) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(P, 7) differences, (P,) 1 where both holds are of one problem, (P,) weights."""
    counted = np.flatnonzero(wall.problems != NO_PROBLEM)
    upper = np.triu_indices(len(counted), 1)
    truth = wall.problems[counted]
    same = (truth[:, None] == truth[None])[upper]
    terms = differences([wall.holds[i] for i in counted])[:, upper[0], upper[1]].T
    return terms, same.astype(np.float64), np.full(len(same), 1 / max(len(same), 1))


def crossed(wall: GroupedWall, rng: np.random.Generator) -> GroupedWall:
    """The same holds with each problem moved, turned and stretched, so that problems cross and lie over
    each other: the renderer sets them in columns, and a real setter need not."""
    centres = np.array([hold.center for hold in wall.holds])
    low, high = centres.min(axis=0), centres.max(axis=0)
    for number in set(wall.problems.tolist()) - {NO_PROBLEM}:
        members = np.flatnonzero(wall.problems == number)
        turn = rng.uniform(-1.2, 1.2)
        matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        around = (centres[members] - centres[members].mean(axis=0)) @ matrix * rng.uniform(0.7, 1.3)
        centres[members] = around + low + rng.uniform(0.2, 0.8, 2) * (high - low)
    moved = [
        replace(hold, center=(float(x), float(y)))
        for hold, (x, y) in zip(wall.holds, centres.tolist(), strict=True)
    ]
    return replace(wall, holds=moved)


def walls_to_fit(count: int) -> Iterator[WallSpec]:
    """Every light, mostly hard; two in three with two shades of one colour, two in five with a shadow."""
    for index in range(count):
        yield WallSpec(
            *_size(index),
            _FIT_SEED + index,
            light=_LIGHTS[index % 4],
            twins=index % 3 != 0,
            shadow=index % 5 < 2,
        )


def walls_to_score(count: int, *, twins: bool, shadow: bool) -> Iterator[WallSpec]:
    """The hardest light; walls that took no part in fitting."""
    for index in range(count):
        yield WallSpec(*_size(index), _SCORE_SEED + index, light="hard", twins=twins, shadow=shadow)


def _size(index: int) -> tuple[int, int]:
    return (1024, 768) if index % 2 else (768, 1024)


def served(holds: list[ColouredHold]) -> list[list[int]]:
    """The grouping that is served."""
    return [[hold.id for hold in draft.holds] for draft in routes.group(holds)]


def weighed(weights: Weights) -> Grouping:
    """The grouping that is served, with other weights."""

    def group(holds: list[ColouredHold]) -> list[list[int]]:
        found = [hold for hold in holds if hold.kind == "hold"]
        parts = average_linkage(log_odds(found, weights)) if found else []
        return [[found[i].id for i in part] for part in parts]

    return group


def by_name(holds: list[ColouredHold]) -> list[list[int]]:
    """One problem for each colour's name."""
    return [
        [hold.id for hold in holds if hold.kind == "hold" and hold.color == name]
        for name in {hold.color for hold in holds}
    ]


def both_ways(walls: Sequence[GroupedWall]) -> list[GroupedWall]:
    """The walls as they are set, and crossed."""
    rng = np.random.default_rng(0)
    return [*walls, *(crossed(wall, rng) for wall in walls)]


def ablation(known: Sequence[GroupedWall], new: Sequence[GroupedWall]) -> Iterator[str]:
    """Fit on `known` walls without one kind of evidence after the other, and score on `new` ones: rows."""
    groupings = {
        "by colour name alone": by_name,
        "all": weighed(fit(both_ways(known))),
        **{f"without {what}": weighed(fit(both_ways(known), names)) for what, names in _EVIDENCE.items()},
        "fitted on columns only": weighed(fit(known)),
    }
    rng = np.random.default_rng(1)
    moved = [crossed(wall, rng) for wall in new]
    for name, grouping in groupings.items():
        yield f"| {name} | {_figures(score(new, grouping))} | {_figures(score(moved, grouping))} |"


def _seen(specs: Iterable[WallSpec], settings: Settings) -> tuple[list[GroupedWall], list[GroupedWall]]:
    """Each wall through its true outlines, and through the detector's."""
    models = registry.load(settings)
    true, found = [], []
    for spec in specs:
        wall = render(spec)
        true.append(through_truth(wall, models))
        found.append(through_pipeline(wall, models, settings))
    return true, found


def _ablate(count: int, settings: Settings) -> None:
    true, found = _seen(walls_to_fit(4 * count), settings)
    _, new = _seen(walls_to_score(count, twins=True, shadow=True), settings)
    print("| evidence | pairs | found | right | ARI | crossed: pairs | found | right | ARI |")
    print("| --- |" + " ---: |" * 8)
    for row in ablation([*true, *found], new):
        print(row, flush=True)


def _fit(count: int, settings: Settings) -> None:
    true, found = _seen(walls_to_fit(count), settings)
    weights = fit(both_ways([*true, *found]))
    for field, value in zip(fields(weights), astuple(weights), strict=True):
        print(f"    {field.name}={value},")


def _score(count: int, settings: Settings) -> None:
    print("| walls | outlines | pairs | same found | same right | adjusted Rand |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    estimates = []
    for twins, shadow in ((False, False), (True, False), (False, True), (True, True)):
        true, seen = _seen(walls_to_score(count, twins=twins, shadow=shadow), settings)
        rng = np.random.default_rng(1)
        name = "hard light" + ", two shades" * twins + ", shadow" * shadow
        for outlines, grouped in (
            ("true", true),
            ("detector's", seen),
            ("detector's, crossed", [crossed(wall, rng) for wall in seen]),
        ):
            print(f"| {name} | {outlines} | {_figures(score(grouped, served))} |", flush=True)
        estimates.append(f"Estimated from place, {name}, detector's outlines: {ends(seen)}.")
    print("", *estimates, sep="\n")


def ends(walls: Sequence[GroupedWall]) -> str:
    """How often a problem's estimated start and top are true ones; no cards are read here."""
    starts, tops = [], []
    for wall in walls:
        truth = {hold.id: tag for hold, tag in zip(wall.holds, wall.tags, strict=True)}
        for draft in routes.group(wall.holds):
            if draft.start_estimated:
                starts.append(any(truth[number] == "start" for number in draft.start_ids))
            if draft.top_estimated:
                tops.append(all(truth[number] == "top" for number in draft.top_ids))
    return f"start {np.mean(starts):.2f} of {len(starts)}, top {np.mean(tops):.2f} of {len(tops)}"


def _figures(found: Agreement) -> str:
    return " | ".join(
        f"{value:.3f}" for value in (found.pairs, found.recall, found.precision, found.adjusted)
    )


def main() -> None:
    """Fit, score, or ablate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["fit", "score", "ablate"])
    parser.add_argument("--walls", type=int, default=40)
    parser.add_argument("--clip", default=None, help="CLIP_MODEL; the default one where this is not given")
    arguments = parser.parse_args()
    clip = {"clip_model": arguments.clip} if arguments.clip else {}
    settings = Settings(max_holds=_MAX_HOLDS, **clip)
    {"fit": _fit, "score": _score, "ablate": _ablate}[arguments.what](arguments.walls, settings)


if __name__ == "__main__":
    main()
