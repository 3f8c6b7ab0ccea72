"""How likely two holds belong to one problem: log-odds from what the eye compares, colour and place.

A logistic model (Berkson 1944) of seven differences. Its coefficients were fitted on rendered walls by
`python -m training.affinity fit` (docs/problems.md has its figures), so that they weigh as evidence: natural
logarithms of odds, which add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from holdcheck.routes import ColouredHold

_SURE = 1e-3
"""Least overlap of two holds' colour probabilities that counts: no name is sure enough to forbid a pair."""
_LAB_OFFSET = 16.0
"""L* + 16, a* and b* all grow with the cube root of the light, above the darkest tenth of the scale."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Log-odds that each difference takes away or, where positive, gives."""

    intercept: float
    hue: float
    """For each square root of the hue difference of (a*, b*) / (L* + 16), which a shadow leaves alone."""
    chroma: float
    """The same for its difference in length: haze, chalk and overexposure move it, and hardly the hue."""
    lightness: float
    """For each unit of |ln((L* + 16) / (L* + 16)')|: a shadow moves it, and so may another shade."""
    naming: float
    """For each unit of the Bhattacharyya distance (1943) of the colour probabilities."""
    sideways: float
    """For each unit of ln(1 + horizontal gap in hold sizes)."""
    upwards: float
    """The same for the vertical gap. Problems go up: height sets less apart than width does."""
    distance: float
    """The same for the straight gap, with height counted at 0.6."""


WEIGHTS = Weights(
    intercept=6.447,
    hue=-8.544,
    chroma=-3.352,
    lightness=-3.61,
    naming=-1.169,
    sideways=-0.994,
    upwards=0.693,
    distance=-0.973,
)
_CLIMBING_SHRINKS = 0.6


def log_odds(holds: Sequence["ColouredHold"], weights: Weights = WEIGHTS) -> NDArray[np.float64]:
    """Natural log-odds that each two of N holds belong to one problem: (N, N), symmetric."""
    terms = differences(holds)
    factors = (
        weights.hue,
        weights.chroma,
        weights.lightness,
        weights.naming,
        weights.sideways,
        weights.upwards,
        weights.distance,
    )
    total = np.full(terms.shape[1:], weights.intercept)
    for factor, term in zip(factors, terms, strict=True):
        total += factor * term
    return total


def differences(holds: Sequence["ColouredHold"]) -> NDArray[np.float64]:
    """What sets each two of N holds apart: (7, N, N), in the order of Weights after the intercept."""
    lightness, chromaticity = _shading_apart(np.array([hold.lab for hold in holds], dtype=np.float64))
    hue, chroma = _hue_apart(chromaticity)
    named = np.sqrt(np.array([hold.probabilities for hold in holds], dtype=np.float64))
    across, down = _gaps(holds)
    return np.stack(
        [
            np.sqrt(hue),
            np.sqrt(chroma),
            np.abs(_pairwise(lightness[:, None])[0]),
            -np.log(np.clip(named @ named.T, _SURE, 1)),
            np.log1p(across),
            np.log1p(down),
            np.log1p(np.hypot(across, _CLIMBING_SHRINKS * down)),
        ]
    )


def _shading_apart(lab: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 3) L*a*b* -> what light changes, (N,), and what only another surface does, (N, 2)."""
    root = lab[:, 0] + _LAB_OFFSET
    return np.log(root), lab[:, 1:] / root[:, None]


def _hue_apart(chromaticity: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 2) -> differences in hue and in chroma, each (N, N), as CIE 15 splits a colour difference."""
    chroma = np.abs(_pairwise(np.linalg.norm(chromaticity, axis=1)[:, None])[0])
    whole = (_pairwise(chromaticity) ** 2).sum(axis=0)
    return np.sqrt(np.maximum(whole - chroma**2, 0)), chroma


def _gaps(holds: Sequence["ColouredHold"]) -> NDArray[np.float64]:
    """(2, N, N): gaps between centres across and down, in median hold sizes of the photo."""
    size = float(np.median([np.sqrt(hold.area) for hold in holds]))
    return np.abs(_pairwise(np.array([hold.center for hold in holds], dtype=np.float64))) / size


def _pairwise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, K) -> (K, N, N) differences of each two rows."""
    return np.asarray((values[:, None] - values[None]).transpose(2, 0, 1))
