"""Make the detector that ships with the package: `python -m holdcheck.prepare.bundle WEIGHTS`.

WEIGHTS is an ultralytics `.pt`, or a state dict (`.safetensors`) of `--architecture`.
"""

import argparse
import sys
from pathlib import Path

from holdcheck.errors import PrepareError
from holdcheck.prepare.yolo import prepare_yolo
from holdcheck.settings import BUNDLED_MODELS

NAME = "holds-yolo11n-seg"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m holdcheck.prepare.bundle", description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--architecture", default="yolo11n-seg", help="of a .safetensors state dict")
    parser.add_argument("--name", default=NAME, help="the bundled model's name and folder")
    parser.add_argument("--source", default="bundled", help="what the weights came from, for the manifest")
    arguments = parser.parse_args()
    is_state = arguments.weights.suffix == ".safetensors"
    try:
        prepare_yolo(
            arguments.weights,
            BUNDLED_MODELS / arguments.name,
            print,
            architecture=arguments.architecture if is_state else "",
            name=arguments.name,
            source=arguments.source,
            licence="AGPL-3.0-only; training data as the model card says",
        )
    except PrepareError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
