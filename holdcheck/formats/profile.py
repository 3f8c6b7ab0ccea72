"""From a photo's colour profile to sRGB. Phones shoot in Display P3, which looks dull when read as sRGB."""

import io
import logging

from PIL import Image

from holdcheck.formats.header import MAX_PROFILE

log = logging.getLogger(__name__)


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB picture in sRGB, from one whose mode is RGB or CMYK.

    A profile that is missing, damaged, huge or made for another mode is passed over: the colours are then
    read as sRGB, as every viewer does.
    """
    if profile and len(profile) <= MAX_PROFILE:
        try:
            return _convert(picture, profile)
        except (OSError, ValueError) as error:  # PyCMSError is a ValueError
            log.debug("colour profile passed over: %s", error)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _convert(picture: Image.Image, profile: bytes) -> Image.Image:
    from PIL import ImageCms  # only where a profile asks for it

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source.profile.xcolor_space.strip() != picture.mode:
        raise ValueError(f"made for {source.profile.xcolor_space.strip()}, the picture is {picture.mode}")
    if picture.mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
        return picture
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, picture.mode, "RGB")
    converted = ImageCms.applyTransform(picture, transform)
    assert converted is not None
    return converted
