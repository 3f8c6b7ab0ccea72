"""RUNTIME=torch is the reference: the same contract, the same answers within stated tolerances."""

from pathlib import Path

import numpy as np
import pytest

from holdcheck.result import Hold, Result
from tests.backend.conftest import StartServer
from tests.backend.server import Server

CENTER_PX = 0.5
"""How far a hold's centre may differ; the weights are the same numbers, the kernels are not."""
OUTLINE_PX = 1.5
"""How far any point of an outline may be from the other outline: a mask's edge may round the other way."""
SCORE = 0.01
COLOUR = 0.05
"""Difference of a colour's probability: CLIP is int8 on one side and fp32 on the other."""


@pytest.fixture(scope="module")
def answers(start_server: StartServer, true_size_models: Path, wall: bytes) -> dict[str, Result]:
    """The same photo's answer by both runtimes."""
    return {
        runtime: Result.model_validate(
            server_of(runtime, start_server, true_size_models).events(wall)[-1].data["result"]
        )
        for runtime in ("onnx", "torch")
    }


def server_of(runtime: str, start_server: StartServer, models: Path) -> Server:
    return start_server(RUNTIME=runtime, DEVICE="cpu", MODELS_DIR=str(models))


def pairs(answers: dict[str, Result]) -> list[tuple[Hold, Hold]]:
    """Each hold of onnx with the nearest of torch."""
    others = answers["torch"].hold_data
    return [
        (hold, min(others, key=lambda other: float(np.hypot(*np.subtract(hold.center, other.center)))))
        for hold in answers["onnx"].hold_data
    ]


def test_both_runtimes_go_through_the_same_steps(
    start_server: StartServer, true_size_models: Path, wall: bytes
) -> None:
    streams = [
        [event.step for event in server_of(runtime, start_server, true_size_models).events(wall)]
        for runtime in ("onnx", "torch")
    ]
    assert streams[0] == streams[1]
    assert streams[0][-1] == "complete"


def test_both_runtimes_find_the_same_holds(answers: dict[str, Result]) -> None:
    assert answers["onnx"].statistics == answers["torch"].statistics
    assert len(answers["onnx"].hold_data) > 10
    for ours, reference in pairs(answers):
        np.testing.assert_allclose(ours.center, reference.center, atol=CENTER_PX)
        assert ours.kind == reference.kind
        assert abs(ours.score - reference.score) < SCORE


def test_both_runtimes_draw_the_same_outlines(answers: dict[str, Result]) -> None:
    for ours, reference in pairs(answers):
        first, second = np.array(ours.contour), np.array(reference.contour)
        apart = np.hypot(*(first[:, None] - second[None]).transpose(2, 0, 1))
        # Simplified outlines may keep other corners: look at where they are, corner to nearest corner.
        assert np.median(apart.min(axis=1)) < OUTLINE_PX


def test_both_runtimes_name_the_same_colours(answers: dict[str, Result]) -> None:
    for ours, reference in pairs(answers):
        for name, probability in ours.color_scores.items():
            assert abs(probability - reference.color_scores.get(name, 0.0)) < COLOUR, name


def test_the_health_of_a_torch_server_names_its_precision(
    start_server: StartServer, true_size_models: Path
) -> None:
    health = server_of("torch", start_server, true_size_models).get("/api/health").json()
    assert health["component_status"] == {"yolo": True, "clip": True}
    assert [model["precision"] for model in health["models"]] == ["fp32", "fp32"]
    assert health["is_dummy"]  # random weights say so in either runtime
