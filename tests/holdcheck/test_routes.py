"""Grouping holds into problems."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from holdcheck import routes
from holdcheck.classifier import COLOURS
from holdcheck.result import Colour, Kind
from holdcheck.routes import ColouredHold, ProblemDraft

LABS: dict[str, tuple[float, float, float]] = {
    "red": (42.0, 55.0, 35.0),
    "green": (48.0, -35.0, 20.0),
    "lime": (60.0, -30.0, 38.0),
    "blue": (42.0, 5.0, -45.0),
    "unknown": (48.0, -30.0, 18.0),
}


def hold(
    number: int,
    x: float,
    y: float,
    colour: Colour = "red",
    *,
    also: Colour | None = None,
    side: float = 30.0,
    kind: Kind = "hold",
) -> ColouredHold:
    """A hold of 30 x 30 px; `also` is the second likeliest colour, at 0.3."""
    probabilities = np.full(13, 0.01, dtype=np.float32)
    if colour != "unknown":
        probabilities[COLOURS.index(colour)] = 0.58 if also else 0.88
    if also:
        probabilities[COLOURS.index(also)] = 0.3
    # Chalk and light: no two holds of one set measure alike.
    off = np.random.default_rng(number).normal(0, 2, 3)
    lightness, a, b = np.array(LABS.get(colour, (50.0, 0.0, 0.0))) + off
    return ColouredHold(
        id=number,
        center=(x, y),
        bbox=(x - side / 2, y - side / 2, x + side / 2, y + side / 2),
        area=side**2,
        kind=kind,
        color=colour,
        probabilities=probabilities / probabilities.sum(),
        lab=(float(lightness), float(a), float(b)),
        rgb=(number, 0, 0),
    )


def column(first: int, x: float, colour: Colour = "red", count: int = 6) -> list[ColouredHold]:
    """A problem going up, 80 px a move, swinging a little."""
    return [hold(first + i, x + 20 * (i % 2), 900.0 - 80 * i, colour) for i in range(count)]


def members(drafts: Sequence[ProblemDraft]) -> list[set[int]]:
    return [{member.id for member in draft.holds} for draft in drafts]


def test_no_holds_make_no_problems() -> None:
    assert routes.group([]) == []


def test_holds_of_one_colour_are_one_problem() -> None:
    (draft,) = routes.group(column(1, 300))
    assert draft.color == "red"
    assert members([draft]) == [{1, 2, 3, 4, 5, 6}]


def test_colours_that_cross_are_separate_problems() -> None:
    drafts = routes.group([*column(1, 300), *column(11, 330, "blue", 5)])
    assert [draft.color for draft in drafts] == ["red", "blue"]


def test_two_groups_of_a_colour_that_stand_clearly_apart_are_two_problems() -> None:
    drafts = routes.group([*column(1, 300), *column(11, 1200, count=5)])
    assert members(drafts) == [{1, 2, 3, 4, 5, 6}, {11, 12, 13, 14, 15}]


def test_one_long_move_does_not_split_a_problem() -> None:
    holds = column(1, 300)
    above = [hold(7, 310, 290), hold(8, 300, 210), hold(9, 300, 130)]  # a move of 210 px: seven hold sizes
    assert len(routes.group([*holds, *above])) == 1


def test_a_single_hold_a_long_move_off_stays_with_its_colour() -> None:
    drafts = routes.group([*column(1, 300), hold(7, 520, 500)])
    assert members(drafts) == [{1, 2, 3, 4, 5, 6, 7}]


def test_volumes_join_no_problem() -> None:
    drafts = routes.group([*column(1, 300), hold(7, 320, 600, side=120, kind="volume")])
    assert members(drafts) == [{1, 2, 3, 4, 5, 6}]


def test_volumes_alone_are_no_problem() -> None:
    assert routes.group([hold(i, 100.0 * i, 100, kind="volume") for i in range(4)]) == []


def test_a_hold_that_is_named_otherwise_joins_those_it_looks_like() -> None:
    greenish = replace(hold(7, 340, 620, "lime", also="green"), lab=(52.0, -36.0, 24.0))
    drafts = routes.group([*column(1, 300, "green"), greenish])
    assert members(drafts) == [{1, 2, 3, 4, 5, 6, 7}]
    assert drafts[0].color == "green"


@pytest.mark.parametrize(
    "stray",
    [
        hold(7, 340, 620, "lime"),  # surely no green
        hold(7, 1500, 620, "lime", also="green"),  # out of reach
        hold(7, 340, 620, "red", also="green"),  # no light turns red into green
    ],
)
def test_a_hold_that_looks_like_none_or_is_out_of_reach_is_a_problem_of_its_own(stray: ColouredHold) -> None:
    assert members(routes.group([*column(1, 300, "green"), stray])) == [{1, 2, 3, 4, 5, 6}, {7}]


def test_an_unknown_hold_joins_only_what_it_looks_like() -> None:
    greens = column(1, 300, "green")
    greenish = hold(7, 340, 620, "unknown", also="green")
    grey = replace(hold(8, 340, 540, "unknown"), lab=(50.0, 1.0, 2.0))
    assert members(routes.group([*greens, greenish, grey])) == [{1, 2, 3, 4, 5, 6, 7}]


def shaded(holds: Sequence[ColouredHold], share: float) -> list[ColouredHold]:
    """The same surfaces with that share of the light: L* + 16, a* and b* go with its cube root."""
    root = share ** (1 / 3)
    return [replace(h, lab=((h.lab[0] + 16) * root - 16, h.lab[1] * root, h.lab[2] * root)) for h in holds]


def test_two_shades_of_one_colours_name_are_two_problems_though_they_cross() -> None:
    light = [
        replace(hold(11 + i, 330, 900.0 - 80 * i, "green", also="lime"), lab=(66.0 - i, -55.0, 44.0 + i))
        for i in range(6)
    ]
    drafts = routes.group([*column(1, 300, "green"), *light])
    assert members(drafts) == [{1, 2, 3, 4, 5, 6}, {11, 12, 13, 14, 15, 16}]
    assert [draft.color for draft in drafts] == ["green", "green"]


def test_a_problem_half_in_shadow_is_one() -> None:
    reds = column(1, 300)
    assert members(routes.group([*reds[:3], *shaded(reds[3:], 0.35)])) == [{1, 2, 3, 4, 5, 6}]


def test_average_linkage_joins_what_is_likelier_together_than_not() -> None:
    log_odds = np.array([[0.0, 3, -1, -9], [3, 0, 0.5, -9], [-1, 0.5, 0, -9], [-9, -9, -9, 0]])
    assert routes.average_linkage(log_odds) == [[0, 1], [2], [3]]  # the third joins neither: -1 and 0.5


def test_unknown_holds_alone_are_no_problem() -> None:
    assert routes.group([hold(i, 100.0 * i, 100, "unknown") for i in range(1, 5)]) == []


def test_the_problems_colour_is_decided_by_probability_not_by_heads() -> None:
    sure, unsure = np.full(13, 0.005, dtype=np.float32), np.full(13, 0.005, dtype=np.float32)
    sure[COLOURS.index("green")] = 0.94
    unsure[COLOURS.index("lime")], unsure[COLOURS.index("green")] = 0.49, 0.46
    holds = [replace(h, color="lime", probabilities=unsure) for h in column(1, 300, "lime", 4)]
    holds.append(replace(hold(5, 300, 400, "lime"), probabilities=sure))
    (draft,) = routes.group(holds)
    assert draft.color == "green"


def test_problems_are_numbered_from_the_largest() -> None:
    drafts = routes.group(
        [*column(1, 300, "blue", 3), *column(11, 700, "red", 5), *column(21, 1100, "green", 4)]
    )
    assert [(draft.id, len(draft.holds)) for draft in drafts] == [(1, 5), (2, 4), (3, 3)]


def test_the_order_of_the_holds_does_not_matter() -> None:
    holds = [
        *column(1, 300),
        *column(11, 1200),
        *column(21, 400, "green"),
        hold(30, 430, 500, "lime", also="green"),
    ]
    expected = routes.group(holds)
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(holds))
        drafts = routes.group([holds[int(i)] for i in order])
        assert [(d.id, d.color, d.rgb, members([d]), d.start_ids, d.top_ids) for d in drafts] == [
            (d.id, d.color, d.rgb, members([d]), d.start_ids, d.top_ids) for d in expected
        ]


def test_holds_are_listed_from_the_lowest_to_the_highest() -> None:
    (draft,) = routes.group(list(reversed(column(1, 300))))
    assert [member.id for member in draft.holds] == [1, 2, 3, 4, 5, 6]


def test_the_lowest_hold_is_the_start_and_the_highest_the_top() -> None:
    (draft,) = routes.group(column(1, 300))
    assert draft.start_ids == (1,)
    assert draft.top_ids == (6,)


def test_two_level_holds_at_the_bottom_are_both_the_start() -> None:
    (draft,) = routes.group([*column(1, 300), hold(7, 220, 890)])
    assert set(draft.start_ids) == {1, 7}


def test_a_foot_chip_is_no_start() -> None:
    (draft,) = routes.group([*column(1, 300), hold(7, 300, 960, side=12)])
    assert draft.start_ids == (1,)


def test_the_start_is_never_the_top() -> None:
    (draft,) = routes.group([hold(i, 300 + 60 * i, 500) for i in range(1, 4)])
    assert not set(draft.start_ids) & set(draft.top_ids)


def test_what_cards_say_goes_before_an_estimate_and_only_estimates_are_marked() -> None:
    holds = column(1, 300)
    (estimated,) = routes.group(holds)
    assert (estimated.start_estimated, estimated.top_estimated) == (True, True)
    (half,) = routes.group([*holds[:1], replace(holds[1], tag="start"), *holds[2:]])
    assert (half.start_ids, half.start_estimated) == ((2,), False)
    assert (half.top_ids, half.top_estimated) == ((6,), True)
    (read,) = routes.group([*holds[:4], replace(holds[4], tag="top"), replace(holds[5], tag="start")])
    assert (read.start_ids, read.top_ids) == ((6,), (5,))
    assert (read.start_estimated, read.top_estimated) == (False, False)


def test_the_estimated_top_is_no_hold_that_a_card_calls_a_start() -> None:
    holds = column(1, 300)
    (draft,) = routes.group([*holds[:5], replace(holds[5], tag="start")])
    assert (draft.start_ids, draft.top_ids) == ((6,), (5,))


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_holds_are_listed_and_not_analysed(count: int) -> None:
    (draft,) = routes.group(column(1, 300, count=count))
    problem = routes.analyse(draft, "face")
    assert problem.hold_count == count
    assert problem.difficulty is None
    assert problem.climb_type is None
    assert problem.start_ids == problem.top_ids == []


def test_an_analysed_problem_carries_the_answers_fields() -> None:
    (draft,) = routes.group(column(1, 300))
    problem = routes.analyse(draft, "overhang")
    assert problem.id == 1
    assert problem.color_name == "red"
    assert problem.holds == [1, 2, 3, 4, 5, 6]
    assert problem.color_rgb in {(i, 0, 0) for i in range(1, 7)}  # a colour that one of its holds has
    assert problem.difficulty is not None
    assert "overhang" in problem.difficulty.factors
    assert problem.climb_type is not None


def test_five_hundred_holds_are_grouped_in_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 4000, (500, 2)).tolist()
    holds = [hold(i, x, y, "red" if i % 2 else "blue") for i, (x, y) in enumerate(places)]
    start = time.process_time()
    routes.group(holds)
    assert time.process_time() - start < 1
