import pytest

from holdcheck import budget
from holdcheck.formats.cost import estimate_decode_mib
from holdcheck.formats.header import PhotoHeader
from holdcheck.settings import Settings

_PHONE = PhotoHeader("JPEG", width=4032, height=3024)


def _settings(**changes: int) -> Settings:
    return Settings(_env_file=None, **changes)  # type: ignore[arg-type]


def test_a_photo_that_is_costly_to_decode_needs_what_its_decode_needs() -> None:
    png = PhotoHeader("PNG", width=8000, height=6000)
    settings = _settings()
    assert budget.needed_mib(png, settings, 224) == estimate_decode_mib(png, settings.max_image_size)


@pytest.mark.parametrize(
    "larger",
    [{"yolo_img_size": 1280}, {"max_image_size": 4032, "yolo_img_size": 800}, {"clip_batch_size": 16}],
)
def test_what_costs_memory_is_in_the_estimate(larger: dict[str, int]) -> None:
    least = budget.needed_mib(_PHONE, _settings(), 224)
    assert budget.needed_mib(_PHONE, _settings(**larger), 224) > least


def test_a_square_photo_needs_more_than_a_narrow_one() -> None:
    narrow, square = (PhotoHeader("JPEG", width=1600, height=height) for height in (400, 1600))
    assert budget.needed_mib(narrow, _settings(), 224) < budget.needed_mib(square, _settings(), 224)


def test_a_smaller_clip_needs_less_for_the_same_batch() -> None:
    settings = _settings(clip_batch_size=32)
    assert budget.needed_mib(_PHONE, settings, 56) < budget.needed_mib(_PHONE, settings, 224)
