"""The least that the served grouping reaches on rendered walls."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from holdcheck import registry
from holdcheck.affinity import WEIGHTS
from holdcheck.registry import Models
from holdcheck.settings import Settings
from training import affinity
from training.affinity import by_name, served, walls_to_score, weighed
from training.grouping import GroupedWall, score, through_pipeline, through_truth
from training.walls import render

SETTINGS = Settings(_env_file=None, max_holds=150, clip_model="none")


@cache
def models() -> Models:
    return registry.load(SETTINGS)


@cache
def walls(count: int = 3) -> list[GroupedWall]:
    """The hardest: hard light, two shades of one colour, a shadow's edge."""
    specs = walls_to_score(count, twins=True, shadow=True)
    small = [replace(spec, width=spec.width * 5 // 8, height=spec.height * 5 // 8) for spec in specs]
    return [through_truth(render(spec), models()) for spec in small]


def test_the_served_grouping_holds_on_the_hardest_rendered_walls() -> None:
    found = score(walls(), served)
    assert found.pairs >= 0.93
    assert found.recall >= 0.80
    assert found.precision >= 0.85


def test_it_holds_with_the_detectors_own_outlines() -> None:
    (spec,) = walls_to_score(1, twins=True, shadow=True)
    found = score([through_pipeline(render(spec), models(), SETTINGS)], served)
    assert found.pairs >= 0.90


def test_colour_names_alone_do_worse() -> None:
    assert score(walls(), by_name).precision < score(walls(), served).precision - 0.05


def test_the_weights_in_use_give_the_grouping_that_is_served() -> None:
    assert score(walls(), weighed(WEIGHTS)) == score(walls(), served)


def test_evidence_left_out_of_a_fit_weighs_nothing() -> None:
    fitted = affinity.fit(walls(), without=["sideways", "upwards", "distance"])
    assert (fitted.sideways, fitted.upwards, fitted.distance) == (0, 0, 0)
    assert fitted.naming < 0


def test_an_ablation_has_a_row_for_each_kind_of_evidence() -> None:
    rows = list(affinity.ablation(walls(), walls()))
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows][:3] == [
        "by colour name alone",
        "all",
        "without hue and chroma",
    ]
    assert len({row.count("|") for row in rows}) == 1


def test_fitting_finds_weights_that_serve_as_well() -> None:
    fitted = affinity.fit(walls())
    assert fitted.hue < 0  # another surface speaks against one problem
    assert fitted.sideways < 0  # and so does a gap between columns


def test_starts_and_tops_are_compared_with_the_truth() -> None:
    wall = walls()[0]
    found = affinity.ends([wall])
    assert float(found.split()[1]) >= 0.5
    untagged = replace(wall, tags=tuple(None for _ in wall.holds))
    assert affinity.ends([untagged]).startswith("start 0.00 of ")


def test_crossing_moves_problems_as_wholes_and_changes_no_colour() -> None:
    wall = walls()[0]
    moved = affinity.crossed(wall, np.random.default_rng(0))
    assert [hold.lab for hold in moved.holds] == [hold.lab for hold in wall.holds]
    members = np.flatnonzero(wall.problems == 0)

    def shape(of: GroupedWall) -> NDArray[np.float64]:
        centres = np.array([of.holds[i].center for i in members])
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2)
        return np.asarray(gaps / gaps.max())

    np.testing.assert_allclose(shape(moved), shape(wall), atol=1e-9)
