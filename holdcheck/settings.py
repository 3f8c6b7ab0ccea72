"""The vision library's settings: environment variables, or a `.env` file in the working directory."""

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from holdcheck.errors import SettingsError

BUNDLED_MODELS = Path(__file__).parent / "models"
BUNDLED_CLIP = "holdclip"
"""CLIP_MODEL of this name is the CLIP that ships with the package."""
DEFAULT_CLIP = "ViT-B/32"


class Settings(BaseSettings):
    """What tunes the pipeline and the models. The defaults stay inside 256 MiB (docs/memory.md)."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    clip_model: str = Field(DEFAULT_CLIP, min_length=1)
    """The CLIP that names colours, as given to `prepare`. Not prepared: the bundled one answers."""
    clip_batch_size: int = Field(3, ge=1, le=64)
    """Crops embedded at once. More costs memory and gains little on one thread: 4 save 3% for 20 MiB."""
    yolo_img_size: int = Field(800, ge=320, le=1920, multiple_of=32)
    """Long side, in pixels, of what the detector sees."""
    max_image_size: int = Field(1600, ge=640, le=8192)
    """Long side, in pixels, of the working copy that crops are cut from; answers are in original pixels."""
    max_holds: int = Field(40, ge=1, le=500)
    """The largest so many holds are kept; the rest are counted and said to be truncated."""
    yolo_conf: float = Field(0.40, gt=0.0, lt=1.0)
    """A detection scored lower is dropped."""
    yolo_weights: str = ""
    """Name or file of the prepared detector (`prepare --yolo FILE`). Empty: the bundled one."""
    omp_num_threads: int = Field(1, ge=1, le=64)
    """Threads of one inference."""
    mkl_num_threads: int = Field(1, ge=1, le=64)
    """Threads of MKL, where torch uses it."""
    numexpr_num_threads: int = Field(1, ge=1, le=64)
    """Threads of numexpr, where a library uses it."""
    runtime: Literal["onnx", "torch"] = "onnx"
    """onnx: the small one. torch: the reference, for parity tests and GPUs; needs the `models` extra."""
    device: Literal["cpu", "cuda", "auto"] = "auto"
    """Where RUNTIME=torch computes. cuda stops the start where there is no GPU, and with RUNTIME=onnx."""
    models_dir: Path = Path("models")
    """Where prepare puts artefacts and the server looks for them."""
    max_image_megapixels: float = Field(120.0, ge=0.1, le=1000)
    """A photo with more pixels is refused from its header, before decoding."""
    allow_dummy: bool = False
    """Serve an honest fake where no detector can be loaded; each answer says `is_dummy`."""

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment and `.env`.

        Raises:
            SettingsError: one line naming each variable, its value and what it takes.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise SettingsError("; ".join(_describe(problem) for problem in error.errors())) from None
        except UnicodeDecodeError as error:
            raise SettingsError(f".env: takes UTF-8 text; byte {error.start} of it is none") from None
        except OSError as error:
            reason = error.strerror or error
            raise SettingsError(f".env: cannot be read by user {os.getuid()}: {reason}") from None


def _describe(problem: Any) -> str:
    variable = "_".join(str(part) for part in problem["loc"]).upper()
    return f"{variable}={problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"
