"""The least that the served grouping reaches on rendered walls."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from holdcheck import registry, routes
from holdcheck.registry import Models
from holdcheck.settings import Settings
from training import affinity
from training.affinity import served, walls_to_score
from training.grouping import GroupedWall, score, through_pipeline, through_truth
from training.walls import render

SETTINGS = Settings(_env_file=None, max_holds=150, clip_model="none")


@cache
def models() -> Models:
    return registry.load(SETTINGS)


@cache
def walls(count: int = 4) -> list[GroupedWall]:
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
    def by_name(holds: list[routes.ColouredHold]) -> list[list[int]]:
        names = {hold.color for hold in holds}
        return [[hold.id for hold in holds if hold.color == name] for name in names]

    assert score(walls(), by_name).precision < score(walls(), served).precision - 0.05


def test_fitting_finds_weights_that_serve_as_well() -> None:
    fitted = affinity.fit(walls())
    assert fitted.hue < 0  # another surface speaks against one problem
    assert fitted.sideways < 0  # and so does a gap between columns


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
