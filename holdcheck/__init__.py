"""The vision library: a wall photo in; holds, colours and problems out. It imports no web framework."""

import os

# The wheels of onnxruntime 1.31 report to Microsoft unless this is set before they are imported, and keep an
# identity of the machine in ~/.cache for it. Nobody who runs this asked for that.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
