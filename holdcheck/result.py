"""The answer, on which other programs depend. Coordinates are pixels of the upright original photo."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Colour = Literal[
    "black",
    "white",
    "gray",
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "mint",
    "lime",
    "unknown",
]
Kind = Literal["hold", "volume"]
Tag = Literal["start", "top"]
WallAngle = Literal["slab", "face", "overhang"]
Point = tuple[float, float]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemoryUsage(_Answer):
    """Memory of this process, and what its container (cgroup v1 or v2, else the host) allows. MiB."""

    rss_mb: float
    peak_mb: float
    percent: float = Field(description="rss_mb as a percentage of limit_mb")
    limit_mb: float
    available_mb: float


class ComponentStatus(_Answer):
    """Which models answer. `clip: false` means that a lesser CLIP than the one asked for answers, or none."""

    yolo: bool
    clip: bool


class Hold(_Answer):
    """One hold or volume."""

    id: int
    center: Point
    area: float = Field(description="px² of the mask")
    bbox: tuple[float, float, float, float] = Field(description="x1, y1, x2, y2")
    contour: list[Point]
    score: Probability
    kind: Kind
    color: Colour = Field(description="its problem's colour; its own where it belongs to no problem")
    individual_color: Colour
    color_scores: dict[str, Probability] = Field(description="the three likeliest colours")
    rgb: tuple[int, int, int]
    hsv: tuple[float, float, float] = Field(description="degrees 0..360, then percent, percent")
    lab: tuple[float, float, float] = Field(description="CIE L*a*b*, D65")
    tag: Tag | None = Field(
        None, description="from a card beside it; else its problem's estimate, which the problem then says"
    )


class Difficulty(_Answer):
    """An estimate from geometry, no setter's grade (docs/difficulty.md). V-scale."""

    grade: str
    low: str
    high: str
    confidence: Probability
    factors: list[str]


class ClimbType(_Answer):
    """What the moves look like from their geometry."""

    primary_type: str
    types: list[str]
    confidence: Probability


class Problem(_Answer):
    """A boulder problem: holds of one colour in one place. Fewer than three are listed, not analysed."""

    id: int
    color_name: Colour
    color_rgb: tuple[int, int, int]
    hold_count: int
    holds: list[int]
    difficulty: Difficulty | None
    climb_type: ClimbType | None
    start_ids: list[int]
    top_ids: list[int]
    start_estimated: bool = Field(description="start_ids come from where holds are, not from a START card")
    top_estimated: bool = Field(description="top_ids come from where holds are, not from a TOP card")


class Statistics(_Answer):
    total_holds: int
    holds_kept: int
    truncated: bool
    total_problems: int
    analyzable_problems: int


class Result(_Answer):
    """The whole answer, as `complete` and `POST /api/analyze` carry it."""

    job_id: str
    image_width: int
    image_height: int
    statistics: Statistics
    hold_data: list[Hold]
    problems: list[Problem]
    component_status: ComponentStatus
    is_dummy: bool = Field(description="a model without real weights took part: the answer means nothing")
    degraded: bool = Field(description="a part is missing and a lesser one stood in; error_reason says which")
    error_reason: str | None
    timings_ms: dict[str, float]
    memory: MemoryUsage
