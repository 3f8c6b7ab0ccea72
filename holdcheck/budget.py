"""How much memory an analysis takes, judged before it begins: what admission compares with what is free.

The decode is estimated closely (`holdcheck.formats.cost`). The rest is bounded from above, by the settings:
what the heap keeps between stages varies by 25 MiB from one photo to the next. `python -m bench.needs`
measures it beside these figures (docs/memory.md).
"""

from holdcheck.formats.cost import estimate_decode_mib
from holdcheck.formats.header import PhotoHeader
from holdcheck.settings import Settings

_MIB = 2**20
_FIXED_MIB = 35.0
"""Masks, crops, events, and what the heap has not given back."""
_WORKING_COPY_BYTES = 3
_DETECTION_BYTES = 90
"""Activations for each pixel of the network's input."""
_VIT_CROP_SIDE = 224
_CROP_MIB = 5.0
"""Activations for each crop of a batch, in a ViT-B/32."""
_LARGE_BATCH = 9
_LARGE_BATCH_MIB = 310.0
"""From this batch on a ViT-B/32's buffers leave holes in the heap that the next ones do not fit into. From 32
on they are mapped one by one, and it is less again."""


def needed_mib(header: PhotoHeader, settings: Settings, crop_side: int) -> float:
    """The most that an analysis of this photo may add to what the process holds when it is idle.

    Args:
        crop_side: of the classifier's input, pixels; 0 where there is none.

    Returns:
        MiB.
    """
    after_decode = _after_decode(header, settings, crop_side)
    return max(estimate_decode_mib(header, settings.max_image_size), after_decode)


def usually_needed_mib(settings: Settings, crop_side: int) -> float:
    """The same for what most phones send: a photo of 4:3 that decodes at a reduced scale, MiB."""
    return needed_mib(PhotoHeader("JPEG", width=4032, height=3024), settings, crop_side)


def _after_decode(header: PhotoHeader, settings: Settings, crop_side: int) -> float:
    long_side = max(header.width, header.height)
    area = min(header.width, header.height) / long_side
    working_copy = _WORKING_COPY_BYTES * area * min(settings.max_image_size, long_side) ** 2 / _MIB
    detection = _DETECTION_BYTES * area * settings.yolo_img_size**2 / _MIB
    return _FIXED_MIB + working_copy + max(detection, _classification(settings, crop_side))


def _classification(settings: Settings, crop_side: int) -> float:
    batch = settings.clip_batch_size
    mib = _CROP_MIB * batch if batch < _LARGE_BATCH else max(_LARGE_BATCH_MIB, _CROP_MIB * batch)
    return mib * (crop_side / _VIT_CROP_SIDE) ** 2
