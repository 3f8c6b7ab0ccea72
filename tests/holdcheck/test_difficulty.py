"""Difficulty from geometry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from holdcheck import difficulty
from holdcheck.result import Difficulty, WallAngle

SCALE = 0.004
"""Metres per pixel."""
ANGLES: tuple[WallAngle, ...] = ("slab", "face", "overhang")
FACTORS = {
    "overhang", "slab", "long_reaches", "short_reaches", "small_holds", "large_holds", "many_holds",
    "few_holds", "unknown_wall_angle",
}  # fmt: skip
TYPES = {"static", "dynamic", "traverse", "crimpy", "powerful", "technical"}


@dataclass(frozen=True)
class Placed:
    center: tuple[float, float]
    area: float


def ladder(count: int = 7, step: float = 120.0, side: float = 35.0) -> list[Placed]:
    """Holds straight up, `step` px apart, of `side` px squared each."""
    return [Placed((500.0, 2000.0 - step * index), side**2) for index in range(count)]


def random_problems(trials: int = 100) -> Iterator[tuple[list[Placed], np.random.Generator]]:
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(3, 16))
        centres, areas = rng.uniform(0, 1500, (count, 2)), rng.uniform(8, 80, count) ** 2
        yield (
            [Placed((float(x), float(y)), float(a)) for (x, y), a in zip(centres, areas, strict=True)],
            rng,
        )


def grades(holds: Sequence[Placed], angle: WallAngle | None) -> tuple[int, int, int]:
    found = difficulty.estimate(holds, angle, SCALE)
    assert found is not None
    return v(found.low), v(found.grade), v(found.high)


def v(grade: str) -> int:
    assert grade.startswith("V")
    return int(grade[1:])


def estimated(holds: Sequence[Placed], angle: WallAngle | None = "face") -> Difficulty:
    found = difficulty.estimate(holds, angle, SCALE)
    assert found is not None
    return found


def never_easier(harder: tuple[int, int, int], easier: tuple[int, int, int]) -> bool:
    return all(one >= other for one, other in zip(harder, easier, strict=True))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_holds_are_not_estimated(count: int) -> None:
    assert difficulty.estimate(ladder(count), "face", SCALE) is None
    assert difficulty.climb_type(ladder(count), "face", SCALE) is None


def test_a_longer_reach_is_never_easier() -> None:
    for holds, rng in random_problems():
        wider = float(rng.uniform(1, 3))
        stretched = [replace(hold, center=(hold.center[0] * wider, hold.center[1] * wider)) for hold in holds]
        for angle in ANGLES:
            assert never_easier(grades(stretched, angle), grades(holds, angle))


def test_smaller_holds_are_never_easier() -> None:
    for holds, rng in random_problems():
        # Each shrinks by its own amount: it is enough that none grows.
        shrunk = [replace(hold, area=hold.area * float(rng.uniform(0.05, 1))) for hold in holds]
        for angle in ANGLES:
            assert never_easier(grades(shrunk, angle), grades(holds, angle))


def test_a_steeper_wall_is_never_easier() -> None:
    for holds, _ in random_problems():
        slab, face, overhang = (grades(holds, angle) for angle in ANGLES)
        assert never_easier(face, slab)
        assert never_easier(overhang, face)


def test_a_hold_between_two_others_never_makes_the_reach_longer() -> None:
    for holds, rng in random_problems():
        low, high = min(h.center[1] for h in holds), max(h.center[1] for h in holds)
        extra = Placed((float(rng.uniform(0, 1500)), float(rng.uniform(low, high))), 1000.0)
        assert difficulty.hardest_reach([*holds, extra]) <= difficulty.hardest_reach(holds)


def test_each_of_the_three_can_make_a_problem_harder() -> None:
    easy = v(estimated(ladder(step=130)).grade)
    assert v(estimated(ladder(step=350)).grade) > easy
    assert v(estimated(ladder(step=130, side=14)).grade) > easy
    assert v(estimated(ladder(step=130), "overhang").grade) > easy


def test_the_order_of_the_holds_does_not_matter() -> None:
    for holds, rng in random_problems(20):
        shuffled = [holds[int(i)] for i in rng.permutation(len(holds))]
        assert difficulty.estimate(shuffled, "face", SCALE) == difficulty.estimate(holds, "face", SCALE)


def test_the_hardest_reach_is_the_move_that_cannot_be_avoided() -> None:
    gap_of_200 = [(0.0, 600.0), (0.0, 500.0), (0.0, 300.0), (0.0, 200.0)]
    a_way_around = [(80.0, 440.0), (80.0, 360.0)]
    holds = [Placed(centre, 900.0) for centre in gap_of_200]
    assert difficulty.hardest_reach(holds) == pytest.approx(200)
    holds += [Placed(centre, 900.0) for centre in a_way_around]
    assert difficulty.hardest_reach(holds) == pytest.approx(100)


def test_the_range_holds_the_grade_and_is_wider_when_the_angle_is_unknown() -> None:
    for holds, _ in random_problems(30):
        for angle in (*ANGLES, None):
            low, grade, high = grades(holds, angle)
            assert 0 <= low <= grade <= high <= difficulty.HARDEST
    low, _, high = grades(ladder(step=250, side=20), "face")
    low_unknown, _, high_unknown = grades(ladder(step=250, side=20), None)
    assert (low_unknown, high_unknown) != (low, high)
    assert low_unknown <= low
    assert high_unknown >= high


def test_confidence_stays_low_and_falls_without_the_angle() -> None:
    for holds, _ in random_problems(30):
        known, unknown = estimated(holds, "face").confidence, estimated(holds, None).confidence
        assert 0 < unknown < known <= difficulty.MAX_CONFIDENCE


def test_factors_are_documented_identifiers() -> None:
    for holds, _ in random_problems():
        for angle in (*ANGLES, None):
            assert set(estimated(holds, angle).factors) <= FACTORS


@pytest.mark.parametrize(
    ("holds", "angle", "factor"),
    [
        (ladder(step=300), "face", "long_reaches"),
        (ladder(step=100), "face", "short_reaches"),
        (ladder(side=15), "face", "small_holds"),
        (ladder(side=60), "face", "large_holds"),
        (ladder(count=14), "face", "many_holds"),
        (ladder(count=3), "face", "few_holds"),
        (ladder(), "overhang", "overhang"),
        (ladder(), "slab", "slab"),
        (ladder(), None, "unknown_wall_angle"),
    ],
)
def test_what_stands_out_is_named(holds: list[Placed], angle: WallAngle | None, factor: str) -> None:
    assert factor in estimated(holds, angle).factors


def test_an_ordinary_problem_has_nothing_to_name() -> None:
    assert estimated(ladder(step=200)).factors == []


@pytest.mark.parametrize(
    ("holds", "angle", "primary"),
    [
        (ladder(step=120, side=50), "face", "static"),
        (ladder(step=380, side=50), "face", "dynamic"),
        (ladder(step=180, side=13), "face", "crimpy"),
        (ladder(step=260, side=40), "overhang", "powerful"),
        (ladder(step=180, side=26), "slab", "technical"),
        ([Placed((150.0 * i, 500.0 + 20 * (i % 2)), 2500.0) for i in range(8)], "face", "traverse"),
    ],
)
def test_the_climbing_type_follows_from_geometry(holds: list[Placed], angle: WallAngle, primary: str) -> None:
    found = difficulty.climb_type(holds, angle, SCALE)
    assert found is not None
    assert found.primary_type == primary
    assert found.types[0] == primary
    assert set(found.types) <= TYPES
    assert 0 < found.confidence <= difficulty.MAX_CONFIDENCE


def test_the_scale_comes_from_the_usual_hold() -> None:
    holds = [Placed((0.0, 0.0), 70.0**2)] * 5 + [Placed((0.0, 0.0), 400.0**2)]
    assert difficulty.metres_per_pixel(holds) == pytest.approx(difficulty.TYPICAL_HOLD_M / 70)


def test_a_photo_without_holds_has_no_scale() -> None:
    with pytest.raises(ValueError, match="at least one hold"):
        difficulty.metres_per_pixel([])


def test_a_photo_of_twice_the_resolution_gives_the_same_answer() -> None:
    for holds, _ in random_problems(20):
        larger = [Placed((h.center[0] * 2, h.center[1] * 2), h.area * 4) for h in holds]
        small, large = difficulty.metres_per_pixel(holds), difficulty.metres_per_pixel(larger)
        assert difficulty.estimate(larger, "face", large) == difficulty.estimate(holds, "face", small)
