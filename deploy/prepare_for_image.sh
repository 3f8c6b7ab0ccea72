#!/bin/sh
# Fills /prepared with the artefacts that an image is built with, by PREPARE_CLIP, CLIP_CHECKPOINT and YOLO_WEIGHTS.
set -eu
export MODELS_DIR=/prepared

if [ "$YOLO_WEIGHTS" ] && ! python -m holdcheck prepare --yolo "$YOLO_WEIGHTS"; then
  echo "YOLO_WEIGHTS=$YOLO_WEIGHTS could not be prepared: it takes a model file in weights/, or nothing" >&2
  exit 1
fi
[ "$PREPARE_CLIP" != none ] || exit 0
if ! python -m holdcheck prepare --clip "$PREPARE_CLIP${CLIP_CHECKPOINT:+:$CLIP_CHECKPOINT}"; then
  echo "PREPARE_CLIP=$PREPARE_CLIP could not be prepared. Either build with PREPARE_CLIP=none: the bundled CLIP" \
    "answers, and this one can be prepared later. Or put its checkpoint in weights/ and build with" \
    "CLIP_CHECKPOINT=weights/FILE" >&2
  exit 1
fi
# An artefact made from a file is named after the file, and CLIP_MODEL will ask for the CLIP.
if [ "$CLIP_CHECKPOINT" ]; then
  python - "$PREPARE_CLIP" <<'END'
import sys
from pathlib import Path

from holdcheck.manifest import MANIFEST_NAME, Manifest, slug

folder = next(Path("/prepared/clip").glob(f"*/{MANIFEST_NAME}")).parent
manifest = Manifest.read(folder).model_copy(update={"name": sys.argv[1]})
(folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n")
folder.rename(folder.with_name(slug(manifest.name)))
END
fi
rm -rf /prepared/checkpoints
