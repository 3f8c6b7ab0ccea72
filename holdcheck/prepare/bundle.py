"""Make a model that ships with the package: `python -m holdcheck.prepare.bundle WEIGHTS`.

WEIGHTS is the detector's ultralytics `.pt`, or a state dict (`.safetensors`) of `--architecture`; or a CLIP's
folder in open_clip's form, which becomes `holdclip`.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from holdcheck.errors import PrepareError
from holdcheck.manifest import MANIFEST_NAME, Manifest
from holdcheck.prepare.artefact import previous, write_manifest, written_aside
from holdcheck.prepare.clip import Report, prepare_clip
from holdcheck.prepare.yolo import prepare_yolo
from holdcheck.runtime.towers import FOLDER_CONFIG, FOLDER_WEIGHTS
from holdcheck.settings import BUNDLED_CLIP, BUNDLED_MODELS

NAME = "holds-yolo11n-seg"
_LICENCE = "AGPL-3.0-only; training data as the model card says"
_CARD = "MODEL_CARD.md"
_NEEDED_BYTES = 64 << 20


def bundle_clip(source: Path, target: Path, report: Report, *, name: str = BUNDLED_CLIP) -> Manifest:
    """Prepare a CLIP and put it beside its own configuration and weights, under a name that holds anywhere.

    Args:
        source: a folder in open_clip's form.
        target: where all of it goes; a model card that is there stays.

    Raises:
        PrepareError: with one line that says what to do; `target` is untouched.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared"
        manifest = prepare_clip(str(source.resolve()), prepared, report).model_copy(
            update={
                "name": name,
                "source": "bundled",
                "licence": _LICENCE,
                "architecture": name,
                "checkpoint": FOLDER_WEIGHTS,
            }
        )
        files = [path for path in prepared.iterdir() if path.name != MANIFEST_NAME]
        files += [source / FOLDER_CONFIG, source / FOLDER_WEIGHTS]
        files += [card for card in [target / _CARD] if card.is_file()]
        with written_aside(target, _NEEDED_BYTES) as aside:
            for file in files:
                shutil.copyfile(file, aside / file.name)
            write_manifest(aside, manifest)
    _forget_the_one_before(target)
    return manifest


def _forget_the_one_before(target: Path) -> None:
    """The repository has it; the package must not."""
    shutil.rmtree(previous(target), ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m holdcheck.prepare.bundle", description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--architecture", default="yolo11n-seg", help="of a .safetensors state dict")
    parser.add_argument("--name", default=NAME, help="the bundled detector's name and folder")
    parser.add_argument("--source", default="bundled", help="what the weights came from, for the manifest")
    arguments = parser.parse_args()
    is_state = arguments.weights.suffix == ".safetensors"
    try:
        if arguments.weights.is_dir():
            bundle_clip(arguments.weights, BUNDLED_MODELS / BUNDLED_CLIP, print)
            return 0
        prepare_yolo(
            arguments.weights,
            BUNDLED_MODELS / arguments.name,
            print,
            architecture=arguments.architecture if is_state else "",
            name=arguments.name,
            source=arguments.source,
            licence=_LICENCE,
        )
        _forget_the_one_before(BUNDLED_MODELS / arguments.name)
    except PrepareError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
